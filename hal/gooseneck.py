"""A gooseneck microphone: push to talk, latch, mute, a light ring, and nothing to hear."""

from typing import Protocol, runtime_checkable

from .device import Device


@runtime_checkable
class Gooseneck(Device, Protocol):
    """A microphone on a stalk; its light ring is a :class:`~.ring.LightRing` where it has one."""

    @property
    def talking(self) -> bool:
        """Whether the push-to-talk key is held, as last reported."""
        ...

    @property
    def latched(self) -> bool:
        """Whether its own latch switch is on, as last reported; False where it has none."""
        ...

    @property
    def muted(self) -> bool:
        """Whether its own mute is on, as last reported."""
        ...
