"""The driver of an emulated speakerphone."""

from ...hal.events import HookState
from .control import ControlDevice


class EmulatedSpeakerphone(ControlDevice):
    """A speakerphone behind ``<position>.control``.

    Not emulated: echo between its loudspeaker and its microphone.
    """

    @property
    def hook(self) -> HookState:
        """Off hook while the speakerphone is switched on, as last reported."""
        return self._hook

    @property
    def muted(self) -> bool:
        """Whether its own mute is on, as last reported."""
        return self._state.mute
