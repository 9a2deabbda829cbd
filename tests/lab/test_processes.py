"""Servers that start, die, freeze and are stopped; in the namespace that the tests run in."""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from openturret.lab.errors import ServiceError
from openturret.lab.network import Network
from openturret.lab.processes import Processes, Service, accepts, listens, logged

HERE = ""
SERVER = """
import socket, sys
server = socket.create_server(("127.0.0.1", 0))
print("listening on", server.getsockname()[1], flush=True)
while True:
    server.accept()[0].sendall(b"hello")
"""
STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); "
STUBBORN += "signal.pause()"


@pytest.fixture
async def processes(tmp_path: Path) -> AsyncIterator[Processes]:
    async with Processes(Network(), tmp_path) as started:
        yield started


def service(program: str, **options: object) -> Service:
    argv = [sys.executable, "-c", program]
    return Service("thing", HERE, argv, **options)  # type: ignore[arg-type]


async def test_a_service_is_ready_when_it_says_so(processes: Processes) -> None:
    process = await processes.start(service(SERVER, ready=logged("listening on")))
    port = int(process.said().split()[-1])
    assert await accepts("127.0.0.1", port)(process)
    assert process.running


async def test_a_service_that_ends_early_shows_the_end_of_its_log(processes: Processes) -> None:
    with pytest.raises(ServiceError, match="ended before it was ready: no such thing"):
        await processes.start(service("raise SystemExit('no such thing')", ready=logged("never")))


async def test_a_service_that_is_late_is_an_error(processes: Processes, tmp_path: Path) -> None:
    late = service(SERVER, ready=listens(tmp_path / "never"), deadline_s=0.2)
    with pytest.raises(ServiceError, match=r"not ready within 0\.2 s"):
        await processes.start(late)


async def test_a_socket_that_a_dead_process_left_is_not_ready(
    processes: Processes, tmp_path: Path
) -> None:
    path = tmp_path / "hand.sock"
    process = await processes.start(service(SERVER, ready=logged("listening on")))
    with socket.socket(socket.AF_UNIX) as left_over:
        left_over.bind(str(path))
        assert not await listens(path)(process)
        left_over.listen()
        assert await listens(path)(process)
    assert path.exists()
    assert not await listens(path)(process)


async def test_stop_kills_what_does_not_listen(processes: Processes) -> None:
    process = await processes.start(service(STUBBORN, ready=logged("up"), grace_s=0.1))
    await process.stop()
    assert not process.running


async def test_kill_takes_the_children_along(processes: Processes) -> None:
    program = (
        "import subprocess, sys;"
        "child = subprocess.Popen([sys.executable, '-c', 'import signal; signal.pause()']);"
        "print('child', child.pid, flush=True); child.wait()"
    )
    process = await processes.start(service(program, ready=logged("child")))
    child = int(process.said().split()[-1])
    await process.kill()
    assert not process.running
    assert not running(child)


async def test_a_frozen_service_goes_on_where_it_was(processes: Processes) -> None:
    process = await processes.start(service(SERVER, ready=logged("listening on")))
    process.freeze()
    await until_state(process.pid, "T")
    process.thaw()
    await until_state(process.pid, "S")


async def test_a_restart_waits_for_the_new_process(processes: Processes) -> None:
    process = await processes.start(service(SERVER, ready=logged("listening on")))
    first = process.pid
    await process.restart()
    assert process.pid != first
    assert process.said().count(b"listening on") == 1


async def test_all_end_with_the_block(tmp_path: Path) -> None:
    async with Processes(Network(), tmp_path) as processes:
        process = await processes.start(service(SERVER, ready=logged("listening on")))
        assert "thing" in processes
    assert not process.running


def test_what_was_never_started_has_no_pid(tmp_path: Path) -> None:
    with pytest.raises(KeyError):
        Processes(Network(), tmp_path)["thing"]


async def test_a_signal_to_the_dead_is_nothing(processes: Processes) -> None:
    process = await processes.start(service(SERVER, ready=logged("listening on")))
    await process.kill()
    process.signal(signal.SIGTERM)
    assert not process.running


async def until_state(pid: int, wanted: str) -> None:
    async with asyncio.timeout(5):
        while state(pid) != wanted:
            await asyncio.sleep(0.01)


def state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def running(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists() and state(pid) not in "ZX"
