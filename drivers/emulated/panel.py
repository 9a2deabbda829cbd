"""The driver of an emulated key panel."""

from .control import ControlDevice


class EmulatedPanel(ControlDevice):
    """Keys and lamps behind ``<position>.control``.

    Not emulated: the touch screen (a browser shows it), blinking or coloured lamps, and
    the text beside a key.
    """

    @property
    def pressed(self) -> frozenset[str]:
        """The keys that are held down, as last reported."""
        return self._state.keys
