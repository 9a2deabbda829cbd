r"""Values in and out of HID reports, by usage (HID 1.11 section 8).

A value has an address: its usage and, where a device has several of the same, its number.
An ordinal collection says the number (HID Usage Tables section 13); otherwise they count
in the order of the descriptor.

    >>> from .report_descriptor import parse
    >>> descriptor = parse(bytes.fromhex(
    ...     "050ba101" "1500250175019501" "09208102" "0508" "091709189502" "9102" "c0"))
    >>> InputReports(descriptor, {0x0B0020}).read(b"\x01")
    (Reading(address=Address(usage=720928, number=1), value=1, relative=False),)
    >>> lamps = OutputReports(descriptor, {0x080017, 0x080018})
    >>> lamps.put(Address(0x080018), 1)
    >>> lamps.report(0).hex()
    '02'
"""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from ..errors import ReportError
from .report_descriptor import Field, ReportDescriptor, ReportKind
from .usages import ORDINAL_PAGE, number_of, page_of


@dataclass(frozen=True, slots=True, order=True)
class Address:
    """Names a value of a device: a usage, page in the upper 16 bits, and which of several."""

    usage: int
    number: int = 1


@dataclass(frozen=True, slots=True)
class Reading:
    """A value that a report carries; a relative one says what changed."""

    address: Address
    value: int
    relative: bool


@dataclass(frozen=True, slots=True)
class Control:
    """Where a value lies.

    Attributes:
        field: The field that carries it.
        index: Of the value in a variable field; of the usage in an array.
    """

    field: Field
    index: int


def controls(
    descriptor: ReportDescriptor, kind: ReportKind, wanted: Collection[int]
) -> Mapping[Address, Control]:
    """Returns where the wanted usages lie in the reports of a kind."""
    found: dict[Address, Control] = {}
    seen: Counter[int] = Counter()
    for field in descriptor.fields:
        if field.kind is kind:
            for usage, control in _in_field(field, wanted):
                seen[usage] += 1
                found.setdefault(Address(usage, ordinal_of(field) or seen[usage]), control)
    return MappingProxyType(found)


def _in_field(field: Field, wanted: Collection[int]) -> Iterator[tuple[int, Control]]:
    if field.variable:
        for index in range(field.count):
            usage = field.usage_at(index)
            if usage in wanted:
                yield usage, Control(field, index)
        return
    span = field.logical_maximum - field.logical_minimum
    for usage in wanted:
        found = field.index_of(usage)
        if found is not None and found <= span:
            yield usage, Control(field, found)


def ordinal_of(field: Field) -> int:
    """Returns the number that the innermost ordinal collection gives, 0 where there is none."""
    for collection in reversed(field.collections):
        if page_of(collection.usage) == ORDINAL_PAGE:
            return number_of(collection.usage)
    return 0


class InputReports:
    """Reads the wanted usages out of the reports of a device.

    Args:
        descriptor: What the reports look like.
        wanted: Usages that matter; everything else is passed over.
    """

    def __init__(self, descriptor: ReportDescriptor, wanted: Collection[int]) -> None:
        self._descriptor = descriptor
        self.controls = controls(descriptor, ReportKind.INPUT, wanted)
        self._fields: dict[Field, list[tuple[Address, int]]] = {}
        for address, control in self.controls.items():
            self._fields.setdefault(control.field, []).append((address, control.index))

    @property
    def report_ids(self) -> tuple[int, ...]:
        """The reports that say what is, not only what changed, in order."""
        return tuple(sorted({field.report_id for field in self._fields if not field.relative}))

    def read(self, report: bytes) -> tuple[Reading, ...]:
        """Returns what a report says about the wanted usages.

        Values outside their logical range mean nothing (HID 1.11 section 5.10) and are left out.

        Raises:
            ReportError: It is shorter than the descriptor says, or its id is not known.
        """
        report_id = self._checked_id(report)
        payload = report[self._descriptor.numbered :]
        return tuple(
            reading
            for field, places in self._fields.items()
            if field.report_id == report_id
            for reading in _readings(field, places, payload)
        )

    def _checked_id(self, report: bytes) -> int:
        report_id = report[0] if self._descriptor.numbered and report else 0
        size = self._descriptor.size_bytes(ReportKind.INPUT, report_id)
        if not size:
            raise ReportError(f"report {report_id} is not in the descriptor")
        if len(report) < size:
            raise ReportError(f"report {report_id} has {len(report)} octets, not {size}")
        return report_id


