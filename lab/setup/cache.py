"""How set-up knows whether what it made before is still current."""

import hashlib
from collections.abc import Iterable
from pathlib import Path


def fingerprint(*parts: str | bytes) -> str:
    """A short digest that changes when any part does."""
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        digest.update(len(data).to_bytes(8, "big") + data)
    return digest.hexdigest()[:16]


def fingerprint_files(paths: Iterable[Path], root: Path) -> str:
    """A short digest of the contents of files and of their names below a folder.

    Args:
        paths: the files.
        root: the folder; where it stands makes no difference.
    """
    names = {path.relative_to(root).as_posix(): path for path in paths}
    return fingerprint(
        *(part for name in sorted(names) for part in (name, names[name].read_bytes()))
    )


class Stamp:
    """Remembers beside a result what the result was made from."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def holds(self, mark: str) -> bool:
        """Whether the result was made from what `mark` stands for."""
        return self._path.is_file() and self._path.read_text() == mark

    def set(self, mark: str) -> None:
        """Record that the result is now made from what `mark` stands for."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._path.write_text(mark)
