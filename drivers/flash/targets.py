"""Which units are meant: by port, by line, by position of the board, or all that a file fits."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from usb.backend import IBackend

from ...hal.board import Board
from ...hal.errors import MatchError
from ...hal.hardware import UsbDevice
from ...hal.matching import find
from .dfu import DfuDevice, Present
from .dfu_protocol import dfu_interface, running_pid
from .firmware import Firmware
from .flashing import Flashable
from .pace import Pace

_PORT: Final = re.compile(r"[0-9]{1,3}-[0-9]{1,3}(\.[0-9]{1,3}){0,6}")


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Where units are looked for.

    Attributes:
        present: Tells what is plugged in.
        pace: For everything that takes time.
        backend: A pyusb backend in place of libusb.
    """

    present: Present
    pace: Pace
    backend: IBackend | None = None


def choose(
    names: Sequence[str], board: Board | None, firmware: Firmware, around: Surroundings
) -> tuple[Flashable, ...]:
    """Returns the units that were named, or without names all that the firmware is for.

    Raises:
        MatchError: A name means no unit, or not exactly one, or one unit was named twice.
    """
    present = tuple(around.present())
    chosen = [_named(name, board, present, around) for name in names]
    if not names:
        chosen = [_on_usb(device, around) for device in _fitting(firmware, present)]
    units = dict(chosen)
    if len(units) != len(chosen):
        raise MatchError("one device was named twice", remedy="name each once")
    return tuple(units.values())


def _fitting(firmware: Firmware, present: Iterable[UsbDevice]) -> list[UsbDevice]:
    suffix = firmware.suffix
    if suffix is None:
        raise MatchError(
            "the file does not say for which device it is", remedy="name the unit with --device"
        )
    found = [
        device
        for device in present
        if dfu_interface(device) is not None
        and (
            suffix.fits(device.vid, device.pid, device.bcd_device)
            or suffix.fits(device.vid, running_pid(device), device.bcd_device)
        )
    ]
    if not found:
        raise MatchError(
            f"no device is plugged in that the file is for: {suffix}",
            remedy="turret devices lists what is there",
        )
    return found


def _named(
    name: str, board: Board | None, present: Sequence[UsbDevice], around: Surroundings
) -> tuple[str, Flashable]:
    if name.startswith("/"):
        return _on_line(name, name, None, around)
    if _PORT.fullmatch(name):
        for device in present:
            if device.port == name:
                return _on_usb(device, around)
        raise MatchError(f"port {name} has no device", remedy="turret devices lists what is there")
    return _at_position(name, board, present, around)


def _at_position(
    name: str, board: Board | None, present: Sequence[UsbDevice], around: Surroundings
) -> tuple[str, Flashable]:
    if board is None or name not in board.devices:
        known = "none: give --board" if board is None else ", ".join(board.devices)
        raise MatchError(
            f"{name!r} is neither a USB port (1-1.2), nor a serial line (/dev/…), nor a position",
            remedy=f"positions are {known}",
        )
    spec = board.devices[name]
    line = spec.match.get("url", "")
    if isinstance(line, str) and line.startswith("/dev/"):
        return _on_line(line, name, None, around)
    loaded = {_as_it_runs(device).port: device for device in present}
    found = find(spec, [_as_it_runs(device) for device in present])
    return _on_usb(loaded[found.port], around, name)


def _as_it_runs(device: UsbDevice) -> UsbDevice:
    """A device as the board describes it, also while its loader shows another product."""
    return replace(device, pid=running_pid(device))


def _on_usb(device: UsbDevice, around: Surroundings, name: str = "") -> tuple[str, Flashable]:
    if dfu_interface(device) is None and device.tty:
        line = next(iter(device.tty.values()))
        return _on_line(line, name or device.port, device, around)
    unit = DfuDevice(device, around.present, around.pace, backend=around.backend, name=name)
    return device.port, unit


def _on_line(
    line: str, name: str, device: UsbDevice | None, around: Surroundings
) -> tuple[str, Flashable]:
    # A handset has been flashed over USB before what this imports is there.
    from .smp import SmpDevice

    return line, SmpDevice(line, around.pace, name=name, device=device)
