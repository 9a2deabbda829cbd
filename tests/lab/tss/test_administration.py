"""What the TSS publishes, read by python-tuf's own client: the peer that every unit uses."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml
from tuf.api.exceptions import (
    DownloadHTTPError,
    ExpiredMetadataError,
    LengthOrHashMismatchError,
    RepositoryError,
    UnsignedMetadataError,
)
from tuf.api.metadata import Metadata, Root, Snapshot, Targets, Timestamp
from tuf.ngclient import FetcherInterface, Updater

from openturret.lab.errors import PublishError
from openturret.lab.tss import Administration
from openturret.lab.tss.keys import Quorum
from openturret.lab.tss.signing import BINS_FROM_TARGETS, Lifetimes

MAC = "02-54-50-00-00-01"
CONFIG = f"units/{MAC}/config.yaml"


class FolderFetcher(FetcherInterface):
    """Reads the published tree as a server would hand it out."""

    def __init__(self, tree: Path) -> None:
        self._tree = tree

    def _fetch(self, url: str) -> Iterator[bytes]:
        path = self._tree / url.removeprefix("tss://")
        if not path.is_file():
            raise DownloadHTTPError("not found", 404)
        return iter([path.read_bytes()])


@pytest.fixture
def tss(tmp_path: Path) -> Administration:
    made = Administration(tmp_path / "tss")
    made.set_configuration(MAC, {"application.config.version": 1})
    return made


class Client:
    """A unit's trust: it remembers between fetches what it has accepted."""

    def __init__(self, tss: Administration, folder: Path) -> None:
        self._tss = tss
        self.folder = folder
        self._root = tss.root
        folder.mkdir()

    def fetch(self, target: str) -> bytes:
        updater = Updater(
            metadata_dir=str(self.folder),
            metadata_base_url="tss://metadata/",
            target_dir=str(self.folder),
            target_base_url="tss://targets/",
            fetcher=FolderFetcher(self._tss.tree.folder),
            bootstrap=self._root,
        )
        found = updater.get_targetinfo(target)
        if found is None:
            raise LookupError(target)
        return Path(updater.download_target(found, str(self.folder / "target"))).read_bytes()


@pytest.fixture
def client(tss: Administration, tmp_path: Path) -> Client:
    return Client(tss, tmp_path / "unit")


def test_a_published_configuration_reaches_a_unit(tss: Administration, client: Client) -> None:
    tss.publish()
    assert yaml.safe_load(client.fetch(CONFIG)) == {"application.config.version": 1}


def test_a_change_counts_only_once_published(tss: Administration, client: Client) -> None:
    tss.publish()
    tss.set_configuration(MAC, {"application.config.version": 2})
    assert yaml.safe_load(client.fetch(CONFIG))["application.config.version"] == 1
    tss.publish()
    assert yaml.safe_load(client.fetch(CONFIG))["application.config.version"] == 2


def test_firmware_and_its_manifest_agree(
    tss: Administration, client: Client, tmp_path: Path
) -> None:
    image = tmp_path / "image.whl"
    image.write_bytes(b"firmware" * 1000)
    tss.add_firmware("touchpro", "1.2.3", image)
    tss.publish()
    manifest = yaml.safe_load(client.fetch("firmware/touchpro/manifest.yaml"))
    assert manifest["file"] == "openturret-1.2.3.whl"
    fetched = client.fetch(f"firmware/touchpro/{manifest['file']}")
    assert hashlib.sha256(fetched).hexdigest() == manifest["sha256"]


def test_a_profile_follows_its_user(tss: Administration, client: Client) -> None:
    tss.add_user("alice", name="Alice", profile={"profile.sip.username": "1001"})
    tss.publish()
    assert yaml.safe_load(client.fetch("profiles/alice.yaml")) == {"profile.sip.username": "1001"}


def test_expired_metadata_is_refused(tss: Administration, client: Client) -> None:
    tss.publish()
    client.fetch(CONFIG)
    tss.publish_expired()
    with pytest.raises(ExpiredMetadataError):
        client.fetch(CONFIG)


