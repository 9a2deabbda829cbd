"""What an emulated microphone says and what an emulated earpiece keeps.

A source is a function of the frame number, so that speech goes on at its own pace
whether or not a host listens, as a person's does.
"""

import array
import math
import sys
import wave
from pathlib import Path
from typing import Final, Protocol

from ...hal.audio import RATE_HZ, SAMPLE_BYTES
from ...hal.errors import AudioFormatError

MAX_WAV_SECONDS: Final = 600
_FULL_SCALE: Final = 32767


class Source(Protocol):
    """Something that a microphone picks up."""

    def frame(self, number: int, samples: int) -> bytes:
        """Returns the frame of that number, counted from 0; silence after the end."""
        ...


class Silence:
    """Nothing."""

    def frame(self, number: int, samples: int) -> bytes:
        """Returns zeros."""
        return bytes(samples * SAMPLE_BYTES)


class Tone:
    """A sine without a break in its phase; ``level_dbfs`` is its power against a full sine's."""

    def __init__(self, frequency_hz: float, level_dbfs: float, rate_hz: int = RATE_HZ) -> None:
        if not 0 < frequency_hz < rate_hz / 2:
            raise AudioFormatError(f"{frequency_hz} Hz is not between 0 and {rate_hz // 2} Hz")
        if level_dbfs > 0:
            raise AudioFormatError(f"{level_dbfs} dBFS is above full scale")
        self._step = 2 * math.pi * frequency_hz / rate_hz
        self._peak = _FULL_SCALE * 10 ** (level_dbfs / 20)

    def frame(self, number: int, samples: int) -> bytes:
        """Returns the sine's samples from ``number * samples`` on."""
        first = number * samples
        sine = (self._peak * math.sin(self._step * n) for n in range(first, first + samples))
        return _little_endian(array.array("h", map(round, sine)))


class Speech:
    """A recording, once or over and over."""

    def __init__(self, pcm: bytes, *, loop: bool = False) -> None:
        self._pcm = pcm
        self._loop = loop and bool(pcm)

    def frame(self, number: int, samples: int) -> bytes:
        """Returns the recording from ``number * samples`` on, padded with silence at its end."""
        size = samples * SAMPLE_BYTES
        first = number * size
        if self._loop:
            return self._looped(first, size)
        return self._pcm[first : first + size].ljust(size, b"\0")

    def _looped(self, first: int, size: int) -> bytes:
        first %= len(self._pcm)
        piece = self._pcm[first : first + size]
        while len(piece) < size:
            piece += self._pcm[: size - len(piece)]
        return piece


def read_wav(path: Path, rate_hz: int = RATE_HZ) -> bytes:
    """Returns the samples of a WAV file, little-endian.

    Raises:
        AudioFormatError: Not a WAV file of that rate, mono, 16 bits, or longer than ten minutes.
    """
    try:
        with wave.open(str(path), "rb") as file:
            _check_format(path, file, rate_hz)
            return file.readframes(file.getnframes())
    except (OSError, EOFError, wave.Error) as error:
        raise AudioFormatError(f"{path.name} cannot be read as WAV: {error}") from error


def _check_format(path: Path, file: wave.Wave_read, rate_hz: int) -> None:
    found = (file.getframerate(), file.getnchannels(), file.getsampwidth() * 8)
    if found != (rate_hz, 1, SAMPLE_BYTES * 8):
        raise AudioFormatError(
            f"{path.name} is {found[0]} Hz, {found[1]} channel(s), {found[2]} bits; "
            f"convert it: sox {path.name} -r {rate_hz} -c 1 -b 16 out.wav"
        )
    if file.getnframes() > MAX_WAV_SECONDS * rate_hz:
        raise AudioFormatError(f"{path.name} is longer than {MAX_WAV_SECONDS} s")


class Heard:
    """Keeps everything that an earpiece played, without a gap, in a WAV file.

    Args:
        path: The file; replaced if it is there.
        first: Number of the frame that the file starts with.
        samples: Samples per frame.
        rate_hz: Samples per second.

    Attributes:
        silent: Frames in which the host had nothing for the earpiece.
    """

    def __init__(self, path: Path, first: int, samples: int, rate_hz: int = RATE_HZ) -> None:
        self._first = self._next = first
        self._samples = samples
        self._rate_hz = rate_hz
        self.silent = 0
        self._pending = bytearray()
        self._file = _open_for_writing(path, rate_hz)

    def put(self, number: int, frame: bytes | None) -> None:
        """Keeps the frame of that number; None and frames never put are silence."""
        if number < self._next:
            return
        self._fill(number)
        self.silent += frame is None
        self._append(frame or bytes(self._samples * SAMPLE_BYTES))

    def close(self, number: int) -> float:
        """Ends the file just before the frame of that number and returns its seconds."""
        self._fill(number)
        self._flush()
        self._file.close()
        return (self._next - self._first) * self._samples / self._rate_hz

    def _fill(self, number: int) -> None:
        while self._next < number:
            self.silent += 1
            self._append(bytes(self._samples * SAMPLE_BYTES))

    def _append(self, frame: bytes) -> None:
        self._next += 1
        self._pending += frame
        if len(self._pending) >= self._rate_hz * SAMPLE_BYTES:
            self._flush()

    def _flush(self) -> None:
        self._file.writeframes(bytes(self._pending))
        self._pending.clear()


def _open_for_writing(path: Path, rate_hz: int) -> wave.Wave_write:
    try:
        path.touch()
    except OSError as error:
        raise AudioFormatError(f"cannot write {path}: {error.strerror}") from error
    file = wave.open(str(path), "wb")  # noqa: SIM115
    file.setnchannels(1)
    file.setsampwidth(SAMPLE_BYTES)
    file.setframerate(rate_hz)
    return file


def _little_endian(samples: "array.array[int]") -> bytes:
    if sys.byteorder == "big":
        samples.byteswap()
    return samples.tobytes()
