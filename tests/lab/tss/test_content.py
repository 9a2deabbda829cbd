"""A site's content is taken over as a whole, and versions only rise."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
import yaml

from openturret.lab.errors import PublishError
from openturret.lab.tss import Administration
from openturret.lab.tss.content import VERSION_KEY, Change, Content, Image

MAC = "02-54-50-00-00-01"
PORT = "application.sip.connection.port"
PLAIN = Content({"default": {PORT: 5060}})


@pytest.fixture
def tss(tmp_path: Path) -> Administration:
    return Administration(tmp_path / "tss")


def image(folder: Path, text: str = "one", version: str = "1.0") -> Image:
    path = folder / f"{hashlib.sha256(text.encode()).hexdigest()}.whl"
    path.write_text(text)
    return Image(version, path)


def test_the_first_content_is_new_and_the_same_again_changes_nothing(tss: Administration) -> None:
    assert tss.replace(PLAIN) == (Change("configuration", "default", "new", "1"),)
    assert tss.replace(PLAIN) == ()
    assert tss.configuration("default") == {PORT: 5060, VERSION_KEY: 1}


def test_a_unit_that_gets_its_own_configuration_never_sees_an_older_version(
    tss: Administration,
) -> None:
    tss.replace(PLAIN)
    tss.replace(Content({"default": {PORT: 5080}}))
    tss.replace(Content({"default": {PORT: 5080}, MAC: {PORT: 5090}}))
    assert tss.configuration(MAC)[VERSION_KEY] == 3


def test_a_unit_without_a_configuration_of_its_own_any_more_gets_the_sites_as_a_newer_one(
    tss: Administration,
) -> None:
    tss.replace(Content({"default": {PORT: 5060}, MAC: {PORT: 5090}}))
    assert tss.replace(PLAIN) == (Change("configuration", MAC, "changed", "2"),)
    assert tss.configuration(MAC) == {PORT: 5060, VERSION_KEY: 2}


def test_settings_may_ask_for_a_higher_version(tss: Administration) -> None:
    tss.replace(PLAIN)
    asked = Content({"default": {PORT: 5060, VERSION_KEY: 500}})
    assert tss.replace(asked) == (Change("configuration", "default", "changed", "500"),)
    assert tss.replace(asked) == ()


def test_a_version_that_is_no_number_is_refused(tss: Administration) -> None:
    with pytest.raises(PublishError, match="whole number"):
        tss.replace(Content({"default": {VERSION_KEY: "new"}}))


def test_profiles_come_change_and_go(tss: Administration) -> None:
    def publish(profiles: dict[str, dict[str, object]]) -> tuple[Change, ...]:
        return tss.replace(Content(PLAIN.configurations, profiles))[-1:]

    tss.replace(PLAIN)
    assert publish({"alice": {"profile.user.name": "A"}}) == (Change("profile", "alice", "new"),)
    assert publish({"alice": {"profile.user.name": "B"}})[0].what == "changed"
    assert publish({})[0].what == "removed"
    version = tss.publish()
    assert "alice" not in (tss.tree.metadata / f"{version}.targets.json").read_text()


def test_the_image_that_was_added_last_is_published(tss: Administration, tmp_path: Path) -> None:
    for version in ("0.9.0", "0.10.0"):
        tss.replace(
            Content(PLAIN.configurations, {}, {"touchpro": image(tmp_path, version, version)})
        )
    tss.publish()
    manifest = yaml.safe_load((tss.tree.targets / "firmware/touchpro/manifest.yaml").read_text())
    assert manifest["version"] == "0.10.0"


def test_a_firmware_version_keeps_its_content(tss: Administration, tmp_path: Path) -> None:
    tss.replace(Content(PLAIN.configurations, {}, {"touchpro": image(tmp_path)}))
    with pytest.raises(PublishError, match="a version of its own"):
        tss.replace(Content({"default": {PORT: 5080}}, {}, {"touchpro": image(tmp_path, "other")}))
    assert tss.configuration("default")[PORT] == 5060, "all or nothing"


def test_two_families_may_have_the_same_version(tss: Administration, tmp_path: Path) -> None:
    firmware = {"touchpro": image(tmp_path, "one"), "flexpro": image(tmp_path, "other")}
    tss.replace(Content(PLAIN.configurations, {}, firmware))
    tss.publish()
    for family, text in (("touchpro", "one"), ("flexpro", "other")):
        path = tss.tree.targets / "firmware" / family / "openturret-1.0.whl"
        assert path.read_text() == text


def test_a_dry_run_tells_and_changes_nothing(tss: Administration, tmp_path: Path) -> None:
    everything = Content(PLAIN.configurations, {}, {"touchpro": image(tmp_path)})
    assert len(tss.replace(everything, dry_run=True)) == 2
    assert len(tss.replace(everything)) == 2
