"""One DFU interface of one USB device, by pyusb: requests and nothing else."""

import errno
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import usb.core
import usb.util
from usb.backend import IBackend

from ...hal.errors import DeviceGoneError
from ...hal.hardware import UsbDevice
from ..errors import (
    AccessDeniedError,
    DeviceBusyError,
    FlashError,
    FlashRefusedError,
    FlashTimeoutError,
)
from .dfu_protocol import STATUS_BYTES, DfuDescriptor, DfuStatus, Request, State, dfu_interface

TIMEOUT_MS: Final = 5000
"""Bound of one control transfer, as USB 2.0 section 9.2.6.1 has it."""

_SEARCHING: Final = threading.Lock()
"""Many units are flashed at once, and pyusb's first search in two threads makes two contexts of
libusb, of which it frees one while it is in use."""

_TO_HOST, _TO_DEVICE = 0xA1, 0x21
_GONE: Final = (errno.ENODEV, errno.ENOENT, errno.EIO, errno.ESHUTDOWN, errno.EPROTO)


class DfuPort:
    """A DFU interface, claimed until it is closed.

    Args:
        device: As it is plugged in now.
        backend: A pyusb backend in place of libusb.

    Raises:
        AccessDeniedError: This process may not open it.
        DeviceBusyError: Another program holds it.
        FlashError: It is no DFU device, or a strange one.
        DeviceGoneError: It is not there any more.
    """

    def __init__(self, device: UsbDevice, backend: IBackend | None = None) -> None:
        interface = dfu_interface(device)
        if interface is None:
            raise FlashError(f"{device} has no DFU interface", "it cannot be flashed over USB")
        self._device = _found(device, backend)
        self._interface = interface.number
        try:
            with _as_flash_errors(f"opening {device}"):
                usb.util.claim_interface(self._device, self._interface)
                self.abilities = self._described()
        except BaseException:
            self.close()
            raise

    def _described(self) -> DfuDescriptor:
        """The functional descriptor of the interface, or of the configuration it stands in."""
        configuration = self._device.get_active_configuration()
        settings = [each for each in configuration if each.bInterfaceNumber == self._interface]
        if len(settings) != 1:
            raise FlashRefusedError(
                f"the DFU interface has {len(settings)} alternate settings",
                "devices with several memories are flashed by dfu-util --alt",
            )
        return DfuDescriptor.parse(bytes(settings[0].extra_descriptors))

    def detach(self) -> None:
        """``DFU_DETACH``; a device that leaves at once may not answer any more."""
        try:
            with _as_flash_errors("detaching"):
                self._out(Request.DETACH, self.abilities.detach_ms)
        except DeviceGoneError:
            return

    def download(self, block: int, data: bytes) -> None:
        """``DFU_DNLOAD``; no data ends the download."""
        with _as_flash_errors(f"sending block {block}"):
            self._out(Request.DNLOAD, block & 0xFFFF, data)

    def upload(self, block: int, length: int) -> bytes:
        """``DFU_UPLOAD``; fewer bytes than asked for are the last."""
        with _as_flash_errors(f"reading block {block}"):
            return self._in(Request.UPLOAD, block & 0xFFFF, length)

    def status(self) -> DfuStatus:
        """``DFU_GETSTATUS``."""
        with _as_flash_errors("asking for the status"):
            return DfuStatus.parse(self._in(Request.GETSTATUS, 0, STATUS_BYTES))

    def make_idle(self, state: State) -> None:
        """``DFU_CLRSTATUS`` or ``DFU_ABORT``, whichever leads from that state to ``dfuIDLE``."""
        with _as_flash_errors("clearing the status"):
            self._out(Request.CLRSTATUS if state is State.DFU_ERROR else Request.ABORT)

    def reset(self) -> None:
        """Resets the bus; a device that comes back as another one is not an error."""
        try:
            with _as_flash_errors("resetting the bus"):
                self._device.reset()
        except DeviceGoneError:
            return

    def close(self) -> None:
        """Lets go of the device."""
        usb.util.dispose_resources(self._device)

    def _out(self, request: Request, value: int = 0, data: bytes = b"") -> None:
        self._device.ctrl_transfer(
            _TO_DEVICE, request, value, self._interface, data, timeout=TIMEOUT_MS
        )

    def _in(self, request: Request, value: int, length: int) -> bytes:
        answer = self._device.ctrl_transfer(
            _TO_HOST, request, value, self._interface, length, timeout=TIMEOUT_MS
        )
        return bytes(answer)


def _found(device: UsbDevice, backend: IBackend | None) -> Any:  # noqa: ANN401 - pyusb is untyped
    bus, address = device.address
    try:
        with _SEARCHING:
            found = usb.core.find(backend=backend, bus=bus, address=address)
    except usb.core.NoBackendError as error:
        raise FlashError("libusb is not installed", "apt-get install libusb-1.0-0") from error
    if found is None:
        raise DeviceGoneError(f"{device} has just left the bus")
    return found


@contextmanager
def _as_flash_errors(doing: str) -> Iterator[None]:
    """Says in our words what libusb found."""
    try:
        yield
    except usb.core.USBTimeoutError as error:
        raise FlashTimeoutError(f"while {doing}: no answer in {TIMEOUT_MS} ms") from error
    except usb.core.USBError as error:
        if error.errno in (errno.EACCES, errno.EPERM):
            raise AccessDeniedError(
                f"while {doing}: permission denied; turret devices says which rule is missing"
            ) from error
        if error.errno == errno.EBUSY:
            raise DeviceBusyError(f"while {doing}: another program holds the device") from error
        if error.errno in _GONE:
            raise DeviceGoneError(f"while {doing}: the device is gone ({error})") from error
        raise FlashRefusedError(f"while {doing}: {error}") from error
    except (ValueError, IndexError, NotImplementedError) as error:
        if isinstance(error, FlashError):
            raise
        raise FlashRefusedError(f"while {doing}: senseless descriptors: {error}") from error