def test_foreign_signatures_are_refused(tss: Administration, client: Client) -> None:
    tss.publish()
    tss.publish_wrongly_signed()
    with pytest.raises(UnsignedMetadataError):
        client.fetch(CONFIG)


def test_a_roll_back_is_refused(tss: Administration, client: Client) -> None:
    first = tss.publish()
    tss.publish()
    client.fetch(CONFIG)
    tss.publish_older(first)
    assert _served_version(tss) == first
    with pytest.raises(RepositoryError):
        client.fetch(CONFIG)


def test_a_tampered_target_is_refused(tss: Administration, client: Client) -> None:
    tss.publish()
    tss.tamper(CONFIG)
    with pytest.raises(LengthOrHashMismatchError):
        client.fetch(CONFIG)


@pytest.mark.parametrize("fault", ["publish_expired", "publish_wrongly_signed"])
def test_a_good_publication_mends_every_fault(
    tss: Administration, client: Client, fault: str
) -> None:
    tss.publish()
    getattr(tss, fault)()
    tss.publish()
    assert client.fetch(CONFIG)


def test_the_clock_decides_what_is_expired(tmp_path: Path) -> None:
    past = datetime.now(UTC) - timedelta(days=30)
    tss = Administration(tmp_path / "tss", clock=lambda: past)
    tss.set_configuration(MAC, {"application.config.version": 1})
    tss.publish(Lifetimes(timestamp=timedelta(days=1)))
    with pytest.raises(ExpiredMetadataError):
        Client(tss, tmp_path / "unit").fetch(CONFIG)


def test_the_administration_survives_a_restart(tmp_path: Path) -> None:
    before = Administration(tmp_path / "tss")
    before.set_configuration(MAC, {"application.config.version": 1})
    before.publish()
    after = Administration(tmp_path / "tss")
    assert after.root == before.root
    assert after.publish() == 2
    assert Client(after, tmp_path / "unit").fetch(CONFIG)


def test_private_keys_are_never_in_the_published_tree(tss: Administration) -> None:
    tss.publish()
    published = b"".join(path.read_bytes() for path in tss.tree.folder.rglob("*.*"))
    assert b"PRIVATE KEY" not in published
    keys = [*(tss.folder / "keys").iterdir(), *(tss.folder / "root-keys").iterdir()]
    assert len(keys) == 6
    assert all(path.stat().st_mode & 0o077 == 0 for path in keys)


def test_a_configuration_without_a_version_is_refused(tss: Administration) -> None:
    with pytest.raises(PublishError, match=r"application\.config\.version"):
        tss.set_configuration(MAC, {"application.unit.model": "TouchPro"})


def test_what_was_never_published_cannot_be_served_again(tss: Administration) -> None:
    with pytest.raises(PublishError, match="never published"):
        tss.publish_older(7)
    with pytest.raises(PublishError, match="not published"):
        tss.tamper("profiles/nobody.yaml")


def test_a_missing_image_is_no_firmware(tss: Administration, tmp_path: Path) -> None:
    with pytest.raises(PublishError, match="not a firmware image"):
        tss.add_firmware("touchpro", "1.0.0", tmp_path / "nothing.whl")


def test_a_client_follows_every_root_to_the_newest(tss: Administration, client: Client) -> None:
    tss.publish()
    assert [tss.rotate_root(), tss.rotate_root("root"), tss.rotate_root("targets")] == [2, 3, 4]
    assert client.fetch(CONFIG)
    root = Metadata[Root].from_bytes((client.folder / "root.json").read_bytes()).signed
    assert (root.version, root.roles["root"].threshold) == (4, 2)


@pytest.mark.parametrize("role", ["targets", "snapshot", "timestamp"])
def test_a_revoked_key_signs_nothing_any_more(
    tss: Administration, client: Client, role: str
) -> None:
    tss.publish()
    stolen = {path.name: path.read_bytes() for path in (tss.folder / "keys").iterdir()}
    tss.rotate_root(role)
    assert client.fetch(CONFIG)
    for name, key in stolen.items():
        if name.startswith(role):
            assert not (tss.folder / "keys" / name).exists()
            new = next((tss.folder / "keys").glob(f"{role}-*.pem"))
            new.write_bytes(key)
    tss.publish()
    with pytest.raises(UnsignedMetadataError):
        client.fetch(CONFIG)


