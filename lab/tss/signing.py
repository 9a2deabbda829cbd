"""What a TUF repository signs: the root, and one version of everything below it.

Root, targets, snapshot and timestamp have keys of their own (TUF specification, section 2.1).
Timestamp and snapshot carry length and hash of what they name, so a unit reads nothing of
snapshot and targets before it knows that it is the right file.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, TypeVar

from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import (
    Delegations,
    Metadata,
    MetaFile,
    Role,
    Root,
    Snapshot,
    SuccinctRoles,
    TargetFile,
    Targets,
    Timestamp,
)
from tuf.api.serialization.json import JSONSerializer

from .keys import ROLES, KeyRing, Quorum

BINS_FROM_TARGETS: Final = 64
"""Where there are more targets of units and users, they are spread over 256 files."""

_ROOT_VALID = timedelta(days=3650)
_BIN_BITS = 8
_BIN_PREFIX = "bin"
_OWNED = ("units/", "profiles/")
_SERIALIZER = JSONSerializer(compact=True)

Clock = Callable[[], datetime]
"""The time of signing, UTC and aware."""

Signers = Mapping[str, Sequence[CryptoSigner]]
"""Role to everybody who signs for it."""

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
    """A fresh key for each role, kept nowhere."""
    return {role: [CryptoSigner.generate_ed25519()] for role in ROLES}


def online_signers(ring: KeyRing, root: Root) -> Signers:
    """Those who sign a publication.

    Raises:
        PublishError: a key is missing.
    """
    return {role: ring.signers(root, role) for role in ROLES if role != "root"}


def first_root(ring: KeyRing, quorum: Quorum, now: datetime) -> bytes:
    """Version 1 of the root, with keys made for it: who may sign what."""
    root = Root(version=1, expires=_seconds(now + _ROOT_VALID), consistent_snapshot=True)
    for role in ROLES:
        _replace_keys(root, role, ring, quorum if role == "root" else Quorum(1, 1))
    return _signed(root, ring.signers(root, "root"))


def next_root(
    ring: KeyRing, current: bytes, roles: Iterable[str], quorum: Quorum | None, now: datetime
) -> bytes:
    """The root that follows, with new keys for some roles, signed by old and new root keys.

    Units follow from any earlier root to this one, version by version (TUF specification,
    section 5.3).

    Raises:
        PublishError: too few of the current root's keys are here.
    """
    old = Metadata[Root].from_bytes(current).signed
    new = Metadata[Root].from_bytes(current).signed
    new.version += 1
    new.expires = _seconds(now + _ROOT_VALID)
    old_signers = ring.signers(old, "root")
    for role in roles:
        kept = Quorum(new.roles[role].threshold, len(new.roles[role].keyids))
        _replace_keys(new, role, ring, quorum if quorum and role == "root" else kept)
    return _signed(new, _everybody(old_signers, ring.signers(new, "root")))


def publication(
    signers: Signers,
    version: int,
    targets: Mapping[str, TargetFile],
    now: datetime,
    lifetimes: Lifetimes,
    *,
    in_bins: bool = False,
) -> dict[str, bytes]:
    """Sign one version of the repository.

    Args:
        signers: who signs.
        version: of all its files.
        targets: what units may believe.
        now: the time of signing.
        lifetimes: how long it is good for.
        in_bins: spread the targets of units and users, however few they are.

    Returns:
        File name below ``metadata/`` to content, in the order in which to write them.
    """
    expires = _seconds(now + lifetimes.targets)
    owned = {name: file for name, file in targets.items() if name.startswith(_OWNED)}
    top = Targets(version=version, expires=expires, targets=dict(targets))
    roles: dict[str, bytes] = {}
    if in_bins or len(owned) > BINS_FROM_TARGETS:
        top.targets = {name: file for name, file in targets.items() if name not in owned}
        bins, keys = _bins(signers["targets"]), [signer.public_key for signer in signers["targets"]]
        top.delegations = Delegations({key.keyid: key for key in keys}, succinct_roles=bins)
        roles = _sign_bins(signers["targets"], bins, owned, version, expires)
    roles["targets"] = _signed(top, signers["targets"])
    snapshot = Snapshot(
        version=version,
        expires=_seconds(now + lifetimes.snapshot),
        meta={f"{role}.json": _described(content, version) for role, content in roles.items()},
    )
    files = {f"{version}.{role}.json": content for role, content in roles.items()}
    files[f"{version}.snapshot.json"] = _signed(snapshot, signers["snapshot"])
    timestamp = Timestamp(
        version=version,
        expires=_seconds(now + lifetimes.timestamp),
        snapshot_meta=_described(files[f"{version}.snapshot.json"], version),
    )
    return files | {"timestamp.json": _signed(timestamp, signers["timestamp"])}


def together(one: Signers, other: Signers) -> Signers:
    """Everybody of both, each once, so that both of two roots are satisfied."""
    return {role: _everybody(one[role], other[role]) for role in one}


def _bins(signers: Sequence[CryptoSigner]) -> SuccinctRoles:
    """256 roles that share the owned targets by hash (TAP 15), signed by the targets keys."""
    return SuccinctRoles([signer.public_key.keyid for signer in signers], 1, _BIN_BITS, _BIN_PREFIX)


def _sign_bins(
    signers: Sequence[CryptoSigner],
    bins: SuccinctRoles,
    owned: Mapping[str, TargetFile],
    version: int,
    expires: datetime,
) -> dict[str, bytes]:
    contents = {name: Targets(version=version, expires=expires) for name in bins.get_roles()}
    for name, file in owned.items():
        contents[bins.get_role_for_target(name)].targets[name] = file
    return {name: _signed(content, signers) for name, content in contents.items()}


def _replace_keys(root: Root, role: str, ring: KeyRing, quorum: Quorum) -> None:
    for keyid in list(root.roles[role].keyids):
        root.revoke_key(keyid, role)
    root.roles[role] = Role([], quorum.threshold)
    for _ in range(quorum.keys):
        root.add_key(ring.make(role).public_key, role)


def _everybody(*groups: Sequence[CryptoSigner]) -> list[CryptoSigner]:
    found = {signer.public_key.keyid: signer for group in groups for signer in group}
    return list(found.values())


def _described(content: bytes, version: int) -> MetaFile:
    return MetaFile(version, len(content), {"sha256": hashlib.sha256(content).hexdigest()})


def _signed(content: Content, signers: Sequence[CryptoSigner]) -> bytes:
    metadata = Metadata(content)
    for signer in signers:
        metadata.sign(signer, append=True)
    return metadata.to_bytes(_SERIALIZER)


def _seconds(time: datetime) -> datetime:
    return time.replace(microsecond=0)
