"""A hoot: an open line that speaks its sentence over and over to everybody who listens."""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from pathlib import Path

from ..g711 import Law, encode
from ..wav import read
from .errors import HootError

FRAME_SAMPLES = 160


@dataclass(frozen=True, slots=True)
class Hoot:
    """What a hoot says, encoded once in both laws.

    Attributes:
        user: user part of its address.
        pcmu: µ-law bytes, a whole number of frames.
        pcma: A-law bytes, a whole number of frames.
    """

    user: str
    pcmu: bytes
    pcma: bytes

    @classmethod
    def load(cls, user: str, path: Path) -> Hoot:
        """Read what the hoot says from a mono 16-bit WAV file at 8 kHz.

        Raises:
            HootError: the file is empty.
            WavError: another format.
            OSError: the file cannot be read.
        """
        return cls.of(user, read(path))

    @classmethod
    def of(cls, user: str, samples: array[int]) -> Hoot:
        """Make a hoot from samples; the last frame is filled up with silence.

        Raises:
            HootError: there are no samples.
        """
        if not samples:
            raise HootError(f"{user} has nothing to say")
        whole = array("h", samples)
        whole.extend([0] * (-len(whole) % FRAME_SAMPLES))
        return cls(user, encode(whole, Law.PCMU), encode(whole, Law.PCMA))

    @property
    def frames(self) -> int:
        """Frames of 20 ms until it begins again."""
        return len(self.pcmu) // FRAME_SAMPLES

    def frame(self, number: int, law: Law) -> bytes:
        """Return frame ``number`` of the endless speech."""
        start = number % self.frames * FRAME_SAMPLES
        voice = self.pcmu if law is Law.PCMU else self.pcma
        return voice[start : start + FRAME_SAMPLES]
