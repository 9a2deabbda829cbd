"""The light ring of a gooseneck: one colour, steady or blinking."""

import enum
from dataclasses import dataclass
from typing import Protocol, runtime_checkable


class Colour(enum.StrEnum):
    """Colours of the ring."""

    OFF = "off"
    RED = "red"
    GREEN = "green"
    AMBER = "amber"


@dataclass(frozen=True, slots=True)
class RingLight:
    """What the ring shows; on air is red, latched red and blinking, ready green."""

    colour: Colour = Colour.OFF
    blinking: bool = False


@runtime_checkable
class LightRing(Protocol):
    """A device with a light ring."""

    async def set_ring(self, light: RingLight) -> None:
        """Shows a light; remembered and shown again after a re-attach."""
        ...
