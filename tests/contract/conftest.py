"""Rigs that the contract runs on: hardware, the board that describes it, and a hand at it.

A new driver joins by adding its rig to ``RIGS``; the tests choose by capability.
"""

import dataclasses
import tempfile
import tomllib
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Final

import pytest

from openturret.drivers.emulated.hand import Hand
from openturret.drivers.emulated.hardware import Hardware
from openturret.hal import AudioPort, Device, SystemClock
from openturret.hal import board as boards
from openturret.hal.board import Board, Capability, load_board
from openturret.hal.registry import GROUP, Registry

ROOT: Final = Path(__file__).parents[2]
TOUCHPRO: Final = load_board(Path(boards.__file__).parent / "boards" / "touchpro.yaml")


@dataclasses.dataclass(frozen=True, slots=True)
class Rig:
    """Hardware under test."""

    board: Board
    registry: Registry
    hand: Hand
    folder: Path

    def device(self, position: str) -> Device:
        return self.registry.device(self.board.devices[position], SystemClock())

    def audio(self, position: str) -> AudioPort:
        return self.registry.audio(self.board.devices[position])


def declared_drivers() -> list[EntryPoint]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return [
        EntryPoint(name=name, value=value, group=GROUP)
        for name, value in project["entry-points"][GROUP].items()
    ]


@asynccontextmanager
async def emulated() -> AsyncIterator[Rig]:
    with tempfile.TemporaryDirectory(prefix="ot-") as folder:
        sockets = Path(folder)
        devices = {
            position: dataclasses.replace(spec, match={"socket": f"{sockets}/{position}"})
            for position, spec in TOUCHPRO.devices.items()
        }
        board = dataclasses.replace(TOUCHPRO, devices=devices)
        hardware = Hardware(board, sockets)
        await hardware.open()
        async with await Hand.connect(sockets) as hand:
            yield Rig(board, Registry(declared_drivers), hand, sockets)
        await hardware.close()


RIGS: Final[dict[str, Callable[[], AbstractAsyncContextManager[Rig]]]] = {"emulated": emulated}


@pytest.fixture(params=RIGS)
async def rig(request: pytest.FixtureRequest) -> AsyncIterator[Rig]:
    async with RIGS[request.param]() as found:
        yield found


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Gives a test that asks for ``<capability>_position`` every position that has it."""
    for capability in Capability:
        name = f"{capability}_position"
        if name in metafunc.fixturenames:
            having = [p for p, s in TOUCHPRO.devices.items() if capability in s.capabilities]
            metafunc.parametrize(name, having)
    if "any_position" in metafunc.fixturenames:
        metafunc.parametrize("any_position", list(TOUCHPRO.devices))
