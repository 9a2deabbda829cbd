"""What every device of a unit has in common: a place, a state of its cable, events, lamps."""

import enum
from typing import Protocol, runtime_checkable

from .events import EventQueue


class Lamp(enum.StrEnum):
    """The lamps of a telephony device, after HID LED page 0x08."""

    OFF_HOOK = "off_hook"
    RING = "ring"
    MUTE = "mute"
    HOLD = "hold"
    SPEAKER = "speaker"
    TALK = "talk"


@runtime_checkable
class Device(Protocol):
    """A device at a position of the board, for example ``handset-left``."""

    @property
    def position(self) -> str:
        """The device's place on the board."""
        ...

    @property
    def attached(self) -> bool:
        """Whether the device answers now."""
        ...

    async def open(self) -> None:
        """Starts listening to the device; it may attach later, an event says when."""
        ...

    async def close(self) -> None:
        """Lets go of the device and ends its events."""
        ...

    def events(self) -> EventQueue:
        """Returns an async iterator of what happens from now on; bounded, see ``Overflow``."""
        ...

    async def set_lamp(self, lamp: str, *, lit: bool) -> None:
        """Lights or darkens a lamp; remembered and shown again after a re-attach."""
        ...
