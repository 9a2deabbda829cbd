"""What a box and its host tell each other in frames (docs/serial.md; *ours*).

Host to box: ``hello``, ``lamp``, ``ring``, ``ping``.  Box to host: ``box``, then every switch as
it stands, ``ready``, and from then on each change: ``ptt``, ``latch``, ``mute``, ``key``.
"""

from dataclasses import dataclass, replace
from typing import Final

from ...hal.ring import Colour, RingLight
from ..errors import FrameError
from .frame import Frame

PROTOCOL: Final = 1
HELLO: Final = "hello"
BOX: Final = "box"
READY: Final = "ready"
UP: Final = "up"
LAMP: Final = "lamp"
RING: Final = "ring"
SWITCHES: Final = ("ptt", "latch", "mute")
KEY: Final = "key"
MAX_KEYS: Final = 64
_ON: Final = {"0": False, "1": True}
_BLINKING: Final = {"steady": False, "blink": True}


@dataclass(frozen=True, slots=True)
class Introduction:
    """Who is at the line.

    Attributes:
        protocol: Version of the protocol it speaks.
        kind: What it is, as a board calls it: ``gooseneck`` or ``panel``.
        serial: Its serial number.
        firmware: Its release.
    """

    protocol: int
    kind: str
    serial: str
    firmware: str

    @classmethod
    def parse(cls, frame: Frame) -> "Introduction":
        """Returns the introduction that a frame carries.

        Raises:
            FrameError: The frame is no introduction.
        """
        if len(frame.words) != 4 or not frame.words[0].isdecimal():
            raise FrameError(f"{frame.text!r} is not 'box PROTOCOL KIND SERIAL RELEASE'")
        protocol, kind, serial, firmware = frame.words
        return cls(int(protocol), kind, serial, firmware)

    @property
    def words(self) -> tuple[str, ...]:
        """As words of a frame."""
        return (str(self.protocol), self.kind, self.serial, self.firmware)


@dataclass(frozen=True, slots=True)
class Change:
    """A switch or key is where it was put: ``ptt``, ``latch``, ``mute``, or a named ``key``."""

    what: str
    on: bool
    key: str = ""

    @classmethod
    def parse(cls, frame: Frame) -> "Change":
        """Returns the change that a frame carries.

        Raises:
            FrameError: The frame is no change.
        """
        match frame.verb, frame.words:
            case verb, (on,) if verb in SWITCHES and on in _ON:
                return cls(verb, _ON[on])
            case "key", (key, on) if on in _ON:
                return cls(KEY, _ON[on], key)
        raise FrameError(f"{frame.text!r} is no change of a switch or key")

    @property
    def words(self) -> tuple[str, ...]:
        """As words of a frame, behind its verb."""
        on = str(int(self.on))
        return (self.key, on) if self.what == KEY else (on,)


@dataclass(frozen=True, slots=True)
class BoxState:
    """Where every switch and key of a box is."""

    talking: bool = False
    latched: bool = False
    muted: bool = False
    keys: frozenset[str] = frozenset()

    def after(self, change: Change) -> "BoxState":
        """Returns the state once the change has happened.

        Raises:
            FrameError: More keys would be held than a box has.
        """
        match change.what:
            case "ptt":
                return replace(self, talking=change.on)
            case "latch":
                return replace(self, latched=change.on)
            case "mute":
                return replace(self, muted=change.on)
        keys = self.keys | {change.key} if change.on else self.keys - {change.key}
        if len(keys) > MAX_KEYS:
            raise FrameError(f"more than {MAX_KEYS} keys are held")
        return replace(self, keys=keys)

    def since(self, before: "BoxState") -> list[Change]:
        """Returns the changes that lead here."""
        switches = (
            ("ptt", before.talking, self.talking),
            ("latch", before.latched, self.latched),
            ("mute", before.muted, self.muted),
        )
        found = [Change(what, now) for what, was, now in switches if was != now]
        found += [Change(KEY, True, key) for key in sorted(self.keys - before.keys)]
        return found + [Change(KEY, False, key) for key in sorted(before.keys - self.keys)]


@dataclass(frozen=True, slots=True)
class LampOrder:
    """The host wants a lamp lit or dark."""

    lamp: str
    lit: bool

    @classmethod
    def parse(cls, frame: Frame) -> "LampOrder":
        """Returns the order that a frame carries.

        Raises:
            FrameError: The frame is no order for a lamp.
        """
        if len(frame.words) != 2 or frame.words[1] not in _ON:
            raise FrameError(f"{frame.text!r} is neither 'lamp NAME 0' nor 'lamp NAME 1'")
        return cls(frame.words[0], _ON[frame.words[1]])

    @property
    def words(self) -> tuple[str, ...]:
        """As words of a frame."""
        return (self.lamp, str(int(self.lit)))


def parse_ring(frame: Frame) -> RingLight:
    """Returns the light that a frame orders for the ring.

    Raises:
        FrameError: The frame is no order for the ring.
    """
    if len(frame.words) != 2 or frame.words[1] not in _BLINKING:
        raise FrameError(f"{frame.text!r} is neither 'ring COLOUR steady' nor 'ring COLOUR blink'")
    try:
        return RingLight(Colour(frame.words[0]), _BLINKING[frame.words[1]])
    except ValueError as error:
        raise FrameError(f"{frame.words[0]!r} is no colour; use {', '.join(Colour)}") from error


def ring_words(light: RingLight) -> tuple[str, ...]:
    """Returns a light as words of a frame."""
    return (light.colour, "blink" if light.blinking else "steady")
