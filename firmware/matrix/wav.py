"""A WAV file that grows: whenever it is looked at, its header tells what it holds."""

import os
import stat
import struct
import sys
from array import array
from pathlib import Path
from typing import Final

SAMPLE_BYTES: Final = 2
HEADER_BYTES: Final = 44
_SIZES: Final = struct.Struct("<I")


class WavFile:
    """Signed 16-bit mono, appended to; the header follows what is there, never precedes it.

    Args:
        path: A file that is not there yet.
        rate_hz: Samples in a second.

    Raises:
        FileExistsError: It is there; nothing that was recorded is ever overwritten.
        OSError: It cannot be made.
    """

    def __init__(self, path: Path, rate_hz: int) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        self._descriptor = os.open(path, flags, stat.S_IRUSR | stat.S_IWUSR)
        self._octets = 0
        os.pwrite(self._descriptor, _header(rate_hz), 0)

    def append(self, pcm: bytes) -> None:
        """Adds samples in the byte order of this machine.

        Raises:
            OSError: The disk is full or gone; the file is whole up to what it held before.
        """
        data = memoryview(_little_endian(pcm))
        while data:
            written = os.pwrite(self._descriptor, data, HEADER_BYTES + self._octets)
            self._octets += written
            data = data[written:]
        os.pwrite(self._descriptor, _SIZES.pack(self._whole() + HEADER_BYTES - 8), 4)
        os.pwrite(self._descriptor, _SIZES.pack(self._whole()), 40)

    def close(self) -> None:
        """Lets go of the file; nothing is left to write."""
        os.close(self._descriptor)

    def _whole(self) -> int:
        return self._octets // SAMPLE_BYTES * SAMPLE_BYTES


def _header(rate_hz: int) -> bytes:
    form = struct.pack("<HHIIHH", 1, 1, rate_hz, SAMPLE_BYTES * rate_hz, SAMPLE_BYTES, 16)
    return struct.pack("<4sI8sI", b"RIFF", HEADER_BYTES - 8, b"WAVEfmt ", len(form)) + (
        form + struct.pack("<4sI", b"data", 0)
    )


def _little_endian(pcm: bytes) -> bytes:
    if sys.byteorder == "little":
        return pcm
    samples = array("h", pcm)
    samples.byteswap()
    return samples.tobytes()
