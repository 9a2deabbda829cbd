"""The four keys of a TUF repository and what is signed with them.

Root, targets, snapshot and timestamp have a key each (TUF specification, section 2.1).
The private keys stay in the TSS's own folder, never in the published tree.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TypeVar

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import (
    Metadata,
    MetaFile,
    Root,
    Snapshot,
    TargetFile,
    Targets,
    Timestamp,
)
from tuf.api.serialization.json import JSONSerializer

from ..errors import PublishError

ROLES = ("root", "targets", "snapshot", "timestamp")
_ROOT_VALID = timedelta(days=3650)
_SERIALIZER = JSONSerializer(compact=False)

Signers = Mapping[str, CryptoSigner]
Content = TypeVar("Content", Root, Targets, Snapshot, Timestamp)


@dataclass(frozen=True, slots=True)
class Lifetimes:
    """How long each role's metadata is good for."""

    targets: timedelta = timedelta(days=365)
    snapshot: timedelta = timedelta(days=30)
    timestamp: timedelta = timedelta(days=7)

    @classmethod
    def already_over(cls) -> Lifetimes:
        """Metadata that ran out an hour ago."""
        return cls(timestamp=timedelta(hours=-1))


def new_signers() -> Signers:
    """A fresh key for each role."""
    return {role: CryptoSigner.generate_ed25519() for role in ROLES}


def load_or_make(folder: Path) -> Signers:
    """The keys kept in a folder; made on first use, mode 0600.

    Raises:
        PublishError: a file there is not an ed25519 private key.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for role in ROLES:
        path = folder / f"{role}.pem"
        if not path.exists():
            _write_secret(path, CryptoSigner.generate_ed25519().private_bytes)
    return {role: _load(folder / f"{role}.pem") for role in ROLES}


def root(signers: Signers, now: datetime) -> bytes:
    """Version 1 of the root: who may sign what."""
    content = Root(version=1, expires=_seconds(now + _ROOT_VALID), consistent_snapshot=True)
    for role in ROLES:
        content.add_key(signers[role].public_key, role)
    return _signed(content, signers["root"])


def publication(
    signers: Signers,
    version: int,
    targets: Mapping[str, TargetFile],
    now: datetime,
    lifetimes: Lifetimes,
) -> dict[str, bytes]:
    """Sign one version of the repository.

    Returns:
        File name below ``metadata/`` to content, in the order in which to write them.
    """
    signed_targets = Targets(
        version=version, expires=_seconds(now + lifetimes.targets), targets=dict(targets)
    )
    snapshot = Snapshot(
        version=version,
        expires=_seconds(now + lifetimes.snapshot),
        meta={"targets.json": MetaFile(version)},
    )
    timestamp = Timestamp(
        version=version,
        expires=_seconds(now + lifetimes.timestamp),
        snapshot_meta=MetaFile(version),
    )
    return {
        f"{version}.targets.json": _signed(signed_targets, signers["targets"]),
        f"{version}.snapshot.json": _signed(snapshot, signers["snapshot"]),
        "timestamp.json": _signed(timestamp, signers["timestamp"]),
    }


def _signed(content: Content, signer: CryptoSigner) -> bytes:
    metadata = Metadata(content)
    metadata.sign(signer)
    return metadata.to_bytes(_SERIALIZER)


def _seconds(time: datetime) -> datetime:
    return time.replace(microsecond=0)


def _load(path: Path) -> CryptoSigner:
    key = load_pem_private_key(path.read_bytes(), None)
    if not isinstance(key, Ed25519PrivateKey):
        raise PublishError(f"{path} is not an ed25519 private key")
    return CryptoSigner(key)


def _write_secret(path: Path, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)


Clock = Callable[[], datetime]
"""The time of signing, UTC and aware."""
