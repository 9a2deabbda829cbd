import re
import sys
from pathlib import Path

import pytest

from openturret.boot.cli import main
from openturret.boot.supervision.systemd import unit_file


def test_the_unit_file_restarts_the_agent_for_ever_and_spares_the_services(tmp_path: Path) -> None:
    text = unit_file(tmp_path / "state", tmp_path / "factory", "eth1")
    for line in (
        "Type=notify",
        "Restart=always",
        "StartLimitIntervalSec=0",
        "KillMode=process",
        "WatchdogSec=30",
        f"ReadWritePaths={tmp_path}/state",
    ):
        assert line in text.splitlines()
    command = re.search(r"^ExecStart=(.*)$", text, re.MULTILINE)
    assert command is not None
    assert command[1].split() == [
        sys.executable, "-m", "openturret.boot", "--state", f"{tmp_path}/state",
        "--factory", f"{tmp_path}/factory", "--interface", "eth1",
        "--slots", "files",
    ]  # fmt: skip


def test_odd_paths_are_quoted() -> None:
    text = unit_file(Path("/a b/100%"), Path('/"x"$y'), "eth0")
    assert 'ReadWritePaths="/a b/100%%"' in text
    assert r'ReadOnlyPaths="/\"x\"$$y"' in text


def test_the_command_prints_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folders = ["--state", str(tmp_path), "--factory", str(tmp_path)]
    assert main([*folders, "--slots", "rauc", "--systemd-unit"]) == 0
    text = capsys.readouterr().out
    assert text.startswith("# made by: turret boot --systemd-unit\n[Unit]")
    assert "--slots rauc" in text
