"""The emulated bus beside Linux: the same calls, and what Debian's kernel and libusb answered.

``data/libusb-linux.txt`` was written in a guest of :mod:`openturret.lab.guest`, where the kernel
(6.1.0-56) drives the same handset through usbredir.  To write it again::

    python -m openturret.lab.guest -- \
        .venv/bin/python tests/drivers/emulated/usb/test_parity.py > answers.txt
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import usb.core
import usb.util

from openturret.drivers.emulated.usb.backend import EmulatedBackend
from openturret.drivers.emulated.usb.bus import EmulatedBus
from openturret.drivers.emulated.usb.handset import HandsetModel

CAPTURED = Path(__file__).parent / "data" / "libusb-linux.txt"


class Two:
    """One handset as two programs have opened it."""

    def __init__(self, find: Callable[[], usb.core.Device]) -> None:
        self.first, self.second = find(), find()
        self.backend = self.first.backend
        self.first.get_active_configuration()
        self.second.get_active_configuration()

    @property
    def handle(self) -> object:
        found: object = self.first._ctx.handle
        return found

    def control(self, *request: int, size: int = 8) -> int:
        """Without the claim that pyusb makes first."""
        return self.by_handle(self.handle, *request, size=size)

    def by_handle(self, handle: object, *request: int, size: int = 8) -> int:
        count: int = self.backend.ctrl_transfer(handle, *request, usb.util.create_buffer(size), 500)
        return count

    def read(self, method: str, endpoint: int, interface: int) -> int:
        buffer = usb.util.create_buffer(96)
        count: int = getattr(self.backend, method)(self.handle, endpoint, interface, buffer, 30)
        return count


def settings(two: Two) -> list[object]:
    return [
        (each.bInterfaceNumber, each.bAlternateSetting, bytes(each.extra_descriptors).hex())
        for each in two.first.get_active_configuration()
    ]


def active(*interfaces: int) -> Callable[[Two], object]:
    return lambda two: [two.first.is_kernel_driver_active(each) for each in interfaces]


CALLS: dict[str, Callable[[Two], object]] = {
    "place": lambda two: (two.first.port_numbers, two.first.speed, two.first.bcdDevice),
    "serial": lambda two: two.first.serial_number,
    "settings": settings,
    "drivers": active(0, 1, 2, 3, 9, 31),
    "driver of 32": active(32),
    "claim the kernel's": lambda two: usb.util.claim_interface(two.first, 3),
    "claim nowhere": lambda two: usb.util.claim_interface(two.first, 9),
    "claim 32": lambda two: two.backend.claim_interface(two.handle, 32),
    "raw control to the kernel's": lambda two: two.control(0xA1, 1, 0x0101, 3),
    "control to nowhere": lambda two: two.first.ctrl_transfer(0xA1, 1, 0x0101, 9, 8),
    "raw control to nowhere": lambda two: two.control(0xA1, 1, 0x0101, 9),
    "raw control to no endpoint": lambda two: two.control(0x82, 0, 0, 0x85, size=2),
    "vendor control to nowhere": lambda two: two.first.ctrl_transfer(0xC1, 1, 0, 9, 8),
    "vendor control": lambda two: two.first.ctrl_transfer(0xC0, 1, 0, 0, 8),
    "stalled control": lambda two: two.first.ctrl_transfer(0x80, 6, 0x0600, 0, 10),
    "4097 octets": lambda two: two.first.ctrl_transfer(0x80, 6, 0x0200, 0, 4097),
    "configure under drivers": lambda two: two.backend.set_configuration(two.handle, 1),
    "clear halt nowhere": lambda two: two.first.clear_halt(0x85),
    "clear halt of the kernel's": lambda two: two.first.clear_halt(0x83),
    "detach nowhere": lambda two: two.first.detach_kernel_driver(9),
    "attach nowhere": lambda two: two.first.attach_kernel_driver(9),
    "attach twice": lambda two: two.first.attach_kernel_driver(3),
    "detach": lambda two: two.first.detach_kernel_driver(3),
    "detach twice": lambda two: two.first.detach_kernel_driver(3),
    "raw read unclaimed": lambda two: two.read("intr_read", 0x83, 3),
    "detach what the kernel claimed": lambda two: two.first.detach_kernel_driver(3),
    "attach what the kernel claimed": lambda two: two.first.attach_kernel_driver(3),
    "claim": lambda two: usb.util.claim_interface(two.first, 3),
    "attach under a claim": lambda two: two.first.attach_kernel_driver(3),
    "get report": lambda two: bytes(two.first.ctrl_transfer(0xA1, 1, 0x0101, 3, 8)),
    "get no report": lambda two: two.first.ctrl_transfer(0xA1, 1, 0x0109, 3, 8),
    "set half a report": lambda two: two.first.ctrl_transfer(0x21, 9, 0x0202, 3, b"\x02"),
    "set report": lambda two: two.first.ctrl_transfer(0x21, 9, 0x0202, 3, b"\x02\x01"),
    "get what was set": lambda two: bytes(two.first.ctrl_transfer(0xA1, 1, 0x0202, 3, 8)),
    "write report": lambda two: two.first.write(0x03, b"\x02\x00"),
    "read nothing": lambda two: two.first.read(0x83, 64, 30),
    "read as bulk": lambda two: two.read("bulk_read", 0x83, 3),
    "read nowhere": lambda two: two.read("bulk_read", 0x85, 3),
    "release unclaimed": lambda two: two.backend.release_interface(two.handle, 1),
    "release nowhere": lambda two: two.backend.release_interface(two.handle, 9),
    "setting unclaimed": lambda two: two.backend.set_interface_altsetting(two.handle, 1, 1),
    "no such setting": lambda two: two.backend.set_interface_altsetting(two.handle, 3, 5),
    "setting 0": lambda two: two.backend.set_interface_altsetting(two.handle, 3, 0),
    "claim another's": lambda two: usb.util.claim_interface(two.second, 3),
    "raw control to another's": lambda two: two.by_handle(
        two.second._ctx.handle, 0xA1, 1, 0x0101, 3
    ),
    "configure under a claim": lambda two: two.backend.set_configuration(two.handle, 1),
    "no such configuration": lambda two: two.backend.get_configuration_descriptor(
        two.first._ctx.dev, 1
    ),
    "release": lambda two: usb.util.release_interface(two.first, 3),
    "attach": lambda two: two.first.attach_kernel_driver(3),
    "detach audio control": lambda two: two.first.detach_kernel_driver(0),
    "detach the earpiece": lambda two: two.first.detach_kernel_driver(1),
    "detach the microphone": lambda two: two.first.detach_kernel_driver(2),
    "drivers afterwards": active(0, 1, 2, 3),
    "read a closed stream": lambda two: two.read("iso_read", 0x82, 2),
    "open the stream": lambda two: two.first.set_interface_altsetting(2, 1),
    "rate": lambda two: bytes(two.first.ctrl_transfer(0xA2, 0x81, 0x0100, 0x82, 3)),
    "configure as 7": lambda two: two.backend.set_configuration(two.handle, 7),
    "reset": lambda two: two.backend.reset_device(two.handle),
    "configuration after reset": lambda two: two.backend.get_configuration(two.handle),
}


def answers(two: Two) -> Iterator[str]:
    for name, call in CALLS.items():
        try:
            yield f"{name}: {call(two)}"
        except usb.core.USBError as error:
            kind = type(error).__name__
            yield f"{name}: {kind} {error.backend_error_code} {error.errno} {error.strerror}"


def find_twin() -> Callable[[], usb.core.Device]:
    bus = EmulatedBus()
    bus.connect(HandsetModel("HS-0001"), "1-1")
    backend = EmulatedBackend(bus)
    return lambda: usb.core.find(backend=backend)


def find_in_guest() -> usb.core.Device:
    return usb.core.find(
        idVendor=0x1209, idProduct=0x7701, custom_match=lambda each: each.port_numbers == (1,)
    )


def test_the_emulated_bus_answers_as_linux_does() -> None:
    assert list(answers(Two(find_twin()))) == CAPTURED.read_text().splitlines()


if __name__ == "__main__":
    for line in answers(Two(find_in_guest)):
        print(line)  # noqa: T201 - this is what it is for
