"""How reports travel: through the kernel's hidraw node, or past the kernel by libusb.

Calls block; one thread reads, another writes, and whoever closes has seen both return.
A report carries the octet of its id exactly where the device has report ids.
"""

from typing import Final, Protocol

from .report_descriptor import ReportKind

TRANSFER_TIMEOUT_S: Final = 1.0
"""How long a device may take to answer; a healthy one takes milliseconds."""


class Transport(Protocol):
    """An open HID interface."""

    def report_descriptor(self) -> bytes:
        """Returns the report descriptor as the device says it.

        Raises:
            TransferError: The device refuses or does not answer.
            DeviceGoneError: The device is gone.
        """
        ...

    def read(self, size_bytes: int, timeout_s: float) -> bytes | None:
        """Returns the next input report, None when none came in time.

        Args:
            size_bytes: Of the longest input report.
            timeout_s: How long to wait.

        Raises:
            DeviceGoneError: The device is gone, or nothing but stalls comes from it.
        """
        ...

    def write(self, kind: ReportKind, report_id: int, report: bytes) -> None:
        """Sends an output or feature report.

        Raises:
            TransferError: The device refuses or does not answer.
            DeviceGoneError: The device is gone.
        """
        ...

    def fetch(self, kind: ReportKind, report_id: int, size_bytes: int) -> bytes:
        """Asks for a report as it stands (HID 1.11 section 7.2.1).

        Raises:
            TransferError: The device refuses or does not answer.
            DeviceGoneError: The device is gone.
        """
        ...

    def close(self) -> None:
        """Lets go of the interface; the kernel gets back what was taken from it."""
        ...
