"""The driver of a USB speakerphone."""

from ...hal.board import DeviceSpec
from ...hal.clock import Clock
from ...hal.events import HookState
from ...hal.gain import Gain
from .bus import UsbBus
from .telephone import AdjustableTelephone
from .vocabulary import Vocabulary


class UsbSpeakerphone(AdjustableTelephone):
    """A speakerphone with the telephony page of HID; its talk key is a hook that toggles.

    Args:
        spec: The board position; ``match`` says which device takes it.
        clock: Stamps events.
        bus: Where devices are looked for; this machine's by default.
    """

    def __init__(self, spec: DeviceSpec, clock: Clock, bus: UsbBus | None = None) -> None:
        super().__init__(spec, clock, bus, Vocabulary("button-{}"), Gain.LOUDSPEAKER)

    @property
    def hook(self) -> HookState:
        """Off hook while the speakerphone is switched on, as last reported."""
        return self._state.hook

    @property
    def muted(self) -> bool:
        """Whether its own mute is on, as last reported."""
        return self._state.muted
