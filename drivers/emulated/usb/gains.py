"""Feature units: mute and volume as USB Audio Class 1.0 section 5.2.2.4.3 asks for them."""

from typing import Final

from ....hal.gain import Gain, GainRange
from .model import Setup, Stall

SET_CUR: Final = 0x01
GET_CUR: Final = 0x81
GET_MIN: Final = 0x82
GET_MAX: Final = 0x83
GET_RES: Final = 0x84
_MUTE: Final = 0x0100
_VOLUME: Final = 0x0200
SILENCE: Final = -0x8000
"""Negative infinity dB, in the steps of 1/256 dB that the wire counts in."""

RANGES: Final = {
    Gain.EARPIECE: GainRange(-40.0, 0.0, 1.0),
    Gain.MICROPHONE: GainRange(-20.0, 12.0, 0.5),
    Gain.SIDETONE: GainRange(-40.0, 0.0, 1.0),
    Gain.LOUDSPEAKER: GainRange(-40.0, 0.0, 1.0),
}


class FeatureUnit:
    """One gain of a device, with its mute.

    Args:
        gain: Which one; a side-tone starts silent, the others at 0 dB.
    """

    CONTROLS: Final = 0x03
    """``bmaControls``: mute and volume."""

    def __init__(self, gain: Gain) -> None:
        self.gain = gain
        self._range = RANGES[gain]
        self.power_on()

    def power_on(self) -> None:
        """Starts with what it has when nobody has set anything."""
        self._steps = SILENCE if self.gain is Gain.SIDETONE else 0
        self._muted = False

    @property
    def gain_db(self) -> float:
        """What it is set to, minus infinity when silent."""
        return float("-inf") if self._muted or self._steps == SILENCE else self._steps / 256

    @property
    def factor(self) -> float:
        """What samples are multiplied by."""
        return float(10 ** (self.gain_db / 20))

    def control(self, setup: Setup, data: bytes) -> bytes:
        """Answers a request for its master channel.

        Raises:
            Stall: It has no such control, or the control no such attribute.
        """
        if setup.value == _MUTE:
            return self._mute(setup.request, data)
        if setup.value == _VOLUME:
            return self._volume(setup.request, data)
        raise Stall

    def _mute(self, request: int, data: bytes) -> bytes:
        if request == GET_CUR:
            return bytes((self._muted,))
        if request != SET_CUR or len(data) != 1:
            raise Stall
        self._muted = data != b"\x00"
        return b""

    def _volume(self, request: int, data: bytes) -> bytes:
        if request == SET_CUR:
            return self._set_volume(data)
        steps = {
            GET_CUR: self._steps,
            GET_MIN: round(256 * self._range.minimum_db),
            GET_MAX: round(256 * self._range.maximum_db),
            GET_RES: round(256 * self._range.step_db),
        }
        if request not in steps:
            raise Stall
        return steps[request].to_bytes(2, "little", signed=True)

    def _set_volume(self, data: bytes) -> bytes:
        if len(data) != 2:
            raise Stall
        steps = int.from_bytes(data, "little", signed=True)
        self._steps = steps if steps == SILENCE else round(256 * self._range.nearest(steps / 256))
        return b""
