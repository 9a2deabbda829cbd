"""What targets share: captured bytes, and a folder in memory."""

import tempfile
from collections.abc import Callable
from pathlib import Path

CAPTURED = Path(__file__).resolve().parents[2] / "boot" / "data"


def captured(pattern: str) -> list[bytes]:
    """Returns what real servers sent: files of tests/boot/data."""
    found = [path.read_bytes() for path in sorted(CAPTURED.glob(pattern))]
    if not found:
        raise FileNotFoundError(f"nothing in {CAPTURED} is called {pattern}")
    return found


def memory_folder() -> Path:
    """Returns an empty folder; the runner has put all of them in memory and removes them."""
    return Path(tempfile.mkdtemp())


def tolerate(errors: tuple[type[Exception], ...], *reads: Callable[[], object]) -> None:
    """Reads all of these; each may raise what its docstring promises."""
    for read in reads:
        try:
            read()
        except errors:
            continue
