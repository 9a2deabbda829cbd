"""A handset with its cradle; the left and the right one differ by their port and serial only."""

from typing import Final

from ....hal.clock import Clock
from ....hal.device import Lamp
from .audio import AudioShape
from .audio_descriptors import Terminal
from .descriptors import Identity
from .hid import HidShape
from .peripheral import VID, HookedPeripheral
from .reports import Report, ReportKind, Within
from .telephony import (
    LATCH,
    PTT,
    HookKind,
    call_lock,
    hook_switch,
    knob,
    lamps,
    mute_key,
    talk_switches,
)
from .usages import Page, Telephony

PID: Final = 0x7701


class HandsetModel(HookedPeripheral):
    """A handset: hook, push-to-talk bar, latch switch, mute key, volume, lamps, audio both ways.

    Args:
        serial: Which unit it is.
        hook: How its hook switch reports; a cradle's is absolute, a headset's button toggles.
        clock: Of its timeouts.
    """

    def __init__(
        self,
        serial: str = "HS-0001",
        *,
        hook: HookKind = HookKind.ABSOLUTE,
        clock: Clock | None = None,
    ) -> None:
        identity = Identity(VID, PID, "Turret Handset", serial)
        super().__init__(identity, _controls(hook), _AUDIO, clock=clock)


_AUDIO: Final = AudioShape(output=Terminal.HANDSET, microphone=Terminal.HANDSET, sidetone=True)


def _controls(hook: HookKind) -> HidShape:
    switches = (hook_switch(hook), mute_key(), talk_switches(PTT, LATCH))
    handset = Within((Page.TELEPHONY, Telephony.HANDSET), switches)
    reports = (
        Report(1, ReportKind.INPUT, (handset, knob())),
        Report(2, ReportKind.OUTPUT, (lamps(*Lamp),)),
        Report(3, ReportKind.FEATURE, (call_lock(),)),
    )
    return HidShape((Page.TELEPHONY, Telephony.PHONE), reports, name="Handset controls")
