"""A gooseneck microphone with a light ring."""

from typing import Final

from ....hal.clock import Clock
from ....hal.device import Lamp
from ....hal.ring import RingLight
from .audio import AudioShape
from .audio_descriptors import Terminal
from .descriptors import Identity
from .hid import HidShape
from .peripheral import VID, Peripheral
from .reports import Report, ReportKind, Within
from .telephony import LATCH, PTT, lamps, mute_key, ring_colour, ring_mode, talk_switches
from .usages import Led, Page, Telephony

PID: Final = 0x7703


class GooseneckModel(Peripheral):
    """A gooseneck: push-to-talk key, latch switch, mute key, lamps, light ring, a microphone.

    It has no interrupt OUT endpoint: its host orders by SET_REPORT.

    Args:
        serial: Which unit it is.
        clock: Of its timeouts.
    """

    def __init__(self, serial: str = "GN-0001", *, clock: Clock | None = None) -> None:
        identity = Identity(VID, PID, "Turret Gooseneck", serial)
        super().__init__(identity, _CONTROLS, _AUDIO, clock=clock)

    @property
    def ring(self) -> RingLight:
        """What the light ring shows."""
        with self.lock:
            return self.controls.ring


_AUDIO: Final = AudioShape(microphone=Terminal.MICROPHONE)
_CONTROLS: Final = HidShape(
    (Page.TELEPHONY, Telephony.PHONE),
    (
        Report(
            1,
            ReportKind.INPUT,
            (Within((Page.TELEPHONY, Telephony.HEADSET), (talk_switches(PTT, LATCH), mute_key())),),
        ),
        Report(2, ReportKind.OUTPUT, (lamps(Lamp.MUTE, Lamp.TALK),)),
        Report(
            4,
            ReportKind.OUTPUT,
            (
                Within((Page.LED, Led.INDICATOR_COLOUR), (ring_colour(),)),
                Within((Page.LED, Led.MULTI_MODE_INDICATOR), (ring_mode(),)),
            ),
        ),
    ),
    takes_reports=False,
    name="Gooseneck controls",
)
