from __future__ import annotations

import errno
import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from openturret.boot.cache import write_atomically
from openturret.boot.errors import NoSuchFileError, TransportError, TrustError
from openturret.boot.trusted import floor, metadata
from openturret.boot.trusted.floor import ClockFloor
from openturret.boot.trusted.trust import TrustStore
from openturret.hal.clock import SystemClock
from openturret.lab.tss import Administration

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


# ------------------------------------------------------------ power cuts and damage


@dataclass
class Trees:
    """The same repository as it was and as it is; a unit that goes from one to the other."""

    old: FolderTransport
    new: FolderTransport
    root: bytes
    state: Path

    def store(self) -> TrustStore:
        return TrustStore(self.state, self.root, SystemClock())

    def goes(self, transport: FolderTransport) -> bytes:
        return read(self.store(), transport)

    def kept(self) -> dict[str, bytes]:
        files = (path for path in self.state.rglob("*") if path.is_file())
        return {str(path.relative_to(self.state)): path.read_bytes() for path in files}

    def restore(self, files: dict[str, bytes]) -> None:
        shutil.rmtree(self.state)
        for name, content in files.items():
            (self.state / name).parent.mkdir(parents=True, exist_ok=True)
            (self.state / name).write_bytes(content)


@pytest.fixture
def trees(tree: SignedTree, tmp_path: Path) -> Trees:
    tree.publish({CONFIG: b"application.config.version: 1\n"})
    shutil.copytree(tree.folder, tmp_path / "old")
    tree.publish({CONFIG: b"application.config.version: 2\n"})
    old, new = FolderTransport(tmp_path / "old"), FolderTransport(tree.folder)
    return Trees(old, new, tree.root, tmp_path / "trust")


def test_a_power_cut_in_any_write_leaves_a_unit_that_goes_on(
    trees: Trees, monkeypatch: pytest.MonkeyPatch
) -> None:
    trees.goes(trees.old)
    states = [trees.kept()]
    writes: list[tuple[Path, bytes]] = []
    for module in (metadata, floor):
        monkeypatch.setattr(module, "write_atomically", recorder(trees, states, writes))
    trees.goes(trees.new)
    monkeypatch.undo()
    assert [path.name for path, _ in writes][:3] == [
        "targets.json", "snapshot.json", "timestamp.json",
    ]  # fmt: skip
    for state, (path, content) in zip(states, writes, strict=False):
        beside = str(path.with_name(f".{path.name}.new").relative_to(trees.state))
        for length in range(0, len(content) + 1, 23):
            trees.restore(state | {beside: content[:length]})
            assert trees.goes(trees.new) == b"application.config.version: 2\n"
    trees.restore(states[-1])
    with pytest.raises(TrustError, match="older than the last accepted"):
        trees.goes(trees.old)


def recorder(
    trees: Trees, states: list[dict[str, bytes]], writes: list[tuple[Path, bytes]]
) -> Callable[[Path, bytes], None]:
    def write(path: Path, data: bytes) -> None:
        write_atomically(path, data)
        writes.append((path, data))
        states.append(trees.kept())

    return write


@pytest.mark.parametrize("name", ["timestamp.json", "snapshot.json", "targets.json"])
def test_one_damaged_file_makes_nothing_older_acceptable(trees: Trees, name: str) -> None:
    """Not that a power cut could do it: this is a medium that rots."""
    trees.goes(trees.new)
    good = trees.kept()
    content = good[f"metadata/{name}"]
    for length in range(0, len(content), 3):
        for damaged in (content[:length], content[:length] + b"\0" * (len(content) - length)):
            (trees.state / "metadata" / name).write_bytes(damaged)
            with pytest.raises(TrustError):
                trees.store().refresh(trees.old)
        if length % 60 == 0:
            assert trees.goes(trees.new) == b"application.config.version: 2\n"
            trees.restore(good)


@pytest.mark.parametrize(
    "name", ["timestamp.json", "snapshot.json", "targets.json", "root_history"]
)
def test_links_and_giants_are_not_read(trees: Trees, name: str, tmp_path: Path) -> None:
    trees.goes(trees.old)
    path = trees.state / "metadata" / name
    if name == "root_history":
        shutil.rmtree(path)
    else:
        path.rename(tmp_path / "elsewhere")
        path.symlink_to(tmp_path / "elsewhere")
        assert trees.goes(trees.new)
        path.write_bytes(b" " * 2_000_000)
    assert trees.goes(trees.new) == b"application.config.version: 2\n"
    assert path.is_dir() or path.stat().st_size < 10_000


def test_a_damaged_root_is_fetched_again(trees: Trees, tmp_path: Path) -> None:
    administration = Administration(tmp_path / "tss")
    administration.set_configuration("default", {"application.config.version": 1})
    administration.publish()
    trees.root, files = administration.root, FolderTransport(administration.tree.folder)
    for _ in range(3):
        administration.rotate_root()
    trees.store().refresh(files)
    kept = sorted((trees.state / "metadata" / "root_history").iterdir())
    assert [path.name for path in kept] == [f"{number}.root.json" for number in (1, 2, 3, 4)]
    for path in kept[1:]:
        path.write_bytes(path.read_bytes()[:-9])
        assert trees.store().refresh(files).fetch("sites/default/config.yaml")
        assert path.stat().st_size > 1_000


def test_nothing_is_written_when_nothing_has_changed(trees: Trees) -> None:
    """A flash medium wears, and thousands of boots change nothing."""
    trees.goes(trees.new)
    before = {path: path.stat().st_mtime_ns for path in trees.state.rglob("*.json")}
    trees.goes(trees.new)
    assert {path: path.stat().st_mtime_ns for path in trees.state.rglob("*.json")} == before


def test_a_full_medium_is_told_as_such(trees: Trees, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_path: Path, _data: bytes) -> None:
        raise OSError(errno.ENOSPC, "no space left on device")

    trees.goes(trees.old)
    monkeypatch.setattr(metadata, "write_atomically", full)
    with pytest.raises(OSError, match="no space left"):
        trees.goes(trees.new)
    monkeypatch.undo()
    assert trees.goes(trees.new) == b"application.config.version: 2\n"


@pytest.mark.parametrize("root", [b"", b"{}", b"\xff", b"[" * 9999])
def test_a_damaged_factory_root_is_named(
    transport: FolderTransport, tmp_path: Path, root: bytes
) -> None:
    store = TrustStore(tmp_path / "trust", root, SystemClock())
    with pytest.raises(TrustError, match=r"root\.json: damaged") as caught:
        store.refresh(transport)
    assert "factory" in caught.value.remedy


def test_the_floor_is_what_was_accepted_last(tmp_path: Path) -> None:
    clock = FixedClock(1_000_000.0)
    kept = ClockFloor(tmp_path / "clock", clock)
    assert (kept.least(), kept.now()) == (0.0, 1_000_000.0)
    kept.raise_to(2_000_000.9)
    kept.raise_to(1_500_000.0)
    assert (kept.least(), kept.now()) == (2_000_000.0, 2_000_000.0)
    clock.now = 3_000_000.0
    assert kept.now() == 3_000_000.0
    for damage in (b"", b"-5", b"x", b"9" * 40, b"1e9"):
        (tmp_path / "clock").write_bytes(damage)
        assert kept.least() == 0.0
