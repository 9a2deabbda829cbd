"""A demonstration that is stopped half-way leaves no folder and no process behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from openturret.lab import namespace
from openturret.lab.errors import NamespaceError, ToolMissingError

pytestmark = [pytest.mark.bench, pytest.mark.slow]

DEADLINE_S = 60


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder with a short path: Unix sockets stand below it."""
    with tempfile.TemporaryDirectory(prefix="ot-") as made:
        yield Path(made)


@pytest.fixture
def demonstration(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """A demonstration in mid-boot; all that it writes goes below the folder."""
    try:
        namespace.check()
    except (NamespaceError, ToolMissingError) as error:
        pytest.skip(str(error))
    (folder / "tmp").mkdir()
    report = str(folder / "report")
    with subprocess.Popen(
        [sys.executable, "-m", "openturret.lab.demo.cli", "--report", report],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "TMPDIR": str(folder / "tmp")},
        start_new_session=True,
    ) as process:
        yield process
        process.kill()


def stop(process: subprocess.Popen[str], number: signal.Signals) -> str:
    """Send a signal once the unit boots; what was said until the last process had ended."""
    if process.stdout is None:
        raise RuntimeError("the process was started without a pipe")
    said = next(line for line in process.stdout if "power on" in line or "turret demo" in line)
    if number == signal.SIGINT:
        os.killpg(process.pid, number)  # as a terminal does
    else:
        process.send_signal(number)
    return said + process.communicate(timeout=DEADLINE_S)[0]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_nothing_is_left(
    demonstration: subprocess.Popen[str], folder: Path, number: signal.Signals
) -> None:
    said = stop(demonstration, number)
    assert list((folder / "tmp").iterdir()) == []
    assert "Traceback" not in said
    assert demonstration.returncode in (130, -number)
