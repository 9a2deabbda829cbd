"""The private keys of a TUF repository, in two folders: one stays online, one may go into a safe.

Which keys are in force is said by the root metadata alone; a file is found by its role and the
beginning of its key id, so a rotation that is cut short leaves a file too many and nothing else.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import Root

from ..errors import PublishError

ROLES: Final = ("root", "targets", "snapshot", "timestamp")
_ID_DIGITS = 16


@dataclass(frozen=True, slots=True)
class Quorum:
    """How many keys a role has, and how many of them must sign.

    Attributes:
        threshold: 1 to ``keys``.
        keys: 1 to 8.

    Raises:
        PublishError: The numbers do not fit.
    """

    threshold: int
    keys: int

    def __post_init__(self) -> None:
        if not 1 <= self.threshold <= self.keys <= 8:
            raise PublishError(
                f"{self.threshold} of {self.keys} keys: there are 1 to 8, and no more of them sign"
            )


class KeyRing:
    """Private keys, ed25519, one file each, mode 0600.

    Args:
        online: keys of targets, snapshot and timestamp, needed for every publication.
        offline: keys of the root, needed only to change who may sign.
    """

    def __init__(self, online: Path, offline: Path) -> None:
        self._online = online
        self._offline = offline

    def make(self, role: str) -> CryptoSigner:
        """A new key of a role, kept before it is used."""
        signer = CryptoSigner.generate_ed25519()
        path = self._path(role, signer.public_key.keyid)
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_secret(path, signer.private_bytes)
        return signer

    def signers(self, root: Root, role: str) -> list[CryptoSigner]:
        """The keys that a root names for a role, at least as many as have to sign.

        Raises:
            PublishError: too few are here, or a file is not an ed25519 private key.
        """
        paths = [self._path(role, keyid) for keyid in root.roles[role].keyids]
        found = [_load(path) for path in paths if path.is_file()]
        if len(found) < root.roles[role].threshold:
            raise PublishError(
                f"{len(found)} of the {root.roles[role].threshold} keys that must sign for "
                f"{role} are in {self._folder(role)}: bring the others there"
            )
        return found

    def forget_all_but(self, root: Root, role: str) -> None:
        """Remove the keys of a role that a root does not name."""
        kept = {self._path(role, keyid) for keyid in root.roles[role].keyids}
        for path in self._folder(role).glob(f"{role}-*.pem"):
            if path not in kept:
                path.unlink()

    def _folder(self, role: str) -> Path:
        return self._offline if role == "root" else self._online

    def _path(self, role: str, keyid: str) -> Path:
        return self._folder(role) / f"{role}-{keyid[:_ID_DIGITS]}.pem"


def write_secret(path: Path, content: bytes) -> None:
    """Write a new file that only its owner may read, and wait until the medium has it.

    Raises:
        FileExistsError: it is there already.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _load(path: Path) -> CryptoSigner:
    try:
        key = load_pem_private_key(path.read_bytes(), None)
    except (ValueError, TypeError) as error:
        raise PublishError(f"{path} is not a private key in PEM: {error}") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise PublishError(f"{path} is not an ed25519 private key")
    return CryptoSigner(key)
