"""A command sees a loopback interface that works, and none that leads anywhere."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytestmark = pytest.mark.bench

ISOLATED = [sys.executable, "-m", "openturret.lab.isolated"]
LOOK = """
import socket
socket.create_server(("127.0.0.1", 80))
print(sorted(name for _, name in socket.if_nameindex()))
"""


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*ISOLATED, *command], capture_output=True, text=True, check=False)


def test_the_low_ports_of_loopback_are_free_and_nothing_leads_out() -> None:
    assert run(sys.executable, "-c", LOOK).stdout == "['eth0', 'lo', 'nowhere']\n"


def test_the_status_of_the_command_comes_out() -> None:
    assert run("sh", "-c", "exit 41").returncode == 41


def test_without_a_command_it_says_how_to_use_it() -> None:
    done = run()
    assert done.returncode == 2
    assert "COMMAND" in done.stderr