def _readings(field: Field, places: list[tuple[Address, int]], payload: bytes) -> Iterator[Reading]:
    if not field.variable:
        selected = _selected(field, payload)
        yield from (Reading(address, int(index in selected), False) for address, index in places)
        return
    for address, index in places:
        value = _value(field, index, payload)
        if field.logical_minimum <= value <= field.logical_maximum:
            yield Reading(address, value, field.relative)


def _selected(field: Field, payload: bytes) -> set[int]:
    """Indexes of the usages that an array reports."""
    return {_value(field, slot, payload) - field.logical_minimum for slot in range(field.count)}


def _value(field: Field, slot: int, payload: bytes) -> int:
    start = field.bit_offset + slot * field.size_bits
    last = (start + field.size_bits + 7) // 8
    value = int.from_bytes(payload[start // 8 : last], "little") >> start % 8
    value &= (1 << field.size_bits) - 1
    negative = field.logical_minimum < 0 and value >> (field.size_bits - 1)
    return value - (1 << field.size_bits) if negative else value


class OutputReports:
    """The reports to a device, as they stand; everything starts dark.

    Args:
        descriptor: What the reports look like.
        wanted: Usages that will be put.
        kind: OUTPUT, or FEATURE for settings.
    """

    def __init__(
        self,
        descriptor: ReportDescriptor,
        wanted: Collection[int],
        kind: ReportKind = ReportKind.OUTPUT,
    ) -> None:
        self._descriptor = descriptor
        self.controls = controls(descriptor, kind, wanted)
        self._reports = {
            report_id: bytearray(descriptor.size_bytes(kind, report_id))
            for report_id in {control.field.report_id for control in self.controls.values()}
        }
        for report_id, report in self._reports.items():
            if descriptor.numbered:
                report[0] = report_id
        for field in {id(c.field): c.field for c in self.controls.values()}.values():
            if not field.variable:
                self._clear(field)

    @property
    def report_ids(self) -> tuple[int, ...]:
        """The reports that carry something that can be put, in order."""
        return tuple(sorted(self._reports))

    def report_id(self, address: Address) -> int:
        """Returns the report that carries a value.

        Raises:
            KeyError: The device has no such value.
        """
        return self.controls[address].field.report_id

    def put(self, address: Address, value: int) -> None:
        """Puts a value into its report; of an array's usages any value but 0 selects one.

        Raises:
            KeyError: The device has no such value.
            ReportError: The value is outside its logical range.
        """
        control = self.controls[address]
        if control.field.variable:
            self._put(control.field, control.index, value)
        elif value:
            self._put(control.field, 0, control.field.logical_minimum + control.index)
        elif control.index in _selected(control.field, self._payload(control.field)):
            self._clear(control.field)

    def report(self, report_id: int) -> bytes:
        """Returns a report as it goes to the wire, its id first where there are ids."""
        return bytes(self._reports[report_id])

    def _payload(self, field: Field) -> bytes:
        return bytes(self._reports[field.report_id][self._descriptor.numbered :])

    def _put(self, field: Field, slot: int, value: int) -> None:
        if not field.logical_minimum <= value <= field.logical_maximum:
            raise ReportError(
                f"{value} is not between {field.logical_minimum} and {field.logical_maximum}"
            )
        self._write(field, slot, value)

    def _clear(self, field: Field) -> None:
        """Selects nothing: a value outside the logical range where the bits hold one."""
        outside = field.logical_maximum + 1
        if field.logical_minimum > 0:
            outside = 0
        elif outside >> field.size_bits:
            outside = field.logical_minimum
        for slot in range(field.count):
            self._write(field, slot, outside)

    def _write(self, field: Field, slot: int, value: int) -> None:
        report = self._reports[field.report_id]
        shift = 8 * self._descriptor.numbered + field.bit_offset + slot * field.size_bits
        mask = ((1 << field.size_bits) - 1) << shift
        whole = int.from_bytes(report, "little") & ~mask
        whole |= (value << shift) & mask
        report[:] = whole.to_bytes(len(report), "little")
