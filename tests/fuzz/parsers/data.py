"""What targets share: captured bytes, and a folder in memory."""

import atexit
import shutil
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
    """Returns an empty folder in memory, which goes at the end of the process."""
    folder = Path(tempfile.mkdtemp(prefix="openturret-fuzz-", dir="/dev/shm"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def tolerate(errors: tuple[type[Exception], ...], *reads: Callable[[], object]) -> None:
    """Reads all of these; each may raise what its docstring promises."""
    for read in reads:
        try:
            read()
        except errors:
            continue
