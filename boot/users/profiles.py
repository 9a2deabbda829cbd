"""The profiles of a unit: sealed on its medium, and the one in force plain, in memory only.

``profile/current.yaml`` leads to it.  A runtime that is killed, and an agent that is killed, find
it again; a power cut leaves a link that leads nowhere, which means that nobody is logged in.  Who
was is written down sealed where ``application.login.keep`` says so, and logged in again at boot.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Final

from ..cache import remove, write_atomically
from ..document import MAX_BYTES
from ..errors import VaultError
from .vault import Vault

IN_FORCE: Final = "profile.yaml"
_MAX_NAME_BYTES = 256
_LAST = "last"


class Profiles:
    """Keeps profiles, and knows who is logged in.

    Args:
        kept: Folder of the sealed profiles, and of the link to the one in force.
        logins: Folder where the last user is written down.
        memory: Returns the folder in memory.
        vault: Seals and opens.
    """

    def __init__(self, kept: Path, logins: Path, memory: Callable[[], Path], vault: Vault) -> None:
        self._kept = kept
        self._last = logins / f"{_LAST}.sealed"
        self._memory = memory
        self._vault = vault

    @property
    def current(self) -> Path:
        """Leads to the profile of who is logged in; leads nowhere when nobody is."""
        return self._kept / "current.yaml"

    def keep(self, user: str, profile: bytes) -> None:
        """Keeps a verified profile for the day when no TSS can be reached.

        Raises:
            OSError: The medium is full or fails.
        """
        self._vault.write(self._path(user), _place(user), profile)

    def kept(self, user: str) -> bytes | None:
        """Returns the profile that was verified last; None when there is none.

        Raises:
            VaultError: It is damaged.
        """
        return self._vault.read(self._path(user), _place(user), MAX_BYTES)

    def drop(self, user: str) -> None:
        """Removes a profile that cannot be used."""
        remove(self._path(user))

    def begin(self, profile: bytes) -> None:
        """Puts a profile into force.

        Raises:
            BootError: There is no memory to put it into.
            OSError: The medium is full or fails.
        """
        target = self._memory() / IN_FORCE
        write_atomically(target, profile, durable=False)
        if self.current.is_symlink() and self.current.readlink() == target:
            return
        self._kept.mkdir(parents=True, exist_ok=True)
        beside = self._kept / ".current.new"
        beside.unlink(missing_ok=True)
        beside.symlink_to(target)
        beside.replace(self.current)

    def note_last(self, user: str | None) -> None:
        """Writes down who is logged in again after a power cut; None for nobody.

        Raises:
            OSError: The medium is full or fails.
        """
        if user is None:
            remove(self._last)
        else:
            self._vault.write(self._last, _LAST, user.encode())

    def end(self) -> None:
        """Takes the profile in force away; nobody is logged in, now and after a power cut."""
        remove(self._last)
        remove(self.current)
        self.clear_memory()

    def clear_memory(self) -> None:
        """Leaves nothing plain; whoever is to be logged in again still will be."""
        folder = self._memory()
        for path in folder.iterdir():
            path.unlink()
        folder.rmdir()

    def resume(self, *, keep: bool) -> str | None:
        """Logs the last user in again after a power cut; returns who it was.

        Where only the agent was restarted, the profile in force is still there and stays.

        Raises:
            VaultError: Who it was, or the profile, is damaged.
            BootError: There is no memory to put it into.
            OSError: The medium fails.
        """
        if self.current.is_symlink() and self.current.exists():
            return None
        remove(self.current)
        if not keep:
            remove(self._last)
        name = self._vault.read(self._last, _LAST, _MAX_NAME_BYTES)
        if name is None:
            return None
        user = name.decode()
        profile = self.kept(user)
        if profile is None:
            raise VaultError(f"the profile of {user} is gone", "log in again")
        self.begin(profile)
        return user

    def _path(self, user: str) -> Path:
        return self._kept / f"{user}.sealed"


def _place(user: str) -> str:
    return f"profile/{user}"
