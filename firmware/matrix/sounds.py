"""Sound files that a source can say: PCM, 16 bits, mono, in the one folder that is for them."""

import asyncio
import contextlib
import os
import stat
import struct
import wave
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Final

from .errors import BadRequestError, UnknownThingError

MAX_SAMPLES: Final = 4_800_000
"""Ten minutes at 8 kHz, five at 16 kHz, 100 s at 48 kHz: every source may hold one of these."""
HEADER_BYTES_MAX: Final = 65_536
_BROKEN: Final = (EOFError, wave.Error, struct.error, RuntimeError, ValueError)


class Sounds:
    """The sound files of a unit; one is read at a time, whoever asks.

    Args:
        folder: Where they are.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._turn = asyncio.Lock()

    async def read(self, name: str, rate_hz: int) -> bytes:
        """Returns the samples of a file, read on another thread.

        Raises:
            UnknownThingError: There is no such file.
            BadRequestError: It is no WAV file, of another format, or too long.
        """
        async with self._turn:
            return await asyncio.to_thread(read_sound, self._folder, name, rate_hz)


def read_sound(folder: Path, name: str, rate_hz: int) -> bytes:
    """Returns the samples of a sound file, in the byte order of this machine.

    Args:
        folder: Where sound files are.
        name: Of the file, without folders: whoever calls has checked it.
        rate_hz: What the samples are wanted at.

    Raises:
        UnknownThingError: There is no such file.
        BadRequestError: It is no WAV file, of another format, or too long.
    """
    with _opened(folder, name) as file:
        _check_size(file, name)
        try:
            return _samples(file, name, rate_hz)
        except _BROKEN as error:
            raise BadRequestError(f"{name} is no whole WAV file: {error}") from error


@contextlib.contextmanager
def _opened(folder: Path, name: str) -> Iterator[IO[bytes]]:
    """Opens a plain file; a link could lead out of the folder, and a pipe would never end."""
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    try:
        descriptor = os.open(folder / name, flags)
    except OSError as error:
        raise UnknownThingError(f"no sound {name}: {error.strerror}") from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise UnknownThingError(f"no sound {name}: it is no plain file")
    with os.fdopen(descriptor, "rb") as file:
        yield file


def _check_size(file: IO[bytes], name: str) -> None:
    """Refuses what is too long before a byte of it is read."""
    if os.fstat(file.fileno()).st_size > 2 * MAX_SAMPLES + HEADER_BYTES_MAX:
        raise BadRequestError(f"{name} is longer than {MAX_SAMPLES} samples")


def _samples(file: IO[bytes], name: str, rate_hz: int) -> bytes:
    with wave.open(file) as sound:
        found = (sound.getframerate(), sound.getnchannels(), 8 * sound.getsampwidth())
        if found != (rate_hz, 1, 16):
            raise BadRequestError(
                f"{name} is {found[0]} Hz, {found[1]} channel(s), {found[2]} bits; the source is "
                f"{rate_hz} Hz: sox {name} -r {rate_hz} -c 1 -b 16 out.wav"
            )
        pcm: bytes = sound.readframes(min(sound.getnframes(), MAX_SAMPLES))
    if len(pcm) < 2:
        raise BadRequestError(f"{name} is empty")
    return pcm[: len(pcm) // 2 * 2]
