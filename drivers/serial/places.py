"""Where the serial line of a board position is: the ``url`` of its match, or a device on USB."""

from collections.abc import Callable, Iterable

from ...hal.board import DeviceSpec
from ...hal.errors import BoardError, MatchError
from ...hal.hardware import UsbDevice
from ...hal.matching import find
from ..usb.present import present

Place = Callable[[], str]


def place_of(spec: DeviceSpec, seen: Callable[[], Iterable[UsbDevice]] = present) -> Place:
    """Returns what finds the line: called before each attempt, for a device may have been moved.

    Args:
        spec: With a ``url``, or with what its USB device answers to.
        seen: Returns what is plugged in.

    Raises:
        BoardError: The match names neither.
    """
    if "url" in spec.match:
        url = str(spec.match["url"])
        return lambda: url
    if spec.usb:
        return lambda: _tty(spec, seen())
    remedy = "add 'match: {url: /dev/ttyACM0}', socket://host:port, rfc2217://host:port or a USB id"
    raise BoardError(f"device {spec.position} names no serial line", remedy=remedy)


def _tty(spec: DeviceSpec, devices: Iterable[UsbDevice]) -> str:
    """Returns the tty of the device; of several the one with the lowest interface number."""
    device = find(spec, devices)
    if not device.tty:
        remedy = device.problem or "load the kernel's driver for it, cdc_acm or usbserial"
        raise MatchError(f"{device} has no serial port", remedy=remedy)
    return device.tty[min(device.tty)]
