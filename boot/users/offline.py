"""Lets people in who were here lately while no directory can be reached, where policy says so.

A login that the directory accepts leaves a verifier: scrypt of the password with a salt of its
own, sealed like everything else of a person.  A refusal by the directory removes it.
"""

import hashlib
import hmac
import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol

from ...hal.wire.json_lines import decode
from ..cache import remove
from ..errors import BadCredentialsError, DirectoryUnreachableError, VaultError
from .vault import Vault

SALT_BYTES: Final = 16
_MAX_BYTES = 4096
_DAY_S = 86_400
_SUFFIX = ".verifier"

_COST, _BLOCK, _PARALLEL = 2**14, 8, 5
"""16 MiB for a fifth of a second: one of OWASP's equal choices for scrypt (RFC 7914)."""


class WallTime(Protocol):
    """Tells a time of day that cannot be set back."""

    def now(self) -> float:
        """Returns seconds since 1970."""


@dataclass(frozen=True, slots=True)
class Secret:
    """What is kept of a password."""

    salt: bytes = field(repr=False)
    digest: bytes = field(repr=False)

    @classmethod
    def of(cls, password: str, salt: bytes | None = None) -> "Secret":
        """Derives it, with a new salt unless one is given; takes a fifth of a second."""
        salt = os.urandom(SALT_BYTES) if salt is None else salt
        digest = hashlib.scrypt(password.encode(), salt=salt, n=_COST, r=_BLOCK, p=_PARALLEL)
        return cls(salt, digest)

    def is_of(self, password: str) -> bool:
        """Whether this password was it."""
        return hmac.compare_digest(Secret.of(password, self.salt).digest, self.digest)


@dataclass(frozen=True, slots=True)
class Verifier:
    """What an offline login is checked against.

    Attributes:
        name: How the directory called the person.
        learned: When the directory last said yes, seconds since 1970.
    """

    name: str
    learned: float
    secret: Secret

    @classmethod
    def parse(cls, data: bytes) -> "Verifier":
        """Returns the verifier in a file.

        Raises:
            VaultError: It is none.
        """
        try:
            found: dict[str, Any] = decode(data)
            salt, digest = bytes.fromhex(found["salt"]), bytes.fromhex(found["digest"])
            return cls(str(found["name"]), float(found["learned"]), Secret(salt, digest))
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise VaultError(f"no verifier: {error!r}") from error

    def __bytes__(self) -> bytes:
        return json.dumps(
            {
                "name": self.name,
                "learned": self.learned,
                "salt": self.secret.salt.hex(),
                "digest": self.secret.digest.hex(),
            }
        ).encode()


class Verifiers:
    """The verifiers of a unit, one file per user.

    Args:
        folder: Where they are kept.
        vault: Seals and opens them.
        time: When a verifier is made, and how old it is.
    """

    def __init__(self, folder: Path, vault: Vault, time: WallTime) -> None:
        self._folder = folder
        self._vault = vault
        self._time = time

    def learn(self, user: str, name: str, secret: Secret) -> None:
        """Keeps what a login that the directory accepted has shown.

        Raises:
            OSError: The medium is full or fails.
        """
        content = bytes(Verifier(name, self._time.now(), secret))
        self._vault.write(self._path(user), _place(user), content)

    def check(self, user: str, password: str, *, days: int) -> str:
        """Returns the name of a person who may be let in without a directory.

        Raises:
            BadCredentialsError: The password is wrong.
            DirectoryUnreachableError: The directory has not said yes here for so many days.
            VaultError: The verifier is damaged.
        """
        data = self._vault.read(self._path(user), _place(user), _MAX_BYTES)
        verifier = Verifier.parse(data) if data is not None else None
        if verifier is None or not 0 <= self._time.now() - verifier.learned <= days * _DAY_S:
            raise DirectoryUnreachableError(
                f"no directory can be reached, and it has not let {user} in here for {days} days",
                "bring the directory back; application.login.offline.days is how long ago is good",
            )
        if not verifier.secret.is_of(password):
            raise BadCredentialsError("user or password is wrong", "type them again")
        return verifier.name

    def forget(self, user: str) -> None:
        """Removes what is kept of a user."""
        remove(self._path(user))

    def forget_all(self) -> None:
        """Removes what is kept of everybody."""
        for path in self._folder.glob(f"*{_SUFFIX}"):
            remove(path)

    def _path(self, user: str) -> Path:
        return self._folder / f"{user.casefold()}{_SUFFIX}"


def _place(user: str) -> str:
    """Directories do not tell upper from lower case in a user's name."""
    return f"verifier/{user.casefold()}"
