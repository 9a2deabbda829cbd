"""A HID function: one interface, reports in and out, the requests of HID 1.11 section 7.

Emulated: both ways of an output report (SET_REPORT and the interrupt OUT endpoint), GET_REPORT of
every kind, a queue in the device that loses its oldest report when nobody polls, contacts that
bounce and reports that are sent twice.

Not emulated: boot protocols, and repeating an unchanged report: any idle rate but "infinite"
stalls, as a device that reports only changes may do (section 7.2.4).
"""

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from . import descriptors
from .descriptors import DescriptorType, InterfaceClass, Transfer
from .misbehaviour import Misbehaviour
from .model import Setup, Stall
from .reports import Report, ReportKind, Usage, report_descriptor

HID_CLASS: Final = InterfaceClass(0x03)
PACKET_OCTETS: Final = 64
INTERVAL_MS: Final = 4
QUEUE_REPORTS: Final = 64


@dataclass(frozen=True, slots=True)
class HidShape:
    """What a HID function is, apart from what it does.

    Attributes:
        application: Usage of its only top-level collection.
        reports: All its reports; a number belongs to one report.
        endpoint: Number of its endpoints, 1 to 15.
        takes_reports: Whether it has an interrupt OUT endpoint; without one the host orders
            by SET_REPORT only.
        name: Its interface string.
    """

    application: Usage
    reports: tuple[Report, ...]
    endpoint: int = 3
    takes_reports: bool = True
    name: str = "Controls"

    @property
    def descriptor(self) -> bytes:
        """Its report descriptor."""
        return report_descriptor(self.application, self.reports)

    @property
    def to_host(self) -> int:
        """Address of the interrupt IN endpoint."""
        return 0x80 | self.endpoint

    def report(self, kind: int, number: int) -> Report:
        """Returns a report.

        Raises:
            Stall: There is none of that kind and number.
        """
        for report in self.reports:
            if (report.kind, report.number) == (kind, number):
                return report
        raise Stall

    def carrying(self, name: str) -> Report:
        """Returns the report that carries one of its controls."""
        return next(report for report in self.reports if name in report.names)

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the controls that the host reads."""
        return self._names(ReportKind.INPUT)

    @property
    def orders(self) -> tuple[str, ...]:
        """Names of the controls that the host sets."""
        return self._names(ReportKind.OUTPUT) + self._names(ReportKind.FEATURE)

    def momentary(self, name: str) -> bool:
        """Whether a control reports a change, not a state."""
        controls = (controls for report in self.reports for controls in report.controls)
        return any(name in each.names and each.relative for each in controls)

    def _names(self, kind: ReportKind) -> tuple[str, ...]:
        reports = (report for report in self.reports if report.kind is kind)
        return tuple(name for report in reports for name in report.names)


class HidOwner(Protocol):
    """Who knows what the reports mean."""

    def ordered(self, values: Mapping[str, int]) -> None:
        """The host sent an output or feature report.

        Raises:
            Stall: The device refuses it.
        """
        ...

    def darken(self) -> None:
        """The host is gone: what it had ordered ends."""
        ...


class HidFunction:
    """The wire of a HID function; its owner knows what the reports mean.

    Args:
        shape: Its reports and endpoints.
        owner: Takes the orders.
        changed: Called when a report waits.
        misbehaviour: Bounces and doubles.

    Attributes:
        values: What every control is at, by name; absent is 0.
        lost: Reports that nobody fetched in time.
        ignored: Octets on the interrupt OUT endpoint that were no report.
    """

    interfaces = 1

    def __init__(
        self,
        shape: HidShape,
        *,
        owner: HidOwner,
        changed: Callable[[], None],
        misbehaviour: Misbehaviour,
    ) -> None:
        self._shape = shape
        self._owner = owner
        self._changed = changed
        self._misbehaviour = misbehaviour
        self._waiting: deque[bytes] = deque()
        self.values: dict[str, int] = {}
        self.lost = 0
        self.ignored = 0
        self._answers: dict[tuple[int, int], Callable[[int, bytes], bytes]] = {
            (0x81, 0x06): self._descriptor,
            (0xA1, 0x01): self._get_report,
            (0xA1, 0x02): self._get_idle,
            (0x21, 0x09): self._set_report,
            (0x21, 0x0A): self._set_idle,
        }

    def descriptors(self, first_interface: int, string: Callable[[str], int]) -> bytes:
        """Returns its interface, HID descriptor and endpoints."""
        shape = self._shape
        ends = [shape.to_host] + ([shape.endpoint] if shape.takes_reports else [])
        head = descriptors.interface(
            first_interface, HID_CLASS, endpoints=len(ends), name=string(shape.name)
        )
        pipes = (
            descriptors.endpoint(end, Transfer.INTERRUPT, PACKET_OCTETS, INTERVAL_MS)
            for end in ends
        )
        return head + descriptors.hid(len(shape.descriptor)) + b"".join(pipes)

    def control(self, setup: Setup, data: bytes) -> bytes:
        """Answers a request of HID 1.11 section 7.

        Raises:
            Stall: It does not do that.
        """
        answer = self._answers.get((setup.request_type, setup.request))
        if answer is None:
            raise Stall
        return answer(setup.value, data)

    def select(self, _interface: int, setting: int) -> None:
        """There is only setting 0.

        Raises:
            Stall: Another one is asked for.
        """
        if setting:
            raise Stall

    def interrupt_in(self, endpoint: int) -> bytes | None:
        """Returns the next report, None while there is none.

        Raises:
            Stall: Not its endpoint.
        """
        if endpoint != self._shape.to_host:
            raise Stall
        return self._waiting.popleft() if self._waiting else None

    def interrupt_out(self, endpoint: int, data: bytes) -> None:
        """Takes an output report; what is none is ignored and counted.

        Raises:
            Stall: Not its endpoint.
        """
        if endpoint != self._shape.endpoint or not self._shape.takes_reports:
            raise Stall
        try:
            self._order(ReportKind.OUTPUT, data[0] if data else 0, data)
        except Stall:
            self.ignored += 1

    def isochronous_in(self, _endpoint: int) -> bytes:
        """Streams nothing."""
        return b""

    def isochronous_out(self, _endpoint: int, _data: bytes) -> None:
        """Takes no stream."""

    def power_on(self) -> None:
        """Starts; contacts are where the hand left them."""

    def bus_reset(self) -> None:
        """Forgets the reports that nobody fetched, and what the host ordered."""
        self._waiting.clear()
        self._owner.darken()

    def report(self, name: str, value: int) -> None:
        """A contact moved: reports it, with the bounces and doubles of a bad device."""
        before = self.values.get(name, 0)
        for _ in range(self._misbehaviour.bounces):
            self._say(name, value)
            self._say(name, before)
        self._say(name, value)

    def pulse(self, name: str) -> None:
        """A momentary control was used: reports 1, then 0."""
        self.report(name, 1)
        self.report(name, 0)

    def _say(self, name: str, value: int) -> None:
        self.values[name] = value
        report = self._shape.carrying(name).pack(self.values)
        for _ in range(2 if self._misbehaviour.doubled else 1):
            self._queue(report)
        self._changed()

    def _queue(self, report: bytes) -> None:
        if len(self._waiting) == QUEUE_REPORTS:
            self._waiting.popleft()
            self.lost += 1
        self._waiting.append(report)

    def _descriptor(self, value: int, _data: bytes) -> bytes:
        if value == DescriptorType.HID << 8:
            return descriptors.hid(len(self._shape.descriptor))
        if value == DescriptorType.REPORT << 8:
            return self._shape.descriptor
        raise Stall

    def _get_report(self, value: int, _data: bytes) -> bytes:
        return self._shape.report(value >> 8, value & 0xFF).pack(self.values)

    def _get_idle(self, _value: int, _data: bytes) -> bytes:
        return b"\x00"

    def _set_idle(self, value: int, _data: bytes) -> bytes:
        if value >> 8:
            raise Stall
        return b""

    def _set_report(self, value: int, data: bytes) -> bytes:
        kind = value >> 8
        if kind not in (ReportKind.OUTPUT, ReportKind.FEATURE):
            raise Stall
        self._order(kind, value & 0xFF, data)
        return b""

    def _order(self, kind: int, number: int, data: bytes) -> None:
        try:
            values = self._shape.report(kind, number).unpack(data)
        except ValueError as error:
            raise Stall from error
        self._owner.ordered(values)
