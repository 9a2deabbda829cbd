"""A gooseneck microphone: push to talk, mute, and nothing to hear."""

from typing import Protocol, runtime_checkable

from .device import Device


@runtime_checkable
class Gooseneck(Device, Protocol):
    """A microphone on a stalk; latching is the firmware's, not the device's."""

    @property
    def talking(self) -> bool:
        """Whether the push-to-talk key is held, as last reported."""
        ...

    @property
    def muted(self) -> bool:
        """Whether its own mute is on, as last reported."""
        ...
