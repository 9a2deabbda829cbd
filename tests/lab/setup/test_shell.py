"""A step that fails says which command, why, and what to do."""

from pathlib import Path

import pytest

from openturret.lab.setup.errors import StepFailedError
from openturret.lab.setup.shell import Shell, output_of


def test_a_failing_command_is_told_with_its_last_words_and_the_remedy(tmp_path: Path) -> None:
    shell = Shell(tmp_path / "step.log")
    with pytest.raises(StepFailedError) as caught:
        shell.run("sh", "-c", "echo no space left; exit 3", remedy="make room")
    assert "exit 3" in str(caught.value)
    assert "no space left" in str(caught.value)
    assert caught.value.remedy == "make room"


def test_a_missing_command_is_told(tmp_path: Path) -> None:
    with pytest.raises(StepFailedError, match="not found"):
        Shell(tmp_path / "step.log").run("no-such-program", remedy="install it")


def test_output_is_kept_in_the_log(tmp_path: Path) -> None:
    Shell(tmp_path / "step.log").run("echo", "hello", remedy="")
    assert (tmp_path / "step.log").read_text() == "hello\n"


def test_the_output_of_a_failing_probe_is_empty() -> None:
    assert output_of("false") == ""
    assert output_of("no-such-program") == ""
