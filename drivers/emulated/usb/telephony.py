"""The controls of a telephony device: a hand at one end, the host's lamps at the other.

Emulated, as USB telephony devices behave:

- The hook switch is a request; the host acknowledges it by the off-hook lamp.  An absolute switch
  (a cradle) says where the handset lies; a toggle (a button) sends 1 and 0 for each press, and the
  device is off hook when the lamp says so and not before.
- The mute key sends 1 and 0.  The device mutes at once and goes back unless the mute lamp answers
  within :data:`MUTE_ANSWER_S`; a host that moves the lamp by itself mutes the device.  Mute means
  something off hook only, on a device that has a hook.
- The call lock, a feature report, belongs to one of several programs on the host: while one has
  it, another one's number stalls.
- A knob sends one pulse of "volume increment" or "decrement" for each detent.

Not emulated: voice prompts, battery levels, and dialling keys.
"""

import enum
from collections.abc import Callable, Mapping
from typing import Final

from ....hal.clock import Clock
from ....hal.device import Lamp
from ....hal.ring import Colour, RingLight
from ...errors import EmulationError
from .hid import HidFunction, HidShape
from .misbehaviour import Misbehaviour
from .model import Stall
from .reports import Controls
from .usages import CALL_LOCK, Consumer, Led, Page, Telephony

MUTE_ANSWER_S: Final = 1.0
"""How long a device stays muted without an answer of the host."""

HOOK: Final = "hook"
MUTE: Final = "mute"
PTT: Final = "ptt"
LATCH: Final = "latch"
LOCK: Final = "call_lock"
COLOUR: Final = "ring_colour"
MODE: Final = "ring_mode"

_LAMP: Final = "-lamp"
_COLOURS: Final = (Colour.OFF, Colour.RED, Colour.GREEN, Colour.AMBER)
_ON: Final = 1
_FLASH: Final = 2
_USAGE_OF_LAMP: Final = {
    Lamp.OFF_HOOK: Led.OFF_HOOK,
    Lamp.MUTE: Led.MUTE,
    Lamp.RING: Led.RING,
    Lamp.HOLD: Led.HOLD,
    Lamp.SPEAKER: Led.SPEAKER,
    Lamp.TALK: Led.MICROPHONE,
}


class HookKind(enum.Enum):
    """How the hook switch reports."""

    ABSOLUTE = "absolute"
    TOGGLE = "toggle"


def hook_switch(kind: HookKind) -> Controls:
    """Returns the hook switch."""
    relative = kind is HookKind.TOGGLE
    return Controls((HOOK,), Page.TELEPHONY, (Telephony.HOOK_SWITCH,), relative=relative)


def mute_key() -> Controls:
    """Returns the mute key."""
    return Controls((MUTE,), Page.TELEPHONY, (Telephony.PHONE_MUTE,), relative=True)


def talk_switches(*names: str) -> Controls:
    """Returns push-to-talk, latch or both."""
    usages = {PTT: Telephony.LINE, LATCH: Telephony.ALTERNATE_FUNCTION}
    return Controls(names, Page.TELEPHONY, tuple(usages[name] for name in names))


def knob(channel: int = 0) -> Controls:
    """Returns the volume knob of a channel; 0 is the device as a whole."""
    usages = (Consumer.VOLUME_INCREMENT, Consumer.VOLUME_DECREMENT)
    return Controls(knob_names(channel), Page.CONSUMER, usages)


def knob_names(channel: int) -> tuple[str, str]:
    """Returns what the two directions of a knob are called."""
    return f"volume-{channel}-up", f"volume-{channel}-down"


def lamps(*which: Lamp) -> Controls:
    """Returns lamps of the LED page."""
    usages = tuple(_USAGE_OF_LAMP[lamp] for lamp in which)
    return Controls(tuple(f"{lamp}{_LAMP}" for lamp in which), Page.LED, usages)


def indicator(*names: str) -> Controls:
    """Returns lamps that have no usage of their own."""
    return Controls(tuple(name + _LAMP for name in names), Page.LED, (Led.GENERIC_INDICATOR,))


def call_lock() -> Controls:
    """Returns the number of the program that has the device, 0 for none."""
    return Controls((LOCK,), Page.VENDOR, (CALL_LOCK,), bits=8)


def ring_colour() -> Controls:
    """Returns the colour of a light ring, as a selector."""
    usages = (Led.INDICATOR_RED, Led.INDICATOR_GREEN, Led.INDICATOR_AMBER)
    return Controls((COLOUR,), Page.LED, usages, bits=8, selector=True)


def ring_mode() -> Controls:
    """Returns whether a light ring is on or flashes, as a selector."""
    usages = (Led.INDICATOR_ON, Led.INDICATOR_FLASH)
    return Controls((MODE,), Page.LED, usages, bits=8, selector=True)


