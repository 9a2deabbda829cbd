"""The driver of a USB loudspeaker box."""

from ...hal.board import DeviceSpec
from ...hal.clock import Clock
from ...hal.gain import Gain
from .bus import UsbBus
from .telephone import AdjustableTelephone
from .vocabulary import Vocabulary


class UsbSpeaker(AdjustableTelephone):
    """Channels with a knob, a key and an activity lamp each.

    Button n is the key of channel n, the n-th generic indicator its lamp.

    Args:
        spec: The board position; ``match`` says which device takes it.
        clock: Stamps events.
        bus: Where devices are looked for; this machine's by default.
    """

    def __init__(self, spec: DeviceSpec, clock: Clock, bus: UsbBus | None = None) -> None:
        super().__init__(spec, clock, bus, Vocabulary("channel-{}"), Gain.LOUDSPEAKER)

    @property
    def channels(self) -> int:
        """How many channels it carries, from 1, as the board says."""
        return self._spec.channels
