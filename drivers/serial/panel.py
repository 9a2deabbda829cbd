"""A box of keys and lamps on a serial line."""

from .box import BoxDevice


class SerialPanel(BoxDevice):
    """Keys that report and lamps that show; a lamp carries the name of its key."""

    @property
    def pressed(self) -> frozenset[str]:
        """The keys that are held down, as last reported."""
        return self._state.keys
