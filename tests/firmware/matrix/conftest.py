"""A matrix on the test's own loop, over emulated hardware and the real engine."""

import dataclasses
import math
import random
import tempfile
import tomllib
import wave
from array import array
from collections.abc import AsyncIterator, Iterator
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Final

import pytest

from openturret.drivers.emulated.hand import Hand
from openturret.drivers.emulated.hardware import Hardware
from openturret.drivers.oldcb import OldcbMatrix
from openturret.firmware.matrix.matrix import Matrix
from openturret.firmware.matrix.process import MatrixProcess, Setup
from openturret.firmware.matrix.settings import Settings
from openturret.hal import SystemClock
from openturret.hal import board as boards
from openturret.hal.board import Board, load_board
from openturret.hal.registry import GROUP, Registry

ROOT: Final = Path(__file__).parents[3]
TOUCHPRO: Final = Path(boards.__file__).parent / "boards" / "emulated.yaml"
LOOPBACK: Final = "127.0.0.1"


@dataclasses.dataclass(frozen=True, slots=True)
class Unit:
    """A running matrix and everything a test needs around it."""

    folder: Path
    board: Board
    hand: Hand
    client: OldcbMatrix
    matrix: Matrix
    control_port: int
    event_port: int

    def newcomer(self) -> OldcbMatrix:
        return OldcbMatrix(control_port=self.control_port, event_port=self.event_port)

    def babble(
        self, name: str, seconds: float, *, rate_hz: int = 8000, loudest: int = 9000
    ) -> Path:
        """Something like speech, in a file of the folder: syllables of random length and force."""
        rng = random.Random(1)
        samples = array("h")
        while len(samples) < seconds * rate_hz:
            strength, length, smooth = rng.uniform(500, loudest), rng.randrange(400, 1600), 0.0
            for n in range(length):
                smooth += 0.5 * (rng.uniform(-1, 1) - smooth)
                samples.append(round(strength * smooth * math.sin(math.pi * n / length)))
        path = self.folder / name
        path.parent.mkdir(exist_ok=True)
        with wave.open(str(path), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(rate_hz)
            file.writeframes(samples[: int(seconds * rate_hz)].tobytes())
        return path


def declared_drivers() -> list[EntryPoint]:
    points = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]
    return [
        EntryPoint(name=name, value=value, group=GROUP) for name, value in points[GROUP].items()
    ]


@pytest.fixture
def registry() -> Registry:
    return Registry(declared_drivers)


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder whose name leaves room for a socket's."""
    with tempfile.TemporaryDirectory(prefix="ot-") as name:
        yield Path(name)


@pytest.fixture
def board(folder: Path) -> Board:
    touchpro = load_board(TOUCHPRO)
    devices = {
        position: dataclasses.replace(spec, match={"socket": f"{folder}/{position}"})
        for position, spec in touchpro.devices.items()
    }
    return dataclasses.replace(touchpro, devices=devices)


@pytest.fixture
def board_file(folder: Path) -> Path:
    path = folder / "board.yaml"
    path.write_text(TOUCHPRO.read_text().replace("/run/openturret/hardware", str(folder)))
    return path


@pytest.fixture
async def hand(board: Board, folder: Path) -> AsyncIterator[Hand]:
    hardware = Hardware(board, folder)
    await hardware.open()
    async with await Hand.connect(folder) as found:
        yield found
    await hardware.close()


@pytest.fixture
def settings() -> Settings:
    return Settings(oldcb_address=LOOPBACK, rtp_lower=11000, rtp_upper=13000)


@pytest.fixture
async def unit(
    folder: Path, board: Board, hand: Hand, settings: Settings, registry: Registry
) -> AsyncIterator[Unit]:
    setup = Setup(folder, settings, board, control_port=0, event_port=0)
    process = MatrixProcess(setup, registry, SystemClock())
    control, events = await process.open()
    client = OldcbMatrix(control_port=control, event_port=events)
    yield Unit(folder, board, hand, client, process.matrix, control, events)
    await client.close()
    await process.close()
