from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from openturret.lab import namespace
from openturret.lab.errors import NamespaceError

pytestmark = pytest.mark.bench


@pytest.fixture(autouse=True)
def _allowed() -> None:
    try:
        namespace.check()
    except NamespaceError as error:
        pytest.skip(str(error))


def enter(program: str, **options: object) -> int:
    return namespace.enter([sys.executable, "-c", program], **options)  # type: ignore[arg-type]


def test_the_command_is_inside_and_its_status_comes_out() -> None:
    program = "import sys; from openturret.lab import namespace; sys.exit(40 + namespace.inside())"
    assert enter(program) == 41
    assert not namespace.inside()


def test_the_command_is_root_there_and_sees_no_network_of_the_host(tmp_path: Path) -> None:
    said = tmp_path / "said"
    program = (
        "import os, socket, pathlib; names = [name for _, name in socket.if_nameindex()];"
        f"pathlib.Path({str(said)!r}).write_text(f'{{os.getuid()}} {{names}}')"
    )
    assert enter(program) == 0
    assert said.read_text() == "0 ['lo']"


def test_a_command_ended_by_a_signal_is_128_and_the_signal() -> None:
    program = "import os; os.kill(os.getpid(), 9)"
    assert enter(program) == 128 + signal.SIGKILL


def test_an_open_file_is_handed_over() -> None:
    receiving, sending = os.pipe()
    program = f"import os; os.write({sending}, b'from inside')"
    assert enter(program, pass_fds=[sending]) == 0
    os.close(sending)
    with os.fdopen(receiving, "rb") as pipe:
        assert pipe.read() == b"from inside"


OUTER = """
import sys
from openturret.lab import namespace
sys.exit(namespace.enter([sys.executable, "-c", sys.argv[1]]))
"""
STOPS = """
import signal, sys
def stop(*_):
    print("stopped in order", flush=True)
    sys.exit(7)
signal.signal(signal.SIGTERM, stop)
print("ready", flush=True)
signal.pause()
signal.pause()
"""
STUBBORN_CHILD = """
import subprocess, sys
subprocess.run([sys.executable, "-c", "import signal, sys;"
    "signal.signal(signal.SIGTERM, signal.SIG_IGN); print('ready', flush=True); signal.pause()"])
"""


def start(program: str) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", OUTER, program], stdout=subprocess.PIPE, text=True
    )
    if process.stdout is None:
        raise RuntimeError("started without a pipe")
    assert process.stdout.readline() == "ready\n"
    return process


def test_sigterm_reaches_the_command_which_ends_in_order() -> None:
    process = start(STOPS)
    process.terminate()
    output, _ = process.communicate(timeout=20)
    assert output == "stopped in order\n"
    assert process.returncode == 7


def test_a_killed_parent_takes_everything_along() -> None:
    process = start(STUBBORN_CHILD)
    process.kill()
    # The pipe ends only when the last process that holds it has ended.
    output, _ = process.communicate(timeout=20)
    assert output == ""
