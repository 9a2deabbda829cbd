import sys
from pathlib import Path

import pytest

from openturret.boot.cli import main
from openturret.boot.queries import EXIT_FAILED


def test_a_damaged_factory_folder_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--state", str(tmp_path / "state"), "--factory", str(tmp_path)]
    assert main(arguments) == EXIT_FAILED
    assert "identity.yaml" in capsys.readouterr().err
    assert not (tmp_path / "state").exists()


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["status", "--help"], ["events", "--help"], ["retry", "--help"]],
)
def test_the_help_teaches(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 0
    text = capsys.readouterr().out
    assert "example:" in text
    assert "exit:" in text


def test_without_dbus_a_unit_with_rauc_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "openturret.boot.slots.rauc", None)
    for name in ("ca.pem", "root.json"):
        (tmp_path / name).write_text("x")
    (tmp_path / "identity.yaml").write_text(
        "unit.model: TouchPro\nunit.serial: OT-1\nunit.mac: '02:54:50:00:00:01'\n"
        "unit.firmware: touchpro\nftpes.username: x\nftpes.password: y\n"
    )
    state = str(tmp_path / "state")
    assert main(["--slots", "rauc", "--state", state, "--factory", str(tmp_path)]) == EXIT_FAILED
    assert "openturret[rauc]" in capsys.readouterr().err


def test_a_wrong_option_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--nonsense"])
    assert caught.value.code == 2
    assert "usage" in capsys.readouterr().err
