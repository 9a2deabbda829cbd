import dataclasses
import tempfile
from collections.abc import AsyncIterator
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from openturret.drivers.emulated.hand import Hand
from openturret.drivers.emulated.hardware import Hardware
from openturret.firmware.board import Devices, read_board
from openturret.hal.board import Board, load_board
from openturret.hal.clock import SystemClock
from openturret.hal.errors import BoardError
from openturret.hal.events import HookState
from openturret.hal.registry import GROUP, Registry

SHIPPED = Path(__file__).parents[2] / "hal" / "boards" / "emulated.yaml"
HANDSET = EntryPoint(
    "emulated.handset", "openturret.drivers.emulated.handset:EmulatedHandset", GROUP
)


@pytest.fixture
async def board() -> AsyncIterator[Board]:
    """A TouchPro with its hardware running; its folder is short, for sockets have short names."""
    with tempfile.TemporaryDirectory(prefix="ot-") as folder:
        shipped = load_board(SHIPPED)
        devices = {
            position: dataclasses.replace(spec, match={"socket": f"{folder}/{position}"})
            for position, spec in shipped.devices.items()
        }
        hardware = Hardware(dataclasses.replace(shipped, devices=devices), Path(folder))
        await hardware.open()
        yield dataclasses.replace(shipped, devices=devices)
        await hardware.close()


async def test_a_handset_reports_its_hook(board: Board) -> None:
    devices = Devices(board, Registry(lambda: [HANDSET]), SystemClock())
    await devices.open()
    left = devices.handsets["handset-left"]
    events = left.events()
    folder = Path(str(board.devices["handset-left"].match["socket"])).parent
    async with await Hand.connect(folder) as hand:
        await hand.lift("handset-left")
        while left.hook is not HookState.OFF_HOOK:
            await anext(events)
    await devices.close()


async def test_how_many_devices_opened_is_told(board: Board) -> None:
    devices = Devices(board, Registry(lambda: [HANDSET]), SystemClock())
    assert devices.tested() == ("failed", f"0 of {len(board.devices)} devices")
    await devices.open()
    assert devices.tested() == ("done", f"2 of {len(board.devices)} devices")
    await devices.close()
    assert Devices(Board("none", {}), Registry(list), SystemClock()).tested()[0] == "done"


def test_what_has_no_driver_is_left_out_and_named(
    board: Board, caplog: pytest.LogCaptureFixture
) -> None:
    devices = Devices(board, Registry(lambda: [HANDSET]), SystemClock())
    assert set(devices.handsets) == {"handset-left", "handset-right"}
    assert "gooseneck is left out" in caplog.text


def test_without_a_description_there_are_no_devices(tmp_path: Path) -> None:
    assert not read_board(tmp_path / "none.yaml").devices


def test_a_description_that_is_not_understood_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "board.yaml"
    path.write_text("board: touchpro\ndevices: 7\n")
    with pytest.raises(BoardError):
        read_board(path)
