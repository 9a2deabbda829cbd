"""What a telephony device is doing: reports and lamp orders in, events and lamps out, pure.

Its hook switch and its mute are requests.  The device waits for the lamp of the same name as an
acknowledgement, and takes the request back when none comes; so each change of theirs sets that
lamp at once.  How they report is for the device to choose (HID Usage Tables section 3.4.1.2): a
switch that stays, a key that toggles, or two keys; a toggle has no position of its own, the lamp
is its position.  A mute applies off-hook only.

The first change of a contact counts at once; what follows within :data:`HOLD_OFF_S` is bounce,
and counts only when it lasts.
"""

import enum
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from ...hal.clock import Clock
from ...hal.device import Lamp
from ...hal.events import (
    DeviceEvent,
    HookEvent,
    HookState,
    KeyEvent,
    LatchEvent,
    MuteEvent,
    PttEvent,
    VolumeEvent,
)
from .report_descriptor import Field
from .reports import Address, Reading

HOLD_OFF_S: Final = 0.02
"""Longer than a contact bounces, shorter than a hand moves."""


class Role(enum.Enum):
    """What a control of a device is for."""

    HOOK = enum.auto()
    MUTE = enum.auto()
    PTT = enum.auto()
    LATCH = enum.auto()
    KEY = enum.auto()
    KNOB = enum.auto()
    LOUDER = enum.auto()
    QUIETER = enum.auto()


class Style(enum.Enum):
    """How a two-state control reports (HID Usage Tables section 3.4.1.2)."""

    SWITCH = enum.auto()
    TOGGLE = enum.auto()
    TWO_KEYS = enum.auto()


def style_of(field: Field) -> Style:
    """Returns how a two-state control of that field reports."""
    if not (field.variable and field.relative):
        return Style.SWITCH
    return Style.TWO_KEYS if field.logical_minimum < 0 else Style.TOGGLE


@dataclass(frozen=True, slots=True)
class Part:
    """One control of a device.

    Attributes:
        role: What it is for.
        style: How it reports.
        key: Name of a key.
        channel: Of a knob or volume key: from 1, 0 is the device as a whole.
        relative: Whether a knob reports its turn and not its place.
    """

    role: Role
    style: Style = Style.SWITCH
    key: str = ""
    channel: int = 0
    relative: bool = False


_HELD: Final = frozenset({Role.PTT, Role.KEY})
"""Nobody holds these on a device that cannot say."""


class Contact:
    """A contact behind its bounce; ``value`` is what counts."""

    def __init__(self) -> None:
        self.value = 0
        self._reported = 0
        self._reported_at_s = self._quiet_until_s = float("-inf")

    @property
    def due_s(self) -> float | None:
        """When a change that waits will count, None when nothing waits."""
        return self._quiet_until_s if self._reported != self.value else None

    def report(self, value: int, now_s: float) -> bool:
        """The device reports; returns whether ``value`` changed.  What waits is settled before."""
        if value != self._reported:
            self._reported, self._reported_at_s = value, now_s
        return self.settle(now_s)

    def settle(self, now_s: float) -> bool:
        """Time passed; returns whether ``value`` changed."""
        if self._reported == self.value or now_s < self._quiet_until_s:
            return False
        self.value = self._reported
        self._quiet_until_s = self._reported_at_s + HOLD_OFF_S
        return True


