"""The driver of a USB gooseneck microphone."""

from ...hal.board import DeviceSpec
from ...hal.clock import Clock
from ...hal.gain import Gain
from ...hal.ring import RingLight
from .bus import UsbBus
from .telephone import AdjustableTelephone
from .vocabulary import Vocabulary


class UsbGooseneck(AdjustableTelephone):
    """A microphone with push-to-talk, latch, mute, and a light ring of indicator colours.

    Args:
        spec: The board position; ``match`` says which device takes it.
        clock: Stamps events.
        bus: Where devices are looked for; this machine's by default.
    """

    def __init__(self, spec: DeviceSpec, clock: Clock, bus: UsbBus | None = None) -> None:
        super().__init__(spec, clock, bus, Vocabulary("button-{}"), Gain.LOUDSPEAKER)

    @property
    def talking(self) -> bool:
        """Whether the push-to-talk key is held, as last reported."""
        return self._state.talking

    @property
    def latched(self) -> bool:
        """Whether its own latch switch is on, as last reported; False where it has none."""
        return self._state.latched

    @property
    def muted(self) -> bool:
        """Whether its own mute is on, as last reported."""
        return self._state.muted

    async def set_ring(self, light: RingLight) -> None:
        """Shows a light; remembered and shown again after a re-attach."""
        self._show_ring(light)
