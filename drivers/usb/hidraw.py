"""HID reports through the kernel's own driver: ``/dev/hidrawN`` (linux/hidraw.h).

The numbers of the requests are those of x86 and Arm.
"""

import fcntl
import os
import select
from typing import Final

from ...hal.errors import DeviceGoneError
from ..errors import DeviceBusyError
from .failures import failure
from .report_descriptor import MAX_DESCRIPTOR_BYTES, ReportKind

_WRITE: Final = 1
_READ: Final = 2


def request(direction: int, number: int, size_bytes: int) -> int:
    """Returns the number of a hidraw request (asm-generic/ioctl.h), type ``H``."""
    return direction << 30 | size_bytes << 16 | ord("H") << 8 | number


DESCRIPTOR_SIZE: Final = request(_READ, 0x01, 4)
DESCRIPTOR: Final = request(_READ, 0x02, 4 + MAX_DESCRIPTOR_BYTES)
_SET_FEATURE: Final = 0x06
_GET: Final = {ReportKind.INPUT: 0x0A, ReportKind.OUTPUT: 0x0C, ReportKind.FEATURE: 0x07}


class HidrawTransport:
    """A device node, ours alone while it is open.

    Args:
        node: For example ``/dev/hidraw0``.

    Attributes:
        fileno: Of the open node.

    Raises:
        AccessDeniedError: The system does not let us open it.
        DeviceBusyError: Another program of ours holds it.
        DeviceGoneError: There is no such node any more.
    """

    def __init__(self, node: str) -> None:
        self._node = node
        try:
            self.fileno = os.open(node, os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError as error:
            raise failure(node, error) from error
        self._lock()
        self._poll = select.poll()
        self._poll.register(self.fileno, select.POLLIN)

    def report_descriptor(self) -> bytes:
        """Returns the report descriptor as the kernel read it.

        Raises:
            DeviceGoneError: The device is gone.
        """
        size = bytearray(4)
        self._request(DESCRIPTOR_SIZE, size)
        octets = min(int.from_bytes(size, "little"), MAX_DESCRIPTOR_BYTES)
        descriptor = bytearray(size + bytes(MAX_DESCRIPTOR_BYTES))
        self._request(DESCRIPTOR, descriptor)
        return bytes(descriptor[4 : 4 + octets])

    def read(self, size_bytes: int, timeout_s: float) -> bytes | None:
        """Returns the next input report, None when none came in time.

        Raises:
            DeviceGoneError: The device is gone.
        """
        try:
            if not self._poll.poll(timeout_s * 1000):
                return None
            report = os.read(self.fileno, size_bytes)
        except BlockingIOError:
            return None
        except OSError as error:
            raise failure(self._node, error) from error
        if not report:
            raise DeviceGoneError(f"{self._node} ended")
        return report

    def write(self, kind: ReportKind, report_id: int, report: bytes) -> None:
        """Sends a report; the kernel wants an octet 0 where the device has no report ids.

        Raises:
            TransferError: The device refuses or does not answer.
            DeviceGoneError: The device is gone.
        """
        octets = report if report_id else b"\0" + report
        if kind is ReportKind.FEATURE:
            number = request(_READ | _WRITE, _SET_FEATURE, len(octets))
            self._request(number, bytearray(octets))
            return
        try:
            os.write(self.fileno, octets)
        except OSError as error:
            raise failure(self._node, error) from error

    def fetch(self, kind: ReportKind, report_id: int, size_bytes: int) -> bytes:
        """Asks for a report as it stands; input reports since Linux 5.11.

        Raises:
            TransferError: The device or the kernel refuses.
            DeviceGoneError: The device is gone.
        """
        numbered = bool(report_id)
        octets = bytearray(size_bytes + (not numbered))
        octets[0] = report_id
        number = request(_READ | _WRITE, _GET[kind], len(octets))
        length = self._request(number, octets)
        return bytes(octets[not numbered : length])

    def close(self) -> None:
        """Lets go of the node."""
        os.close(self.fileno)

    def _lock(self) -> None:
        """The kernel lets several programs answer for one device; we do not."""
        try:
            fcntl.flock(self.fileno, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(self.fileno)
            raise DeviceBusyError(f"{self._node} is held by another program") from error

    def _request(self, number: int, octets: bytearray) -> int:
        try:
            length: int = fcntl.ioctl(self.fileno, number, octets, True)
        except OSError as error:
            raise failure(self._node, error) from error
        return length
