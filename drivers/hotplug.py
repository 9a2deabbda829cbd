"""Plugging and unplugging of USB devices: sysfs says what is there, netlink says when to look.

An event is the difference between two looks at sysfs, so that it never matters which kernel
message came, came twice, or was lost.  The kernel's messages (pyudev) only make the next look
come at once; a look every ``POLL_S`` serves where there are none: in a network namespace of its
own, where netlink is forbidden, and where pyudev is not installed.
"""

import asyncio
import contextlib
import logging
import re
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final, TypeAlias

from ..hal.hotplug import PlugEvent

try:
    import pyudev
except ImportError:
    pyudev = None

logger = logging.getLogger(__name__)

SYSFS: Final = Path("/sys")
POLL_S: Final = 1.0
MAX_MESSAGES: Final = 256
"""Kernel messages taken in one go; what is left wakes us again."""
_DEVICE: Final = re.compile(r"\d+-\d+(\.\d+)*")
_PARTS: Final = ("sound/card*", "hidraw/hidraw*", "*/hidraw/hidraw*", "tty/tty*", "tty[A-Z]*")

Look: TypeAlias = Mapping[str, str]
"""By port, what is there: the address that it got and the parts that the kernel made of it."""
Wakeups: TypeAlias = Callable[[asyncio.Event], AbstractContextManager[None]]


def look(sysfs: Path) -> Look:
    """Returns what is on every USB port; nothing where there is no sysfs.

    Args:
        sysfs: ``/sys``, or a tree like it.
    """
    try:
        entries = sorted((sysfs / "bus/usb/devices").iterdir())
    except OSError:
        return {}
    return {path.name: _traits(path) for path in entries if _DEVICE.fullmatch(path.name)}


def changes(before: Look, after: Look) -> Iterator[PlugEvent]:
    """Yields what happened between two looks; what left comes before what came."""
    for port in sorted(before.keys() - after.keys()):
        yield PlugEvent(port, plugged=False)
    for port in sorted(after):
        if before.get(port) != after[port]:
            if _address(before.get(port, "")) not in ("", _address(after[port])):
                yield PlugEvent(port, plugged=False)
            yield PlugEvent(port, plugged=True)


class UsbHotplug:
    """Tells which USB ports change.

    Args:
        sysfs: Where the kernel shows its devices.
        wakeups: Sets an event whenever the kernel says that something changed.
        poll_s: How long it may take where the kernel says nothing.
    """

    def __init__(
        self, sysfs: Path = SYSFS, wakeups: Wakeups | None = None, *, poll_s: float = POLL_S
    ) -> None:
        self._sysfs = sysfs
        self._wakeups = kernel_messages if wakeups is None else wakeups
        self._poll_s = poll_s

    async def events(self) -> AsyncIterator[PlugEvent]:
        """Yields what changes from now on, until the iterator is closed."""
        wake = asyncio.Event()
        with self._wakeups(wake):
            before = look(self._sysfs)
            while True:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._poll_s):
                        await wake.wait()
                wake.clear()
                after = look(self._sysfs)
                for event in changes(before, after):
                    yield event
                before = after


@contextlib.contextmanager
def kernel_messages(wake: asyncio.Event) -> Iterator[None]:
    """Sets the event at every message of the kernel about USB and what hangs on it."""
    monitor = _monitor()
    if monitor is None:
        yield
        return
    loop = asyncio.get_running_loop()
    loop.add_reader(monitor.fileno(), _drain, monitor, wake)
    try:
        yield
    finally:
        loop.remove_reader(monitor.fileno())


def _monitor() -> "pyudev.Monitor | None":
    if pyudev is None:
        logger.info("pyudev is not installed: USB ports are looked at every %g s", POLL_S)
        return None
    try:
        monitor = pyudev.Monitor.from_netlink(pyudev.Context(), source="kernel")
        for subsystem in ("usb", "sound", "hidraw", "tty"):
            monitor.filter_by(subsystem)
        monitor.start()
    except OSError as error:
        logger.info("no netlink (%s): USB ports are looked at every %g s", error, POLL_S)
        return None
    return monitor


def _drain(monitor: "pyudev.Monitor", wake: asyncio.Event) -> None:
    wake.set()
    for _ in range(MAX_MESSAGES):
        if monitor.poll(timeout=0) is None:
            return


def _traits(device: Path) -> str:
    """Returns ``address parts``; the address changes at every plug-in."""
    try:
        address = (device / "devnum").read_text(errors="replace").strip()
    except OSError:
        address = ""
    return f"{address} {' '.join(sorted(_parts(device)))}"


def _parts(device: Path) -> Iterator[str]:
    for pattern in _PARTS:
        for part in device.glob(f"{device.name}:*/{pattern}"):
            yield part.name


def _address(traits: str) -> str:
    return traits.partition(" ")[0]
