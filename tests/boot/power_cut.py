"""Cuts the power before every change that some work makes on the medium, one cut after the other.

``python power_cut.py slot FOLDER`` installs firmware, ``... file FOLDER`` replaces a file. Each
time a forked process does the work and vanishes before its n-th change; then what is left must be
the old or the new, whole, and doing the work again must succeed. Prints the number of cuts.

What it does not emulate: a medium that forgets what was written but not yet synced.
"""

import hashlib
import io
import os
import shutil
import sys
import zipfile
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

from openturret.boot.cache import read_bounded, write_atomically
from openturret.boot.slots import SlotManager

CHANGES = {"os.rename", "os.mkdir", "os.remove", "os.rmdir", "os.symlink"}
CUT = 77
FILES = {f"openturret/firmware/{name}.py": name.encode() * 1000 for name in "abc"}


def is_change(event: str, arguments: tuple[object, ...]) -> bool:
    if event == "open":
        flags = arguments[2]
        return isinstance(flags, int) and bool(flags & (os.O_WRONLY | os.O_RDWR))
    return event in CHANGES


def cut_before(number: int, work: Callable[[], object]) -> bool:
    """Does the work in another process; whether the cut came before its end."""
    child = os.fork()
    if child == 0:
        left = iter(range(number))

        def hook(event: str, arguments: tuple[object, ...]) -> None:
            if is_change(event, arguments) and next(left, None) is None:
                os._exit(CUT)

        sys.addaudithook(hook)
        work()
        os._exit(0)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if code not in (0, CUT):
        raise SystemExit(f"the work failed with {code} before change {number}")
    return code == CUT


def cuts(folder: Path, prepare: Callable[[], object], work: Callable[[], object]) -> Iterator[int]:
    """Yields after every cut; ends when the work came to its end."""
    for number in count():
        shutil.rmtree(folder, ignore_errors=True)
        prepare()
        if not cut_before(number, work):
            return
        yield number


def image(path: Path, version: str) -> tuple[Path, str, str]:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as wheel:
        for name, content in FILES.items():
            wheel.writestr(name, content + version.encode())
    path.write_bytes(data.getvalue())
    return path, version, hashlib.sha256(data.getvalue()).hexdigest()


def firmware(slots: SlotManager) -> str | None:
    """The version of the firmware that would be started, which must be whole."""
    slot = slots.current()
    if slot is None:
        return None
    for name, content in FILES.items():
        if (slot.path / name).read_bytes() != content + slot.version.encode():
            raise SystemExit(f"{name} of {slot.version} is damaged")
    return slot.version


def cut_slot(folder: Path) -> int:
    slots = SlotManager(folder / "slots")
    old = image(folder / "old.whl", "1")
    new = image(folder / "new.whl", "2")

    def install(wheel: tuple[Path, str, str]) -> None:
        slots.install(wheel[0], version=wheel[1], sha256=wheel[2])

    seen = []
    for _ in cuts(folder / "slots", lambda: install(old), lambda: install(new)):
        seen.append(firmware(slots))
        install(new)
        expect(firmware(slots) == "2", "the firmware is not installed the second time")
        left = len(list((folder / "slots").iterdir()))
        expect(left == 2, f"{left} entries instead of the link and its folder")
    expect(set(seen) == {"1", "2"}, f"seen were {seen}")
    return len(seen)


def cut_file(folder: Path) -> int:
    path = folder / "config" / "unit.yaml"

    def old() -> None:
        write_atomically(path, b"old")

    def new() -> None:
        write_atomically(path, b"new" * 1000)

    seen = []
    for _ in cuts(path.parent, old, new):
        seen.append(read_bounded(path, 5000))
        new()
        expect([entry.name for entry in path.parent.iterdir()] == [path.name], "something is left")
    expect(set(seen) <= {b"old", b"new" * 1000}, "neither old nor new")
    return len(seen)


def expect(good: bool, words: str) -> None:
    if not good:
        raise SystemExit(words)


if __name__ == "__main__":
    done = {"slot": cut_slot, "file": cut_file}[sys.argv[1]](Path(sys.argv[2]))
    sys.stdout.write(f"{done}\n")
