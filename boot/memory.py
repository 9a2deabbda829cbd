"""A folder of this unit that lies in memory: a power cut empties it, a dead agent does not."""

import hashlib
import os
import stat
from pathlib import Path
from typing import Final

from .errors import BootError

SHARED_MEMORY: Final = Path("/dev/shm")
_PRIVATE = 0o700
_REMEDY = "mount a tmpfs on /dev/shm, and let nobody else make folders for this user there"


def memory_folder(state: Path, memory: Path = SHARED_MEMORY) -> Path:
    """Returns the folder in memory that belongs to a state folder; made when missing.

    Nobody else may look into it: one that somebody else has made, or opened to others, is refused.

    Raises:
        BootError: There is no such memory, or the folder is not this user's own.
    """
    mark = hashlib.sha256(os.fsencode(state.absolute())).hexdigest()[:16]
    folder = memory / f"openturret-{os.geteuid()}-{mark}"
    try:
        folder.mkdir(mode=_PRIVATE, exist_ok=True)
        found = folder.lstat()
    except OSError as error:
        raise BootError(f"no folder in memory: {error}", _REMEDY) from error
    own = stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid()
    if not own or stat.S_IMODE(found.st_mode) & ~_PRIVATE:
        raise BootError(f"{folder} is not a private folder of this user", _REMEDY)
    return folder
