"""An open telephony device: readings in, lamps out; its calls block, one thread each way."""

import logging
from collections.abc import Collection
from typing import Final

from ...hal.errors import DeviceGoneError
from ...hal.hardware import UsbDevice
from ...hal.ring import RingLight
from ..errors import (
    DescriptorError,
    DeviceBusyError,
    NoAnswerError,
    ReportError,
    StallError,
    TransferError,
)
from . import usages
from .lamps import Lamps
from .report_descriptor import ReportDescriptor, ReportKind, parse
from .reports import Address, InputReports, OutputReports, Reading
from .transport import Transport
from .vocabulary import INPUTS, Vocabulary

logger = logging.getLogger(__name__)

ATTEMPTS: Final = 3
"""How often an order is given to a device that refuses it."""

STALE_S: Final = 0.05
"""How long an endpoint takes to give what it kept while nobody read, as Linux waits on open."""

MAX_STALE: Final = 64

LOCK_HOLDER: Final = 0x54
"""Our number for the call lock; it stays the same, so that a restarted unit has its lock again."""

_LOCK: Final = Address(usages.CALL_LOCK)
_OUR_VID: Final = 0x1209
_OUR_PIDS: Final = range(0x7700, 0x7800)


def has_call_lock(device: UsbDevice) -> bool:
    """Whether the call lock's usage means that here: a vendor's page is each vendor's own."""
    return device.vid == _OUR_VID and device.pid in _OUR_PIDS


class TelephonyLink:
    """Speaks a device's reports over a transport.

    Args:
        transport: Open; closed with this link.
        vocabulary: What its keys and lamps are called.
        locks: Whether it may have a call lock.

    Attributes:
        parts: Its controls.
        controls: How many controls and lamps it has.

    Raises:
        DescriptorError: Its report descriptor is wrong, or nothing in it is telephony.
        DeviceBusyError: Another program has its call lock.
        TransferError: It refuses or does not answer.
        DeviceGoneError: It is gone.
    """

    def __init__(self, transport: Transport, vocabulary: Vocabulary, *, locks: bool) -> None:
        self._transport = transport
        descriptor = parse(transport.report_descriptor())
        self._inputs = InputReports(descriptor, INPUTS)
        self._lamps = Lamps(descriptor, vocabulary)
        self.parts = vocabulary.parts(self._inputs.controls)
        if not self.parts and not self._lamps.names:
            raise DescriptorError("the interface has no telephony control and no lamp")
        self._descriptor = descriptor
        self.controls = len(self.parts) + len(self._lamps.names)
        self._longest = _longest(descriptor)
        wanted = {usages.CALL_LOCK} if locks else set()
        self._lock = OutputReports(descriptor, wanted, ReportKind.FEATURE)
        self._put_lock(LOCK_HOLDER)

    def state(self) -> tuple[Reading, ...]:
        """Returns what the device says of itself now; a report that it refuses is left out.

        Reports that waited while nobody read are dropped: a key that was pressed then asks
        for nothing now.

        Raises:
            NoAnswerError: It does not answer.
            DeviceGoneError: It is gone.
        """
        self._drop_stale()
        readings: list[Reading] = []
        for report_id in self._inputs.report_ids:
            size = self._descriptor.size_bytes(ReportKind.INPUT, report_id)
            try:
                report = self._transport.fetch(ReportKind.INPUT, report_id, size)
                readings += self._inputs.read(report)
            except NoAnswerError:
                raise
            except (TransferError, ReportError) as error:
                logger.info("report %d cannot be asked for: %s", report_id, error)
        return tuple(readings)

    def read(self, timeout_s: float) -> tuple[Reading, ...]:
        """Returns what the next report says; nothing when none came or it makes no sense.

        Raises:
            DeviceGoneError: The device is gone.
        """
        report = self._transport.read(self._longest, timeout_s)
        if report is None:
            return ()
        try:
            return self._inputs.read(report)
        except ReportError as error:
            logger.info("ignored: %s", error)
            return ()

    def show(self, lit: Collection[str], ring: RingLight) -> None:
        """Lights what shall be lit; what the device refuses is tried again with the next order.

        Raises:
            DeviceGoneError: The device is gone, or answers no more.
        """
        for report_id, report in self._lamps.changed(lit, ring):
            try:
                self._insist(ReportKind.OUTPUT, report_id, report)
            except TransferError as error:
                logger.warning("lamps: %s", error)
            else:
                self._lamps.shown(report_id, report)

    def close(self) -> None:
        """Gives the call lock back and closes the transport."""
        try:
            self._put_lock(0)
        except (TransferError, DeviceGoneError, DeviceBusyError) as error:
            logger.debug("call lock: %s", error)
        finally:
            self._transport.close()

    def _drop_stale(self) -> None:
        for _ in range(MAX_STALE):
            if self._transport.read(self._longest, STALE_S) is None:
                return

    def _put_lock(self, holder: int) -> None:
        if _LOCK not in self._lock.controls:
            return
        self._lock.put(_LOCK, holder)
        report_id = self._lock.report_id(_LOCK)
        try:
            self._insist(ReportKind.FEATURE, report_id, self._lock.report(report_id))
        except StallError as error:
            raise DeviceBusyError("another program has the call lock; close that one") from error

    def _insist(self, kind: ReportKind, report_id: int, report: bytes) -> None:
        for attempt in range(1, ATTEMPTS + 1):
            try:
                self._transport.write(kind, report_id, report)
            except StallError:
                if attempt == ATTEMPTS:
                    raise
            except NoAnswerError as error:
                raise DeviceGoneError(f"{error}; taken for gone until it answers") from error
            else:
                return


def _longest(descriptor: ReportDescriptor) -> int:
    kind = ReportKind.INPUT
    return max((descriptor.size_bytes(kind, n) for n in descriptor.report_ids(kind)), default=1)
