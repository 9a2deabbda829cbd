"""What the matrix's signs of life stand for: its tick, and the loop that answers OLDCB."""

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from openturret.c_ext import EngineStalledError
from openturret.drivers.emulated.hand import Hand
from openturret.firmware.matrix.process import MatrixProcess, Setup
from openturret.firmware.matrix.settings import Settings
from openturret.hal import SystemClock
from openturret.hal.board import Board
from openturret.hal.notify import Notice
from openturret.hal.registry import Registry

STAND_BY = """
board: flexpro
devices:
  xma-1:
    type: xma2
    driver: xma2
    match: {url: "socket://192.0.2.7:2305", matrix: "192.0.2.7:4250", secret: /run/secret}
"""


async def test_a_tick_that_stands_still_is_no_sign_of_life(
    folder: Path, board: Board, hand: Hand, settings: Settings, registry: Registry
) -> None:
    setup = Setup(folder, settings, board, control_port=0, event_port=0)
    process = MatrixProcess(setup, registry, SystemClock())
    control, _ = await process.open()
    assert control
    assert await process.pulse() == "0 legs, 0 recordings"
    async with asyncio.timeout(10):
        while process.matrix.engine.ticks().ticks < 2:
            await asyncio.sleep(0.01)
    assert await process.pulse() == "0 legs, 0 recordings"
    process.matrix.engine.stop()
    with contextlib.suppress(EngineStalledError):
        await process.pulse()  # it may have ticked once more before it stopped
    with pytest.raises(EngineStalledError, match="stands still"):
        await process.pulse()
    await process.close()


@pytest.fixture
def supervisor(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "notify"))
        listening.settimeout(20)
        yield listening


async def start(folder: Path) -> asyncio.subprocess.Process:
    (folder / "board.yaml").write_text(STAND_BY)
    environment = {"NOTIFY_SOCKET": str(folder / "notify"), "WATCHDOG_USEC": "40000"}
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "openturret.firmware.matrix", "--state", str(folder)),
        *("--control-port", "0", "--event-port", "0"),
        env=os.environ | environment,
        stderr=asyncio.subprocess.PIPE,
    )


async def hear(supervisor: socket.socket) -> Notice:
    return Notice.parse(await asyncio.to_thread(supervisor.recv, 4096))


async def test_a_supervisor_hears_of_the_process_from_its_start_to_its_end(
    tmp_path: Path, supervisor: socket.socket
) -> None:
    process = await start(tmp_path)
    assert (await hear(supervisor)).ready
    for _ in range(3):
        assert await hear(supervisor) == Notice(alive=True, status="standing by")
    process.send_signal(signal.SIGTERM)
    while not (notice := await hear(supervisor)).stopping:
        assert notice.alive
    await process.communicate()
    assert process.returncode == 0


async def test_a_process_that_is_ended_for_hanging_writes_where_it_stands(
    tmp_path: Path, supervisor: socket.socket
) -> None:
    process = await start(tmp_path)
    assert (await hear(supervisor)).ready
    process.send_signal(signal.SIGSTOP)
    process.send_signal(signal.SIGABRT)
    process.send_signal(signal.SIGCONT)
    _, said = await process.communicate()
    assert process.returncode == -signal.SIGABRT
    assert b"Fatal Python error: Aborted" in said
    assert b"in main" in said
