"""The hardware as a process of its own, as the bench runs it."""

import asyncio
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from openturret.drivers.emulated.hand import Hand
from openturret.drivers.emulated.handset import EmulatedHandset
from openturret.hal import AttachedEvent, DetachedEvent, EventQueue, SystemClock
from openturret.hal import board as boards
from openturret.hal.board import DeviceSpec, parse_board
from openturret.hal.errors import BoardError, DeviceGoneError

ROOT = Path(__file__).parents[3]
EMULATED = Path(boards.__file__).parent / "boards" / "emulated.yaml"


@pytest.fixture
def sockets() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="ot-") as folder:
        yield Path(folder)


@asynccontextmanager
async def hardware(board: Path, sockets: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-W", "error", "-m", "openturret.drivers.emulated",
        "--board", str(board), "--sockets", str(sockets),
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


def spec(sockets: Path) -> DeviceSpec:
    text = f"board: x\ndevices:\n  handset-left: {{type: handset, driver: emulated, match: {{socket: {sockets}/handset-left}}}}"  # noqa: E501
    return parse_board(text.encode()).devices["handset-left"]


async def soon(queue: EventQueue) -> object:
    async with asyncio.timeout(10):
        return await anext(queue)


async def test_it_serves_its_devices_and_leaves_nothing_behind(sockets: Path) -> None:
    async with hardware(EMULATED, sockets) as process, await Hand.connect(sockets) as hand:
        assert "handset-left" in await hand.devices()
        process.send_signal(signal.SIGTERM)
        assert await process.wait() == 0
    assert list(sockets.iterdir()) == []


async def test_the_driver_comes_back_after_the_hardware_was_killed(sockets: Path) -> None:
    handset = EmulatedHandset(spec(sockets), SystemClock())
    events = handset.events()
    await handset.open()
    async with hardware(EMULATED, sockets) as process:
        assert isinstance(await soon(events), AttachedEvent)
        process.kill()
        assert isinstance(await soon(events), DetachedEvent)
    async with hardware(EMULATED, sockets):
        assert isinstance(await soon(events), AttachedEvent)
    await handset.close()


async def test_a_bad_board_is_refused_with_its_line(sockets: Path) -> None:
    board = sockets / "board.yaml"
    board.write_text("board: x\ndevices: {a: {type: lamp}}\n")
    async with hardware(board, sockets) as process:
        _, complaint = await process.communicate()
    assert process.returncode == 1
    assert b"line 2: type 'lamp' is not known; use one of" in complaint


async def test_a_hand_without_hardware_is_told(sockets: Path) -> None:
    with pytest.raises(DeviceGoneError, match=r"no emulated hardware at .*hand\.sock"):
        await Hand.connect(sockets, patience_s=0.1)


def test_a_device_without_a_socket_is_refused_with_the_remedy() -> None:
    board = parse_board(b"board: x\ndevices: {a: {type: handset, driver: emulated}}")
    with pytest.raises(BoardError, match=r"add 'match: \{socket:"):
        EmulatedHandset(board.devices["a"], SystemClock())


def test_a_socket_path_that_the_kernel_would_cut_is_refused() -> None:
    with pytest.raises(BoardError, match="too long; use a shorter folder"):
        EmulatedHandset(spec(Path("/" + "x" * 120)), SystemClock())
