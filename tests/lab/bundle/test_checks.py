"""Every mistake in a site is told with file, line, key, value and remedy, all together."""

from __future__ import annotations

from pathlib import Path

import pytest

from openturret.lab.bundle.errors import BadSiteError
from openturret.lab.bundle.folder import SiteFolder, create
from openturret.lab.bundle.publisher import Publisher

from .conftest import FOLDER, write_wheel


def problems(publisher: Publisher) -> list[str]:
    with pytest.raises(BadSiteError) as refused:
        publisher.check()
    return list(refused.value.problems)


def test_a_fresh_site_with_a_unit_is_good(publisher: Publisher) -> None:
    checked = publisher.check()
    assert checked.warnings == ()
    assert checked.content.firmware["touchpro"].version == "1.0"


def test_a_folder_that_is_no_site_says_how_one_is_made(tmp_path: Path) -> None:
    with pytest.raises(BadSiteError, match="turret bundle init"):
        Publisher(SiteFolder(tmp_path))


def test_a_wrong_value_is_told_with_all_that_helps(publisher: Publisher) -> None:
    site = publisher.site
    site.default.write_text("# one\napplication.sip.connection.port: 70000\n")
    (told,) = problems(publisher)
    assert str(site.default) in told
    assert "line 2" in told
    for word in ("application.sip.connection.port", "70000", "65535", "remove the line"):
        assert word in told


def test_all_problems_of_all_files_are_told(publisher: Publisher) -> None:
    site = publisher.site
    (site.units / f"{FOLDER}.yaml").write_text("application.sip.connection.port: never\n")
    (site.profiles / "alice.yaml").write_text("application.sip.connection.port: 5060\n")
    (site.profiles / "bad name.yaml").write_text("profile.user.name: B\n")
    write_wheel(site.firmware / "flexpro/a.whl", name="other")
    told = problems(publisher)
    assert len(told) == 4
    assert "a profile may set keys of the user only" in "\n".join(told)


def test_keys_that_contradict_each_other_only_together_are_found(publisher: Publisher) -> None:
    site = publisher.site
    site.default.write_text("application.mm.rtpupperport: 13000\n")
    (site.units / f"{FOLDER}.yaml").write_text("application.mm.rtplowerport: 14000\n")
    assert "must be above" in problems(publisher)[0]


@pytest.mark.parametrize(
    ("name", "remedy"),
    [("02:54:50:00:00:01", "small letters"), ("02-54-50-00-00-99", "add-unit")],
)
def test_a_unit_file_belongs_to_a_unit(publisher: Publisher, name: str, remedy: str) -> None:
    (publisher.site.units / f"{name}.yaml").write_text("")
    assert remedy in problems(publisher)[0]


def test_a_unit_has_what_the_site_has_and_what_is_its_own(publisher: Publisher) -> None:
    site = publisher.site
    site.default.write_text(
        "application.sip.connection.port: 5080\napplication.unit.model: TouchPro\n"
    )
    (site.units / f"{FOLDER}.yaml").write_text("application.sip.connection.port: 5090\n")
    own = publisher.check().content.configurations[FOLDER]
    assert own["application.sip.connection.port"] == 5090
    assert own["application.unit.model"] == "TouchPro"


def test_an_alias_and_its_key_do_not_meet_in_a_published_file(publisher: Publisher) -> None:
    site = publisher.site
    site.default.write_text("application.xma.trafficin.portef: 0x2800\n")
    (site.units / f"{FOLDER}.yaml").write_text("application.xma.trafficin.portref: 0x4000\n")
    own = publisher.check().content.configurations[FOLDER]
    assert {name: value for name, value in own.items() if "port" in name} == {
        "application.xma.trafficin.portef": 0x4000
    }


def test_a_number_that_is_a_text_stays_one(publisher: Publisher) -> None:
    (publisher.site.profiles / "alice.yaml").write_text("profile.sip.username: 0101\n")
    assert publisher.check().content.profiles["alice"]["profile.sip.username"] == "0101"


def test_an_unknown_key_is_published_with_a_warning(publisher: Publisher) -> None:
    publisher.site.default.write_text("application.sip.conection.port: 5060\n")
    checked = publisher.check()
    assert "application.sip.connection.port" in checked.warnings[0]
    assert checked.content.configurations["default"] == {"application.sip.conection.port": "5060"}


@pytest.mark.parametrize("stray", ["alice.yml", "alice.json"])
def test_a_file_that_would_be_overlooked_is_told(publisher: Publisher, stray: str) -> None:
    (publisher.site.profiles / stray).write_text("{}")
    assert "alice.yaml" in publisher.check().warnings[0]


def test_a_site_without_units_or_firmware_is_told(tmp_path: Path) -> None:
    create(tmp_path / "site")
    publisher = Publisher(SiteFolder(tmp_path / "site"))
    assert "add-unit" in publisher.check().warnings[0]


def test_a_family_of_units_without_an_image_is_told(publisher: Publisher) -> None:
    publisher.tss.add_unit(mac="02:54:50:00:00:02", serial="F1", model="FlexPro", password="x")
    assert "no firmware for flexpro" in publisher.check().warnings[0]


def test_two_images_of_a_family_are_not_chosen_from(publisher: Publisher) -> None:
    write_wheel(publisher.site.firmware / "touchpro/newer.whl", version="2.0")
    assert "keep the one to publish" in problems(publisher)[0]


def test_a_damaged_image_is_refused(publisher: Publisher) -> None:
    (publisher.site.firmware / "touchpro/openturret-1.0.whl").write_bytes(b"PK")
    assert "no wheel" in problems(publisher)[0]


def test_an_image_outside_of_a_family_is_told(publisher: Publisher) -> None:
    write_wheel(publisher.site.firmware / "stray.whl")
    assert "move it into the folder of its family" in publisher.check().warnings[0]


def test_a_rauc_bundle_has_its_version_in_its_name(publisher: Publisher) -> None:
    folder = publisher.site.firmware / "touchpro"
    (folder / "openturret-1.0.whl").unlink()
    (folder / "openturret-2.1.0.raucb").write_bytes(b"hsqs")
    assert publisher.check().content.firmware["touchpro"].version == "2.1.0"
    (folder / "openturret-2.1.0.raucb").rename(folder / "bundle.raucb")
    assert "NAME-VERSION.raucb" in problems(publisher)[0]


def test_a_downgrade_is_permitted_by_a_file_beside_the_image(publisher: Publisher) -> None:
    permission = publisher.site.firmware / "touchpro/permission.yaml"
    assert not publisher.check().content.firmware["touchpro"].allow_downgrade
    permission.write_text("allow_downgrade: true\n")
    assert publisher.check().content.firmware["touchpro"].allow_downgrade


@pytest.mark.parametrize("text", ["allow_downgrade: maybe\n", "\nallow: true\n"])
def test_a_permission_that_says_something_else_is_refused(publisher: Publisher, text: str) -> None:
    permission = publisher.site.firmware / "touchpro/permission.yaml"
    permission.write_text(text)
    (told,) = problems(publisher)
    assert f"line {text.count(chr(10))}" in told
    assert "allow_downgrade: true" in told
