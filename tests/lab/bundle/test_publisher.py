"""A site is published as a whole, signed, and only when something has changed."""

from __future__ import annotations

import fcntl
import shutil
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import yaml
from tuf.api.exceptions import DownloadHTTPError
from tuf.ngclient import FetcherInterface, Updater

from openturret.boot.slots.manager import Manifest
from openturret.lab.bundle.errors import BadSiteError, BundleError
from openturret.lab.bundle.export import export
from openturret.lab.bundle.publisher import Publisher

from .conftest import FOLDER, Calendar, write_wheel


def silent(_text: str) -> None:
    """Listens to no progress."""


class Folder(FetcherInterface):
    def __init__(self, tree: Path) -> None:
        self._tree = tree

    def _fetch(self, url: str) -> Iterator[bytes]:
        path = self._tree / url
        if not path.is_file():
            raise DownloadHTTPError("not found", 404)
        yield path.read_bytes()


def fetch(publisher: Publisher, state: Path, target: str, tree: Path | None = None) -> bytes:
    """What a unit gets: verified by its root of trust."""
    state.mkdir(exist_ok=True)
    updater = Updater(
        metadata_dir=str(state), metadata_base_url="metadata", target_base_url="targets",
        target_dir=str(state), fetcher=Folder(tree or publisher.tss.tree.folder),
        bootstrap=publisher.trust().root,
    )  # fmt: skip
    info = updater.get_targetinfo(target)
    assert info is not None
    return Path(updater.download_target(info, str(state / "target"))).read_bytes()


def test_a_unit_verifies_what_is_published(publisher: Publisher, tmp_path: Path) -> None:
    outcome = publisher.publish(silent)
    assert outcome.published
    published = yaml.safe_load(fetch(publisher, tmp_path / "u", "sites/default/config.yaml"))
    assert published["application.config.version"] == 1
    manifest = yaml.safe_load(fetch(publisher, tmp_path / "u", "firmware/touchpro/manifest.yaml"))
    assert manifest["version"] == "1.0"


def test_without_a_change_nothing_is_signed(publisher: Publisher) -> None:
    first = publisher.publish(silent)
    again = publisher.publish(silent)
    assert (again.version, again.published, again.changes) == (first.version, False, ())
    assert publisher.publish(silent, anew=True).version > first.version


def test_bad_input_changes_nothing(publisher: Publisher, tmp_path: Path) -> None:
    publisher.publish(silent)
    before = fetch(publisher, tmp_path / "u", "sites/default/config.yaml")
    publisher.site.default.write_text("application.sip.connection.port: never\n")
    with pytest.raises(BadSiteError):
        publisher.publish(silent)
    assert fetch(publisher, tmp_path / "u", "sites/default/config.yaml") == before


def test_a_dry_run_tells_what_a_publication_then_does(publisher: Publisher) -> None:
    dry = publisher.publish(silent, dry_run=True)
    assert (dry.version, dry.published) == (0, False)
    assert publisher.publication() is None
    assert publisher.publish(silent).changes == dry.changes


def test_what_is_about_to_expire_is_signed_anew(publisher: Publisher, calendar: Calendar) -> None:
    first = publisher.publish(silent)
    calendar.pass_days(3)
    assert not publisher.publish(silent).published
    calendar.pass_days(3)
    assert publisher.publish(silent).version > first.version


def test_a_publication_that_was_cut_short_is_done_again(
    publisher: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    publisher.publish(silent)
    publisher.site.default.write_text("application.sip.connection.port: 5080\n")

    def cut() -> int:
        raise OSError("no space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(publisher.tss, "publish", cut)
        with pytest.raises(OSError, match="space"):
            publisher.publish(silent)
    assert publisher.publish(silent).published


def test_two_commands_do_not_publish_together(publisher: Publisher) -> None:
    publisher.publish(silent)
    with (publisher.site.tss / "lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_SH)  # whoever publishes wants it alone
        with pytest.raises(BundleError, match="another command"):
            publisher.publish(silent)


def test_an_older_tree_can_still_be_read_to_its_end(publisher: Publisher, tmp_path: Path) -> None:
    publisher.publish(silent)
    (publisher.site.units / f"{FOLDER}.yaml").write_text("application.unit.model: TouchPro\n")
    snapshot = tmp_path / "begun"
    shutil.copytree(publisher.tss.tree.metadata, snapshot)
    publisher.publish(silent)
    publisher.site.default.write_text("application.sip.connection.port: 5080\n")
    publisher.publish(silent)
    shutil.copy(snapshot / "timestamp.json", publisher.tss.tree.metadata / "timestamp.json")
    published = fetch(publisher, tmp_path / "u", "sites/default/config.yaml")
    assert b"5080" not in published


def test_a_downgrade_is_signed_with_its_permission(publisher: Publisher, tmp_path: Path) -> None:
    folder = publisher.site.firmware / "touchpro"
    publisher.publish(silent)
    (folder / "openturret-1.0.whl").rename(tmp_path / "old")
    write_wheel(folder / "newer.whl", version="2.0")
    publisher.publish(silent)
    (folder / "newer.whl").unlink()
    shutil.copy(tmp_path / "old", folder / "openturret-1.0.whl")
    (folder / "permission.yaml").write_text("allow_downgrade: true\n")
    (change,) = publisher.publish(silent).changes
    assert (change.kind, change.version) == ("firmware", "1.0")
    signed = fetch(publisher, tmp_path / "u", "firmware/touchpro/manifest.yaml")
    assert Manifest.parse(signed).allow_downgrade
    (folder / "permission.yaml").unlink()
    assert publisher.publish(silent).published
    assert not publisher.publish(silent).published


def test_a_unit_that_reads_during_publications_always_gets_a_whole_tree(
    publisher: Publisher, tmp_path: Path
) -> None:
    publisher.publish(silent)
    done = threading.Event()
    seen: list[tuple[int, int]] = []

    def read() -> None:
        while not done.is_set():
            state = tmp_path / f"unit-{len(seen)}"
            two = [fetch(publisher, state, "sites/default/config.yaml") for _ in range(2)]
            first, second = (yaml.safe_load(each)["application.config.version"] for each in two)
            seen.append((first, second))

    with ThreadPoolExecutor() as pool:
        reading = pool.submit(read)
        for port in range(5080, 5100):
            publisher.site.default.write_text(f"application.sip.connection.port: {port}\n")
            publisher.publish(silent)
        done.set()
        reading.result()
    assert len(seen) > 3
    assert seen == sorted(seen)


def test_a_tree_is_copied_to_a_tss_and_verifies_there(publisher: Publisher, tmp_path: Path) -> None:
    publisher.publish(silent)
    assert export(publisher.tss.tree.folder, tmp_path / "web") > 5
    assert export(publisher.tss.tree.folder, tmp_path / "web") == 0
    fetch(publisher, tmp_path / "u", "sites/default/config.yaml", tmp_path / "web")


def test_the_name_of_all_others_is_copied_last(
    publisher: Publisher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publisher.publish(silent)
    (publisher.tss.tree.metadata / "zone.json").write_text("sorts behind the timestamp")
    order: list[str] = []
    monkeypatch.setattr(
        "openturret.lab.bundle.export.copy_durably", lambda path, _there: order.append(path.name)
    )
    export(publisher.tss.tree.folder, tmp_path / "web")
    assert order[-1] == "timestamp.json"
    assert order.index("manifest.yaml") < order.index("root.json")
