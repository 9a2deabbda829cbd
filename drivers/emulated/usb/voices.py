"""What a microphone picks up and an earpiece gives, a millisecond at a time, at a rate.

A tone is made at the rate; what exists at one rate only is repeated or decimated, sample by
sample, with the images and aliases that this brings.
"""

import array
import math
import sys
from dataclasses import dataclass
from typing import Final, Protocol

from ....hal.errors import AudioFormatError
from ..sound import Source

FULL_SCALE: Final = 32767
SOURCE_RATE_HZ: Final = 8000


class Voice(Protocol):
    """Something to be picked up."""

    def samples(self, millisecond: int, rate_hz: int) -> list[int]:
        """Returns the samples of that millisecond, counted from 0: 16-bit, ``rate_hz / 1000``."""
        ...


class Quiet:
    """Nothing."""

    def samples(self, _millisecond: int, rate_hz: int) -> list[int]:
        """Returns zeros."""
        return [0] * (rate_hz // 1000)


class Tone:
    """A sine without a break in its phase, made at the rate of the stream.

    Args:
        frequency_hz: Above 0, below half of the lowest rate.
        level_dbfs: Power against a full sine's, at most 0.

    Raises:
        AudioFormatError: An argument is out of its range.
    """

    def __init__(self, frequency_hz: float, level_dbfs: float) -> None:
        if not 0 < frequency_hz < SOURCE_RATE_HZ / 2:
            raise AudioFormatError(f"{frequency_hz} Hz is not between 0 and 4000 Hz")
        if not level_dbfs <= 0:
            raise AudioFormatError(f"{level_dbfs} dBFS is above full scale")
        self._frequency_hz = frequency_hz
        self._peak = FULL_SCALE * 10 ** (level_dbfs / 20)

    def samples(self, millisecond: int, rate_hz: int) -> list[int]:
        """Returns the sine of that millisecond."""
        count = rate_hz // 1000
        step = 2 * math.pi * self._frequency_hz / rate_hz
        first = millisecond * count
        return [round(self._peak * math.sin(step * n)) for n in range(first, first + count)]


class Spoken:
    """A source of 8 kHz, as the emulated hardware of a board has it."""

    def __init__(self, source: Source) -> None:
        self._source = source

    def samples(self, millisecond: int, rate_hz: int) -> list[int]:
        """Returns the source's millisecond, each sample as often as the rate needs."""
        count = SOURCE_RATE_HZ // 1000
        said = from_pcm(self._source.frame(millisecond, count))
        times = rate_hz // SOURCE_RATE_HZ
        return [sample for sample in said for _ in range(times)]


@dataclass(frozen=True, slots=True)
class Heard:
    """What an earpiece gave: mono 16-bit samples, little-endian."""

    rate_hz: int
    pcm: bytes

    def samples(self, millisecond: int, rate_hz: int) -> list[int]:
        """Returns that millisecond at another rate, repeated or decimated; zeros after the end."""
        count = rate_hz // 1000
        first = millisecond * self.rate_hz // 1000
        wanted = (first + n * self.rate_hz // rate_hz for n in range(count))
        return [self._sample(n) for n in wanted]

    def _sample(self, number: int) -> int:
        two = self.pcm[2 * number : 2 * number + 2]
        return int.from_bytes(two, "little", signed=True)


def from_pcm(pcm: bytes) -> list[int]:
    """Returns the samples of little-endian octets; half a sample at the end is left out."""
    samples = array.array("h", pcm[: len(pcm) // 2 * 2])
    if sys.byteorder == "big":
        samples.byteswap()
    return samples.tolist()


def to_pcm(samples: list[int]) -> bytes:
    """Returns samples as little-endian octets."""
    octets = array.array("h", samples)
    if sys.byteorder == "big":
        octets.byteswap()
    return octets.tobytes()


def louder(samples: list[int], gain: float) -> list[int]:
    """Returns samples times a factor."""
    return samples if gain == 1.0 else [saturated(round(sample * gain)) for sample in samples]


def mixed(first: list[int], second: list[int]) -> list[int]:
    """Returns the sum of two voices of one length."""
    return [saturated(one + other) for one, other in zip(first, second, strict=True)]


def saturated(sample: int) -> int:
    """Returns a sample within 16 bits."""
    return min(max(sample, -FULL_SCALE - 1), FULL_SCALE)
