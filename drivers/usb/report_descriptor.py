"""HID report descriptors, parsed and not assumed (HID 1.11 section 6.2.2).

A report descriptor is a small program: global items set the scene, local items name what comes
next, main items lay fields down one after the other, report by report.  It comes from whatever
was plugged in, so everything is bounded and a mistake is an error that names the octet.

    >>> handset = bytes.fromhex("050b0901a101" "15002501750195020920092f8102" "75069501" "8103c0")
    >>> [(field.bit_offset, f"{field.usage_at(1):08x}") for field in parse(handset).fields]
    [(0, '000b002f')]
"""

import enum
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final

from ..errors import DescriptorError

MAX_DESCRIPTOR_BYTES: Final = 4096
"""What Linux takes (HID_MAX_DESCRIPTOR_SIZE)."""

MAX_REPORT_BITS: Final = 16_384 * 8
MAX_FIELD_BITS: Final = 256
MAX_FIELDS: Final = 512
MAX_CONTROLS: Final = 12_288
MAX_DEPTH: Final = 32
MAX_SAVED: Final = 16
_LONG_ITEM: Final = 0xFE


class ReportKind(enum.IntEnum):
    """Which way a report goes, as GET_REPORT numbers them (HID 1.11 section 7.2.1)."""

    INPUT = 1
    OUTPUT = 2
    FEATURE = 3


class Flag(enum.IntFlag):
    """Bits of a main item (HID 1.11 section 6.2.2.5)."""

    CONSTANT = 1
    VARIABLE = 2
    RELATIVE = 4
    WRAP = 8
    NONLINEAR = 16
    NO_PREFERRED = 32
    NULL_STATE = 64
    VOLATILE = 128


@dataclass(frozen=True, slots=True)
class Collection:
    """A collection around a field: its kind (HID 1.11 section 6.2.2.6), and its usage with page."""

    kind: int
    usage: int


@dataclass(frozen=True, slots=True)
class UsageRange:
    """Usages in a row, page in the upper 16 bits, both ends included."""

    first: int
    last: int

    def __len__(self) -> int:
        return self.last - self.first + 1

    def __contains__(self, usage: int) -> bool:
        return self.first <= usage <= self.last


@dataclass(frozen=True, slots=True)
class Field:
    """What one main item lays down: ``count`` values of ``size_bits`` each.

    Attributes:
        kind: Which way its report goes.
        report_id: Of its report; 0 when the device has no report ids.
        bit_offset: Where it starts, behind the octet of the report id.
        size_bits: Size of each value.
        count: How many values.
        logical_minimum: Least value that means something.
        logical_maximum: Greatest value that means something.
        flags: What the values are.
        usages: What the values stand for, in order; the last one holds for all that follow.
        collections: The collections around it, outermost first.
    """

    kind: ReportKind
    report_id: int
    bit_offset: int
    size_bits: int
    count: int
    logical_minimum: int
    logical_maximum: int
    flags: Flag
    usages: tuple[UsageRange, ...]
    collections: tuple[Collection, ...] = ()

    @property
    def variable(self) -> bool:
        """Whether each value has a usage of its own; otherwise a value is the index of one."""
        return Flag.VARIABLE in self.flags

    @property
    def relative(self) -> bool:
        """Whether a value says what changed, not what is."""
        return Flag.RELATIVE in self.flags

    def usage_at(self, index: int) -> int:
        """Returns the usage of that index, counted from 0.

        Raises:
            IndexError: The field has no usages.
        """
        for usages in self.usages:
            if index < len(usages):
                return usages.first + index
            index -= len(usages)
        return self.usages[-1].last

    def index_of(self, usage: int) -> int | None:
        """Returns the first index of a usage, None where the field does not have it."""
        start = 0
        for usages in self.usages:
            if usage in usages:
                return start + usage - usages.first
            start += len(usages)
        return None


@dataclass(frozen=True, slots=True)
class ReportDescriptor:
    """The reports of a HID interface.

    Attributes:
        fields: Every field that carries data, in the order of the descriptor.
        bits: Length of every report, padding included, without the octet of its id.
        numbered: Whether each report starts with its id.
    """

    fields: tuple[Field, ...]
    bits: Mapping[tuple[ReportKind, int], int]
    numbered: bool

    def report_ids(self, kind: ReportKind) -> tuple[int, ...]:
        """Returns the ids of the reports of a kind, in order; 0 alone without ids."""
        return tuple(sorted(number for known, number in self.bits if known is kind))

    def size_bytes(self, kind: ReportKind, report_id: int) -> int:
        """Returns the octets of a report on the wire, its id included; 0 when there is none."""
        if (kind, report_id) not in self.bits:
            return 0
        return self.numbered + (self.bits[kind, report_id] + 7) // 8


class ItemKind(enum.IntEnum):
    """Kinds of short item (HID 1.11 section 6.2.2.2)."""

    MAIN = 0
    GLOBAL = 1
    LOCAL = 2
    RESERVED = 3


