"""Errors as pyusb raises them when libusb 1.0 reports one: code, ``errno`` and words."""

import errno
from enum import IntEnum
from types import MappingProxyType
from typing import Final

from usb.core import USBError, USBTimeoutError


class Code(IntEnum):
    """``enum libusb_error``."""

    IO = -1
    INVALID_PARAM = -2
    NO_DEVICE = -4
    NOT_FOUND = -5
    BUSY = -6
    TIMEOUT = -7
    OVERFLOW = -8
    PIPE = -9
    OTHER = -99


_ERRNO: Final = MappingProxyType(
    {
        Code.IO: (errno.EIO, "Input/Output Error"),
        Code.INVALID_PARAM: (errno.EINVAL, "Invalid parameter"),
        Code.NO_DEVICE: (errno.ENODEV, "No such device (it may have been disconnected)"),
        Code.NOT_FOUND: (errno.ENOENT, "Entity not found"),
        Code.BUSY: (errno.EBUSY, "Resource busy"),
        Code.TIMEOUT: (errno.ETIMEDOUT, "Operation timed out"),
        Code.OVERFLOW: (errno.EOVERFLOW, "Overflow"),
        Code.PIPE: (errno.EPIPE, "Pipe error"),
        Code.OTHER: (None, "Other error"),
    }
)


def failure(code: Code) -> USBError:
    """Returns the exception that pyusb's libusb backend raises for a code."""
    number, words = _ERRNO[code]
    kind = USBTimeoutError if code is Code.TIMEOUT else USBError
    return kind(words, int(code), number)