def test_a_unit_that_reads_in_the_middle_of_a_rotation_sees_a_whole_tree(
    tss: Administration, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    tss.publish()
    write = tss.tree.write_metadata
    reads = []

    def write_and_read(files: Mapping[str, bytes]) -> None:
        for name, content in files.items():
            write({name: content})
            reads.append(client.fetch(CONFIG))

    monkeypatch.setattr(tss.tree, "write_metadata", write_and_read)
    tss.rotate_root()
    assert len(reads) == 3 + 2 + 3


def test_the_roots_keys_may_lie_in_a_safe(tmp_path: Path) -> None:
    safe, folder = tmp_path / "safe", tmp_path / "tss"
    tss = Administration(folder, root_keys=safe, root_quorum=Quorum(2, 3))
    tss.set_configuration(MAC, {"application.config.version": 1})
    safe.rename(tmp_path / "elsewhere")
    again = Administration(folder, root_keys=safe)
    again.publish()
    with pytest.raises(PublishError, match="0 of the 2 keys that must sign for root"):
        again.rotate_root()
    assert Client(again, tmp_path / "unit").fetch(CONFIG)
    (tmp_path / "elsewhere").rename(safe)
    next(safe.iterdir()).unlink()
    assert again.rotate_root() == 2, "two of three are enough"
    assert len(list(safe.iterdir())) == 3


def test_a_quorum_can_grow(tss: Administration, client: Client) -> None:
    tss.rotate_root("root", quorum=Quorum(3, 5))
    assert client.fetch(CONFIG)
    with pytest.raises(PublishError, match="together with the keys of root"):
        tss.rotate_root("targets", quorum=Quorum(1, 1))
    with pytest.raises(PublishError, match="mirror is not one of"):
        tss.rotate_root("mirror")
    with pytest.raises(PublishError, match="3 of 2 keys"):
        Quorum(3, 2)


def test_many_units_share_their_targets_out_over_bins(
    tss: Administration, client: Client, tmp_path: Path
) -> None:
    for number in range(BINS_FROM_TARGETS + 1):
        tss.add_user(f"user{number}", name="User", profile={"profile.sip.username": str(number)})
    tss.publish()
    assert client.fetch(CONFIG)
    assert yaml.safe_load(client.fetch("profiles/user64.yaml")) == {"profile.sip.username": "64"}
    top = Metadata[Targets].from_bytes((client.folder / "targets.json").read_bytes()).signed
    assert not top.targets, "a unit reads one bin, not everybody's names"
    tss.rotate_root("targets")
    assert client.fetch(CONFIG)


def test_bins_stay_once_they_are_there(tmp_path: Path) -> None:
    tss = Administration(tmp_path / "tss")
    tss.set_configuration(MAC, {"application.config.version": 1})
    tss.tree.write_metadata({"1.bin-00.json": b""})
    assert tss.publish() == 1
    client = Client(tss, tmp_path / "unit")
    assert client.fetch(CONFIG)
    assert Metadata[Snapshot].from_bytes(
        (client.folder / "snapshot.json").read_bytes()
    ).signed.meta.keys() >= {"bin-ff.json"}


def test_old_publications_go_and_roots_stay(tss: Administration, client: Client) -> None:
    tss.rotate_root("root")
    for _ in range(12):
        tss.publish()
    names = {path.name for path in tss.tree.metadata.iterdir()}
    assert {"1.root.json", "2.root.json", "root.json", "timestamp.json"} <= names
    assert len(names) == 4 + 2 * 9
    assert client.fetch(CONFIG)


def test_damaged_keys_are_named(tss: Administration) -> None:
    key = next((tss.folder / "keys").glob("targets-*.pem"))
    key.write_bytes(b"no key")
    with pytest.raises(PublishError, match="not a private key"):
        tss.publish()


def _served_version(tss: Administration) -> int:
    path = tss.tree.metadata / "timestamp.json"
    return Metadata[Timestamp].from_bytes(path.read_bytes()).signed.version
