"""WAV files that grow while somebody writes, and are whole at any instant.

Mono, 16 bits.  Samples are put where their time says, so that a late packet lands in its place
and a lost one leaves silence.  The header is written after the samples that it counts: a killed
writer leaves a valid file.
"""

from __future__ import annotations

import os
import struct
import wave
from array import array
from pathlib import Path
from types import TracebackType

from .errors import LabError

RATE_HZ = 8_000
_HEADER = struct.Struct("<4sI4s4sIHHIIHH4sI")


class WavError(LabError, ValueError):
    """A file is not mono 16-bit PCM at the wanted rate."""


def _header(samples: int) -> bytes:
    size = 2 * samples
    riff = (b"RIFF", 36 + size, b"WAVE")
    form = (b"fmt ", 16, 1, 1, RATE_HZ, 2 * RATE_HZ, 2, 16)
    return _HEADER.pack(*riff, *form, b"data", size)


class GrowingWav:
    """A WAV file of 8 kHz mono that grows up to a bound.

    Args:
        path: the file; what was there is overwritten.
        max_samples: nothing is written past this many samples.
    """

    def __init__(self, path: Path, *, max_samples: int = 12 * 3600 * RATE_HZ) -> None:
        self.path, self.samples, self._max = path, 0, max_samples
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
        os.pwrite(self._file, _header(0), 0)

    def write_at(self, position: int, pcm: bytes) -> bool:
        """Put samples at a position counted in samples; False when out of bounds."""
        end = position + len(pcm) // 2
        if position < 0 or end > self._max:
            return False
        os.pwrite(self._file, pcm, _HEADER.size + 2 * position)
        if end > self.samples:
            self.samples = end
            os.pwrite(self._file, _header(end), 0)
        return True

    def close(self) -> None:
        """Close the file; a second time does nothing."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def __enter__(self) -> GrowingWav:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def repair(path: Path) -> int:
    """Make the header say what the file holds, and return the samples in it.

    Needed only when the machine itself went down between samples and header.

    Raises:
        WavError: the file is shorter than a header.
    """
    samples = (path.stat().st_size - _HEADER.size) // 2
    if samples < 0:
        raise WavError(f"{path.name} is too short to be a WAV file")
    with path.open("r+b") as file:
        file.write(_header(samples))
    return samples


def read(path: Path) -> array[int]:
    """Read the samples of a mono 16-bit file at 8 kHz.

    Raises:
        WavError: another format, or not a WAV file.
        OSError: the file cannot be read.
    """
    try:
        with wave.open(str(path), "rb") as file:
            form = (file.getnchannels(), file.getsampwidth(), file.getframerate())
            data = file.readframes(file.getnframes())
    except (wave.Error, EOFError) as error:
        raise WavError(f"{path.name}: {error}") from error
    if form != (1, 2, RATE_HZ):
        raise WavError(f"{path.name} must be mono, 16 bits, {RATE_HZ} Hz; it is {form}")
    return array("h", data)
