"""USB devices as libusb, or the twins in its place, enumerate them through pyusb.

No kernel driver is looked for: what is found here has neither ``hidraw`` nor ``tty`` nor a sound
card.  Strings are read from the device itself, so each is opened for a moment.
"""

import errno
import logging
from dataclasses import replace
from typing import Final

import usb.core
import usb.util
from usb.backend import IBackend

from ...hal.hardware import UsbDevice, UsbInterface, port_order
from .nodes import RULES
from .strings import plain

logger = logging.getLogger(__name__)

HUB: Final = 0x09
_NONSENSE: Final = (usb.core.USBError, ValueError, IndexError)
"""What pyusb raises where a device answers nonsense, nothing, or may not be opened."""


def devices(backend: IBackend) -> tuple[UsbDevice, ...]:
    """Returns every device but hubs, by port."""
    found = usb.core.find(find_all=True, backend=backend)
    seen = (_device(each) for each in found if each.bDeviceClass != HUB)
    return tuple(sorted(seen, key=lambda device: port_order(device.port)))


def _device(found: usb.core.Device) -> UsbDevice:
    bare = UsbDevice(
        vid=found.idVendor,
        pid=found.idProduct,
        port=_port(found),
        bcd_device=found.bcdDevice,
        address=(found.bus or 0, found.address or 0),
    )
    try:
        interfaces = _interfaces(found)
        serial, product = _string(found, found.iSerialNumber), _string(found, found.iProduct)
        return replace(bare, interfaces=interfaces, serial=serial, product=product)
    except _NONSENSE as error:
        return replace(bare, problem=_problem(error))
    finally:
        usb.util.dispose_resources(found)


def _port(found: usb.core.Device) -> str:
    return f"{found.bus}-{'.'.join(map(str, found.port_numbers or ()))}"


def _interfaces(found: usb.core.Device) -> tuple[UsbInterface, ...]:
    every = found.get_active_configuration()
    return tuple(
        UsbInterface(
            each.bInterfaceNumber,
            each.bInterfaceClass,
            each.bInterfaceSubClass,
            each.bInterfaceProtocol,
        )
        for each in every
        if each.bAlternateSetting == 0
    )


def _string(found: usb.core.Device, index: int) -> str:
    """A string that cannot be read is one that the device does not have."""
    try:
        return plain(usb.util.get_string(found, index) or "")
    except _NONSENSE as error:
        logger.info("%04x:%04x: string %d: %s", found.idVendor, found.idProduct, index, error)
        return ""


def _problem(error: Exception) -> str:
    if isinstance(error, usb.core.USBError) and error.errno in (errno.EACCES, errno.EPERM):
        return f"it may not be opened; copy {RULES} to /etc/udev/rules.d and plug it in again"
    return f"it does not answer: {error}; plug it in again"
