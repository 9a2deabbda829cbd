"""Builds the class-specific descriptors of USB Audio Class 1.0 (section 4)."""

import struct
from collections.abc import Sequence
from enum import IntEnum
from typing import Final

from .descriptors import DescriptorType, InterfaceClass, descriptor

CONTROL_CLASS: Final = InterfaceClass(0x01, 0x01)
STREAMING_CLASS: Final = InterfaceClass(0x01, 0x02)
UAC_BCD: Final = 0x0100
_PCM: Final = 0x0001
_SAMPLING_FREQUENCY: Final = 0x01


class Terminal(IntEnum):
    """Terminal types (Universal Serial Bus Device Class Definition for Terminal Types 1.0)."""

    USB_STREAMING = 0x0101
    MICROPHONE = 0x0201
    SPEAKER = 0x0301
    HANDSET = 0x0401
    SPEAKERPHONE = 0x0403


def header(units: bytes, streaming_interfaces: Sequence[int]) -> bytes:
    """Returns the header with the units and terminals that follow it (section 4.3.2)."""
    count = len(streaming_interfaces)
    total = 8 + count + len(units)
    head = struct.pack("<BHHB", 0x01, UAC_BCD, total, count) + bytes(streaming_interfaces)
    return descriptor(DescriptorType.CS_INTERFACE, head) + units


def input_terminal(number: int, kind: Terminal, pair: int = 0) -> bytes:
    """Returns a mono input terminal (section 4.3.2.1).

    Args:
        number: Of the terminal.
        kind: What it stands for.
        pair: Output terminal that it belongs to, as earpiece and microphone of a handset; 0 none.
    """
    body = struct.pack("<BBHBBHBB", 0x02, number, kind, pair, 1, 0, 0, 0)
    return descriptor(DescriptorType.CS_INTERFACE, body)


def output_terminal(number: int, kind: Terminal, source: int, pair: int = 0) -> bytes:
    """Returns an output terminal that a unit feeds (section 4.3.2.2)."""
    body = struct.pack("<BBHBBB", 0x03, number, kind, pair, source, 0)
    return descriptor(DescriptorType.CS_INTERFACE, body)


def mixer_unit(number: int, sources: Sequence[int]) -> bytes:
    """Returns a mono mixer that adds its sources as they are (section 4.3.2.3)."""
    body = bytes((0x04, number, len(sources), *sources, 1)) + struct.pack("<HBBB", 0, 0, 0, 0)
    return descriptor(DescriptorType.CS_INTERFACE, body)


def feature_unit(number: int, source: int, controls: int, name: int) -> bytes:
    """Returns a feature unit of one channel (section 4.3.2.5).

    Args:
        number: Of the unit.
        source: Unit or terminal that feeds it.
        controls: Of its master channel: bit 0 mute, bit 1 volume.
        name: Index of its string.
    """
    return descriptor(
        DescriptorType.CS_INTERFACE, bytes((0x06, number, source, 1, controls, 0, name))
    )


def streaming(terminal: int) -> bytes:
    """Returns the general descriptor of a PCM stream of that terminal (section 4.5.2)."""
    body = struct.pack("<BBBH", 0x01, terminal, 1, _PCM)
    return descriptor(DescriptorType.CS_INTERFACE, body)


def pcm_format(rates_hz: Sequence[int]) -> bytes:
    """Returns mono 16-bit PCM at these rates (Audio Data Formats 1.0 section 2.2.5)."""
    rates = b"".join(rate.to_bytes(3, "little") for rate in rates_hz)
    body = bytes((0x02, 0x01, 1, 2, 16, len(rates_hz))) + rates
    return descriptor(DescriptorType.CS_INTERFACE, body)


def stream_endpoint() -> bytes:
    """Returns that the endpoint has a sampling frequency control (section 4.6.1.2)."""
    body = struct.pack("<BBBH", 0x01, _SAMPLING_FREQUENCY, 0, 0)
    return descriptor(DescriptorType.CS_ENDPOINT, body)
