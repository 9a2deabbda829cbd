"""What a hand, an ear and a voice do at a device, whoever lends them.

The contract tests know nothing else of the world outside a driver, so they run wherever
somebody implements :class:`Hand`: on twins, in a guest, on a rig.
"""

import enum
from dataclasses import dataclass
from typing import Final, Protocol

from ...hal.audio import SAMPLE_BYTES

MAX_SOUND_S: Final = 60


class Ability(enum.StrEnum):
    """What not every hand can do; tests are chosen by it.

    Attributes:
        CABLE: Pulls cables and puts them back.
        TURN: Turns knobs.
        SPEAK: Makes sounds at a microphone.
        HEAR: Hears what an earpiece plays.
        EXACT: Does both sample by sample, so that nothing may be between it and the driver.
        COUNT: Knows how many frames a device moved.
    """

    CABLE = "cable"
    TURN = "turn"
    SPEAK = "speak"
    HEAR = "hear"
    EXACT = "exact"
    COUNT = "count"


@dataclass(frozen=True, slots=True)
class Sound:
    """Mono samples of 16 bits, little-endian."""

    pcm: bytes
    rate_hz: int

    @property
    def seconds(self) -> float:
        """How long it lasts."""
        return len(self.pcm) / SAMPLE_BYTES / self.rate_hz


class Hand(Protocol):
    """One person at a unit's devices, named by their positions.

    Raises (all of them):
        DeviceError: The device has nothing of the kind, or the hand cannot do it.
        DeviceGoneError: The hand itself is out of reach.
    """

    @property
    def abilities(self) -> frozenset[Ability]:
        """What it can do beside the rest."""
        ...

    async def lift(self, position: str) -> None:
        """Takes a handset off its cradle, or switches a speakerphone on."""
        ...

    async def cradle(self, position: str) -> None:
        """Puts it back, or switches it off."""
        ...

    async def press(self, position: str, key: str) -> None:
        """Presses and holds a key; ``ptt`` is push-to-talk, others have the names of keys."""
        ...

    async def release(self, position: str, key: str) -> None:
        """Lets go of a key."""
        ...

    async def mute(self, position: str, *, muted: bool = True) -> None:
        """Switches the device's own mute."""
        ...

    async def turn(self, position: str, steps: int, *, channel: int = 0) -> None:
        """Turns a volume knob: so many steps louder, or quieter when negative."""
        ...

    async def tone(self, position: str, frequency_hz: float, level_dbfs: float) -> None:
        """Makes a sine at the microphone until something else is said."""
        ...

    async def speak(self, position: str, sound: Sound, *, loop: bool = False) -> None:
        """Says something into the microphone, once or over and over."""
        ...

    async def silence(self, position: str) -> None:
        """Says nothing from now on."""
        ...

    async def listen(self, position: str) -> None:
        """Puts an ear to the earpiece or loudspeaker."""
        ...

    async def stop_listening(self, position: str) -> Sound:
        """Takes it away and returns what it heard, without a gap."""
        ...

    async def lamps(self, position: str) -> dict[str, bool]:
        """Returns the lamps that are lit."""
        ...

    async def counters(self, position: str) -> dict[str, int]:
        """Returns what the device counted."""
        ...

    async def unplug(self, position: str) -> None:
        """Pulls the cable."""
        ...

    async def plug(self, position: str) -> None:
        """Puts the cable back."""
        ...

    async def tidy(self) -> None:
        """Puts everything back as it lies when nobody works it, cables plugged in."""
        ...

    async def close(self) -> None:
        """Goes away; the devices stay as they are."""
        ...
