"""A medium that forgets: records what some work does to a folder, and shows what a cut leaves.

``recorded`` notes every file that is created, written, renamed, removed or synced below a folder.
``Medium`` plays that back, up to any byte of any write, and returns what a journalling file system
might have of it after a power cut:

* data that was not synced is there, is torn, is missing, or ends in garbage;
* names that were not synced are there or not; each folder keeps its own in their order, but one
  folder may have more of them than another.

What it does not emulate: a medium that lies about a sync, bits that rot later, and two writers.
"""

from __future__ import annotations

import os
import random
import shutil
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

GARBAGE = bytes.fromhex("a5005affc37e00ff")
SECTOR = 64
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC


@dataclass(frozen=True, slots=True)
class Change:
    """One change of the medium, or a mark beside them.

    Attributes:
        kind: ``create``, ``write``, ``truncate``, ``sync``, ``rename``, ``remove``, ``mkdir``,
            ``link`` (symbolic), or ``mark``.
        path: Relative to the folder; the words of a mark.
        other: Where a rename or a link leads.
        at: Offset of a write, size after a truncation.
        data: What is written.
    """

    kind: str
    path: str
    other: str = ""
    at: int = 0
    data: bytes = b""


class Recorder:
    """Notes what happens below a folder while it is switched on.

    Data is noted when something else happens, so several writes in a row are one: that loses
    nothing, for what was not synced may be torn anywhere.
    """

    def __init__(self, root: Path) -> None:
        self._root = root.resolve()
        self._open: dict[str, bytes] = {}
        self._lock = threading.RLock()
        self._busy = False
        self.changes: list[Change] = []

    def mark(self, words: str) -> None:
        """Notes something that is no change of the medium."""
        self._flush()
        self.changes.append(Change("mark", words))

    def hear(self, event: str, arguments: tuple[object, ...]) -> None:
        """Takes an audit event, which comes before what it tells of."""
        handler = _HANDLERS.get(event)
        if handler is None:
            return
        with self._lock:
            if self._busy:
                return
            self._busy = True
            try:
                handler(self, *arguments)
            finally:
                self._busy = False

    def synced(self, descriptor: int) -> None:
        """Notes that a file or folder is on the medium."""
        name = self._relative(str(Path(f"/proc/self/fd/{descriptor}").readlink()))
        if name is not None:
            with self._lock:
                self._flush()
                self.changes.append(Change("sync", name))

    def end(self) -> list[Change]:
        """Returns all changes."""
        with self._lock:
            self._flush()
        return self.changes

    def _relative(self, path: object, folder: object = -1) -> str | None:
        name = os.fsdecode(path) if isinstance(path, str | bytes | os.PathLike) else ""
        if isinstance(folder, int) and folder >= 0:
            name = str(Path(f"/proc/self/fd/{folder}").readlink() / name)
        whole = os.path.normpath(Path.cwd() / name)
        inside = whole == str(self._root) or whole.startswith(f"{self._root}/")
        return os.path.relpath(whole, self._root) if inside else None

    def _flush(self) -> None:
        busy, self._busy = self._busy, True
        for name, before in list(self._open.items()):
            path = self._root / name
            now = path.read_bytes() if path.is_file() else before
            self._note_difference(name, before, now)
            self._open[name] = now
        self._busy = busy

    def _note_difference(self, name: str, before: bytes, now: bytes) -> None:
        if now == before:
            return
        same = next((i for i, (a, b) in enumerate(zip(before, now, strict=False)) if a != b), None)
        same = min(len(before), len(now)) if same is None else same
        if len(now) < len(before):
            self.changes.append(Change("truncate", name, at=len(now)))
        if now[same:]:
            self.changes.append(Change("write", name, at=same, data=now[same:]))

    def _opened(self, path: object, _mode: object, flags: object) -> None:
        name = self._relative(path)
        if name is None or not isinstance(flags, int) or not flags & _WRITING:
            return
        self._flush()
        real = self._root / name
        if not real.exists():
            if not flags & os.O_CREAT or not self._can_be_made(name):
                return
            self.changes.append(Change("create", name))
            self._open[name] = b""
        elif real.is_file():
            self._open[name] = real.read_bytes()

    def _renamed(self, source: object, target: object, here: object, there: object) -> None:
        old, new = self._relative(source, here), self._relative(target, there)
        if old is None or new is None or not os.path.lexists(self._root / old):
            return
        self._flush()
        self.changes.append(Change("rename", old, new))
        moved = {name: new + name[len(old) :] for name in self._open if _below(name, old)}
        for name, after in moved.items():
            self._open[after] = self._open.pop(name)

    def _removed(self, path: object, folder: object) -> None:
        name = self._relative(path, folder)
        if name is not None and os.path.lexists(self._root / name):
            self._flush()
            self._open.pop(name, None)
            self.changes.append(Change("remove", name))

    def _made(self, path: object, _mode: object, folder: object) -> None:
        name = self._relative(path, folder)
        if name is not None and self._can_be_made(name):
            self._flush()
            self.changes.append(Change("mkdir", name))

    def _linked(self, target: object, path: object, folder: object) -> None:
        name = self._relative(path, folder)
        if name is not None and self._can_be_made(name):
            self._flush()
            self.changes.append(Change("link", name, os.fsdecode(str(target))))

    def _can_be_made(self, name: str) -> bool:
        """Whether what is tried will succeed: a name that is free, in a folder that is there."""
        path = self._root / name
        return path.parent.is_dir() and not os.path.lexists(path)


