"""What is plugged into a unit, as far as a board description may ask for it.

Drivers enumerate (``drivers/usb/present.py`` reads sysfs and libusb, twins describe themselves);
:mod:`.matching` decides which board position each thing takes.  Nothing here opens a device.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class UsbInterface:
    """One interface of the active configuration (USB 2.0 section 9.6.5), setting 0.

    Attributes:
        number: ``bInterfaceNumber``.
        usb_class: ``bInterfaceClass``: 0x01 audio, 0x03 HID, 0x02 and 0x0A serial, 0xFE DFU.
        subclass: ``bInterfaceSubClass``.
        protocol: ``bInterfaceProtocol``.
    """

    number: int
    usb_class: int
    subclass: int = 0
    protocol: int = 0


@dataclass(frozen=True, slots=True)
class UsbDevice:
    """A USB device on its port.

    Attributes:
        vid: ``idVendor``.
        pid: ``idProduct``.
        port: Bus and port path as sysfs writes it, ``1-1.2``: the place, which stays when the
            device is changed for another of its kind.
        serial: ``iSerialNumber``, "" when it has none: the unit, which stays when it is moved.
        bcd_device: ``bcdDevice``, the release of its firmware.
        product: ``iProduct``, for people only; nothing is decided by it.
        address: Bus number and device address, for libusb; changes at each plug-in.
        interfaces: Of its active configuration.
        hidraw: Device nodes of its HID interfaces, by interface number.
        tty: Device nodes of its serial ports, by interface number.
        alsa_card: Number of the sound card that its audio interfaces made, None without one.
            It changes at each plug-in: it is looked up by port, never written down.
        problem: Why it cannot be opened, with the remedy; "" when it can.
    """

    vid: int
    pid: int
    port: str
    serial: str = ""
    bcd_device: int = 0
    product: str = ""
    address: tuple[int, int] = (0, 0)
    interfaces: tuple[UsbInterface, ...] = ()
    hidraw: Mapping[int, str] = field(default_factory=dict)
    tty: Mapping[int, str] = field(default_factory=dict)
    alsa_card: int | None = None
    problem: str = ""

    def __str__(self) -> str:
        """``1209:7701 TP-0001 on 1-1``: how messages name a device."""
        serial = f" {self.serial}" if self.serial else ""
        return f"{self.vid:04x}:{self.pid:04x}{serial} on {self.port}"


def port_order(port: str) -> tuple[int, ...]:
    """Returns what ports are sorted by: ``1-2`` comes before ``1-10``."""
    return tuple(int(number) for number in re.findall(r"[0-9]+", port))
