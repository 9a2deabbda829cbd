"""The lamps and the light ring of a device, in its output reports."""

from collections.abc import Collection, Iterator

from ...hal.ring import Colour, RingLight
from . import usages
from .report_descriptor import Field, ReportDescriptor, ReportKind
from .reports import OutputReports
from .vocabulary import COLOURS, OUTPUTS, RING, Vocabulary


class Lamps:
    """Turns lamps that shall be lit into the reports that are not at the device yet.

    Args:
        descriptor: Of the device.
        vocabulary: What its lamps are called.
    """

    def __init__(self, descriptor: ReportDescriptor, vocabulary: Vocabulary) -> None:
        self._reports = OutputReports(descriptor, OUTPUTS, ReportKind.OUTPUT)
        places = {a: c for a, c in self._reports.controls.items() if _lights(c.field)}
        self._lamps = vocabulary.lamps(places)
        self._ring = tuple(address for address in places if address.usage in RING)
        self._shown: dict[int, bytes] = {}

    @property
    def names(self) -> frozenset[str]:
        """The lamps that the device has."""
        return frozenset(self._lamps)

    def changed(self, lit: Collection[str], ring: RingLight) -> Iterator[tuple[int, bytes]]:
        """Yields the id and the octets of each report that the device has not shown yet."""
        for name, address in self._lamps.items():
            self._reports.put(address, int(name in lit))
        self._put_ring(ring)
        for report_id in self._reports.report_ids:
            report = self._reports.report(report_id)
            if self._shown.get(report_id) != report:
                yield report_id, report

    def shown(self, report_id: int, report: bytes) -> None:
        """The device took a report."""
        self._shown[report_id] = report

    def _put_ring(self, ring: RingLight) -> None:
        lit = set(_ring_usages(ring))
        for address in self._ring:
            self._reports.put(address, int(address.usage in lit))


def _lights(field: Field) -> bool:
    """Whether a field can be lit and darkened; a lamp that knows one value is none."""
    return not field.variable or field.logical_minimum <= 0 < field.logical_maximum


def _ring_usages(ring: RingLight) -> Iterator[int]:
    if ring.colour is not Colour.OFF:
        yield COLOURS[ring.colour]
        yield usages.LED_FLASH if ring.blinking else usages.LED_ON
