"""A speakerphone: its key acts as a hook that toggles."""

from typing import Final

from ....hal.clock import Clock
from ....hal.device import Lamp
from ....hal.gain import Gain
from .audio import AudioShape
from .audio_descriptors import Terminal
from .descriptors import Identity
from .hid import HidShape
from .peripheral import VID, HookedPeripheral
from .reports import Report, ReportKind, Within
from .telephony import HookKind, call_lock, hook_switch, knob, lamps, mute_key
from .usages import Page, Telephony

PID: Final = 0x7702


class SpeakerphoneModel(HookedPeripheral):
    """A speakerphone: talk key, mute key, volume, lamps, audio both ways.

    Args:
        serial: Which unit it is.
        clock: Of its timeouts.
    """

    def __init__(self, serial: str = "SP-0001", *, clock: Clock | None = None) -> None:
        identity = Identity(VID, PID, "Turret Speakerphone", serial)
        super().__init__(identity, _CONTROLS, _AUDIO, clock=clock)


_AUDIO: Final = AudioShape(
    output=Terminal.SPEAKERPHONE,
    microphone=Terminal.SPEAKERPHONE,
    output_gain=Gain.LOUDSPEAKER,
)
_KEYS: Final = Within(
    (Page.TELEPHONY, Telephony.SPEAKER_PHONE), (hook_switch(HookKind.TOGGLE), mute_key())
)
_CONTROLS: Final = HidShape(
    (Page.TELEPHONY, Telephony.PHONE),
    (
        Report(1, ReportKind.INPUT, (_KEYS, knob())),
        Report(2, ReportKind.OUTPUT, (lamps(Lamp.OFF_HOOK, Lamp.RING, Lamp.MUTE, Lamp.SPEAKER),)),
        Report(3, ReportKind.FEATURE, (call_lock(),)),
    ),
    name="Speakerphone controls",
)
