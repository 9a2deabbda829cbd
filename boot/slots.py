"""The firmware on the medium: one slot, replaced as a whole or not at all.

An image is a wheel, which is a zip of Python packages.  It is unpacked beside the slot
and the slot is a symbolic link, so that switching is one rename.
"""

import errno
import hashlib
import os
import shutil
import stat
import zipfile
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from .cache import sync_directory, sync_tree
from .errors import SlotError

MAX_FILES: Final = 20_000
MAX_BYTES: Final = 536_870_912
MAX_PATH: Final = 240

_CHUNK = 65_536
_FORBIDDEN = set('\\:*?"<>|\0')


@dataclass(frozen=True, slots=True)
class Slot:
    """One installed firmware.

    Attributes:
        path: The folder to put on PYTHONPATH.
        version: As the manifest said.
        sha256: Of the wheel.
    """

    path: Path
    version: str
    sha256: str


class SlotManager:
    """Installs firmware under ``slots/`` and tells what is there."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._link = directory / "a"

    def current(self) -> Slot | None:
        """Returns the firmware that would be started; None when there is none."""
        if not self._link.is_symlink():
            return None
        version, _, sha256 = self._link.readlink().name.removeprefix("a-").rpartition("-")
        return Slot(self._link, version, sha256) if self._link.is_dir() and version else None

    def install(self, wheel: Path, *, version: str, sha256: str) -> Slot:
        """Makes a wheel the current firmware; does nothing when it is already.

        Raises:
            SlotError: The hash is wrong, or the wheel holds what a wheel must not.
            OSError: The medium is full; the current firmware stays.
        """
        current = self.current()
        if current is not None and (current.version, current.sha256) == (version, sha256):
            self.tidy()
            return current
        _check_version(version)
        _check_hash(wheel, sha256)
        folder = self._directory / f"a-{version}-{sha256}"
        self._unpack(wheel, folder)
        self._switch(folder)
        self.tidy()
        return Slot(self._link, version, sha256)

    def tidy(self) -> None:
        """Removes all but the current firmware, also what a power cut left of another."""
        if not self._link.is_dir():
            return
        keep = (self._link, self._directory / self._link.readlink())
        for entry in self._directory.iterdir():
            if entry.is_symlink() and entry not in keep:
                entry.unlink()
            elif entry not in keep:
                shutil.rmtree(entry, ignore_errors=True)

    def _unpack(self, wheel: Path, folder: Path) -> None:
        temporary = folder.with_name(f".{folder.name}")
        for leftover in (temporary, folder):
            shutil.rmtree(leftover, ignore_errors=True)
        temporary.mkdir(parents=True)
        unpack(wheel, temporary)
        sync_tree(temporary)
        temporary.rename(folder)
        sync_directory(self._directory)

    def _switch(self, folder: Path) -> None:
        temporary = self._directory / ".a"
        temporary.unlink(missing_ok=True)
        temporary.symlink_to(folder.name)
        temporary.replace(self._link)
        sync_directory(self._directory)


def unpack(
    wheel: Path, target: Path, *, max_bytes: int = MAX_BYTES, max_files: int = MAX_FILES
) -> None:
    """Unpacks a wheel into an empty folder, believing nothing that its index says.

    Raises:
        SlotError: A name leads out of the folder or comes twice, an entry is a link, or
            the content is larger than allowed.
    """
    try:
        with zipfile.ZipFile(wheel) as archive:
            _check_entries(archive.infolist(), max_files)
            left = max_bytes
            for entry in archive.infolist():
                left -= _extract(archive, entry, target, left)
    except _UNSOUND as error:
        raise SlotError(f"{wheel.name}: not a sound zip: {error}", _REMEDY) from error
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        raise SlotError(f"{wheel.name}: points outside itself", _REMEDY) from error


_REMEDY = "build the firmware again with: python -m build --wheel"
_UNSOUND = (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError, ValueError)
"""What zipfile raises where octets are missing or wrong."""


def _check_entries(entries: Iterable[zipfile.ZipInfo], max_files: int) -> None:
    seen: set[str] = set()
    for entry in entries:
        _check_name(entry.filename)
        if stat.S_IFMT(entry.external_attr >> 16) not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise SlotError(f"{entry.filename}: neither file nor folder", _REMEDY)
        if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise SlotError(f"{entry.filename}: compressed in an unknown way", _REMEDY)
        if entry.filename.rstrip("/").casefold() in seen or len(seen) >= max_files:
            raise SlotError(f"{entry.filename}: given twice, or too many files", _REMEDY)
        seen.add(entry.filename.rstrip("/").casefold())


def _check_name(name: str) -> None:
    path = PurePosixPath(name)
    unsafe = path.is_absolute() or ".." in path.parts or not path.parts
    if unsafe or len(name) > MAX_PATH or _FORBIDDEN & set(name):
        raise SlotError(f"{name[:80]!r} is not an acceptable file name", _REMEDY)


def _extract(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, target: Path, left: int) -> int:
    """Writes one entry and returns its real size."""
    path = target / entry.filename
    if entry.is_dir():
        path.mkdir(parents=True, exist_ok=True)
        return 0
    path.parent.mkdir(parents=True, exist_ok=True)
    size = 0
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    with archive.open(entry) as source, os.fdopen(os.open(path, flags, 0o644), "wb") as file:
        while chunk := source.read(_CHUNK):
            size += len(chunk)
            if size > left:
                raise SlotError(f"{entry.filename}: the image is larger than allowed", _REMEDY)
            file.write(chunk)
    return size


def _check_version(version: str) -> None:
    if not version or len(version) > 64 or not set(version) <= _VERSION:
        raise SlotError(f"{version[:80]!r} is not a version", "use digits, letters, . and +")


_VERSION = set("0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.+")


def _check_hash(wheel: Path, sha256: str) -> None:
    with wheel.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != sha256.lower():
        raise SlotError(
            f"{wheel.name}: sha256 {found} is not {sha256}", "publish the manifest again"
        )
