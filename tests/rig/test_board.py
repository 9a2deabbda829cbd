"""Hardware without a unit: plugged in while its place is acquired, whatever ends the exporter."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

from openturret.hal import Handset, HookState, SystemClock
from openturret.hal.registry import Registry
from openturret.lab.rig._labgrid import Target
from openturret.lab.rig.classes import EmulatedBoardDriver

if TYPE_CHECKING:
    from tests.rig.conftest import Rig

pytestmark = pytest.mark.bench


@pytest.fixture
def target(rig: Rig) -> Iterator[Target]:
    with rig.holding("board-1"), rig.target("board-1", {"EmulatedBoardDriver": {}}) as found:
        yield found


def test_the_board_of_a_place_answers_to_our_drivers(target: Target) -> None:
    driver = target.get_driver(EmulatedBoardDriver)
    spec = driver.board().devices["handset-left"]
    handset = Registry().handset(spec, SystemClock())
    assert asyncio.run(lifted(handset, driver)) is HookState.OFF_HOOK


async def lifted(handset: Handset, driver: EmulatedBoardDriver) -> HookState:
    """Where the handset says that it lies once the hand has lifted it and it has attached."""
    hand = await driver.hand()
    await hand.lift("handset-left")
    events = handset.events()
    await handset.open()
    async with asyncio.timeout(10.0):
        await anext(events)
    await handset.close()
    await hand.close()
    return handset.hook


def test_the_hardware_is_there_while_the_place_is_held(rig: Rig) -> None:
    socket = rig.folder / "rig" / "board-1" / "hand.sock"
    with rig.holding("board-1"):
        assert socket.exists()
    assert not socket.exists()


def test_the_hardware_ends_with_its_exporter(rig: Rig, tmp_path: Path) -> None:
    exports = yaml.safe_load((rig.folder / "rig" / "hands.yaml").read_text())
    board = {**exports["board-1"]["board"], "sockets": str(rig.folder / "board-2")}
    file = tmp_path / "exports.yaml"
    file.write_text(yaml.safe_dump({"board-2": {"board": board}}))
    rig.client("-p", "board-2", "create")
    rig.client("-p", "board-2", "add-match", "*/board-2/*")
    words = [sys.executable, "-m", "openturret.lab.cli", "rig", "export", "-n", "lonely", str(file)]
    with rig.running(*words) as exporter:
        exporter.wait_for("poll task")
        rig.client("-p", "board-2", "acquire")
        assert (rig.folder / "board-2" / "hand.sock").exists()
        exporter.process.send_signal(signal.SIGKILL)
        exporter.wait_for_end()
    assert not (rig.folder / "board-2" / "hand.sock").exists()
    rig.client("-p", "board-2", "release")
    rig.client("-p", "board-2", "delete")
