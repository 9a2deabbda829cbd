"""Interfaces claimed through libusb, on an emulated bus that has kernel drivers as Linux does."""

import dataclasses
import errno
from pathlib import Path
from typing import Protocol

import pytest
import usb.core
import usb.util

from openturret.drivers import usb as usb_drivers
from openturret.drivers.emulated.usb.backend import EmulatedBackend
from openturret.drivers.emulated.usb.bus import EmulatedBus
from openturret.drivers.emulated.usb.descriptors import Identity
from openturret.drivers.emulated.usb.device import CompositeDevice
from openturret.drivers.emulated.usb.handset import HandsetModel
from openturret.drivers.emulated.usb.hid import HidShape
from openturret.drivers.emulated.usb.misbehaviour import Misbehaviour
from openturret.drivers.emulated.usb.peripheral import Peripheral
from openturret.drivers.emulated.usb.reports import Report, ReportKind
from openturret.drivers.emulated.usb.telephony import (
    LOCK,
    HookKind,
    TelephonyControls,
    call_lock,
    hook_switch,
    knob,
    lamps,
    mute_key,
)
from openturret.drivers.errors import (
    AccessDeniedError,
    DescriptorError,
    DeviceBusyError,
    NoAnswerError,
    StallError,
    TransferError,
)
from openturret.drivers.usb.bus import UsbBus
from openturret.drivers.usb.failures import failure
from openturret.drivers.usb.libusb import LibusbTransport, locate
from openturret.drivers.usb.nodes import RULES
from openturret.drivers.usb.telephony import Role
from openturret.drivers.usb.vocabulary import Vocabulary
from openturret.hal import Gain, Lamp, SystemClock
from openturret.hal.board import DeviceSpec, DeviceType
from openturret.hal.errors import DeviceError, DeviceGoneError

AUDIO, CONTROLS = 0, 3
WORDS = Vocabulary("key-{}")


class Desk(Protocol):
    bus: EmulatedBus
    backend: EmulatedBackend
    usb: UsbBus

    def connect(self, model: Peripheral) -> str: ...
    def spec(self, kind: DeviceType, **match: str | int) -> DeviceSpec: ...


def plugged(desk: Desk, model: Peripheral) -> usb.core.Device:
    port = desk.connect(model)
    return locate(desk.usb.find(desk.spec(DeviceType.HANDSET, port=port)), desk.backend)


async def test_the_kernel_gives_up_one_interface_and_gets_it_back(linux_desk: Desk) -> None:
    device = plugged(linux_desk, HandsetModel())
    (on_bus,) = linux_desk.bus.devices()
    held = dict(on_bus.drivers)
    assert set(held) == {AUDIO, 1, 2, CONTROLS}
    transport = LibusbTransport(device, CONTROLS)
    assert held.items() - on_bus.drivers.items() == {(CONTROLS, "usbhid")}
    transport.close()
    assert on_bus.drivers == held
    assert on_bus.claims == {}


async def test_what_the_kernel_did_not_hold_it_does_not_get(desk: Desk) -> None:
    device = plugged(desk, HandsetModel())
    LibusbTransport(device, CONTROLS).close()
    (on_bus,) = desk.bus.devices()
    assert on_bus.drivers == {}


async def test_gains_are_left_to_the_kernel_that_plays(linux_desk: Desk) -> None:
    port = linux_desk.connect(HandsetModel())
    found = linux_desk.usb.find(linux_desk.spec(DeviceType.HANDSET, port=port))
    assert linux_desk.usb.gains(found, Gain.EARPIECE) is None
    (on_bus,) = linux_desk.bus.devices()
    assert on_bus.drivers[AUDIO] == "snd-usb-audio"


async def test_an_interface_that_another_program_holds_is_refused(desk: Desk) -> None:
    device = plugged(desk, HandsetModel())
    other = usb.core.find(backend=desk.backend, idVendor=0x1209)
    usb.util.claim_interface(other, CONTROLS)
    with pytest.raises(DeviceBusyError, match="1209:7701 is held by another program"):
        LibusbTransport(device, CONTROLS)


async def test_an_interface_that_is_not_there_or_has_no_reports_is_refused(desk: Desk) -> None:
    device = plugged(desk, HandsetModel())
    with pytest.raises(DescriptorError, match="1209:7701 has no interface 9"):
        LibusbTransport(device, 9)
    with pytest.raises(DescriptorError, match="interface 0 has no interrupt IN endpoint"):
        LibusbTransport(device, AUDIO)


async def test_a_device_that_left_between_two_looks_is_gone(desk: Desk) -> None:
    model = HandsetModel()
    port = desk.connect(model)
    found = desk.usb.find(desk.spec(DeviceType.HANDSET, port=port))
    model.unplug()
    with pytest.raises(DeviceGoneError):
        desk.usb.open(found, WORDS)


