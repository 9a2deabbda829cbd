"""What is plugged in, asked through pyusb, on the twins' bus; and the board that they fill."""

import errno
from pathlib import Path
from typing import Final, NoReturn

import pytest
import usb.core
from hypothesis import given
from hypothesis import strategies as st

from openturret.drivers.emulated.usb.backend import EmulatedBackend
from openturret.drivers.emulated.usb.bus import BusDevice, EmulatedBus
from openturret.drivers.emulated.usb.descriptors import DescriptorType
from openturret.drivers.emulated.usb.gooseneck import GooseneckModel
from openturret.drivers.emulated.usb.handset import HandsetModel
from openturret.drivers.emulated.usb.misbehaviour import replaced
from openturret.drivers.emulated.usb.panel import PanelModel
from openturret.drivers.emulated.usb.speaker import SpeakerModel
from openturret.drivers.emulated.usb.speakerphone import SpeakerphoneModel
from openturret.drivers.usb.present import present
from openturret.drivers.usb.strings import MAX_CHARACTERS, plain
from openturret.hal import UsbDevice, board
from openturret.hal.board import load_board
from openturret.hal.errors import DriverMissingError
from openturret.hal.hardware import UsbInterface
from openturret.hal.matching import assign

TOUCHPRO: Final = Path(board.__file__).parent / "boards" / "touchpro.yaml"
AUDIO_CONTROL: Final = UsbInterface(0, 0x01, 0x01)


def on_bus(**ports: HandsetModel) -> EmulatedBus:
    bus = EmulatedBus()
    for port, model in ports.items():
        bus.connect(model, port.replace("p", "").replace("_", "-"))
    return bus


def listed(bus: EmulatedBus) -> tuple[UsbDevice, ...]:
    return present(backend=EmulatedBackend(bus))


def test_a_handset_is_read_with_its_serial_and_its_interfaces() -> None:
    (found,) = listed(on_bus(p1_1=HandsetModel("HS-0007")))
    assert str(found) == "1209:7701 HS-0007 on 1-1"
    assert found.product == "Turret Handset"
    assert found.interfaces[0] == AUDIO_CONTROL
    assert 0x03 in [interface.usb_class for interface in found.interfaces]
    numbers = [interface.number for interface in found.interfaces]
    assert numbers == sorted(set(numbers))
    assert (found.hidraw, found.alsa_card, found.problem) == ({}, None, "")


def test_a_device_that_was_pulled_is_not_listed_and_comes_back_with_a_new_address() -> None:
    model = HandsetModel()
    bus = on_bus(p1_1=model)
    (before,) = listed(bus)
    model.unplug()
    assert listed(bus) == ()
    model.plug()
    (after,) = listed(bus)
    assert after.port == before.port
    assert after.address != before.address


def test_a_string_that_the_device_refuses_is_one_that_it_does_not_have() -> None:
    model = HandsetModel("HS-0007")
    model.misbehaviour.wrong[DescriptorType.STRING] = replaced(b"")
    (found,) = listed(on_bus(p1_1=model))
    assert (found.serial, found.product) == ("", "")
    assert found.interfaces


def test_a_device_that_answers_nothing_more_is_listed_with_what_was_known() -> None:
    model = HandsetModel()
    bus = on_bus(p1_1=model)
    listed(bus)
    model.misbehaviour.stalls = 1_000
    (found,) = listed(bus)
    assert (found.vid, found.pid, found.port, found.serial) == (0x1209, 0x7701, "1-1", "")


class Forbidding(EmulatedBackend):
    """What libusb does where udev gave the node to somebody else."""

    def open_device(self, device: BusDevice) -> NoReturn:
        raise usb.core.USBError("Access denied (insufficient permissions)", -3, errno.EACCES)


def test_a_device_that_may_not_be_opened_is_listed_with_the_remedy() -> None:
    (found,) = present(backend=Forbidding(on_bus(p1_1=HandsetModel())))
    assert found.port == "1-1"
    assert "may not be opened; copy 60-openturret.rules" in found.problem


@given(st.binary(max_size=40), st.sampled_from([DescriptorType.STRING, DescriptorType.DEVICE]))
def test_no_descriptor_of_a_device_breaks_the_list(octets: bytes, kind: DescriptorType) -> None:
    strange = HandsetModel()
    strange.misbehaviour.wrong[kind] = replaced(octets)
    found = listed(on_bus(p1_1=strange, p1_2=HandsetModel("GOOD")))
    assert "GOOD" in [device.serial for device in found]
    assert all(device.serial.isprintable() for device in found)


@given(st.text())
def test_what_a_device_says_of_itself_is_bounded_and_obeyed_by_no_terminal(said: str) -> None:
    text = plain(said)
    assert len(text) == min(len(said), MAX_CHARACTERS)
    assert text.isprintable()


def test_the_twins_of_a_touchpro_fill_the_shipped_board() -> None:
    bus = EmulatedBus()
    models = (HandsetModel("L"), HandsetModel("R"), SpeakerphoneModel(), GooseneckModel(),
              SpeakerModel(), PanelModel())  # fmt: skip
    for number, model in enumerate(models, 1):
        bus.connect(model, f"1-{number}")
    found = assign(load_board(TOUCHPRO), listed(bus))
    taken = {each.spec.position: each.device.port for each in found.verdicts if each.device}
    assert taken == {
        "handset-left": "1-1", "handset-right": "1-2", "speakerphone": "1-3", "gooseneck": "1-4",
        "speaker-1": "1-5", "panel": "1-6",
    }  # fmt: skip
    assert found.spares == ()


LIBUSB: Final = "usb.backend.libusb1.get_backend"


def test_where_there_is_no_sysfs_libusb_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bus = on_bus(p1_1=HandsetModel("HS-0007"))
    monkeypatch.setattr(LIBUSB, lambda: EmulatedBackend(bus))
    assert [device.serial for device in present(tmp_path)] == ["HS-0007"]


def test_without_sysfs_and_libusb_the_remedy_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(LIBUSB, lambda: None)
    with pytest.raises(DriverMissingError, match=r"apt-get install libusb-1\.0-0"):
        present(tmp_path)
