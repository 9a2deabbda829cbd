"""The hand at emulated hardware does by itself what a person would be asked for."""

import asyncio
import tempfile
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final

from ...hal.board import DeviceSpec, DeviceType
from ...hal.speaker import channel_name
from ..emulated.hand import Hand
from ..emulated.sound import read_wav
from ..errors import UnattendedError
from .exchange import TONE_DBFS, TONE_HZ
from .hands import Action, Hearing, Play
from .sound import SILENCE_DBFS, TOLERANCE_HZ, Sound, measured, onset, samples_of

LOOK_S: Final = 0.02
SETTLING_S: Final = 0.05
"""Of a tone that begins."""

TOLERANCE_DB: Final = 1.5
_WAV_RATE_HZ: Final = 8000


@dataclass(frozen=True, slots=True)
class Whistle:
    """A tone that arrives as it was whistled."""

    frequency_hz: float
    level_dbfs: float
    seconds: float = 0.3

    def recognised(self, sound: Sound, noise_dbfs: float) -> bool:
        """Whether it is of the right frequency and level."""
        return (
            sound.tone_dbfs > noise_dbfs
            and abs(sound.frequency_hz - self.frequency_hz) <= TOLERANCE_HZ
            and abs(sound.tone_dbfs - self.level_dbfs) <= TOLERANCE_DB
        )


_TONE: Final = Whistle(TONE_HZ, TONE_DBFS)


class Emulation:
    """A hand at the emulated hardware that serves a folder.

    Args:
        hand: Connected; closed with this.
    """

    patience_s = 3.0
    prompt = True

    def __init__(self, hand: Hand) -> None:
        self._hand = hand

    async def act(self, spec: DeviceSpec, action: Action) -> None:
        """Does it at once.

        Raises:
            UnattendedError: The emulated hardware has no such thing to be worked.
        """
        if action not in _ACTIONS:
            raise UnattendedError(f"the emulated hand cannot {action}")
        await _ACTIONS[action](self._hand, spec)

    async def sees(self, spec: DeviceSpec, lamps: Collection[str]) -> bool:
        """Waits until these lamps are lit, and no others."""
        try:
            async with asyncio.timeout(self.patience_s):
                while await self._hand.lamps(spec.position) != dict.fromkeys(lamps, True):
                    await asyncio.sleep(LOOK_S)
        except TimeoutError:
            return False
        return True

    async def speaks(self, spec: DeviceSpec) -> Whistle:
        """Whistles until it is hushed."""
        await self._hand.tone(spec.position, _TONE.frequency_hz, _TONE.level_dbfs)
        return _TONE

    async def hushes(self, spec: DeviceSpec) -> None:
        """Stops to whistle."""
        await self._hand.silence(spec.position)

    async def hears(self, spec: DeviceSpec, play: Play) -> Hearing:
        """Keeps what is played and measures it."""
        with tempfile.TemporaryDirectory(prefix="ot-") as folder:
            heard = Path(folder) / "heard.wav"
            await self._hand.listen(spec.position, heard)
            try:
                await play()
            finally:
                await self._hand.stop_listening(spec.position)
            return _hearing(read_wav(heard, _WAV_RATE_HZ))

    async def close(self) -> None:
        """Lets go."""
        await self._hand.close()


def _hearing(pcm: bytes) -> Hearing:
    samples = samples_of(pcm)
    start = onset(samples, TONE_DBFS)
    if start is None:
        return Hearing(False, "nothing was heard", {})
    sound = measured(samples[start + round(SETTLING_S * _WAV_RATE_HZ) :], _WAV_RATE_HZ)
    return Hearing(_TONE.recognised(sound, SILENCE_DBFS), str(sound), sound.figures)


async def _talk(hand: Hand, spec: DeviceSpec) -> None:
    await hand.press(spec.position, "ptt")


async def _release_talk(hand: Hand, spec: DeviceSpec) -> None:
    await hand.release(spec.position, "ptt")


async def _press(hand: Hand, spec: DeviceSpec) -> None:
    await hand.press(spec.position, _key(spec))


async def _release(hand: Hand, spec: DeviceSpec) -> None:
    await hand.release(spec.position, _key(spec))


def _key(spec: DeviceSpec) -> str:
    return "line-1" if spec.type is DeviceType.PANEL else channel_name(1)


_ACTIONS: Final[Mapping[Action, Callable[[Hand, DeviceSpec], Awaitable[None]]]] = MappingProxyType(
    {
        Action.LIFT: lambda hand, spec: hand.lift(spec.position),
        Action.CRADLE: lambda hand, spec: hand.cradle(spec.position),
        Action.MUTE: lambda hand, spec: hand.mute(spec.position),
        Action.UNMUTE: lambda hand, spec: hand.mute(spec.position, muted=False),
        Action.TALK: _talk,
        Action.RELEASE_TALK: _release_talk,
        Action.PRESS: _press,
        Action.RELEASE: _release,
    }
)
