"""TUF metadata as a unit reads it: one file of a good tree is replaced; good, or a TrustError."""

import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import Metadata, MetaFile, Root, Snapshot, TargetFile, Targets, Timestamp

from openturret.boot.errors import NoSuchFileError, TransportError, TrustError
from openturret.boot.trusted.trust import TrustStore

from ..data import memory_folder

ERRORS = (TrustError, TransportError)
_CONTENT = b"application.config.version: 1\n"
_TARGET = "units/unit/config.yaml"
_NAMES = ("metadata/2.root.json", "metadata/timestamp.json", "metadata/1.snapshot.json",
          "metadata/1.targets.json", "target")  # fmt: skip
_STATE = memory_folder() / "trust"


class Clock:
    """The day of the tree."""

    def monotonic(self) -> float:
        return 0.0

    def unix(self) -> float:
        return 1_800_000_000.0


class Tree:
    """A signed tree in memory, of which one file is what the fuzzer says."""

    def __init__(self) -> None:
        expires = datetime(2030, 1, 1, tzinfo=UTC)
        self._signer = CryptoSigner.generate_ed25519()
        info = TargetFile.from_data(_TARGET, _CONTENT, ["sha256"])
        root = Root(version=1, expires=expires, consistent_snapshot=True)
        for role in ("root", "timestamp", "snapshot", "targets"):
            root.add_key(self._signer.public_key, role)
        snapshot = Snapshot(version=1, expires=expires)
        snapshot.meta["targets.json"] = MetaFile(1)
        self.root = self.signed(root)
        self.good = {
            "metadata/2.root.json": self.signed(_next(root)),
            "metadata/timestamp.json": self.signed(Timestamp(version=1, expires=expires)),
            "metadata/1.snapshot.json": self.signed(snapshot),
            "metadata/1.targets.json": self.signed(
                Targets(version=1, expires=expires, targets={_TARGET: info})
            ),
            "target": _CONTENT,
        }
        self.files = dict(self.good)

    def signed(self, what: Root | Timestamp | Snapshot | Targets) -> bytes:
        metadata: Metadata[Any] = Metadata(what)
        metadata.sign(self._signer)
        return metadata.to_bytes()

    def fetch(self, path: str, *, offset: int = 0) -> Iterator[bytes]:
        """Yields a file as a transport does."""
        content = self.files.get(path if path.startswith("metadata/") else "target")
        if content is None:
            raise NoSuchFileError(path)
        yield content[offset:]


def _next(root: Root) -> Root:
    newer = Root.from_dict(root.to_dict())
    newer.version = 2
    return newer


_TREE = Tree()


def seeds() -> list[bytes]:
    return [bytes([number]) + _TREE.good[name] for number, name in enumerate(_NAMES)]


def run(data: bytes) -> None:
    shutil.rmtree(_STATE, ignore_errors=True)
    name = _NAMES[data[0] % len(_NAMES)] if data else _NAMES[0]
    _TREE.files = {**_TREE.good, name: data[1:]}
    path = _STATE
    tree = TrustStore(path, _TREE.root, Clock()).refresh(_TREE)
    if Path(tree.must_fetch(_TARGET)).read_bytes() != _CONTENT:
        raise AssertionError("what nobody signed was believed")
