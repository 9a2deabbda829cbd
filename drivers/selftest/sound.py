"""What is in a second of sound: its level, its strongest tone, when that began.

Levels are in dB of a full-scale sine, as :class:`~..emulated.sound.Tone` is made.
"""

import math
import sys
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

ANALYSED_HZ: Final = 8000
"""A telephone's band holds everything that is looked for."""

WINDOW_S: Final = 0.1
"""What is measured: the loudest piece of that length, so that a gap beside it does not matter."""

SILENCE_DBFS: Final = -120.0
TOLERANCE_HZ: Final = 3.0
"""Within which a tone is the one that was played; clocks of devices differ by less."""

_LOWEST_HZ: Final = 100
_HIGHEST_HZ: Final = 3800
_STEP_HZ: Final = 16
_FINEST_HZ: Final = 0.25
_FULL_SCALE: Final = 32767


@dataclass(frozen=True, slots=True)
class Sound:
    """What was heard.

    Attributes:
        level_dbfs: Of everything, where it was loudest; ``SILENCE_DBFS`` at least.
        frequency_hz: Of its strongest tone.
        tone_dbfs: Of that tone alone.
    """

    level_dbfs: float
    frequency_hz: float
    tone_dbfs: float

    @property
    def figures(self) -> dict[str, float]:
        """Its tone, rounded as it is worth."""
        return {
            "frequency_hz": round(self.frequency_hz, 1),
            "level_dbfs": round(self.tone_dbfs, 1),
        }

    def __str__(self) -> str:
        """``1000.0 Hz at -20.0 dBFS``."""
        if self.tone_dbfs <= SILENCE_DBFS:
            return "silence"
        return f"{self.frequency_hz:.1f} Hz at {self.tone_dbfs:.1f} dBFS"


def samples_of(pcm: bytes) -> "array[int]":
    """Returns 16-bit little-endian samples as numbers."""
    samples = array("h", pcm)
    if sys.byteorder == "big":
        samples.byteswap()
    return samples


def measured(samples: Sequence[int], rate_hz: int) -> Sound:
    """Returns what is in the samples where they are loudest."""
    loudest = _loudest(samples, round(WINDOW_S * rate_hz))
    piece = _narrowed(loudest, rate_hz)
    shaped = [value * weight for value, weight in zip(piece, _hann(len(piece)), strict=True)]
    frequency_hz = _strongest(shaped)
    tone_dbfs = _dbfs(4 * _power(shaped, frequency_hz) ** 0.5 / max(1, len(shaped)))
    return Sound(level_dbfs(loudest), frequency_hz, tone_dbfs)


def level_dbfs(samples: Sequence[int]) -> float:
    """Returns the level of everything in the samples."""
    mean = sum(value * value for value in samples) / max(1, len(samples))
    return _dbfs(math.sqrt(2 * mean))


def onset(samples: Sequence[int], level_dbfs: float) -> int | None:
    """Returns the number of the first sample of a tone of that level; None without one."""
    threshold = _FULL_SCALE * 10 ** (level_dbfs / 20) / 2
    return next((n for n, value in enumerate(samples) if abs(value) >= threshold), None)


def _loudest(samples: Sequence[int], length: int) -> Sequence[int]:
    """The first window of that length with the most power, in steps of a quarter of it."""
    starts = range(0, max(1, len(samples) - length + 1), length // 4)
    pieces = (samples[start : start + length] for start in starts)
    return max(pieces, key=lambda piece: sum(value * value for value in piece))


def _narrowed(samples: Sequence[int], rate_hz: int) -> list[float]:
    """Averages neighbours down to the rate that is analysed."""
    width = max(1, rate_hz // ANALYSED_HZ)
    return [
        sum(samples[start : start + width]) / width
        for start in range(0, len(samples) - width + 1, width)
    ]


def _hann(length: int) -> Iterator[float]:
    step = 2 * math.pi / max(1, length)
    return (0.5 - 0.5 * math.cos(step * n) for n in range(length))


def _strongest(shaped: Sequence[float]) -> float:
    """Looks through the band, then closer and closer around the best."""
    best = float(
        max(range(_LOWEST_HZ, _HIGHEST_HZ, _STEP_HZ), key=lambda hz: _power(shaped, float(hz)))
    )
    step_hz = _STEP_HZ / 2
    while step_hz >= _FINEST_HZ:
        around = (best - step_hz, best, best + step_hz)
        best = max(around, key=lambda hz: _power(shaped, hz))
        step_hz /= 2
    return best


def _power(shaped: Sequence[float], frequency_hz: float) -> float:
    """Squared magnitude of one frequency (Goertzel)."""
    coefficient = 2 * math.cos(2 * math.pi * frequency_hz / ANALYSED_HZ)
    before = last = 0.0
    for value in shaped:
        before, last = last, value + coefficient * last - before
    return before * before + last * last - coefficient * before * last


def _dbfs(peak: float) -> float:
    return max(SILENCE_DBFS, 20 * math.log10(max(peak, 1e-9) / _FULL_SCALE))
