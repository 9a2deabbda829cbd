"""The hand at emulated hardware behind Unix sockets; sounds go through files in its folder."""

import contextlib
import wave
from pathlib import Path
from typing import ClassVar, Self

from ...drivers.emulated.hand import Hand as HardwareHand
from ...drivers.errors import HandRefusedError
from ...hal.audio import SAMPLE_BYTES
from .hand import Ability, Sound


class SocketHand:
    """A hand at the hardware process that serves a folder."""

    ABILITIES: ClassVar[frozenset[Ability]] = frozenset(Ability) - {Ability.TURN}

    def __init__(self, hand: HardwareHand, folder: Path) -> None:
        self._hand = hand
        self._folder = folder
        self._held: dict[str, set[str]] = {}

    @classmethod
    async def connect(cls, folder: Path) -> Self:
        """Returns a hand at the hardware that serves that folder.

        Raises:
            DeviceGoneError: Nobody serves it.
        """
        return cls(await HardwareHand.connect(folder), folder)

    @property
    def abilities(self) -> frozenset[Ability]:
        """Everything but a volume knob, which this hardware does not have."""
        return self.ABILITIES

    async def lift(self, position: str) -> None:
        """Takes the handset off its cradle."""
        await self._hand.lift(position)

    async def cradle(self, position: str) -> None:
        """Puts the handset back."""
        await self._hand.cradle(position)

    async def press(self, position: str, key: str) -> None:
        """Presses and holds a key."""
        await self._hand.press(position, key)
        self._held.setdefault(position, set()).add(key)

    async def release(self, position: str, key: str) -> None:
        """Lets go of a key."""
        await self._hand.release(position, key)

    async def mute(self, position: str, *, muted: bool = True) -> None:
        """Switches the device's own mute."""
        await self._hand.mute(position, muted=muted)

    async def turn(self, position: str, steps: int, *, channel: int = 0) -> None:
        """Refuses: this hardware has no knob.

        Raises:
            HandRefusedError: Always.
        """
        raise HandRefusedError(f"{position} has no knob to turn (channel {channel}, {steps})")

    async def tone(self, position: str, frequency_hz: float, level_dbfs: float) -> None:
        """Makes a sine at the microphone."""
        await self._hand.tone(position, frequency_hz, level_dbfs)

    async def speak(self, position: str, sound: Sound, *, loop: bool = False) -> None:
        """Says something into the microphone."""
        path = self._folder / f"{position}.said.wav"
        write_wav(path, sound)
        await self._hand.speak(position, path, loop=loop)

    async def silence(self, position: str) -> None:
        """Says nothing from now on."""
        await self._hand.silence(position)

    async def listen(self, position: str) -> None:
        """Puts an ear to the earpiece."""
        await self._hand.listen(position, self._heard(position))

    async def stop_listening(self, position: str) -> Sound:
        """Takes it away and returns what it heard."""
        await self._hand.stop_listening(position)
        return read_wav(self._heard(position))

    async def lamps(self, position: str) -> dict[str, bool]:
        """Returns the lamps that are lit."""
        return await self._hand.lamps(position)

    async def counters(self, position: str) -> dict[str, int]:
        """Returns what the device counted."""
        return await self._hand.counters(position)

    async def unplug(self, position: str) -> None:
        """Pulls the cable."""
        await self._hand.unplug(position)

    async def plug(self, position: str) -> None:
        """Puts the cable back."""
        await self._hand.plug(position)

    async def tidy(self) -> None:
        """Puts everything back; what a device does not have is passed over."""
        for position in await self._hand.devices():
            await self.plug(position)
            for put_back in (self.cradle, self.silence, self._unmute, self._let_go):
                with contextlib.suppress(HandRefusedError):
                    await put_back(position)

    async def _unmute(self, position: str) -> None:
        await self.mute(position, muted=False)

    async def _let_go(self, position: str) -> None:
        for key in self._held.pop(position, set()):
            await self.release(position, key)

    async def close(self) -> None:
        """Goes away."""
        await self._hand.close()

    def _heard(self, position: str) -> Path:
        return self._folder / f"{position}.heard.wav"


def read_wav(path: Path) -> Sound:
    """Returns the sound in a file that the hardware or :func:`write_wav` wrote."""
    with wave.open(str(path), "rb") as file:
        return Sound(file.readframes(file.getnframes()), file.getframerate())


def write_wav(path: Path, sound: Sound) -> None:
    """Keeps a sound in a file."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(SAMPLE_BYTES)
        file.setframerate(sound.rate_hz)
        file.writeframes(sound.pcm)