@dataclass(frozen=True, slots=True)
class Item:
    """A short item at its octet."""

    kind: ItemKind
    tag: int
    data: bytes
    offset: int

    @property
    def unsigned(self) -> int:
        """Its data as a number from 0 on."""
        return int.from_bytes(self.data, "little")

    @property
    def signed(self) -> int:
        """Its data as a number in two's complement."""
        return int.from_bytes(self.data, "little", signed=True)


def items(descriptor: bytes) -> Iterator[Item]:
    """Yields the short items; long items, which no usage page defines, are skipped.

    Raises:
        DescriptorError: An item is cut off.
    """
    offset = 0
    while offset < len(descriptor):
        prefix = descriptor[offset]
        length = _item_bytes(descriptor, offset)
        if offset + length > len(descriptor):
            raise DescriptorError(
                f"report descriptor, octet {offset}: an item of {length} octets is cut off "
                f"after {len(descriptor) - offset}"
            )
        if prefix != _LONG_ITEM:
            data = descriptor[offset + 1 : offset + length]
            yield Item(ItemKind(prefix >> 2 & 3), prefix >> 4, data, offset)
        offset += length


def _item_bytes(descriptor: bytes, offset: int) -> int:
    if descriptor[offset] != _LONG_ITEM:
        return 1 + (0, 1, 2, 4)[descriptor[offset] & 3]
    size = descriptor[offset + 1] if offset + 1 < len(descriptor) else 0
    return 3 + size


def parse(descriptor: bytes) -> ReportDescriptor:
    """Returns the fields of a report descriptor.

    Raises:
        DescriptorError: It is too long, cut off, unbalanced, or asks for more than
            this reader is willing to keep.
    """
    if len(descriptor) > MAX_DESCRIPTOR_BYTES:
        raise DescriptorError(
            f"a report descriptor of {len(descriptor)} octets; at most {MAX_DESCRIPTOR_BYTES}"
        )
    reader = _Reader()
    for item in items(descriptor):
        reader.take(item)
    return reader.finish(len(descriptor))


@dataclass(frozen=True, slots=True)
class _Globals:
    """Global items (HID 1.11 section 6.2.2.7); limits are kept as octets until both are known."""

    usage_page: int = 0
    minimum: bytes = b""
    maximum: bytes = b""
    size_bits: int = 0
    count: int = 0
    report_id: int = 0


class _Locals:
    """Local items (HID 1.11 section 6.2.2.8), forgotten after every main item."""

    def __init__(self) -> None:
        self.usages: list[tuple[Item, Item]] = []
        self.minimum: Item | None = None
        self.maximum: Item | None = None
        self.delimited: int | None = None

    def add(self, first: Item, last: Item) -> None:
        """Keeps usages in a row; of alternatives between delimiters only the preferred first."""
        if self.delimited is not None:
            self.delimited += 1
            if self.delimited > 1:
                return
        self.usages.append((first, last))


