r"""Reports of a HID device, described once: from this come the descriptor and the octets.

A report is a row of :class:`Controls`, each of which becomes one main item of the report
descriptor (HID 1.11 section 6.2.2.4), some of them within a collection.

>>> from openturret.drivers.emulated.usb.usages import Page
>>> keys = Controls(("key-1", "key-2"), Page.BUTTON, (1, 2))
>>> report = Report(3, ReportKind.INPUT, (keys,))
>>> report.pack({"key-2": 1})
b'\x03\x02'
>>> report.unpack(b"\x03\x01")
{'key-1': 1, 'key-2': 0}
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Final, TypeAlias

Usage: TypeAlias = tuple[int, int]
"""Page and usage."""

_CONSTANT: Final = 0x01
_VARIABLE: Final = 0x02
_RELATIVE: Final = 0x04
_APPLICATION: Final = 1
_LOGICAL: Final = 2


class ReportKind(IntEnum):
    """As GET_REPORT and SET_REPORT number them (HID 1.11 section 7.2.1)."""

    INPUT = 1
    OUTPUT = 2
    FEATURE = 3


class Tag(IntEnum):
    """Tag and type of a short item (HID 1.11 section 6.2.2.4 to 6.2.2.8), its size left out."""

    INPUT = 0x80
    OUTPUT = 0x90
    COLLECTION = 0xA0
    FEATURE = 0xB0
    END_COLLECTION = 0xC0
    USAGE_PAGE = 0x04
    LOGICAL_MINIMUM = 0x14
    LOGICAL_MAXIMUM = 0x24
    REPORT_SIZE = 0x74
    REPORT_ID = 0x84
    REPORT_COUNT = 0x94
    USAGE = 0x08
    USAGE_MINIMUM = 0x18
    USAGE_MAXIMUM = 0x28


_MAIN: Final = {
    ReportKind.INPUT: Tag.INPUT,
    ReportKind.OUTPUT: Tag.OUTPUT,
    ReportKind.FEATURE: Tag.FEATURE,
}


@dataclass(frozen=True, slots=True)
class Controls:
    """Controls of one shape side by side.

    Attributes:
        names: What this program calls them, in the order of their bits.
        page: Usage page.
        usages: One for each name; or only one, which is then the usage of all of them
            (HID 1.11 section 6.2.2.8); of a selector, one for each value from 1 on.
        bits: Width of each control, 1 to 31.
        relative: Reports a change, not a state.
        ranged: Written as a usage minimum and maximum; the usages are consecutive.
        selector: An array item: its value says which usage is selected, 0 none.
    """

    names: tuple[str, ...]
    page: int
    usages: tuple[int, ...]
    bits: int = 1
    relative: bool = False
    ranged: bool = False
    selector: bool = False

    def items(self, main: int) -> bytes:
        """Returns its items of the report descriptor; ``main`` is the tag of the last one."""
        flags = 0 if self.selector else _VARIABLE
        lowest = int(self.selector)
        highest = len(self.usages) if self.selector else (1 << self.bits) - 1
        return (
            item(Tag.USAGE_PAGE, self.page)
            + self._usage_items()
            + signed_item(Tag.LOGICAL_MINIMUM, lowest)
            + signed_item(Tag.LOGICAL_MAXIMUM, highest)
            + item(Tag.REPORT_SIZE, self.bits)
            + item(Tag.REPORT_COUNT, len(self.names))
            + item(main, flags | (_RELATIVE if self.relative else 0))
        )

    def _usage_items(self) -> bytes:
        if not self.ranged:
            return b"".join(item(Tag.USAGE, usage) for usage in self.usages)
        return item(Tag.USAGE_MINIMUM, self.usages[0]) + item(Tag.USAGE_MAXIMUM, self.usages[-1])


@dataclass(frozen=True, slots=True)
class Within:
    """Controls that belong together: a logical collection with a usage of its own."""

    usage: Usage
    parts: tuple[Controls, ...]


@dataclass(frozen=True, slots=True)
class Report:
    """One report.

    Attributes:
        number: Report ID, from 1.
        kind: Which way it goes.
        parts: What it carries, from its lowest bit on.
    """

    number: int
    kind: ReportKind
    parts: tuple[Controls | Within, ...]

    @property
    def octets(self) -> int:
        """Its length, the report ID included."""
        return 1 + (sum(width for _, width in self._layout()) + 7) // 8

    @property
    def controls(self) -> tuple[Controls, ...]:
        """What it carries, collections opened."""
        return tuple(_flat(self.parts))

    @property
    def names(self) -> tuple[str, ...]:
        """The names of what it carries."""
        return tuple(name for name, _ in self._layout())

    def items(self) -> bytes:
        """Returns its part of the report descriptor, padded to whole octets."""
        main = _MAIN[self.kind]
        body = b"".join(_part_items(part, main) for part in self.parts)
        return item(Tag.REPORT_ID, self.number) + body + self._padding(main)

    def pack(self, values: Mapping[str, int]) -> bytes:
        """Returns the report that says so; what is not named is 0."""
        packed = offset = 0
        for name, width in self._layout():
            packed |= values.get(name, 0) << offset
            offset += width
        return bytes((self.number,)) + packed.to_bytes(self.octets - 1, "little")

    def unpack(self, data: bytes) -> dict[str, int]:
        """Returns what a report says.

        Raises:
            ValueError: Another report, or not of its length.
        """
        if len(data) != self.octets or data[0] != self.number:
            raise ValueError(f"{data[:64].hex()} is not a report {self.number}")
        packed = int.from_bytes(data[1:], "little")
        values: dict[str, int] = {}
        for name, width in self._layout():
            values[name] = packed & ((1 << width) - 1)
            packed >>= width
        return values

    def _layout(self) -> Iterator[tuple[str, int]]:
        for controls in self.controls:
            for name in controls.names:
                yield name, controls.bits

    def _padding(self, main: int) -> bytes:
        missing = -sum(width for _, width in self._layout()) % 8
        if not missing:
            return b""
        sizes = item(Tag.REPORT_SIZE, 1) + item(Tag.REPORT_COUNT, missing)
        return sizes + item(main, _CONSTANT)


def report_descriptor(application: Usage, reports: Sequence[Report]) -> bytes:
    """Returns the report descriptor of a device (HID 1.11 section 6.2.2)."""
    body = b"".join(report.items() for report in reports)
    return _collection(application, _APPLICATION, body)


def item(tag: int, value: int) -> bytes:
    """Returns a short item with an unsigned value in as few octets as hold it."""
    size = next(octets for octets in (1, 2, 4) if value < 1 << 8 * octets)
    return _short_item(tag, value.to_bytes(size, "little"))


def signed_item(tag: int, value: int) -> bytes:
    """Returns a short item with a signed value: 255 takes two octets."""
    size = next(octets for octets in (1, 2, 4) if value < 1 << 8 * octets - 1)
    return _short_item(tag, value.to_bytes(size, "little", signed=True))


def _short_item(tag: int, value: bytes) -> bytes:
    return bytes((tag | min(len(value), 3),)) + value


def _part_items(part: Controls | Within, main: int) -> bytes:
    if isinstance(part, Controls):
        return part.items(main)
    body = b"".join(controls.items(main) for controls in part.parts)
    return _collection(part.usage, _LOGICAL, body)


def _collection(usage: Usage, kind: int, body: bytes) -> bytes:
    page, number = usage
    head = item(Tag.USAGE_PAGE, page) + item(Tag.USAGE, number) + item(Tag.COLLECTION, kind)
    return head + body + bytes((Tag.END_COLLECTION,))


def _flat(parts: Sequence[Controls | Within]) -> Iterator[Controls]:
    for part in parts:
        yield from (part,) if isinstance(part, Controls) else part.parts
