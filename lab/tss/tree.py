"""The published folder: TUF metadata and targets, as both servers hand it out.

Every target stands twice, under its plain name and under the name that consistent
snapshots ask for (``<sha256>.<name>``, TUF specification section 6.2). Files are written
beside and renamed, so a unit that fetches meanwhile gets the old or the new one.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path

from tuf.api.metadata import TargetFile


class Tree:
    """The folder that is served.

    Args:
        folder: its path; made when missing.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.metadata = folder / "metadata"
        self.targets = folder / "targets"
        for path in (self.metadata, self.targets):
            path.mkdir(parents=True, exist_ok=True)

    def write_metadata(self, files: Mapping[str, bytes]) -> None:
        """Write metadata in the given order; ``timestamp.json`` belongs last."""
        for name, content in files.items():
            _replace(self.metadata / name, content)

    @property
    def newest_root(self) -> Path | None:
        """The root with the highest version; None when there is none yet."""
        found = {int(path.name.split(".")[0]): path for path in self.metadata.glob("*.root.json")}
        return found[max(found)] if found else None

    @property
    def has_bins(self) -> bool:
        """Whether targets are spread over bins; a unit never accepts that a role goes away."""
        return any(self.metadata.glob("*.bin-00.json"))

    def forget_metadata_before(self, version: int) -> None:
        """Remove what was published before a version, but no root: units follow all of them."""
        for path in self.metadata.glob("*.*.json"):
            number, role = path.name.split(".")[:2]
            if role != "root" and number.isdigit() and int(number) < version:
                path.unlink(missing_ok=True)

    def write_target(self, name: str, content: bytes) -> TargetFile:
        """Write a target under both of its names and describe it for the metadata."""
        path = self.targets / name
        path.parent.mkdir(parents=True, exist_ok=True)
        _replace(path, content)
        digest = hashlib.sha256(content).hexdigest()
        _link(path, path.with_name(f"{digest}.{path.name}"))
        return TargetFile(len(content), {"sha256": digest}, name)

    def tamper(self, name: str) -> None:
        """Flip a bit in a target, under both names, without a new signature."""
        path = self.targets / name
        content = path.read_bytes()
        digest = hashlib.sha256(content).hexdigest()
        forged = content[:-1] + bytes([content[-1] ^ 1])
        _replace(path, forged)
        _replace(path.with_name(f"{digest}.{path.name}"), forged)


def _replace(path: Path, content: bytes) -> None:
    partial = path.with_name(f".{path.name}.part")
    with partial.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def _link(existing: Path, path: Path) -> None:
    partial = path.with_name(f".{path.name}.part")
    partial.unlink(missing_ok=True)
    os.link(existing, partial)
    partial.replace(path)
