"""What is meant by a name on the command line."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from openturret.drivers.flash.dfu import DfuDevice
from openturret.drivers.flash.dfu_file import DfuSuffix
from openturret.drivers.flash.firmware import Firmware
from openturret.drivers.flash.smp import SmpDevice
from openturret.drivers.flash.targets import Surroundings, choose
from openturret.hal.board import Board, parse_board
from openturret.hal.errors import MatchError
from openturret.hal.hardware import UsbDevice, UsbInterface

from .conftest import PID, VID, SimulatedPace

DFU = UsbInterface(0, 0xFE, 0x01, 0x01)
LOADER = UsbInterface(0, 0xFE, 0x01, 0x02)
HANDSET = UsbDevice(VID, PID, "1-1", "HS-0001", 0x0100, interfaces=(DFU,))
LOADING = UsbDevice(VID, PID + 0x80, "1-2", "HS-0002", 0x0100, interfaces=(LOADER,))
RING = UsbDevice(VID, 0x7703, "1-3", interfaces=(UsbInterface(0, 0x02),), tty={0: "/dev/ttyACM7"})
PLAIN = UsbDevice(VID, PID, "1-4")

BOARD = parse_board(b"""
board: touchpro
devices:
  handset-left: {type: handset, driver: usb, match: {vid: 0x1209, pid: 0x7701, port: "1-1"}}
  handset-right: {type: handset, driver: usb, match: {vid: 0x1209, pid: 0x7701, port: "1-2"}}
  gooseneck: {type: gooseneck, driver: serial, match: {url: /dev/ttyACM9}}
  speaker-1: {type: speaker, driver: usb, match: {vid: 0x1209, pid: 0x7706}}
""")


@pytest.fixture
def around(pace: SimulatedPace) -> Surroundings:
    return Surroundings(lambda: (HANDSET, LOADING, RING, PLAIN), pace)


def names(
    chosen: Sequence[str], firmware: Firmware, around: Surroundings, board: Board | None = None
) -> list[tuple[str, type]]:
    units = choose(chosen, board, firmware, around)
    found = [(unit.name, type(unit)) for unit in units]
    for unit in units:
        unit.release()
    return found


def test_without_a_name_all_are_meant_that_the_file_fits(
    new: Firmware, around: Surroundings
) -> None:
    assert names((), new, around) == [("1-1", DfuDevice), ("1-2", DfuDevice)]


def test_a_port_a_line_and_a_position_are_meant(new: Firmware, around: Surroundings) -> None:
    chosen = ("1-2", "/dev/ttyS9", "gooseneck", "handset-left")
    assert names(chosen, new, around, BOARD) == [
        ("1-2", DfuDevice),
        ("/dev/ttyS9", SmpDevice),
        ("gooseneck", SmpDevice),
        ("handset-left", DfuDevice),
    ]


def test_a_usb_device_with_a_line_and_no_dfu_speaks_smp(
    new: Firmware, around: Surroundings
) -> None:
    assert names(("1-3",), new, around) == [("1-3", SmpDevice)]


def test_a_position_is_found_while_its_loader_runs(new: Firmware, around: Surroundings) -> None:
    assert names(("handset-right",), new, around, BOARD) == [("handset-right", DfuDevice)]


@pytest.mark.parametrize(
    ("chosen", "words"),
    [
        (("speaker-1",), "speaker-1: nothing that is plugged in has"),
        (("handset-middle",), "positions are handset-left, handset-right, gooseneck, speaker-1"),
        (("1-9",), "port 1-9 has no device"),
        (("1-1", "handset-left"), "named twice"),
        (("",), "neither a USB port"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    new: Firmware, around: Surroundings, chosen: tuple[str, ...], words: str
) -> None:
    with pytest.raises(MatchError, match=words):
        choose(chosen, BOARD, new, around)


def test_a_file_that_fits_nothing_is_refused(
    new: Firmware, around: Surroundings, tmp_path: Path
) -> None:
    with pytest.raises(MatchError, match="that the file is for: 1209:7709:any"):
        choose((), None, Firmware(new.image, DfuSuffix(VID, 0x7709)), around)
    with pytest.raises(MatchError, match="--device"):
        choose((), None, Firmware(new.image, None), around)
