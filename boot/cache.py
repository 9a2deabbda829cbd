"""Files that survive a power cut: temporary file, fsync, rename, fsync of the folder."""

import contextlib
import os
from pathlib import Path

PRIVATE = 0o600
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def write_atomically(path: Path, data: bytes, *, durable: bool = True) -> None:
    """Replaces a file as a whole: after a power cut it is the old one or the new one.

    What a cut leaves beside the file is overwritten next time, so nothing piles up; one
    writer at a time.

    Args:
        path: The file; its folder is made when missing.
        data: Its new content.
        durable: Wait until the medium has it.  False keeps the atomic rename only, for
            files that mean nothing after a reboot.

    Raises:
        OSError: The medium is full or read-only; the old content stays.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.new")
    beside.unlink(missing_ok=True)
    try:
        with os.fdopen(os.open(beside, _NEW_FILE, PRIVATE), "wb") as file:
            file.write(data)
            file.flush()
            if durable:
                os.fsync(file.fileno())
        beside.replace(path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
    if durable:
        sync_directory(path.parent)


def read_bounded(path: Path, max_bytes: int) -> bytes | None:
    """Returns the content of a regular file; None when it is missing, a link or too large.

    Raises:
        OSError: The medium fails.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError:
        if path.is_symlink():
            return None
        raise
    with os.fdopen(descriptor, "rb") as file:
        data = file.read(max_bytes + 1)
    return data if len(data) <= max_bytes else None


def remove(path: Path) -> None:
    """Removes a file so that it stays removed after a power cut."""
    with contextlib.suppress(FileNotFoundError):
        path.unlink()
        sync_directory(path.parent)


def sync_directory(path: Path) -> None:
    """Waits until the medium has the names in a folder."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_tree(path: Path) -> None:
    """Waits until the medium has every regular file and name below a folder."""
    for folder, _, names in os.walk(path):
        for name in names:
            _sync_file(Path(folder, name))
        sync_directory(Path(folder))


def _sync_file(path: Path) -> None:
    if path.is_symlink():
        return
    with path.open("rb") as file:
        os.fsync(file.fileno())
