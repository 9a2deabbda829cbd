from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from openturret.boot.errors import NoSuchFileError, TransportError, TrustError
from openturret.boot.trust import TrustStore
from openturret.hal.clock import SystemClock

if TYPE_CHECKING:
    from tests.boot.conftest import SignedTree

CONFIG = "units/02-54-50-00-00-01/config.yaml"


@dataclass
class FolderTransport:
    """Brings files from a folder; can be cut."""

    folder: Path
    cut: bool = False
    endless: str = ""
    fetched: int = 0

    def fetch(self, path: str, *, offset: int = 0) -> Iterator[bytes]:
        if self.cut:
            raise TransportError("TSS tss1: connection lost", "check the TSS")
        if self.endless and path.endswith(self.endless):
            while True:
                self.fetched += 65_536
                yield bytes(65_536)
        file = self.folder / path
        if not file.is_file():
            raise NoSuchFileError(f"{path} is missing", "")
        self.fetched += 1
        yield file.read_bytes()[offset:]


@dataclass
class FixedClock:
    """A wall clock that the test sets."""

    now: float

    def monotonic(self) -> float:
        return self.now

    def unix(self) -> float:
        return self.now


@pytest.fixture
def transport(tree: SignedTree) -> FolderTransport:
    tree.publish({CONFIG: b"application.config.version: 1\n"})
    return FolderTransport(tree.folder)


@pytest.fixture
def store(tree: SignedTree, tmp_path: Path) -> TrustStore:
    return TrustStore(tmp_path / "trust", tree.root, SystemClock())


def read(store: TrustStore, transport: FolderTransport, target: str = CONFIG) -> bytes:
    return store.refresh(transport).must_fetch(target).read_bytes()


def test_signed_content_is_accepted(store: TrustStore, transport: FolderTransport) -> None:
    assert read(store, transport) == b"application.config.version: 1\n"


def test_unchanged_content_is_not_fetched_again(
    store: TrustStore, transport: FolderTransport
) -> None:
    read(store, transport)
    cold = transport.fetched
    read(store, transport)
    assert transport.fetched == cold + 1, "the timestamp only"


def test_a_target_that_nobody_signed_does_not_exist(
    store: TrustStore, transport: FolderTransport
) -> None:
    tree = store.refresh(transport)
    assert tree.fetch("units/other/config.yaml") is None
    with pytest.raises(TrustError, match="not signed"):
        tree.must_fetch("units/other/config.yaml")


def test_changed_content_is_refused_and_the_old_stays(
    store: TrustStore, transport: FolderTransport, tree: SignedTree
) -> None:
    kept = store.refresh(transport).must_fetch(CONFIG)
    tree.publish({CONFIG: b"application.config.version: 2\n"})
    file = next(path for path in (tree.folder / "targets" / "units").rglob("*.config.yaml")
                if b"2" in path.read_bytes())  # fmt: skip
    file.write_bytes(b"application.config.version: 6\n")
    with pytest.raises(TrustError, match="not the signed content"):
        read(store, transport)
    assert kept.read_bytes() == b"application.config.version: 1\n"


@pytest.mark.parametrize("role", ["timestamp.json", "1.snapshot.json", "1.targets.json"])
def test_a_wrong_signature_is_refused(
    store: TrustStore, transport: FolderTransport, tree: SignedTree, role: str
) -> None:
    path = tree.folder / "metadata" / role
    document = json.loads(path.read_text())
    document["signatures"][0]["sig"] = "00" * 64
    path.write_text(json.dumps(document))
    with pytest.raises(TrustError, match="the signature is wrong"):
        read(store, transport)


def test_the_keys_of_another_root_are_refused(
    transport: FolderTransport, tmp_path: Path, tree: SignedTree
) -> None:
    other = type(tree)(tmp_path / "other")
    with pytest.raises(TrustError, match="the signature is wrong"):
        read(TrustStore(tmp_path / "trust", other.root, SystemClock()), transport)


def test_expired_metadata_is_refused(
    store: TrustStore, transport: FolderTransport, tree: SignedTree
) -> None:
    tree.lifetime = timedelta(seconds=-1)
    tree.publish({CONFIG: b"x: 1\n"})
    with pytest.raises(TrustError, match="expired") as caught:
        read(store, transport)
    assert "clock" in caught.value.remedy


def test_a_clock_that_was_set_back_does_not_revive_what_has_expired(
    transport: FolderTransport, tree: SignedTree, tmp_path: Path
) -> None:
    clock = FixedClock(SystemClock().unix())
    store = TrustStore(tmp_path / "trust", tree.root, clock)
    tree.lifetime = timedelta(days=30)
    tree.publish({CONFIG: b"x: 2\n"})
    clock.now += 20 * 86_400
    read(store, transport)
    tree.lifetime = timedelta(days=10)
    tree.publish({CONFIG: b"x: 3\n"})
    clock.now -= 19 * 86_400
    with pytest.raises(TrustError, match="expired"):
        read(store, transport)


def test_an_older_tree_than_the_last_accepted_is_refused(
    store: TrustStore, transport: FolderTransport, tree: SignedTree
) -> None:
    old = (tree.folder / "metadata" / "timestamp.json").read_bytes()
    tree.publish({CONFIG: b"application.config.version: 2\n"})
    read(store, transport)
    (tree.folder / "metadata" / "timestamp.json").write_bytes(old)
    with pytest.raises(TrustError, match="older than the last accepted"):
        read(store, transport)


@pytest.mark.parametrize("file", ["timestamp.json", ".snapshot.json", ".targets.json", ".yaml"])
def test_endless_data_ends_at_a_bound(
    store: TrustStore, transport: FolderTransport, file: str
) -> None:
    transport.endless = file
    with pytest.raises(TrustError):
        read(store, transport)
    assert transport.fetched < 6_000_000


@pytest.mark.parametrize("garbage", [b"", b"{}", b"[1]", b"\xff", b'{"signed": {}}'])
def test_garbage_for_metadata_is_refused(
    store: TrustStore, transport: FolderTransport, tree: SignedTree, garbage: bytes
) -> None:
    (tree.folder / "metadata" / "timestamp.json").write_bytes(garbage)
    with pytest.raises(TrustError):
        read(store, transport)


def test_a_lost_connection_is_the_transports_error(
    store: TrustStore, transport: FolderTransport
) -> None:
    transport.cut = True
    with pytest.raises(TransportError, match="connection lost"):
        read(store, transport)


def test_more_than_the_caller_allows_is_refused(
    store: TrustStore, transport: FolderTransport
) -> None:
    with pytest.raises(TrustError, match="exceed 10"):
        store.refresh(transport).fetch(CONFIG, max_bytes=10)
