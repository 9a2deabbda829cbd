"""The folder of a report: never takes away what is not a report."""

from __future__ import annotations

import shutil
from pathlib import Path

from ..errors import LabError

CONTENTS = frozenset({"index.html", "audio", "files", "log"})
"""Everything that a report may consist of."""


class ForeignFolderError(LabError, ValueError):
    """The folder for a report holds something else."""


def clear_folder(folder: Path) -> None:
    """Make an empty folder, in place of an earlier report if there is one.

    Raises:
        ForeignFolderError: it holds anything that no report of ours holds.
        OSError: it cannot be made or emptied.
    """
    folder.mkdir(parents=True, exist_ok=True)
    foreign = sorted(path.name for path in folder.iterdir() if path.name not in CONTENTS)
    if foreign:
        raise ForeignFolderError(
            f"{folder} holds {foreign[0]!r}, which is not part of a report; "
            "give --report an empty or a new folder"
        )
    for path in folder.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
