"""A speakerphone: microphone and loudspeaker in one, with a talk key and a mute."""

from typing import Protocol, runtime_checkable

from .device import Device
from .events import HookState


@runtime_checkable
class Speakerphone(Device, Protocol):
    """Hands-free; its key acts as a hook."""

    @property
    def hook(self) -> HookState:
        """Off hook while the speakerphone is switched on, as last reported."""
        ...

    @property
    def muted(self) -> bool:
        """Whether its own mute is on, as last reported."""
        ...
