"""``turret bundle`` as people and machines use it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from openturret.boot.identity import Identity
from openturret.lab.bundle.cli import main
from openturret.lab.tss.database import open_database, unit_may_fetch

from .conftest import FOLDER, MAC, write_wheel


@pytest.fixture
def site(tmp_path: Path) -> str:
    folder = tmp_path / "site"
    assert main(["init", str(folder)]) == 0
    write_wheel(folder / "firmware/touchpro/image.whl")
    return str(folder)


def machine(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, object]:
    capsys.readouterr()
    main([*arguments, "--json"])
    answer: dict[str, object] = json.loads(capsys.readouterr().out)
    return answer


def test_from_nothing_to_a_published_site(site: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["add-unit", site, MAC]) == 0
    assert f"factory/{FOLDER} to the unit" in capsys.readouterr().out
    assert main(["publish", site]) == 0
    told = capsys.readouterr().out
    assert "configuration default: new, version 1" in told
    assert "version 1 is published" in told
    assert main(["show", site]) == 0
    assert "1 unit may fetch" in capsys.readouterr().out


def test_init_keeps_what_is_there(site: str, capsys: pytest.CaptureFixture[str]) -> None:
    (Path(site) / "sites/default.yaml").write_text("application.unit.model: FlexPro\n")
    assert machine(capsys, "init", site)["written"] == []
    assert "FlexPro" in (Path(site) / "sites/default.yaml").read_text()


def test_a_mistake_is_refused_with_exit_code_1_and_every_problem(
    site: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (Path(site) / "sites/default.yaml").write_text("application.sip.connection.port: never\n")
    assert main(["publish", site]) == 1
    told = capsys.readouterr().err
    assert "line 1: application.sip.connection.port: 'never' is not allowed" in told
    assert "1 problem; nothing was changed" in told
    assert len(machine(capsys, "publish", site)["problems"]) == 1  # type: ignore[arg-type]


def test_check_may_be_strict(site: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", site]) == 0
    assert "no unit may fetch" in capsys.readouterr().err
    assert main(["check", site, "--strict"]) == 1


def test_machines_get_one_object(site: str, capsys: pytest.CaptureFixture[str]) -> None:
    added = machine(capsys, "add-unit", site, MAC, "--serial", "A1")
    assert added["units"] == [
        {"mac": MAC, "serial": "A1", "model": "TouchPro", "board": "touchpro",
         "factory": f"{site}/factory/{FOLDER}"}
    ]  # fmt: skip
    assert machine(capsys, "publish", site, "--dry-run")["published"] is False
    assert machine(capsys, "publish", site)["version"] == 1
    assert machine(capsys, "show", site)["version"] == 1


def test_no_password_is_ever_said(site: str, capsys: pytest.CaptureFixture[str]) -> None:
    main(["add-unit", site, MAC])
    main(["factory", site, MAC])
    told = capsys.readouterr()
    identity = (Path(site) / f"factory/{FOLDER}/identity.yaml").read_text()
    password = identity.partition("ftpes.password: ")[2].splitlines()[0]
    assert len(password) > 20
    assert password not in told.out + told.err


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["add-unit"], "give the MAC"),
        (["add-unit", MAC, "--list", "x.csv"], "not both"),
        (["factory", MAC], "was not added"),
        (["add-unit", MAC, "--board", "none"], "touchpro"),
    ],
)
def test_what_cannot_be_done_is_said_with_its_remedy(
    site: str, arguments: list[str], word: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([arguments[0], site, *arguments[1:]]) == 1
    assert word in capsys.readouterr().err


def test_the_checkout_is_packed_once(site: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["pack", site]) == 1, "an image of somebody else is not replaced"
    (Path(site) / "firmware/touchpro/image.whl").unlink()
    first = machine(capsys, "pack", site)["image"]
    assert machine(capsys, "pack", site)["image"] == first
    other = machine(capsys, "pack", site, "--version", "9.9")["image"]
    assert str(other).endswith("openturret-9.9.whl")
    assert not Path(str(first)).exists()
    assert machine(capsys, "pack", site)["image"] == other, "the same octets"


def test_a_tree_can_be_copied_to_a_tss(
    site: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["publish", site, "--to", str(tmp_path / "web")]) == 0
    assert (tmp_path / "web/metadata/timestamp.json").exists()
    assert "copied to" in capsys.readouterr().out


def test_a_unit_is_revoked_and_let_in_again(site: str, capsys: pytest.CaptureFixture[str]) -> None:
    main(["add-unit", site, MAC])
    assert main(["revoke", site, MAC.replace(":", "-")]) == 0
    assert machine(capsys, "show", site)["units"][0]["revoked"] is True  # type: ignore[index]
    assert main(["factory", site, MAC]) == 0
    assert machine(capsys, "show", site)["units"][0]["revoked"] is False  # type: ignore[index]


def test_keys_are_rotated_and_units_with_the_old_root_follow(
    site: str, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["publish", site])
    assert machine(capsys, "rotate-root", site)["root"] == 2
    assert machine(capsys, "rotate-root", site, "--role", "timestamp")["root"] == 3
    assert machine(capsys, "publish", site)["published"] is False
    assert machine(capsys, "show", site)["root"] == 3


def test_a_factory_password_fetches_unless_certificates_are_demanded(
    site: str, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["add-unit", site, MAC])
    identity = Identity.read(Path(site) / f"factory/{FOLDER}")
    database = open_database(Path(site) / "tss/tss.db")
    for wanted in ("demanded", "optional"):
        assert machine(capsys, "certificates", site, wanted)["demanded"] is (wanted == "demanded")
        fetches = unit_may_fetch(database, identity.username, identity.password)
        assert fetches is (wanted == "optional")
