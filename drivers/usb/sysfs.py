"""USB devices as Linux shows them: ``/sys/bus/usb/devices``; nothing is opened.

A folder ``1-1.2`` is the device on port 2 of the hub on port 1 of bus 1, ``1-1.2:1.3`` in it
interface 3 of its configuration 1 (Documentation/ABI/testing/sysfs-bus-usb of the kernel).  What
the kernel made of an interface lies below: ``hidraw``, ``tty``, ``sound``.  What the device says of
itself is bounded and never trusted to be text.
"""

import logging
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from ...hal.hardware import UsbDevice, UsbInterface, port_order
from .nodes import Openable, first_problem, openable
from .strings import plain

logger = logging.getLogger(__name__)

MAX_ATTRIBUTE_BYTES: Final = 512
HUB: Final = 0x09
HID: Final = 0x03
_DEVICES: Final = Path("bus/usb/devices")
_PORT: Final = re.compile(r"[0-9]{1,3}-[0-9]{1,3}(\.[0-9]{1,3}){0,6}")
_TTY: Final = ("tty/*", "*/tty/*")


def shows_usb(root: Path) -> bool:
    """Whether sysfs is mounted there and the kernel has USB."""
    return (root / _DEVICES).is_dir()


def devices(
    root: Path, dev: Path = Path("/dev"), may_open: Openable = openable
) -> tuple[UsbDevice, ...]:
    """Returns every device but hubs, by port.

    Args:
        root: Where sysfs is mounted.
        dev: Where the device nodes are.
        may_open: Whether a node may be opened by this process.
    """
    folders = (each for each in (root / _DEVICES).iterdir() if _PORT.fullmatch(each.name))
    found = (_device(folder, dev, may_open) for folder in folders)
    return tuple(sorted(filter(None, found), key=lambda device: port_order(device.port)))


def _device(folder: Path, dev: Path, may_open: Openable) -> UsbDevice | None:
    try:
        if _number(folder / "bDeviceClass", 16) == HUB:
            return None
        return _read(folder, dev, may_open)
    except (OSError, ValueError) as error:
        logger.info("%s went away while it was looked at: %s", folder.name, error)
        return None


def _read(folder: Path, dev: Path, may_open: Openable) -> UsbDevice:
    parts = [(_interface(part), part) for part in folder.glob(f"{folder.name}:*")]
    parts.sort(key=lambda part: part[0].number)
    hidraw = _nodes(parts, dev, "*/hidraw/*")
    tty = _nodes(parts, dev, *_TTY)
    card = _card(parts)
    address = (_number(folder / "busnum"), _number(folder / "devnum"))
    interfaces = tuple(interface for interface, _ in parts)
    wanted = _wanted(dev, address, interfaces, hidraw, tty, card)
    return UsbDevice(
        vid=_number(folder / "idVendor", 16),
        pid=_number(folder / "idProduct", 16),
        port=folder.name,
        serial=plain(_text(folder / "serial")),
        bcd_device=_number(folder / "bcdDevice", 16),
        product=plain(_text(folder / "product")),
        address=address,
        interfaces=interfaces,
        hidraw=hidraw,
        tty=tty,
        alsa_card=card,
        problem=first_problem(wanted, may_open),
    )


def _interface(part: Path) -> UsbInterface:
    return UsbInterface(
        number=_number(part / "bInterfaceNumber", 16),
        usb_class=_number(part / "bInterfaceClass", 16),
        subclass=_number(part / "bInterfaceSubClass", 16),
        protocol=_number(part / "bInterfaceProtocol", 16),
    )


def _nodes(parts: Sequence[tuple[UsbInterface, Path]], dev: Path, *patterns: str) -> dict[int, str]:
    return {
        interface.number: str(dev / name)
        for interface, part in parts
        if (name := next(_names(part, patterns), None)) is not None
    }


def _names(part: Path, patterns: Sequence[str]) -> Iterator[str]:
    for pattern in patterns:
        yield from sorted(path.name for path in part.glob(pattern))


def _card(parts: Sequence[tuple[UsbInterface, Path]]) -> int | None:
    names = (name for _, part in parts for name in _names(part, ["sound/card*"]))
    return min((int(name.removeprefix("card")) for name in names), default=None)


def _wanted(
    dev: Path,
    address: tuple[int, int],
    interfaces: Sequence[UsbInterface],
    hidraw: dict[int, str],
    tty: dict[int, str],
    card: int | None,
) -> Iterator[Path]:
    """The nodes that a driver of the device would open."""
    yield from map(Path, (*hidraw.values(), *tty.values()))
    if card is not None:
        yield dev / f"snd/controlC{card}"
    held = {interface.number for interface in interfaces if interface.usb_class == HID}
    if held - hidraw.keys() or not (hidraw or tty or card is not None):
        yield dev / f"bus/usb/{address[0]:03}/{address[1]:03}"


def _number(path: Path, base: int = 10) -> int:
    return int(_text(path, needed=True), base)


def _text(path: Path, *, needed: bool = False) -> str:
    if not needed and not path.exists():
        return ""
    with path.open("rb") as file:
        data = file.read(MAX_ATTRIBUTE_BYTES)
    return data.decode(errors="replace").rstrip("\n")