def _below(name: str, folder: str) -> bool:
    return name == folder or name.startswith(f"{folder}/")


_HANDLERS: dict[str, Callable[..., None]] = {
    "open": Recorder._opened,
    "os.rename": Recorder._renamed,
    "os.remove": Recorder._removed,
    "os.rmdir": Recorder._removed,
    "os.mkdir": Recorder._made,
    "os.symlink": Recorder._linked,
}
_recorders: list[Recorder] = []
_hooked = False


@contextmanager
def recorded(root: Path) -> Iterator[Recorder]:
    """Records what happens below a folder, in every thread, as long as the block lasts."""
    global _hooked
    if not _hooked:
        sys.addaudithook(lambda event, arguments: _tell(event, arguments))
        _hooked = True
    recorder, real_sync = Recorder(root), os.fsync

    def fsync(descriptor: int) -> None:
        real_sync(descriptor)
        recorder.synced(descriptor)

    _recorders.append(recorder)
    os.fsync = fsync  # type: ignore[assignment]
    try:
        yield recorder
    finally:
        os.fsync = real_sync
        _recorders.remove(recorder)


def _tell(event: str, arguments: tuple[object, ...]) -> None:
    for recorder in _recorders:
        recorder.hear(event, arguments)


@dataclass(slots=True, eq=False)
class File:
    """A file: what programs see of it, and what the medium has for sure."""

    data: bytes = b""
    durable: bytes = b""


@dataclass(slots=True, eq=False)
class Link:
    """A symbolic link."""

    target: str


@dataclass(slots=True, eq=False)
class Folder:
    """A folder: its names, those that the medium has for sure, and the changes in between."""

    names: dict[str, Node] = field(default_factory=dict)
    durable: dict[str, Node] = field(default_factory=dict)
    pending: list[dict[str, Node | None]] = field(default_factory=list)

    def change(self, names: dict[str, Node | None]) -> None:
        """Puts and takes away names, all at once."""
        _alter(self.names, names)
        self.pending.append(names)

    def sync(self) -> None:
        """Puts everything on the medium."""
        self.durable, self.pending = dict(self.names), []

    def left(self, changes: int) -> dict[str, Node]:
        """Returns the names when so many of the changes have reached the medium."""
        names = dict(self.durable)
        for change in self.pending[:changes]:
            _alter(names, change)
        return names


Node = File | Link | Folder


def _alter(names: dict[str, Node], change: dict[str, Node | None]) -> None:
    for name, node in change.items():
        if node is None:
            names.pop(name, None)
        else:
            names[name] = node


class Data(Enum):
    """What becomes of data that was not synced."""

    KEPT = "kept"
    LOST = "lost"
    GARBAGE = "garbage"


class Names(Enum):
    """What becomes of names that were not synced."""

    KEPT = "kept"
    LOST = "lost"
    MIXED = "mixed"


@dataclass(frozen=True, slots=True)
class Cut:
    """A power cut: after so many changes and so many bytes of the next, and its consequences."""

    change: int
    byte: int
    data: Data
    names: Names


Image = dict[str, bytes | str | None]
"""What is left: content, target of a link, or None for a folder, by name."""


