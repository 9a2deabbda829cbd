"""HID reports past the kernel: an interface claimed through libusb, with pyusb.

Where the kernel's driver holds the interface it is asked to let go, of this interface only,
and gets it back on close.
"""

import contextlib
import errno
import logging
import struct
from typing import Final

import usb.core
import usb.util
from usb.backend import IBackend

from ...hal.errors import DeviceGoneError, DriverMissingError
from ...hal.hardware import UsbDevice
from ..errors import DescriptorError
from .failures import failure
from .report_descriptor import MAX_DESCRIPTOR_BYTES, ReportKind
from .transport import TRANSFER_TIMEOUT_S

logger = logging.getLogger(__name__)

MAX_STALLS: Final = 5
"""Stalls in a row after which an endpoint counts as dead."""

_TIMEOUT_MS: Final = int(TRANSFER_TIMEOUT_S * 1000)
_HID: Final = 0x21
_REPORT: Final = 0x22
_GET_DESCRIPTOR: Final = 0x06
_GET_REPORT: Final = 0x01
_SET_REPORT: Final = 0x09
_SET_IDLE: Final = 0x0A
_STANDARD_IN: Final = 0x81
_CLASS_IN: Final = 0xA1
_CLASS_OUT: Final = 0x21
_INTERRUPT: Final = 0x03


