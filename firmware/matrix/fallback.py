"""Who speaks and listens for a device that is away: the one place where that is decided.

The board names a fallback for a device; while the device is away and its fallback is there, the
fallback is on every bus of the device too, with the device's gains.  What the device is muted in
its stand-in is muted in as well, on those buses.  The device stays on its buses all the while, so
that its own return needs nothing but the end of the stand-in; legs and SIP never hear of it.

A fallback may be away too and have one itself.  Nobody is asked twice, so a chain is never longer
than the board and never a loop, whatever the board says.
"""

import enum
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from ...hal.matrix import Membership, device_port

Muted = Callable[[str], tuple[bool, bool]]
"""Returns whether a device's microphone, and whether its earpiece, is muted."""


class Whereabouts(enum.Enum):
    """What is known of a device."""

    CLOSED = "closed"
    """Nobody wanted it, so nobody looked."""
    OPENING = "opening"
    """Looked for, and neither found nor missed yet."""
    THERE = "there"
    """Its audio runs."""
    AWAY = "away"
    """It did not open, or it went away."""


@dataclass(frozen=True, slots=True)
class Gains:
    """How loud a port talks to a bus and hears it, in dB; None is not at all."""

    talk_db: float | None = None
    listen_db: float | None = None

    def louder(self, other: "Gains") -> "Gains":
        """Returns the louder of both, each way: one device that is on a bus for two."""
        return Gains(_louder(self.talk_db, other.talk_db), _louder(self.listen_db, other.listen_db))


class Fallbacks:
    """The fallbacks of a board.

    Args:
        fallback_of: The fallback of each device that has one.
        whereabouts: Tells what is known of a device.
        muted: Tells what a device is muted in.
    """

    def __init__(
        self,
        fallback_of: Mapping[str, str],
        whereabouts: Callable[[str], Whereabouts],
        muted: Muted,
    ) -> None:
        self._fallback_of = fallback_of
        self._whereabouts = whereabouts
        self._muted = muted

    def chain(self, position: str) -> tuple[str, ...]:
        """Returns the devices that must be open for one: itself, then who may stand in for it.

        Each is away but the last, of which that is not known, or which is the last there is.
        """
        found = [position]
        while self._whereabouts(found[-1]) is Whereabouts.AWAY:
            fallback = self._fallback_of.get(found[-1], "")
            if not fallback or fallback in found:
                break
            found.append(fallback)
        return tuple(found)

    def stand_in(self, position: str) -> str:
        """Returns the device that stands in for one now; "" when none does."""
        last = self.chain(position)[-1]
        return last if last != position and self._whereabouts(last) is Whereabouts.THERE else ""

    def gains(self, members: Iterable[Membership]) -> dict[str, Gains]:
        """Returns who is on a bus, with stand-ins, for those whom somebody put on it."""
        members = tuple(members)
        wanted = {each.port: Gains(each.talk_db, each.listen_db) for each in members}
        for member in members:
            kind, _, position = member.port.partition(":")
            stand_in = self.stand_in(position) if kind == "device" else ""
            if stand_in:
                port = device_port(stand_in)
                own = wanted.get(port, Gains())
                wanted[port] = own.louder(self._inherited(position, member))
        return wanted

    def _inherited(self, position: str, member: Membership) -> Gains:
        capture, playback = self._muted(position)
        return Gains(None if capture else member.talk_db, None if playback else member.listen_db)


def _louder(one: float | None, other: float | None) -> float | None:
    if one is None or other is None:
        return other if one is None else one
    return max(one, other)
