"""A firmware image becomes a folder: checked, unpacked, compiled, and later checked again.

An image is a wheel, which is a zip of Python packages.
"""

import errno
import hashlib
import os
import stat
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import Final

from ..cache import read_bounded
from ..errors import SlotError

MAX_FILES: Final = 20_000
MAX_BYTES: Final = 536_870_912
MAX_PATH: Final = 240

_CHUNK = 65_536
_FORBIDDEN = set('\\:*?"<>|\0')


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


def check_hash(image: Path, sha256: str) -> None:
    """Lets an image pass that is the one that was promised.

    Raises:
        SlotError: It is another.
    """
    with image.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != sha256:
        raise SlotError(
            f"{image.name}: sha256 {found} is not {sha256}", "publish the manifest again"
        )


def compile_packages(folder: Path) -> None:
    """Compiles the Python modules in a folder, in a process of its own, unless they are already.

    Python would otherwise write their code when they first run: unsynced, so that a power cut
    could leave half of it, and after the content was measured.  The code is not compared with
    its source later, because nothing changes either of them.  A module that does not compile is
    left alone.

    Raises:
        SlotError: It takes longer than two minutes.
    """
    if any(folder.glob(f"**/__pycache__/*.{sys.implementation.cache_tag}.pyc")):
        return
    command = [sys.executable, "-m", "compileall", "-qq", "-j1", *_UNCHECKED, str(folder)]
    try:
        subprocess.run(command, check=False, timeout=_COMPILE_S, stdin=subprocess.DEVNULL)
    except subprocess.TimeoutExpired as error:
        raise SlotError(f"compiling takes longer than {_COMPILE_S:.0f} s", _REMEDY) from error


_UNCHECKED = ("--invalidation-mode", "unchecked-hash")
_COMPILE_S = 120.0


def content_digest(folder: Path) -> str:
    """Returns a digest of every name and every octet in a folder; empty when it is not sound.

    A folder that cannot be read, or that holds anything but files and folders, is not sound.
    """
    digest = hashlib.sha256()
    try:
        for path in sorted(folder.rglob("*")):
            digest.update(_described(path, folder))
    except OSError:
        return ""
    return digest.hexdigest()


def _described(path: Path, folder: Path) -> bytes:
    """Returns one line about a file or folder.

    Raises:
        OSError: It is neither.
    """
    name = str(path.relative_to(folder)).encode("utf-8", "surrogateescape")
    if not path.is_symlink() and path.is_dir():
        return b"%b/\0" % name
    data = read_bounded(path, MAX_BYTES) if not path.is_symlink() else None
    if data is None:
        raise OSError(errno.EINVAL, "neither file nor folder, or too large", str(path))
    return b"%b\0%b" % (name, hashlib.sha256(data).digest())