class Medium:
    """Plays changes back."""

    def __init__(self, image: Image) -> None:
        self.root = Folder()
        for name, content in image.items():
            folder, last = self._place(name)
            if content is None:
                folder.names[last] = Folder()
            elif isinstance(content, str):
                folder.names[last] = Link(content)
            else:
                folder.names[last] = File(content, content)
        _sync_all(self.root)

    def play(self, change: Change) -> None:
        """Does a change as a whole."""
        if change.kind in ("create", "mkdir", "link"):
            folder, name = self._place(change.path)
            made = {"create": File, "mkdir": Folder}.get(change.kind)
            folder.change({name: made() if made else Link(change.other)})
        elif change.kind == "write":
            self.write(change, len(change.data))
        elif change.kind == "truncate":
            file = self._file(change.path)
            file.data = file.data[: change.at]
        elif change.kind == "remove":
            folder, name = self._place(change.path)
            folder.change({name: None})
        elif change.kind == "rename":
            self._rename(change)
        elif change.kind == "sync":
            self._sync(change.path)

    def write(self, change: Change, count: int) -> File:
        """Writes the first bytes of a change and returns the file."""
        file = self._file(change.path)
        old = file.data.ljust(change.at, b"\0")
        file.data = old[: change.at] + change.data[:count] + old[change.at + count :]
        return file

    def after(self, cut: Cut, change: Change | None, rng: random.Random) -> Image:
        """Returns what a cut before the end of a change leaves; what was played stays as it is."""
        if change is None or change.kind != "write":
            return self._image(self.root, "", cut, None, rng)
        file = self._file(change.path)
        before = file.data
        self.write(change, cut.byte)
        end = change.at + cut.byte
        image = self._image(self.root, "", cut, (file, end, len(change.data) - cut.byte), rng)
        file.data = before
        return image

    def _image(
        self,
        folder: Folder,
        path: str,
        cut: Cut,
        torn: tuple[File, int, int] | None,
        rng: random.Random,
    ) -> Image:
        image: Image = {}
        for name, node in folder.left(_count(folder, cut.names, rng)).items():
            whole = f"{path}{name}"
            if isinstance(node, Folder):
                image[whole] = None
                image |= self._image(node, f"{whole}/", cut, torn, rng)
            elif isinstance(node, Link):
                image[whole] = node.target
            else:
                image[whole] = _content(node, cut.data, torn, rng)
        return image

    def _place(self, path: str) -> tuple[Folder, str]:
        *folders, name = path.split("/")
        here = self.root
        for folder in folders:
            there = here.names[folder]
            if not isinstance(there, Folder):
                raise NotADirectoryError(path)
            here = there
        return here, name

    def _file(self, path: str) -> File:
        folder, name = self._place(path)
        node = folder.names[name]
        if not isinstance(node, File):
            raise IsADirectoryError(path)
        return node

    def _rename(self, change: Change) -> None:
        source, old = self._place(change.path)
        target, new = self._place(change.other)
        node = source.names[old]
        if source is target:
            source.change({old: None, new: node})
        else:
            target.change({new: node})
            source.change({old: None})

    def _sync(self, path: str) -> None:
        node: Node = self.root
        if path != ".":
            folder, name = self._place(path)
            node = folder.names[name]
        if isinstance(node, Folder):
            node.sync()
        elif isinstance(node, File):
            node.durable = node.data


def _count(folder: Folder, names: Names, rng: random.Random) -> int:
    if names is Names.MIXED:
        return rng.randint(0, len(folder.pending))
    return len(folder.pending) if names is Names.KEPT else 0


def _content(
    file: File, data: Data, torn: tuple[File, int, int] | None, rng: random.Random
) -> bytes:
    if file.data == file.durable or data is Data.KEPT:
        return file.data
    if data is Data.LOST:
        return file.durable
    if torn is not None and torn[0] is file:
        end, rest = torn[1], torn[2]
    else:
        end = rng.randint(0, len(file.data))
        rest = len(file.data) - end
    tail = (GARBAGE * (rest // len(GARBAGE) + 1))[: max(rest, 0)] or GARBAGE[:SECTOR]
    return file.data[:end] + tail + file.data[end + len(tail) :]


def _sync_all(folder: Folder) -> None:
    folder.sync()
    for node in folder.names.values():
        if isinstance(node, Folder):
            _sync_all(node)


def read_image(root: Path) -> Image:
    """Returns what is in a folder now."""
    image: Image = {}
    for path in sorted(root.rglob("*")):
        name = str(path.relative_to(root))
        if path.is_symlink():
            image[name] = str(path.readlink())
        else:
            image[name] = None if path.is_dir() else path.read_bytes()
    return image


def write_image(image: Image, root: Path) -> None:
    """Makes a folder hold an image and nothing else."""
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir(parents=True)
    for name, content in image.items():
        path = root / name
        if content is None:
            path.mkdir()
        elif isinstance(content, str):
            path.symlink_to(content)
        else:
            path.write_bytes(content)


def cuts_of(changes: list[Change]) -> Iterator[Cut]:
    """Yields every cut: at every byte of every write and between any two changes."""
    for number, change in enumerate([*changes, Change("mark", "the end")]):
        for byte in range(len(change.data) + 1) if change.kind == "write" else (0,):
            for data in Data:
                for names in Names:
                    yield Cut(number, byte, data, names)
