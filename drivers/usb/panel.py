"""The driver of a USB key panel."""

from ...hal.board import DeviceSpec
from ...hal.clock import Clock
from .bus import UsbBus
from .telephone import Telephone
from .vocabulary import Vocabulary


class UsbPanel(Telephone):
    """Keys and their lamps: Button n is ``key-n``, and so is the n-th generic indicator.

    Args:
        spec: The board position; ``match`` says which device takes it.
        clock: Stamps events.
        bus: Where devices are looked for; this machine's by default.
    """

    def __init__(self, spec: DeviceSpec, clock: Clock, bus: UsbBus | None = None) -> None:
        super().__init__(spec, clock, bus, Vocabulary("key-{}"))

    @property
    def pressed(self) -> frozenset[str]:
        """The keys that are held down, as last reported."""
        return self._state.pressed
