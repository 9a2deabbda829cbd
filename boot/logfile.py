"""Log files of bounded size: when one has grown, it is moved aside and the one before it goes."""

import os
import shutil
from pathlib import Path
from typing import Final

MAX_BYTES: Final = 1_048_576
_APPEND = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC


class LogFile:
    """A file that lines are appended to; a full medium loses lines, never the writer.

    Args:
        path: The file; the older one is called ``<name>.1``.
        max_bytes: When it is moved aside.

    Attributes:
        lost: Lines that the medium did not take.
    """

    def __init__(self, path: Path, max_bytes: int = MAX_BYTES) -> None:
        self.lost = 0
        self._path = path
        self._max_bytes = max_bytes

    def append(self, line: str) -> None:
        """Appends one line; counts it as lost when the medium is full or read-only."""
        try:
            self._write((line + "\n").encode())
        except OSError:
            self.lost += 1

    def _write(self, data: bytes) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self._path, _APPEND, 0o600)
        try:
            size = os.fstat(descriptor).st_size
            os.write(descriptor, data)
        finally:
            os.close(descriptor)
        if size + len(data) > self._max_bytes:
            self._path.replace(older(self._path))


def older(path: Path) -> Path:
    """Returns where the log before this one is kept."""
    return path.with_name(f"{path.name}.1")


def rotate(path: Path, max_bytes: int = MAX_BYTES) -> None:
    """Moves a log that has grown aside; for before it is opened.

    Raises:
        OSError: The medium is read-only.
    """
    if path.is_file() and path.stat().st_size > max_bytes:
        path.replace(older(path))


def trim(path: Path, max_bytes: int = MAX_BYTES) -> None:
    """Copies a log that has grown aside and empties it; for one that a process appends to.

    What the process writes between the two is lost.

    Raises:
        OSError: The medium is full or read-only.
    """
    if path.is_file() and path.stat().st_size > max_bytes:
        shutil.copyfile(path, older(path))
        os.truncate(path, 0)
