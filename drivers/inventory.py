"""What is plugged in, and which positions of the board are filled: the facts of ``turret devices``.

Nothing is opened: a device that a unit is using is not disturbed by being looked at.
"""

import asyncio
import contextlib
import enum
from collections.abc import AsyncGenerator, Callable, Collection, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, TypeAlias

from ..hal.board import Board, DeviceSpec
from ..hal.errors import DriverMissingError
from ..hal.hardware import UsbDevice
from ..hal.matching import Finding, Spare, Verdict, assign
from .hotplug import Wakeups, kernel_messages
from .usb.nodes import Openable, first_problem, openable

LOOK_S: Final = 1.0


class State(enum.StrEnum):
    """How it is with a position.

    ``CLOSED`` is there but may not be opened; ``UNSEEN`` is where looking would disturb it.
    """

    READY = "ready"
    MISSING = "missing"
    AMBIGUOUS = "ambiguous"
    CLOSED = "closed"
    DRIVERLESS = "no driver"
    UNSEEN = "unseen"


_FILLED: Final = (State.READY, State.UNSEEN)


@dataclass(frozen=True, slots=True)
class Place:
    """One position of the board.

    Attributes:
        spec: Its description.
        state: How it is with it.
        what: What fills it, or would: a device and its nodes, a path.
        reason: Why it is not ready; "" when it is.
        remedy: What to do about that.
        device: What it took on USB.
    """

    spec: DeviceSpec
    state: State
    what: str = ""
    reason: str = ""
    remedy: str = ""
    device: UsbDevice | None = None

    @property
    def filled(self) -> bool:
        """Whether it is, as far as can be seen without opening it."""
        return self.state in _FILLED


@dataclass(frozen=True, slots=True)
class Inventory:
    """Everything that is there, and everything that should be.

    Attributes:
        board: Name of the board, "" without one.
        places: Its positions, in its order.
        spares: USB devices that no position took.
    """

    board: str
    places: tuple[Place, ...]
    spares: tuple[Spare, ...]

    @property
    def complete(self) -> bool:
        """Whether every position is filled that a unit needs."""
        return all(place.filled or place.spec.optional for place in self.places)


Usb: TypeAlias = Callable[[], Iterable[UsbDevice]]
"""Looks at what is on USB now."""


def on_usb(board: Board | None, look: Usb) -> Iterable[UsbDevice]:
    """Returns what is on USB.

    A machine without any way to see it is no hindrance to a board that asks for nothing there.

    Raises:
        DriverMissingError: USB cannot be seen.
    """
    try:
        return look()
    except DriverMissingError:
        if board is None or any(spec.usb for spec in board.devices.values()):
            raise
        return ()


def take_inventory(
    board: Board | None,
    usb: Iterable[UsbDevice],
    drivers: Collection[str],
    may_open: Openable = openable,
) -> Inventory:
    """Returns what is there and what it fills.

    Args:
        board: What should be there; None lists only what is.
        usb: The devices on USB.
        drivers: Names of the registered drivers, ``usb.handset``.
        may_open: Whether a node may be opened by this process.
    """
    if board is None:
        return Inventory("", (), tuple(Spare(each, "no board was given") for each in usb))
    found = assign(board, usb)
    places = tuple(_place(verdict, drivers, may_open) for verdict in found.verdicts)
    return Inventory(board.name, places, found.spares)


def _place(verdict: Verdict, drivers: Collection[str], may_open: Openable) -> Place:
    spec = verdict.spec
    place = _looked_at(verdict, may_open)
    if (name := f"{spec.driver}.{spec.type}") in drivers:
        return place
    reason = f"no driver {name} is installed"
    remedy = "install its package, or correct driver"
    return replace(place, state=State.DRIVERLESS, reason=reason, remedy=remedy)


def _looked_at(verdict: Verdict, may_open: Openable) -> Place:
    spec = verdict.spec
    if verdict.device is not None:
        return _taken(spec, verdict.device)
    if verdict.finding is Finding.ELSEWHERE:
        return _elsewhere(spec, may_open)
    ambiguous = verdict.finding is Finding.AMBIGUOUS
    state = State.AMBIGUOUS if ambiguous else State.MISSING
    return Place(spec, state, "", verdict.reason, verdict.remedy)


def _taken(spec: DeviceSpec, device: UsbDevice) -> Place:
    reason, _, remedy = device.problem.partition("; ")
    state = State.CLOSED if reason else State.READY
    return Place(spec, state, described(device), reason, remedy, device)


def _elsewhere(spec: DeviceSpec, may_open: Openable) -> Place:
    socket, url = spec.match.get("socket"), spec.match.get("url")
    if isinstance(socket, str):
        return _at_socket(spec, Path(f"{socket}.control"))
    if isinstance(url, str) and url.startswith("/"):
        return _at_node(spec, Path(url), may_open)
    reason = f"only its driver can tell; turret selftest {spec.position} asks it"
    return Place(spec, State.UNSEEN, str(url or spec.match.get("name", "")), reason)


def _at_socket(spec: DeviceSpec, path: Path) -> Place:
    if path.is_socket():
        return Place(spec, State.READY, str(path))
    remedy = "start python -m openturret.drivers.emulated, or correct the socket"
    return Place(spec, State.MISSING, "", f"nobody serves {path}", remedy)


def _at_node(spec: DeviceSpec, node: Path, may_open: Openable) -> Place:
    if not node.exists():
        remedy = "plug it in, or correct the url"
        return Place(spec, State.MISSING, "", f"{node} is not there", remedy)
    reason, _, remedy = first_problem([node], may_open).partition("; ")
    return Place(spec, State.CLOSED if reason else State.READY, str(node), reason, remedy)


def described(device: UsbDevice) -> str:
    """Returns a device with what the kernel made of it: ``... (hidraw0, sound card 1)``."""
    nodes = [Path(node).name for node in (*device.hidraw.values(), *device.tty.values())]
    cards = [] if device.alsa_card is None else [f"sound card {device.alsa_card}"]
    parts = ", ".join(nodes + cards)
    return f"{device} ({parts})" if parts else str(device)


async def watch(
    look: Callable[[], Inventory],
    seen: Inventory,
    *,
    wakeups: Wakeups = kernel_messages,
    poll_s: float = LOOK_S,
) -> AsyncGenerator[Inventory, None]:
    """Yields the inventory whenever it differs from the one before, until the iterator is closed.

    Args:
        look: Takes it.
        seen: The one before.
        wakeups: Sets an event whenever the kernel says that something changed.
        poll_s: How long a change may go unseen that the kernel says nothing of.
    """
    wake = asyncio.Event()
    with wakeups(wake):
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(poll_s):
                    await wake.wait()
            wake.clear()
            now = look()
            if now != seen:
                yield now
            seen = now
