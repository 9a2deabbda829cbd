"""Writes docs/errors.md from the tree of errors.

::

    python -m openturret.boot.docs docs            write it
    python -m openturret.boot.docs docs --check    say whether it is current
"""

import argparse
import inspect
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

from .errors import BootError

_INTRO: Final = """\
<!-- made by: python -m openturret.boot.docs docs -->
# What can go wrong during a boot

Every error says what happened in its message, led by the server, the file and the option that it is
about, and what to do in its remedy. `turret boot status`, the page of the boot, the event log and
syslog show both. The code is for machines: `code` in `log/events.jsonl`, in the status and in the
answers of the control socket. Where who raises the error knows a better remedy than the one in this
table it gives that.

| error | code | meaning | what to do in general |
|---|---|---|---|
"""


def errors_page() -> str:
    """The text of docs/errors.md."""
    return _INTRO + "".join(_row(error, depth) for error, depth in _tree(BootError))


def _tree(error: type[BootError], depth: int = 0) -> Iterator[tuple[type[BootError], int]]:
    """Yields an error and those below it, in the order in which they are written."""
    yield error, depth
    for child in error.__subclasses__():
        if child.__module__ == BootError.__module__:
            yield from _tree(child, depth + 1)


def _row(error: type[BootError], depth: int) -> str:
    name = f"{'· ' * depth}{error.__name__}"
    meaning = (inspect.getdoc(error) or "").partition("\n")[0]
    return f"| {name} | `{error.code}` | {meaning} | {error.usual_remedy} |\n"


def main(argv: Sequence[str] | None = None, say: Callable[[str], object] = sys.stdout.write) -> int:
    """Writes or checks the page; returns 0, or 1 when --check finds it out of date."""
    parser = argparse.ArgumentParser(prog="python -m openturret.boot.docs")
    parser.add_argument("folder", type=Path, nargs="?", default=Path("docs"))
    parser.add_argument("--check", action="store_true", help="write nothing, say what is stale")
    options = parser.parse_args(argv)
    path: Path = options.folder / "errors.md"
    if path.exists() and path.read_text(encoding="utf-8") == errors_page():
        return 0
    say(f"{path}: {'out of date' if options.check else 'written'}\n")
    if options.check:
        return 1
    path.write_text(errors_page(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
