"""Keeps the beginning of a large file whose transfer broke, and goes on with it later.

Targets are named by their hash, so it does not matter which server, transport or boot brought
the beginning.  Nothing is believed of it: the whole is verified, and what does not verify is
thrown away.
"""

import contextlib
import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Final

from tuf.api.exceptions import DownloadError, DownloadLengthMismatchError

from ..cache import PRIVATE

_FLAGS: Final = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC


class Partials:
    """At most one unfinished file in a folder of its own.

    Attributes:
        resumed: Whether the last download went on with what was kept.
    """

    def __init__(self, folder: Path) -> None:
        self.resumed = False
        self._folder = folder

    @contextlib.contextmanager
    def download(
        self, path: str, length: int, read: Callable[[int], Iterator[bytes]]
    ) -> Iterator[IO[bytes]]:
        """Yields a whole file, which is removed afterwards whatever becomes of it.

        Only when ``read`` fails with a DownloadError is what has come kept for the next time.

        Args:
            path: What names this content and no other.
            length: How long it is, in bytes.
            read: Yields the content from an offset on.

        Raises:
            DownloadLengthMismatchError: More comes than ``length``.
            DownloadError: The transfer broke.
            OSError: The medium fails, or is full.
        """
        kept = self._claim(path)
        try:
            with os.fdopen(os.open(kept, _FLAGS, PRIVATE), "r+b") as file:
                _complete(file, length, read, self._begin(file, length))
                yield file
        except BaseException as error:
            if not _broke(error):
                kept.unlink(missing_ok=True)
            raise
        kept.unlink()

    def _claim(self, path: str) -> Path:
        """Returns the file for a path; what is kept for another one is given up."""
        kept = self._folder / hashlib.sha256(path.encode()).hexdigest()
        self._folder.mkdir(parents=True, exist_ok=True)
        for other in self._folder.iterdir():
            if other != kept:
                other.unlink()
        return kept

    def _begin(self, file: IO[bytes], length: int) -> int:
        """Returns how much is here already."""
        size = os.fstat(file.fileno()).st_size
        if size > length:
            file.truncate(0)
            size = 0
        self.resumed = size > 0
        return size


def _broke(error: BaseException) -> bool:
    """Says whether a transfer ended early, rather than with the wrong content."""
    mismatch = isinstance(error, DownloadLengthMismatchError)
    return isinstance(error, DownloadError) and not mismatch


def _complete(
    file: IO[bytes], length: int, read: Callable[[int], Iterator[bytes]], size: int
) -> None:
    """Adds what is missing, and goes to the start."""
    if size < length:
        for chunk in read(size):
            size += len(chunk)
            if size > length:
                raise DownloadLengthMismatchError(f"more than {length} bytes come")
            file.write(chunk)
    file.flush()
    file.seek(0)