class TelephonyControls:
    """The controls of one device; its owner holds the device's lock around every call.

    Args:
        shape: Its reports, made of the controls above.
        clock: Tells how long an answer takes.
        changed: Called when a report waits.
        misbehaviour: What it does wrong.

    Attributes:
        function: The wire, for the device's list of functions.
    """

    def __init__(
        self,
        shape: HidShape,
        *,
        clock: Clock,
        changed: Callable[[], None],
        misbehaviour: Misbehaviour,
    ) -> None:
        self._shape = shape
        self._clock = clock
        self._misbehaviour = misbehaviour
        self._toggle = shape.momentary(HOOK)
        self._wish: tuple[bool, float] | None = None
        self.function = HidFunction(shape, owner=self, changed=changed, misbehaviour=misbehaviour)

    @property
    def off_hook(self) -> bool:
        """Where the cradle's switch is; of a toggle, what the host has acknowledged."""
        return self._lit(Lamp.OFF_HOOK) if self._toggle else self._at(HOOK)

    @property
    def acknowledged(self) -> bool:
        """Whether the off-hook lamp agrees with the hook."""
        return self.off_hook == self._lit(Lamp.OFF_HOOK)

    @property
    def muted(self) -> bool:
        """Whether the device mutes its microphone now."""
        if not self._in_use():
            return False
        if self._wish is not None and self._clock.monotonic() < self._wish[1]:
            return self._wish[0]
        return self._lit(Lamp.MUTE)

    @property
    def lit(self) -> frozenset[str]:
        """The lamps that are lit."""
        names = (name for name in self._shape.orders if name.endswith(_LAMP))
        return frozenset(name.removesuffix(_LAMP) for name in names if self._at(name))

    @property
    def ring(self) -> RingLight:
        """What the light ring shows."""
        mode, colour = self.function.values.get(MODE, 0), self.function.values.get(COLOUR, 0)
        if mode not in (_ON, _FLASH) or not 0 < colour < len(_COLOURS):
            return RingLight()
        return RingLight(_COLOURS[colour], blinking=mode == _FLASH)

    def lift(self) -> None:
        """Takes the handset off its cradle, or presses the hook key to go off hook."""
        self._hook(off_hook=True)

    def cradle(self) -> None:
        """Puts the handset back, or presses the hook key to go on hook."""
        self._hook(off_hook=False)

    def press(self, key: str) -> None:
        """Presses and holds a key; ``hook`` and ``mute`` act when they are pressed.

        Raises:
            EmulationError: There is no such key.
        """
        if key == MUTE:
            self._press_mute()
        elif self._shape.momentary(key):
            self.function.pulse(key)
        else:
            self._move(key, 1)

    def release(self, key: str) -> None:
        """Lets go of a key.

        Raises:
            EmulationError: There is no such key.
        """
        if not self._shape.momentary(key):
            self._move(key, 0)

    def turn(self, channel: int, steps: int) -> None:
        """Turns a knob: louder, or quieter when negative.

        Raises:
            EmulationError: There is no such knob.
        """
        louder, quieter = knob_names(channel)
        self._require(louder)
        for _ in range(abs(steps)):
            self.function.pulse(louder if steps > 0 else quieter)

    def ordered(self, values: Mapping[str, int]) -> None:
        """The host sent lamps, the ring or the call lock.

        Raises:
            Stall: Another program has the call lock.
        """
        holder, claimant = self.function.values.get(LOCK, 0), values.get(LOCK, 0)
        if holder and claimant and claimant != holder:
            raise Stall
        if not self._misbehaviour.deaf:
            self.function.values.update(values)
            self._hear_mute()

    def darken(self) -> None:
        """The host is gone: lamps are dark, nobody has the lock."""
        self._wish = None
        for name in self._shape.orders:
            self.function.values[name] = 0

    def _at(self, name: str) -> bool:
        return bool(self.function.values.get(name, 0))

    def _lit(self, lamp: Lamp) -> bool:
        return self._at(f"{lamp}{_LAMP}")

    def _in_use(self) -> bool:
        return HOOK not in self._shape.inputs or self._lit(Lamp.OFF_HOOK)

    def _hook(self, *, off_hook: bool) -> None:
        self._require(HOOK)
        if self.off_hook == off_hook:
            return
        if self._toggle:
            self.function.pulse(HOOK)
        else:
            self.function.report(HOOK, int(off_hook))

    def _press_mute(self) -> None:
        self._require(MUTE)
        wish = not self.muted
        self.function.pulse(MUTE)
        if self._in_use():
            self._wish = (wish, self._clock.monotonic() + MUTE_ANSWER_S)

    def _hear_mute(self) -> None:
        """A wish ends with its answer, or with the call."""
        answered = self._wish is not None and self._wish[0] == self._lit(Lamp.MUTE)
        if answered or not self._in_use():
            self._wish = None

    def _move(self, key: str, value: int) -> None:
        self._require(key)
        if self.function.values.get(key, 0) != value:
            self.function.report(key, value)

    def _require(self, name: str) -> None:
        if name not in self._shape.inputs:
            known = ", ".join(self._shape.inputs)
            raise EmulationError(f"no control {name[:40]!r}; there are {known}")
