"""What the operating system says about a device, in our own words."""

import errno
from typing import Final

from ...hal.errors import DeviceError, DeviceGoneError
from ..errors import (
    AccessDeniedError,
    DeviceBusyError,
    NoAnswerError,
    StallError,
    TransferError,
)
from .nodes import RULES

_DENIED: Final = frozenset({errno.EACCES, errno.EPERM})
_REMEDY: Final = (
    f"copy {RULES} (beside openturret.drivers.usb) to /etc/udev/rules.d, then "
    "udevadm control --reload && udevadm trigger"
)


def failure(what: str, error: OSError) -> DeviceError:
    """Returns the error that stands for what the system said about ``what``.

    What is not known to be passing is a device that is gone: the driver attaches it afresh.
    """
    if error.errno in _DENIED:
        return AccessDeniedError(f"{what} may not be opened; {_REMEDY}")
    if error.errno == errno.EBUSY:
        return DeviceBusyError(f"{what} is held by another program; close that one")
    if error.errno == errno.EPIPE:
        return StallError(f"{what} refused")
    if error.errno == errno.ETIMEDOUT:
        return NoAnswerError(f"{what} did not answer in time")
    if error.errno in (errno.EOVERFLOW, errno.EINVAL):
        return TransferError(f"{what}: {error.strerror}")
    return DeviceGoneError(f"{what}: {error.strerror or error}")
