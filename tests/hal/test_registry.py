from importlib.metadata import EntryPoint

import pytest

from openturret.drivers.emulated.handset import EmulatedHandset
from openturret.drivers.hotplug import UsbHotplug
from openturret.hal import Handset, SystemClock
from openturret.hal.board import parse_board
from openturret.hal.errors import DriverMissingError
from openturret.hal.registry import GROUP, Registry

BOARD = parse_board(
    b"""board: x
devices:
  handset-left: {type: handset, driver: emulated, match: {socket: /run/x}}
  panel: {type: panel, driver: emulated, match: {socket: /run/y}}
"""
)
HANDSET = "openturret.drivers.emulated.handset:EmulatedHandset"


def registry(**drivers: str) -> Registry:
    points = [EntryPoint(name.replace("_", "."), value, GROUP) for name, value in drivers.items()]
    return Registry(lambda: points)


def test_a_driver_is_found_by_driver_and_type() -> None:
    found = registry(emulated_handset=HANDSET).handset(BOARD.devices["handset-left"], SystemClock())
    assert isinstance(found, EmulatedHandset)
    assert isinstance(found, Handset)


def test_an_unknown_driver_is_refused_with_what_there_is() -> None:
    with pytest.raises(DriverMissingError, match=r"'usb\.handset'.*installed are: emulated\.hand"):
        registry(emulated_handset=HANDSET).load("usb.handset")


def test_a_driver_whose_requirement_is_missing_says_which_extra_to_install() -> None:
    missing = registry(portaudio_audio="openturret_no_such_module:PortAudio [rig]")
    with pytest.raises(DriverMissingError, match=r'pip install "openturret\[rig\]"'):
        missing.load("portaudio.audio")


def test_a_driver_that_makes_something_else_is_refused() -> None:
    with pytest.raises(DriverMissingError, match="makes no panel"):
        registry(emulated_panel=HANDSET).panel(BOARD.devices["panel"], SystemClock())


def test_an_entry_point_that_is_no_class_is_refused() -> None:
    with pytest.raises(DriverMissingError, match="makes no devices"):
        registry(emulated_handset="openturret.hal.registry:GROUP").load("emulated.handset")


def test_what_tells_of_plugs_is_found_by_driver_where_there_is_one() -> None:
    found = registry(usb_hotplug="openturret.drivers.hotplug:UsbHotplug")
    assert isinstance(found.hotplug("usb"), UsbHotplug)
    assert found.hotplug("emulated") is None


def test_what_tells_of_no_plugs_is_refused() -> None:
    with pytest.raises(DriverMissingError, match=r"usb\.hotplug tells of no hotplug"):
        registry(usb_hotplug="openturret.hal.clock:SystemClock").hotplug("usb")
