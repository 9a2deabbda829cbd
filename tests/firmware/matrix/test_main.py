"""The command that runs the matrix."""

import pytest

from openturret.firmware.matrix.__main__ import main


def test_its_help_names_the_command_that_people_type(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    assert capsys.readouterr().out.startswith("usage: turret matrix ")
