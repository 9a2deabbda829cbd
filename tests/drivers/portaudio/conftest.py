"""A JACK server with emulated devices, for the whole run; PortAudio is one in a process."""

import asyncio
import contextlib
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from openturret.drivers.emulated.hand import Hand
from openturret.drivers.errors import HandRefusedError
from openturret.drivers.portaudio.jack import JACK, PORTAUDIO
from openturret.hal.board import Board, Capability, load_board
from openturret.lab.errors import ToolMissingError
from openturret.lab.jack_bench import SERVER_VARIABLE, JackBench

BOARD = """
board: rig
devices:
  handset-left: {type: handset, driver: portaudio, match: {name: Handset 1}}
  handset-right: {type: handset, driver: portaudio, match: {name: Handset 2}}
  gooseneck: {type: gooseneck, driver: portaudio, match: {name: Gooseneck}, frame_ms: 10}
  speaker-1: {type: speaker, driver: portaudio, match: {name: Speaker 1}}
"""


@pytest.fixture(scope="session")
def board_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("board") / "board.yaml"
    path.write_text(BOARD)
    return path


@pytest.fixture(scope="session")
def board(board_file: Path) -> Board:
    return load_board(board_file)


@pytest.fixture(scope="session")
def jack_bench(board_file: Path) -> Iterator[JackBench]:
    """The folder's name must leave room for a socket's."""
    folder = Path(tempfile.mkdtemp(prefix="ot-"))
    bench = JackBench(board_file, folder)
    try:
        asyncio.run(bench.start())
    except ToolMissingError as error:
        pytest.skip(str(error))
    os.environ.update(bench.environment)
    yield bench
    del os.environ[SERVER_VARIABLE]
    asyncio.run(bench.stop())
    shutil.rmtree(folder)


@pytest.fixture
async def hand(jack_bench: JackBench, board: Board) -> AsyncIterator[Hand]:
    """A hand at devices that are plugged in and silent; PortAudio ends with the test."""
    async with await jack_bench.hand() as hand:
        for position, spec in board.devices.items():
            await hand.plug(position)
            if Capability.CAPTURE in spec.capabilities:
                await hand.silence(position)
            with contextlib.suppress(HandRefusedError):
                await hand.stop_listening(position)
        yield hand
    await asyncio.to_thread(PORTAUDIO.end)
    JACK.end()
