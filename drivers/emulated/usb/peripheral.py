"""What the peripherals of a turret share: controls, audio, a cable, and a hand that works them."""

from collections.abc import Mapping
from typing import Final

from ....hal.clock import Clock, SystemClock
from ....hal.gain import Gain
from ...errors import EmulationError
from .audio import AudioFunction, AudioShape
from .descriptors import Identity
from .device import CompositeDevice
from .hid import HidShape
from .misbehaviour import Misbehaviour
from .telephony import TelephonyControls
from .voices import Heard, Voice

VID: Final = 0x1209
"""pid.codes, whose numbers from 0x7701 on are *ours*."""


class Peripheral(CompositeDevice):
    """A device with controls, and audio where it has any; the methods below are a hand's.

    Args:
        identity: What it says it is.
        controls: Its reports.
        audio: Its audio, None without any.
        clock: Of its timeouts.

    Attributes:
        controls: What the hand and the host's lamps make of the controls.
        audio: Its audio function, None without any.
    """

    def __init__(
        self,
        identity: Identity,
        controls: HidShape,
        audio: AudioShape | None = None,
        *,
        clock: Clock | None = None,
    ) -> None:
        misbehaviour = Misbehaviour()
        self.controls = TelephonyControls(
            controls,
            clock=SystemClock() if clock is None else clock,
            changed=self.changed,
            misbehaviour=misbehaviour,
        )
        self.audio = None if audio is None else AudioFunction(audio, muted=self._is_muted)
        first = () if self.audio is None else (self.audio,)
        functions = (*first, self.controls.function)
        super().__init__(identity, functions, misbehaviour=misbehaviour)

    @property
    def lamps(self) -> frozenset[str]:
        """The lamps that are lit."""
        with self.lock:
            return self.controls.lit

    @property
    def muted(self) -> bool:
        """Whether the device mutes its microphone now."""
        with self.lock:
            return self.controls.muted

    def press(self, key: str) -> None:
        """Presses and holds a key.

        Raises:
            EmulationError: There is no such key.
        """
        with self.lock:
            self.controls.press(key)

    def release(self, key: str) -> None:
        """Lets go of a key.

        Raises:
            EmulationError: There is no such key.
        """
        with self.lock:
            self.controls.release(key)

    def turn(self, steps: int, channel: int = 0) -> None:
        """Turns a knob: louder, or quieter when negative.

        Raises:
            EmulationError: There is no such knob.
        """
        with self.lock:
            self.controls.turn(channel, steps)

    def mute(self, *, muted: bool = True) -> None:
        """Presses the mute key, unless the device is muted, or not, as wanted.

        Raises:
            EmulationError: There is no mute key.
        """
        with self.lock:
            if self.controls.muted != muted:
                self.controls.press("mute")

    def speak(self, voice: Voice) -> None:
        """Speaks into the microphone from now on, in place of what was said before.

        Raises:
            EmulationError: There is no microphone.
        """
        with self.lock:
            self._sound().speak(voice)

    def listen(self) -> None:
        """Starts to keep what is heard.

        Raises:
            EmulationError: There is nothing to be heard from.
        """
        with self.lock:
            self._sound().listen()

    def stop_listening(self) -> Heard:
        """Returns what was heard since :meth:`listen`.

        Raises:
            EmulationError: There is nothing to be heard from.
        """
        with self.lock:
            return self._sound().stop_listening()

    @property
    def gains(self) -> Mapping[Gain, float]:
        """What its gains are set to, in dB, minus infinity when silent; empty without audio."""
        with self.lock:
            return {} if self.audio is None else self.audio.gains

    def _sound(self) -> AudioFunction:
        if self.audio is None:
            raise EmulationError("the device has no audio")
        return self.audio

    def _is_muted(self) -> bool:
        return self.controls.muted


class HookedPeripheral(Peripheral):
    """A peripheral with a hook switch."""

    @property
    def off_hook(self) -> bool:
        """Where a cradle's switch is; of a toggle, what the host has acknowledged."""
        with self.lock:
            return self.controls.off_hook

    @property
    def acknowledged(self) -> bool:
        """Whether the host's off-hook lamp agrees with the hook."""
        with self.lock:
            return self.controls.acknowledged

    def lift(self) -> None:
        """Takes the handset off its cradle, or presses the hook key to go off hook."""
        with self.lock:
            self.controls.lift()

    def cradle(self) -> None:
        """Puts the handset back, or presses the hook key to go on hook."""
        with self.lock:
            self.controls.cradle()