async def test_a_device_without_hid_is_refused(desk: Desk) -> None:
    model = HandsetModel()
    found = desk.usb.find(desk.spec(DeviceType.HANDSET, port=desk.connect(model)))
    audio_only = tuple(each for each in found.interfaces if each.usb_class == 1)
    bare = dataclasses.replace(found, interfaces=audio_only)
    with pytest.raises(DescriptorError, match="has no HID interface"):
        desk.usb.open(bare, WORDS)


def composite(identity: Identity, *shapes: HidShape) -> tuple[CompositeDevice, TelephonyControls]:
    """A device of several HID interfaces, and what its last one is for."""
    device: CompositeDevice
    parts = [
        TelephonyControls(
            shape,
            clock=SystemClock(),
            changed=lambda: device.changed(),
            misbehaviour=Misbehaviour(),
        )
        for shape in shapes
    ]
    device = CompositeDevice(identity, [part.function for part in parts])
    return device, parts[-1]


VOLUME = HidShape((0x0C, 1), (Report(1, ReportKind.INPUT, (knob(),)),), endpoint=4)
TELEPHONE = HidShape(
    (0x0B, 1),
    (
        Report(1, ReportKind.INPUT, (hook_switch(HookKind.ABSOLUTE), mute_key())),
        Report(2, ReportKind.OUTPUT, (lamps(Lamp.OFF_HOOK),)),
        Report(3, ReportKind.FEATURE, (call_lock(),)),
    ),
    endpoint=5,
)


async def test_of_several_hid_interfaces_the_one_with_the_most_telephony_is_taken(
    desk: Desk,
) -> None:
    device, _ = composite(Identity(0x1209, 0x7799, "Both", "B-1"), VOLUME, TELEPHONE)
    desk.bus.connect(device, "1-9")
    link = desk.usb.open(desk.usb.find(desk.spec(DeviceType.HANDSET, port="1-9")), WORDS)
    assert {part.role for part in link.parts.values()} == {Role.HOOK, Role.MUTE}
    (on_bus,) = desk.bus.devices()
    assert set(on_bus.claims) == {1}
    link.close()


@pytest.mark.parametrize(
    ("vid", "pid", "locked"), [(0x1209, 0x7799, True), (0x0B0E, 0x7799, False)]
)
async def test_only_our_devices_have_a_call_lock_on_the_vendors_page(
    vid: int, pid: int, locked: bool, desk: Desk
) -> None:
    device, telephone = composite(Identity(vid, pid, "Phone", "P-1"), TELEPHONE)
    desk.bus.connect(device, "1-9")
    found = desk.usb.find(desk.spec(DeviceType.HANDSET, vid=vid, port="1-9"))
    link = desk.usb.open(found, WORDS)
    assert bool(telephone.function.values.get(LOCK)) is locked
    link.close()


async def test_where_the_node_does_not_open_libusb_takes_the_interface(linux_desk: Desk) -> None:
    port = linux_desk.connect(HandsetModel())
    found = linux_desk.usb.find(linux_desk.spec(DeviceType.HANDSET, port=port))
    forbidden = dataclasses.replace(found, hidraw={CONTROLS: "/proc/sys/kernel/ostype"})
    link = linux_desk.usb.open(forbidden, WORDS)
    assert link.state()
    link.close()


async def test_where_the_node_opens_the_kernel_keeps_the_interface(
    linux_desk: Desk, tmp_path: Path
) -> None:
    node = tmp_path / "hidraw0"
    node.touch()
    port = linux_desk.connect(HandsetModel())
    found = linux_desk.usb.find(linux_desk.spec(DeviceType.HANDSET, port=port))
    held = dataclasses.replace(found, hidraw={CONTROLS: str(node)})
    with pytest.raises(DeviceError, match="hidraw0"):
        linux_desk.usb.open(held, WORDS)
    (on_bus,) = linux_desk.bus.devices()
    assert CONTROLS in on_bus.drivers


@pytest.mark.parametrize(
    ("number", "kind", "words"),
    [
        (errno.EACCES, AccessDeniedError, f"copy {RULES}"),
        (errno.EPERM, AccessDeniedError, f"copy {RULES}"),
        (errno.EBUSY, DeviceBusyError, "close that one"),
        (errno.EPIPE, StallError, "refused"),
        (errno.ETIMEDOUT, NoAnswerError, "in time"),
        (errno.EOVERFLOW, TransferError, "x"),
        (errno.ENODEV, DeviceGoneError, "No such device"),
        (errno.EIO, DeviceGoneError, "x"),
        (None, DeviceGoneError, "x"),
    ],
)
def test_what_the_system_says_has_an_error_of_its_own(
    number: int | None, kind: type[DeviceError], words: str
) -> None:
    found = failure("x", usb.core.USBError("No such device", -1, number))
    assert type(found) is kind
    assert words in str(found)


def test_the_rules_are_shipped_and_cover_our_devices() -> None:
    (folder,) = usb_drivers.__path__
    rules = (Path(folder) / RULES).read_text()
    assert 'ATTR{idVendor}=="1209", ATTR{idProduct}=="77*"' in rules
    assert 'KERNEL=="hidraw*"' in rules
