"""The driver of an emulated gooseneck microphone."""

from .control import ControlDevice


class EmulatedGooseneck(ControlDevice):
    """A gooseneck behind ``<position>.control``.

    Not emulated: a lamp ring with colours; a microphone that is live only while the key
    is held (the firmware gates it).
    """

    @property
    def talking(self) -> bool:
        """Whether the push-to-talk key is held, as last reported."""
        return self._state.ptt

    @property
    def latched(self) -> bool:
        """Always False: the emulated gooseneck has no latch switch."""
        return False

    @property
    def muted(self) -> bool:
        """Whether its own mute is on, as last reported."""
        return self._state.mute