class Telephony:
    """State of one device, kept while it is away.

    Args:
        position: The device's place on the board, for its events.
        clock: Stamps events, and tells bounce from a hand.
    """

    def __init__(self, position: str, clock: Clock) -> None:
        self._position = position
        self._clock = clock
        self._parts: Mapping[Address, Part] = {}
        self._contacts: dict[Address, Contact] = {}
        self._knobs: dict[Address, int] = {}
        self._lit: set[str] = set()
        self._off_hook = self._mute_wanted = False
        self.talking = self.latched = self.muted = False
        self.pressed: frozenset[str] = frozenset()

    @property
    def hook(self) -> HookState:
        """Where the handset lies."""
        return HookState.OFF_HOOK if self._off_hook else HookState.ON_HOOK

    @property
    def lit(self) -> frozenset[str]:
        """Names of the lamps that shall be lit."""
        return frozenset(self._lit)

    @property
    def due_s(self) -> float | None:
        """When :meth:`report` is wanted for time alone, by the monotonic clock; None for never."""
        waiting = (contact.due_s for contact in self._contacts.values())
        return min((due for due in waiting if due is not None), default=None)

    def attach(
        self, parts: Mapping[Address, Part], readings: Iterable[Reading]
    ) -> list[DeviceEvent]:
        """The device answers; returns what happened while it was away.

        Args:
            parts: The controls that it has now.
            readings: What it says of itself; a hook or a mute that says nothing stays as it was.
        """
        self._parts = parts
        self._contacts = {address: Contact() for address in parts}
        self._knobs = {}
        stated = {reading.address: reading.value for reading in readings if not reading.relative}
        events = list(self._let_go())
        for address, part in parts.items():
            if address in stated or part.role in _HELD:
                events += self._state(address, part, stated.get(address, 0))
        return events

    def report(self, readings: Iterable[Reading] = ()) -> list[DeviceEvent]:
        """Reports came, or nothing but time; returns what happened."""
        now_s = self._clock.monotonic()
        events = self._settle(now_s)
        for reading in readings:
            part = self._parts.get(reading.address)
            if part is not None:
                events += self._read(part, reading, now_s)
        return events

    def light(self, lamp: str, *, lit: bool) -> list[DeviceEvent]:
        """The host orders a lamp; returns what that changes at the device.

        A toggle is where its lamp says: it answers the next press from there.
        """
        self._show(lamp, lit=lit)
        if lamp == Lamp.OFF_HOOK and self._toggles(Role.HOOK):
            self._off_hook = lit
        if lamp == Lamp.MUTE and self._toggles(Role.MUTE):
            self._mute_wanted = self.muted = lit and self._may_mute
        return self._remute()

    # ------------------------------------------------------------ controls

    def _settle(self, now_s: float) -> list[DeviceEvent]:
        """What counts now that its bounce is over."""
        events: list[DeviceEvent] = []
        for address, contact in self._contacts.items():
            if contact.settle(now_s):
                events += self._change(self._parts[address], contact.value)
        return events

    def _read(self, part: Part, reading: Reading, now_s: float) -> list[DeviceEvent]:
        match part.role:
            case Role.KNOB:
                return self._turn(part, reading)
            case Role.LOUDER | Role.QUIETER:
                return self._step(part, reading)
        contact = self._contacts[reading.address]
        if not contact.report(reading.value, now_s):
            return []
        return self._change(part, reading.value)

    def _state(self, address: Address, part: Part, value: int) -> list[DeviceEvent]:
        """The device says what is, before anything can bounce."""
        if part.role in (Role.KNOB, Role.LOUDER, Role.QUIETER):
            self._knobs[address] = value
            return []
        self._contacts[address].report(value, self._clock.monotonic() - HOLD_OFF_S)
        return self._change(part, value)

    def _change(self, part: Part, value: int) -> list[DeviceEvent]:
        match part.role:
            case Role.HOOK:
                return self._hook_moved(_moved(part.style, self._off_hook, value))
            case Role.MUTE:
                return self._mute_moved(part.style, value)
            case Role.PTT:
                return self._ptt(bool(value))
            case Role.LATCH:
                return self._latch(_moved(part.style, self.latched, value))
        return self._key(part.key, bool(value))

    def _hook_moved(self, off_hook: bool) -> list[DeviceEvent]:
        if off_hook is self._off_hook:
            return []
        self._off_hook = off_hook
        self._show(Lamp.OFF_HOOK, lit=off_hook)
        if not off_hook and self._toggles(Role.MUTE):
            self._mute_wanted = False
        return [HookEvent(self._clock.unix(), self._position, self.hook), *self._remute()]

    def _mute_moved(self, style: Style, value: int) -> list[DeviceEvent]:
        if style is Style.SWITCH or self._may_mute:
            self._mute_wanted = _moved(style, self._mute_wanted, value)
        return self._remute()

    def _remute(self) -> list[DeviceEvent]:
        muted = self._mute_wanted and self._may_mute
        if muted is self.muted:
            return []
        self.muted = muted
        self._show(Lamp.MUTE, lit=muted)
        return [MuteEvent(self._clock.unix(), self._position, muted)]

    def _ptt(self, pressed: bool) -> list[DeviceEvent]:
        if pressed is self.talking:
            return []
        self.talking = pressed
        return [PttEvent(self._clock.unix(), self._position, pressed)]

    def _latch(self, latched: bool) -> list[DeviceEvent]:
        if latched is self.latched:
            return []
        self.latched = latched
        return [LatchEvent(self._clock.unix(), self._position, latched)]

    def _key(self, key: str, pressed: bool) -> list[DeviceEvent]:
        if pressed is (key in self.pressed):
            return []
        self.pressed = self.pressed | {key} if pressed else self.pressed - {key}
        return [KeyEvent(self._clock.unix(), self._position, key, pressed)]

    def _turn(self, part: Part, reading: Reading) -> list[DeviceEvent]:
        before = self._knobs.get(reading.address)
        self._knobs[reading.address] = reading.value
        if part.relative:
            return self._louder(part, reading.value)
        return [] if before is None else self._louder(part, reading.value - before)

    def _step(self, part: Part, reading: Reading) -> list[DeviceEvent]:
        before = self._knobs.get(reading.address, 0)
        self._knobs[reading.address] = reading.value
        if before or not reading.value:
            return []
        return self._louder(part, 1 if part.role is Role.LOUDER else -1)

    def _louder(self, part: Part, steps: int) -> list[DeviceEvent]:
        if not steps:
            return []
        return [VolumeEvent(self._clock.unix(), self._position, part.channel, steps)]

    # ------------------------------------------------------------ what the device has

    @property
    def _may_mute(self) -> bool:
        """A device without a hook is never on it."""
        if not any(part.role is Role.HOOK for part in self._parts.values()):
            return True
        return self._off_hook or Lamp.OFF_HOOK in self._lit

    def _toggles(self, role: Role) -> bool:
        return any(
            part.role is role and part.style is not Style.SWITCH for part in self._parts.values()
        )

    def _show(self, lamp: str, *, lit: bool) -> None:
        (self._lit.add if lit else self._lit.discard)(lamp)

    def _let_go(self) -> Iterator[DeviceEvent]:
        """Lets go of what a device of another kind had."""
        keys = {part.key for part in self._parts.values() if part.role is Role.KEY}
        for key in sorted(self.pressed - keys):
            yield from self._key(key, False)
        if not any(part.role is Role.PTT for part in self._parts.values()):
            yield from self._ptt(False)


def _moved(style: Style, state: bool, value: int) -> bool:
    """State after the value of a two-state control changed."""
    match style:
        case Style.SWITCH:
            return value != 0
        case Style.TOGGLE:
            return state ^ (value != 0)
    return value > 0 if value else state
