"""Builds the descriptors of a USB device: USB 2.0 section 9.6 and HID 1.11 section 6.2.1.

Each builder returns the octets of one descriptor; a configuration is their concatenation.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

USB_BCD: Final = 0x0200
HID_BCD: Final = 0x0111
ENGLISH: Final = 0x0409
MAX_STRING_UNITS: Final = 126
"""UTF-16 units that fit behind ``bLength`` and ``bDescriptorType``."""


class DescriptorType(IntEnum):
    """``bDescriptorType`` (USB 2.0 table 9-5, HID 1.11 section 7.1, UAC 1.0 table A-4)."""

    DEVICE = 0x01
    CONFIGURATION = 0x02
    STRING = 0x03
    INTERFACE = 0x04
    ENDPOINT = 0x05
    HID = 0x21
    REPORT = 0x22
    CS_INTERFACE = 0x24
    CS_ENDPOINT = 0x25


class Transfer(IntEnum):
    """``bmAttributes`` of an endpoint (USB 2.0 table 9-13)."""

    ISOCHRONOUS_SYNCHRONOUS = 0x0D
    BULK = 0x02
    INTERRUPT = 0x03


@dataclass(frozen=True, slots=True)
class Identity:
    """What the device descriptor and its strings say about a device.

    Attributes:
        vid: ``idVendor``.
        pid: ``idProduct``.
        product: ``iProduct``, for people.
        serial: ``iSerialNumber``: which unit it is.
        bcd_device: ``bcdDevice``, the release of its firmware, 0x0100 is 1.00.
        manufacturer: ``iManufacturer``.
    """

    vid: int
    pid: int
    product: str
    serial: str
    bcd_device: int = 0x0100
    manufacturer: str = "OpenTurret"


def descriptor(kind: int, body: bytes) -> bytes:
    """Returns a descriptor of that type: its length, its type, its body."""
    return bytes((len(body) + 2, kind)) + body


def device(identity: Identity, manufacturer: int, product: int, serial: int) -> bytes:
    """Returns a device descriptor whose class stands in its interfaces (USB 2.0 section 9.6.1).

    Args:
        identity: Of the device.
        manufacturer: Index of that string.
        product: Index of that string.
        serial: Index of that string.
    """
    numbers = (identity.vid, identity.pid, identity.bcd_device)
    strings = (manufacturer, product, serial)
    body = struct.pack("<HBBBBHHHBBBB", USB_BCD, 0, 0, 0, 64, *numbers, *strings, 1)
    return descriptor(DescriptorType.DEVICE, body)


def configuration(interfaces: int, body: bytes, *, milliamperes: int = 100) -> bytes:
    """Returns configuration 1, self-powered, with everything that follows it (section 9.6.3).

    Args:
        interfaces: How many there are, alternate settings not counted.
        body: Interface descriptors and what belongs to them.
        milliamperes: What it draws from the bus, 2 to 500, even.
    """
    head = struct.pack("<HBBBBB", 9 + len(body), interfaces, 1, 0, 0xC0, milliamperes // 2)
    return descriptor(DescriptorType.CONFIGURATION, head) + body


@dataclass(frozen=True, slots=True)
class InterfaceClass:
    """``bInterfaceClass``, ``bInterfaceSubClass`` and ``bInterfaceProtocol``."""

    usb_class: int
    subclass: int = 0
    protocol: int = 0


def interface(
    number: int, kind: InterfaceClass, *, setting: int = 0, endpoints: int = 0, name: int = 0
) -> bytes:
    """Returns one setting of an interface (USB 2.0 section 9.6.5)."""
    codes = (kind.usb_class, kind.subclass, kind.protocol)
    return descriptor(DescriptorType.INTERFACE, bytes((number, setting, endpoints, *codes, name)))


def endpoint(address: int, transfer: Transfer, packet: int, interval: int) -> bytes:
    """Returns an endpoint (USB 2.0 section 9.6.6).

    Args:
        address: 0x01 to 0x0F to the device, 0x81 to 0x8F to the host.
        transfer: Its kind.
        packet: ``wMaxPacketSize`` in octets.
        interval: ``bInterval``, in milliseconds at full speed.
    """
    body = struct.pack("<BBHB", address, transfer, packet, interval)
    return descriptor(DescriptorType.ENDPOINT, body)


def audio_endpoint(address: int, packet: int) -> bytes:
    """Returns an isochronous endpoint of one packet a millisecond (UAC 1.0 section 4.6.1.1)."""
    attributes = (address, Transfer.ISOCHRONOUS_SYNCHRONOUS, packet, 1, 0, 0)
    return descriptor(DescriptorType.ENDPOINT, struct.pack("<BBHBBB", *attributes))


def hid(report_descriptor_octets: int) -> bytes:
    """Returns the HID descriptor that announces one report descriptor (HID 1.11 section 6.2.1)."""
    report = (DescriptorType.REPORT, report_descriptor_octets)
    return descriptor(DescriptorType.HID, struct.pack("<HBBBH", HID_BCD, 0, 1, *report))


def string(text: str) -> bytes:
    """Returns a string descriptor (USB 2.0 section 9.6.7) of as much as one can hold."""
    units = text.encode("utf-16-le", "replace")[: 2 * MAX_STRING_UNITS]
    return descriptor(DescriptorType.STRING, units)


def languages() -> bytes:
    """Returns string descriptor 0: English is the only language."""
    return descriptor(DescriptorType.STRING, struct.pack("<H", ENGLISH))


def split(data: bytes) -> Iterator[bytes]:
    """Yields the descriptors of well-formed octets, in their order.

    Raises:
        ValueError: A length does not fit.
    """
    offset = 0
    while offset < len(data):
        length = data[offset]
        if not 2 <= length <= len(data) - offset:
            raise ValueError(f"descriptor at {offset} says it has {length} octets")
        yield data[offset : offset + length]
        offset += length