class _Reader:
    """Runs the items one by one."""

    def __init__(self) -> None:
        self._globals = _Globals()
        self._saved: list[_Globals] = []
        self._locals = _Locals()
        self._open: list[Collection] = []
        self._fields: list[Field] = []
        self._controls = 0
        self._bits: dict[tuple[ReportKind, int], int] = {}

    def take(self, item: Item) -> None:
        """Runs one item; tags that HID 1.11 reserves are passed over, as it asks."""
        match item.kind:
            case ItemKind.MAIN:
                self._main(item)
                self._locals = _Locals()
            case ItemKind.GLOBAL:
                self._global(item)
            case ItemKind.LOCAL:
                self._local(item)
            case ItemKind.RESERVED:
                pass

    def finish(self, end: int) -> ReportDescriptor:
        """Returns what the items described."""
        if self._open:
            raise _mistake(end, f"{len(self._open)} collections are not closed")
        numbered = any(number for _, number in self._bits)
        if numbered and any(not number for _, number in self._bits):
            raise _mistake(end, "some fields have a report id and some have none")
        return ReportDescriptor(tuple(self._fields), MappingProxyType(self._bits), numbered)

    # ------------------------------------------------------------ main items

    def _main(self, item: Item) -> None:
        if self._locals.delimited is not None:
            raise _mistake(item.offset, "a main item stands between delimiters")
        match item.tag:
            case 0x8:
                self._field(item, ReportKind.INPUT)
            case 0x9:
                self._field(item, ReportKind.OUTPUT)
            case 0xB:
                self._field(item, ReportKind.FEATURE)
            case 0xA:
                self._open_collection(item)
            case 0xC:
                self._close_collection(item)
            case _:
                pass

    def _open_collection(self, item: Item) -> None:
        if len(self._open) == MAX_DEPTH:
            raise _mistake(item.offset, f"collections are more than {MAX_DEPTH} deep")
        usages = self._usages()
        self._open.append(Collection(item.unsigned, usages[0].first if usages else 0))

    def _close_collection(self, item: Item) -> None:
        if not self._open:
            raise _mistake(item.offset, "a collection is closed that was not opened")
        self._open.pop()

    def _field(self, item: Item, kind: ReportKind) -> None:
        state = self._globals
        report = (kind, state.report_id)
        start = self._bits.get(report, 0)
        self._bits[report] = start + self._checked_bits(item)
        flags = Flag(item.unsigned & 0xFF)
        usages = self._usages()
        if Flag.CONSTANT in flags or not usages or not state.size_bits * state.count:
            return
        minimum, maximum = self._limits(item)
        self._keep(
            item,
            Field(
                kind=kind,
                report_id=state.report_id,
                bit_offset=start,
                size_bits=state.size_bits,
                count=state.count,
                logical_minimum=minimum,
                logical_maximum=maximum,
                flags=flags,
                usages=usages,
                collections=tuple(self._open),
            ),
        )

    def _checked_bits(self, item: Item) -> int:
        state = self._globals
        if state.size_bits > MAX_FIELD_BITS:
            raise _mistake(item.offset, f"values of {state.size_bits} bits; at most 256")
        bits = state.size_bits * state.count
        total = bits + sum(self._bits.values())
        if total > MAX_REPORT_BITS:
            raise _mistake(item.offset, f"reports of {total} bits; at most {MAX_REPORT_BITS}")
        return bits

    def _limits(self, item: Item) -> tuple[int, int]:
        state = self._globals
        minimum = int.from_bytes(state.minimum, "little", signed=True)
        maximum = int.from_bytes(state.maximum, "little", signed=minimum < 0)
        if minimum > maximum:
            raise _mistake(
                item.offset, f"the logical minimum {minimum} is above the maximum {maximum}"
            )
        return minimum, maximum

    def _keep(self, item: Item, field: Field) -> None:
        if len(self._fields) == MAX_FIELDS:
            raise _mistake(item.offset, f"more than {MAX_FIELDS} fields")
        self._controls += field.count
        if self._controls > MAX_CONTROLS:
            raise _mistake(item.offset, f"more than {MAX_CONTROLS} values")
        self._fields.append(field)

    # ------------------------------------------------------------ global items

    def _global(self, item: Item) -> None:
        state = self._globals
        match item.tag:
            case 0x0:
                self._globals = replace(state, usage_page=item.unsigned & 0xFFFF)
            case 0x1:
                self._globals = replace(state, minimum=item.data)
            case 0x2:
                self._globals = replace(state, maximum=item.data)
            case 0x7:
                self._globals = replace(state, size_bits=item.unsigned)
            case 0x8:
                self._globals = replace(state, report_id=_report_id(item))
            case 0x9:
                self._globals = replace(state, count=item.unsigned)
            case 0xA:
                self._push(item)
            case 0xB:
                self._pop(item)
            case _:
                pass

    def _push(self, item: Item) -> None:
        if len(self._saved) == MAX_SAVED:
            raise _mistake(item.offset, f"more than {MAX_SAVED} states are pushed")
        self._saved.append(self._globals)

    def _pop(self, item: Item) -> None:
        if not self._saved:
            raise _mistake(item.offset, "a state is popped that was not pushed")
        self._globals = self._saved.pop()

    # ------------------------------------------------------------ local items

    def _local(self, item: Item) -> None:
        names = self._locals
        match item.tag:
            case 0x0:
                names.add(item, item)
            case 0x1:
                names.minimum = item
            case 0x2:
                names.maximum = item
            case 0xA:
                self._delimit(item)
            case _:
                pass
        if names.minimum is not None and names.maximum is not None:
            names.add(names.minimum, names.maximum)
            names.minimum = names.maximum = None

    def _delimit(self, item: Item) -> None:
        names, opens = self._locals, bool(item.unsigned)
        if opens is (names.delimited is not None):
            raise _mistake(item.offset, "delimiters are not in pairs")
        names.delimited = 0 if opens else None

    def _usages(self) -> tuple[UsageRange, ...]:
        names = self._locals
        half = names.minimum or names.maximum
        if half is not None:
            raise _mistake(half.offset, "a usage range has one end only")
        return tuple(self._range(first, last) for first, last in names.usages)

    def _range(self, first: Item, last: Item) -> UsageRange:
        found = UsageRange(self._usage(first), self._usage(last))
        if found.first > found.last or found.first >> 16 != found.last >> 16:
            raise _mistake(first.offset, f"usages {found.first:#x} to {found.last:#x} are no range")
        return found

    def _usage(self, item: Item) -> int:
        """A usage of 16 bits or less is on the page in force at its main item."""
        if len(item.data) == 4:
            return item.unsigned
        return self._globals.usage_page << 16 | item.unsigned


def _report_id(item: Item) -> int:
    if not 1 <= item.unsigned <= 255:
        raise _mistake(item.offset, f"report id {item.unsigned} is not between 1 and 255")
    return item.unsigned


def _mistake(offset: int, what: str) -> DescriptorError:
    return DescriptorError(f"report descriptor, octet {offset}: {what}")
