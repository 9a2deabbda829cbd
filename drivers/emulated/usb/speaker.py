"""A loudspeaker box of the open lines: a knob, a key and an activity lamp for each channel."""

from typing import Final

from ....hal.clock import Clock
from ....hal.gain import Gain
from ....hal.speaker import channel_name
from ...errors import EmulationError
from .audio import AudioShape
from .audio_descriptors import Terminal
from .descriptors import Identity
from .hid import HidShape
from .peripheral import VID, Peripheral
from .reports import Controls, Report, ReportKind, Within
from .telephony import indicator, knob
from .usages import Consumer, Page

PID: Final = 0x7704
MAX_CHANNELS: Final = 32


class SpeakerModel(Peripheral):
    """A loudspeaker of several channels, each an ordinal collection of its reports.

    Args:
        serial: Which unit it is.
        channels: How many it has, 1 to 32.
        clock: Of its timeouts.

    Raises:
        EmulationError: It cannot have so many channels.
    """

    def __init__(
        self, serial: str = "LS-0001", *, channels: int = 3, clock: Clock | None = None
    ) -> None:
        if not 1 <= channels <= MAX_CHANNELS:
            raise EmulationError(f"{channels} channels are not between 1 and {MAX_CHANNELS}")
        identity = Identity(VID, PID, "Turret Speaker", serial)
        super().__init__(identity, _controls(channels), _AUDIO, clock=clock)


_AUDIO: Final = AudioShape(output=Terminal.SPEAKER, output_gain=Gain.LOUDSPEAKER)


def _controls(channels: int) -> HidShape:
    numbers = range(1, channels + 1)
    reports = (
        Report(1, ReportKind.INPUT, tuple(_channel(n, (_key(n), knob(n))) for n in numbers)),
        Report(2, ReportKind.OUTPUT, tuple(_channel(n, (_lamp(n),)) for n in numbers)),
    )
    application = (Page.CONSUMER, Consumer.CONSUMER_CONTROL)
    return HidShape(application, reports, name="Speaker channels")


def _channel(number: int, parts: tuple[Controls, ...]) -> Within:
    return Within((Page.ORDINAL, number), parts)


def _key(number: int) -> Controls:
    return Controls((channel_name(number),), Page.BUTTON, (number,))


def _lamp(number: int) -> Controls:
    return indicator(channel_name(number))
