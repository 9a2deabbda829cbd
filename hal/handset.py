"""A handset: a hook, a push-to-talk bar, a mute, lamps."""

from typing import Protocol, runtime_checkable

from .device import Device
from .events import HookState


@runtime_checkable
class Handset(Device, Protocol):
    """A handset with its cradle; :class:`~.gain.Adjustable` where it has gains or a side-tone."""

    @property
    def hook(self) -> HookState:
        """Where the handset lies, as last reported."""
        ...

    @property
    def talking(self) -> bool:
        """Whether the push-to-talk bar is held, as last reported."""
        ...

    @property
    def muted(self) -> bool:
        """Whether the handset's own mute is on, as last reported."""
        ...
