"""What was signed about the things that a unit keeps, so that it can check them without a server.

A medium can be tampered with while the unit is switched off.  So beside everything kept stands
the signed metadata that named it when it was accepted; at every start the way from the factory's
root of trust to the content is walked again.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tuf.api.exceptions import RepositoryError
from tuf.api.metadata import Metadata, Root, Targets

from ..cache import read_bounded, write_atomically

MAX_BYTES: Final = 4_194_304
_MAX_ROOT_BYTES = 65_536
_MAX_ROOTS = 1024


@dataclass(frozen=True, slots=True)
class Voucher:
    """Signed metadata that names a target.

    Attributes:
        target: Its name.
        chain: The top-level targets metadata, and the delegated one that names it, if any.
    """

    target: str
    chain: tuple[bytes, ...]

    @classmethod
    def parse(cls, data: bytes) -> "Voucher":
        """Returns the voucher in a file.

        Raises:
            ValueError: It is none.
        """
        try:
            content = json.loads(data)
            target, chain = content["target"], content["chain"]
        except (TypeError, KeyError, RecursionError) as error:
            raise ValueError("not a voucher") from error
        texts = isinstance(chain, list) and all(isinstance(text, str) for text in chain)
        if not isinstance(target, str) or not texts or not 1 <= len(chain) <= 2:
            raise ValueError("not a voucher")
        return cls(target, tuple(text.encode() for text in chain))

    def __bytes__(self) -> bytes:
        chain = [metadata.decode() for metadata in self.chain]
        return json.dumps({"target": self.target, "chain": chain}).encode()


class VoucherStore:
    """Vouchers in a folder, each under the hash of what it vouches for."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def load(self, sha256: str) -> Voucher | None:
        """Returns the voucher for a content; None when there is none that can be read."""
        data = read_bounded(self._path(sha256), MAX_BYTES)
        try:
            return Voucher.parse(data) if data is not None else None
        except ValueError:
            return None

    def save(self, sha256: str, voucher: Voucher) -> None:
        """Keeps a voucher; before the content itself is kept.

        Raises:
            OSError: The medium refuses it.
        """
        if self.load(sha256) != voucher:
            write_atomically(self._path(sha256), bytes(voucher))

    def keep_only(self, hashes: Iterable[str]) -> None:
        """Removes the vouchers for all other contents; after these contents are kept."""
        kept = {self._path(sha256) for sha256 in hashes}
        if self._directory.is_dir():
            for path in self._directory.iterdir():
                if path not in kept:
                    path.unlink(missing_ok=True)

    def _path(self, sha256: str) -> Path:
        return self._directory / f"{sha256}.json"


def root_chain(factory: bytes, history: Path) -> Sequence[Root]:
    """Returns the factory's root and all kept ones that follow from it.

    Raises:
        RepositoryError: The factory's root is damaged.
    """
    first = Metadata[Root].from_bytes(factory)
    first.signed.verify_delegate(Root.type, first.signed_bytes, first.signatures)
    return [first.signed, *(root.signed for root in _successors(first, history))]


def signed_by(roots: Sequence[Root], voucher: Voucher, sha256: str) -> str:
    """Returns the target that a voucher names, if one of the roots stands behind it.

    Any of them may: a unit accepts nothing new under a root that was replaced, but what it
    accepted before stays in use.

    Raises:
        RepositoryError: No root does, or the voucher is about another content.
    """
    metadata = Metadata[Targets].from_bytes(voucher.chain[0])
    if not any(_verified(root, Targets.type, metadata) for root in reversed(roots)):
        raise RepositoryError("no accepted root stands behind the voucher")
    for data in voucher.chain[1:]:
        metadata = _delegated(metadata.signed, Metadata[Targets].from_bytes(data), voucher.target)
    info = metadata.signed.targets.get(voucher.target)
    if info is None or info.hashes.get("sha256") != sha256:
        raise RepositoryError(f"{voucher.target} was signed with another content")
    return voucher.target


def _successors(root: Metadata[Root], history: Path) -> Iterator[Metadata[Root]]:
    """Yields each next root that the one before and itself have signed."""
    for _ in range(_MAX_ROOTS):
        version = root.signed.version + 1
        data = read_bounded(history / f"{version}.root.json", _MAX_ROOT_BYTES)
        following = _follows(root.signed, data) if data is not None else None
        if following is None:
            return
        yield following
        root = following


def _follows(root: Root, data: bytes) -> Metadata[Root] | None:
    try:
        following = Metadata[Root].from_bytes(data)
        for signer in (root, following.signed):
            signer.verify_delegate(Root.type, following.signed_bytes, following.signatures)
    except (RepositoryError, AttributeError):
        return None
    return following if following.signed.version == root.version + 1 else None


def _verified(signer: Root | Targets, role: str, metadata: Metadata[Targets]) -> bool:
    result = signer.get_verification_result(role, metadata.signed_bytes, metadata.signatures)
    return result.verified and isinstance(metadata.signed, Targets)


def _delegated(parent: Targets, metadata: Metadata[Targets], target: str) -> Metadata[Targets]:
    delegations = parent.delegations
    names = delegations.get_roles_for_target(target) if delegations is not None else ()
    if not any(_verified(parent, name, metadata) for name, _ in names):
        raise RepositoryError(f"nobody may say what {target} is in the voucher")
    return metadata
