"""The driver of a USB handset."""

from ...hal.board import DeviceSpec
from ...hal.clock import Clock
from ...hal.events import HookState
from ...hal.gain import Gain
from .bus import UsbBus
from .telephone import AdjustableTelephone
from .vocabulary import Vocabulary


class UsbHandset(AdjustableTelephone):
    """A handset or headset with the telephony page of HID.

    A toggle has no position: its hook is what the off-hook lamp last said, by a press or by us.

    Args:
        spec: The board position; ``match`` says which device takes it.
        clock: Stamps events.
        bus: Where devices are looked for; this machine's by default.
    """

    def __init__(self, spec: DeviceSpec, clock: Clock, bus: UsbBus | None = None) -> None:
        super().__init__(spec, clock, bus, Vocabulary("button-{}"), Gain.EARPIECE)

    @property
    def hook(self) -> HookState:
        """Where the handset lies, as last reported."""
        return self._state.hook

    @property
    def talking(self) -> bool:
        """Whether the push-to-talk bar is held, as last reported."""
        return self._state.talking

    @property
    def muted(self) -> bool:
        """Whether the handset's own mute is on, as last reported."""
        return self._state.muted
