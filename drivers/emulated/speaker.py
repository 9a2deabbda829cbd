"""The driver of an emulated loudspeaker."""

from .control import ControlDevice


class EmulatedSpeaker(ControlDevice):
    """A loudspeaker behind ``<position>.control``.

    Not emulated: a volume knob on the box itself, and an amplifier's own protection.
    """

    @property
    def channels(self) -> int:
        """How many channels it carries, from 1."""
        return self._spec.channels
