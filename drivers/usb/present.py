"""What is plugged in now: from sysfs where there is one, otherwise asked through libusb.

>>> for device in present():                                     # doctest: +SKIP
...     print(device, device.hidraw, device.alsa_card)
1209:7701 TP-0001 on 1-1 {3: '/dev/hidraw0'} 1
"""

from pathlib import Path
from typing import Final

import usb.backend.libusb1
from usb.backend import IBackend

from ...hal.errors import DriverMissingError
from ...hal.hardware import UsbDevice
from . import enumeration, sysfs

SYSFS: Final = Path("/sys")


def present(root: Path = SYSFS, *, backend: IBackend | None = None) -> tuple[UsbDevice, ...]:
    """Returns every USB device but hubs, by port.

    Args:
        root: Where sysfs is mounted.
        backend: A pyusb backend to ask in place of sysfs; the twins have one.

    Raises:
        DriverMissingError: There is neither sysfs nor libusb.
    """
    if backend is not None:
        return enumeration.devices(backend)
    if sysfs.shows_usb(root):
        return sysfs.devices(root)
    return enumeration.devices(_libusb())


def _libusb() -> IBackend:
    found = usb.backend.libusb1.get_backend()
    if found is None:
        raise DriverMissingError("USB cannot be seen; apt-get install libusb-1.0-0")
    return found