class LibusbTransport:
    """A claimed HID interface.

    Args:
        device: The device, as pyusb found it.
        number: Of the interface.

    Raises:
        AccessDeniedError: The system does not let us open it.
        DeviceBusyError: Another program has claimed it.
        DescriptorError: There is no such interface, or it has no interrupt endpoint.
        DeviceGoneError: The device is gone.
    """

    def __init__(self, device: usb.core.Device, number: int) -> None:
        self._device = device
        self._number = number
        self._name = _name(device)
        self._stalls = 0
        self._detached = False
        self._interface = _interface(device, number)
        self._in = self._input_endpoint()
        self._out = self._endpoint(usb.util.ENDPOINT_OUT)
        try:
            self._claim()
        except usb.core.USBError as error:
            self.close()
            raise failure(self._name, error) from error

    def report_descriptor(self) -> bytes:
        """Returns the report descriptor, as long as the HID descriptor says it is.

        Raises:
            DescriptorError: There is no HID descriptor (HID 1.11 section 6.2.1).
            TransferError: The device refuses or does not answer.
            DeviceGoneError: The device is gone.
        """
        size = _descriptor_bytes(bytes(self._interface.extra_descriptors))
        return self._ask(_STANDARD_IN, _GET_DESCRIPTOR, _REPORT << 8, size)

    def read(self, size_bytes: int, timeout_s: float) -> bytes | None:
        """Returns the next input report, None when none came in time.

        Raises:
            DeviceGoneError: The device is gone, or nothing but stalls comes from it.
        """
        packet = self._in.wMaxPacketSize & 0x7FF or 1
        whole = -(-size_bytes // packet) * packet
        try:
            report = self._in.read(whole, max(1, int(timeout_s * 1000)))
        except usb.core.USBError as error:
            if error.errno == errno.ETIMEDOUT:
                return None
            if error.errno == errno.EPIPE:
                self._recover()
                return None
            raise failure(self._name, error) from error
        self._stalls = 0
        return bytes(report)

    def write(self, kind: ReportKind, report_id: int, report: bytes) -> None:
        """Sends a report: output reports through the interrupt endpoint where there is one.

        Raises:
            TransferError: The device refuses or does not answer.
            DeviceGoneError: The device is gone.
        """
        try:
            if kind is ReportKind.OUTPUT and self._out is not None:
                self._out.write(report, _TIMEOUT_MS)
                return
            value = kind << 8 | report_id
            self._device.ctrl_transfer(
                _CLASS_OUT, _SET_REPORT, value, self._number, report, _TIMEOUT_MS
            )
        except usb.core.USBError as error:
            raise failure(self._name, error) from error

    def fetch(self, kind: ReportKind, report_id: int, size_bytes: int) -> bytes:
        """Asks for a report as it stands.

        Raises:
            TransferError: The device refuses or does not answer.
            DeviceGoneError: The device is gone.
        """
        return self._ask(_CLASS_IN, _GET_REPORT, kind << 8 | report_id, size_bytes)

    def close(self) -> None:
        """Lets go of the interface; the kernel's driver gets it back."""
        with contextlib.suppress(usb.core.USBError):
            usb.util.release_interface(self._device, self._number)
        if self._detached:
            self._detached = False
            with contextlib.suppress(usb.core.USBError, NotImplementedError):
                self._device.attach_kernel_driver(self._number)
        usb.util.dispose_resources(self._device)

    def _claim(self) -> None:
        if kernel_holds(self._device, self._number):
            self._device.detach_kernel_driver(self._number)
            self._detached = True
        usb.util.claim_interface(self._device, self._number)
        # Reports only on change (HID 1.11 section 7.2.4); a device may refuse.
        with contextlib.suppress(usb.core.USBError):
            self._device.ctrl_transfer(_CLASS_OUT, _SET_IDLE, 0, self._number, None, _TIMEOUT_MS)

    def _input_endpoint(self) -> usb.core.Endpoint:
        endpoint = self._endpoint(usb.util.ENDPOINT_IN)
        if endpoint is None:
            raise DescriptorError(f"interface {self._number} has no interrupt IN endpoint")
        return endpoint

    def _endpoint(self, direction: int) -> usb.core.Endpoint | None:
        for endpoint in self._interface:
            address = endpoint.bEndpointAddress
            kind = endpoint.bmAttributes & 3
            if kind == _INTERRUPT and usb.util.endpoint_direction(address) == direction:
                return endpoint
        return None

    def _ask(self, request_type: int, request: int, value: int, size_bytes: int) -> bytes:
        try:
            answer = self._device.ctrl_transfer(
                request_type, request, value, self._number, size_bytes, _TIMEOUT_MS
            )
        except usb.core.USBError as error:
            raise failure(self._name, error) from error
        return bytes(answer)

    def _recover(self) -> None:
        """The endpoint is halted: starts it again, a few times."""
        self._stalls += 1
        if self._stalls > MAX_STALLS:
            raise DeviceGoneError(f"{self._name}: its interrupt endpoint stalls again and again")
        logger.info("%s: clearing a halted endpoint", self._name)
        try:
            self._in.clear_halt()
        except usb.core.USBError as error:
            raise failure(self._name, error) from error


def locate(present: UsbDevice, backend: IBackend | None = None) -> usb.core.Device:
    """Returns the device of that address as pyusb knows it.

    Raises:
        DeviceGoneError: It is not there any more.
        DriverMissingError: There is no libusb.
    """
    bus, address = present.address
    try:
        found = usb.core.find(backend=backend, bus=bus, address=address)
    except usb.core.NoBackendError as error:
        raise DriverMissingError("USB cannot be used; apt-get install libusb-1.0-0") from error
    if found is None:
        raise DeviceGoneError(f"{present} is not there any more")
    return found


def interfaces(device: usb.core.Device) -> tuple[usb.core.Interface, ...]:
    """Returns the interfaces of the active configuration, setting 0 of each.

    Raises:
        DescriptorError: The device's descriptors make no sense.
        DeviceError: It does not answer, or may not be opened.
    """
    try:
        return tuple(each for each in _configuration(device) if each.bAlternateSetting == 0)
    except usb.core.USBError as error:
        raise failure(_name(device), error) from error
    except (ValueError, IndexError, struct.error) as error:
        raise DescriptorError(f"{_name(device)}: its configuration makes no sense") from error


def _interface(device: usb.core.Device, number: int) -> usb.core.Interface:
    for interface in interfaces(device):
        if interface.bInterfaceNumber == number:
            return interface
    raise DescriptorError(f"{_name(device)} has no interface {number}")


def _name(device: usb.core.Device) -> str:
    return f"USB device {device.idVendor:04x}:{device.idProduct:04x}"


def _configuration(device: usb.core.Device) -> usb.core.Configuration:
    """The active configuration; a device that nobody has configured gets its first."""
    try:
        return device.get_active_configuration()
    except usb.core.USBError as error:
        if error.errno is not None:
            raise
    device.set_configuration()
    return device.get_active_configuration()


def kernel_holds(device: usb.core.Device, number: int) -> bool:
    """Whether a driver of the kernel holds an interface.

    Raises:
        USBError: The device does not answer, or there cannot be such an interface.
    """
    try:
        return bool(device.is_kernel_driver_active(number))
    except NotImplementedError:
        return False


def _descriptor_bytes(extra: bytes) -> int:
    """Length of the report descriptor, from the HID descriptor (HID 1.11 section 6.2.1)."""
    offset = 0
    while offset + 9 <= len(extra) and extra[offset] >= 2:
        length, kind = extra[offset], extra[offset + 1]
        if kind == _HID and extra[offset + 6] == _REPORT:
            size: int = struct.unpack_from("<H", extra, offset + 7)[0]
            return min(size, MAX_DESCRIPTOR_BYTES)
        offset += length
    raise DescriptorError("the interface has no HID descriptor that announces its reports")
