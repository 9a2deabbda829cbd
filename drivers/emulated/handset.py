"""The driver of an emulated handset."""

from ...hal.events import HookState
from .control import ControlDevice


class EmulatedHandset(ControlDevice):
    """A handset behind ``<position>.control``.

    Not emulated: a hook switch that waits for its acknowledgement, contact bounce, and a
    push-to-talk bar that also cuts the microphone.
    """

    @property
    def hook(self) -> HookState:
        """Where the handset lies, as last reported."""
        return self._hook

    @property
    def talking(self) -> bool:
        """Whether the push-to-talk bar is held, as last reported."""
        return self._state.ptt

    @property
    def muted(self) -> bool:
        """Whether the handset's own mute is on, as last reported."""
        return self._state.mute
