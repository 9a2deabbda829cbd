"""A unit leaves manufacture with a folder that its boot agent accepts and a password of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from openturret.boot.identity import Identity
from openturret.lab.bundle.errors import UnitListError
from openturret.lab.bundle.manufacture import NamePlate, add_units, board_text, read_list, remake
from openturret.lab.bundle.publisher import Publisher
from openturret.lab.tss.database import open_database, unit_may_fetch

from .conftest import FOLDER, MAC


def may_fetch(publisher: Publisher, factory: Path) -> bool:
    identity = Identity.read(factory)
    database = open_database(publisher.site.tss / "tss.db")
    return unit_may_fetch(database, identity.username, identity.password)


def plate(mac: str, serial: str = "", model: str = "", board: str = "") -> NamePlate:
    return NamePlate.of(mac, serial, model, board)


def test_the_boot_agent_accepts_the_factory_folder(publisher: Publisher) -> None:
    factory = publisher.site.factory / FOLDER
    identity = Identity.read(factory)
    assert (identity.mac, identity.serial, identity.firmware) == (MAC, "TP000001", "touchpro")
    assert identity.root == publisher.trust().root
    assert may_fetch(publisher, factory)


def test_only_its_owner_may_read_the_password(publisher: Publisher) -> None:
    factory = publisher.site.factory / FOLDER
    assert factory.stat().st_mode & 0o077 == 0
    assert (factory / "identity.yaml").stat().st_mode & 0o077 == 0


def test_a_folder_that_is_written_again_ends_the_old_password(publisher: Publisher) -> None:
    factory = publisher.site.factory / FOLDER
    before = Identity.read(factory).password
    remake(publisher, plate(MAC, "TP000001"))
    assert Identity.read(factory).password != before
    assert may_fetch(publisher, factory)


def test_units_of_later_sessions_believe_the_same_servers(publisher: Publisher) -> None:
    first = publisher.authority()
    again = Publisher(publisher.site).authority()
    certificate = again.issue("tss", ["tss.turret.test"])
    assert first.path == again.path
    assert certificate.certificate.exists()


@pytest.mark.parametrize(
    ("mac", "serial", "model", "word"),
    [
        ("02:54:50:00:00", "", "", "is no MAC"),
        ("03:54:50:00:00:01", "", "", "must be even"),
        ("02:54:50:00:00:02", "a b", "", "serial number"),
        ("02:54:50:00:00:02", "", "../x", "model"),
    ],
)
def test_a_name_plate_that_cannot_be_used_is_refused(
    mac: str, serial: str, model: str, word: str
) -> None:
    with pytest.raises(UnitListError, match=word):
        plate(mac, serial, model)


def test_a_unit_is_added_once(publisher: Publisher) -> None:
    with pytest.raises(UnitListError, match="added before"):
        add_units(publisher, [plate(MAC, "other")])
    with pytest.raises(UnitListError, match="serial number TP000001"):
        add_units(publisher, [plate("02:54:50:00:00:02", "TP000001")])


def test_when_one_of_many_is_wrong_none_is_added(publisher: Publisher) -> None:
    with pytest.raises(UnitListError):
        add_units(publisher, [plate("02:54:50:00:00:02", "A"), plate("02:54:50:00:00:03", "A")])
    assert len(publisher.units()) == 1


def test_a_list_adds_many(publisher: Publisher, tmp_path: Path) -> None:
    listed = tmp_path / "units.csv"
    listed.write_text("mac,serial,model\n02-54-50-00-00-02,A,\n02:54:50:00:00:03,,FlexPro\n")
    folders = add_units(publisher, read_list(listed))
    assert [Identity.read(folder).model for folder in folders] == ["TouchPro", "FlexPro"]


def test_every_wrong_line_of_a_list_is_told(tmp_path: Path) -> None:
    listed = tmp_path / "units.csv"
    listed.write_text("mac\nx\n02:54:50:00:00:03\ny\n")
    with pytest.raises(UnitListError) as refused:
        read_list(listed)
    assert [problem.split(":")[0] for problem in refused.value.problems] == [
        f"{listed} line 2", f"{listed} line 4",
    ]  # fmt: skip


@pytest.mark.parametrize("text", ["", "name,serial\n", "mac,colour\n"])
def test_a_list_without_the_right_columns_is_refused(tmp_path: Path, text: str) -> None:
    listed = tmp_path / "units.csv"
    listed.write_text(text)
    with pytest.raises(UnitListError, match="columns"):
        read_list(listed)


def test_a_board_is_a_shipped_one_or_a_file(tmp_path: Path) -> None:
    own = tmp_path / "own.yaml"
    own.write_text(board_text("emulated"))
    assert board_text(str(own)) == board_text("emulated")
    own.write_text("board: [")
    for wrong in (str(own), "no-such-board"):
        with pytest.raises(UnitListError, match="touchpro"):
            board_text(wrong)
