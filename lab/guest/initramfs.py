"""The first file system of the guest: busybox, a handful of modules, and a script.

It is written in the "newc" format of cpio, which the kernel unpacks into its root
(Documentation/driver-api/early-userspace/buffer-format.rst), without any tool.
"""

from __future__ import annotations

import gzip
import stat
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from ..errors import GuestError

_MAGIC = "070701"
_TRAILER = "TRAILER!!!"


@dataclass(frozen=True, slots=True)
class Entry:
    """A folder, file or symbolic link of the archive.

    Attributes:
        path: where it goes, without a slash in front.
        mode: type and permissions, as in `os.stat`.
        data: contents of a file, target of a link.
    """

    path: str
    mode: int
    data: bytes = b""


def folder(path: str) -> Entry:
    """A folder."""
    return Entry(path, stat.S_IFDIR | 0o755)


def file(path: str, data: bytes, *, executable: bool = False) -> Entry:
    """A file."""
    return Entry(path, stat.S_IFREG | (0o755 if executable else 0o644), data)


def link(path: str, target: str) -> Entry:
    """A symbolic link."""
    return Entry(path, stat.S_IFLNK | 0o777, target.encode())


def archive(entries: Iterable[Entry]) -> bytes:
    """A gzipped cpio archive of the entries and of every folder that they need."""
    whole = _with_folders(entries)
    blocks = [_member(number, entry) for number, entry in enumerate(whole, 1)]
    blocks.append(_member(0, Entry(_TRAILER, 0)))
    return gzip.compress(b"".join(blocks), compresslevel=1, mtime=0)


def _with_folders(entries: Iterable[Entry]) -> Iterator[Entry]:
    made: set[str] = set()
    for entry in entries:
        parents = [str(parent) for parent in PurePosixPath(entry.path).parents][-2::-1]
        for parent in parents:
            if parent not in made:
                yield folder(parent)
        made.update(parents)
        if entry.path not in made:
            made.add(entry.path)
            yield entry


def _member(number: int, entry: Entry) -> bytes:
    name = entry.path.encode() + b"\0"
    links = 2 if stat.S_ISDIR(entry.mode) else 1
    numbers = (number, entry.mode, 0, 0, links, 0, len(entry.data), 0, 0, 0, 0, len(name), 0)
    header = _MAGIC + "".join(f"{value:08x}" for value in numbers)
    return _padded(header.encode() + name) + _padded(entry.data)


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)


def module_files(index: str, wanted: Iterable[str]) -> tuple[str, ...]:
    """Files of some modules and of what they need, in the order to load them.

    Args:
        index: text of ``modules.dep``, as depmod writes it.
        wanted: names of modules, as modprobe takes them.

    Raises:
        GuestError: there is no such module.
    """
    needs = _needs(index)
    files = {_module_name(path): path for path in needs}
    found: dict[str, None] = {}
    for name in wanted:
        path = files.get(name.replace("-", "_"))
        if path is None:
            raise GuestError(f"the guest's kernel has no module {name}")
        found |= dict.fromkeys([*reversed(needs[path]), path])
    return tuple(found)


def _needs(index: str) -> Mapping[str, list[str]]:
    lines = (line.partition(":") for line in index.splitlines())
    return {path: needed.split() for path, _, needed in lines}


def _module_name(path: str) -> str:
    return Path(path).name.partition(".")[0].replace("-", "_")
