from pathlib import Path

import pytest

from openturret.boot.errors import IdentityError
from openturret.boot.identity import Identity

GOOD = """\
unit.model: TouchPro
unit.serial: OT-0001
unit.mac: "02:54:50:00:00:0A"
unit.firmware: touchpro
ftpes.username: "02:54:50:00:00:0A"
ftpes.password: canary-secret
"""


@pytest.fixture
def factory(tmp_path: Path) -> Path:
    (tmp_path / "identity.yaml").write_text(GOOD)
    (tmp_path / "ca.pem").write_text("certificate")
    (tmp_path / "root.json").write_text("{}")
    return tmp_path


def test_a_unit_knows_who_it_is(factory: Path) -> None:
    identity = Identity.read(factory)
    assert (identity.model, identity.serial, identity.firmware) == (
        "TouchPro", "OT-0001", "touchpro",
    )  # fmt: skip
    assert (identity.mac, identity.folder) == ("02:54:50:00:00:0a", "02-54-50-00-00-0a")
    assert "canary-secret" not in repr(identity)


@pytest.mark.parametrize("name", ["identity.yaml", "ca.pem", "root.json"])
def test_a_missing_or_empty_file_is_named(factory: Path, name: str) -> None:
    (factory / name).write_text("")
    with pytest.raises(IdentityError, match=name):
        Identity.read(factory)
    (factory / name).unlink()
    with pytest.raises(IdentityError, match=name):
        Identity.read(factory)


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        ("02:54:50:00:00:0A", "02:54", "unit.mac"),
        ("unit.serial: OT-0001", "unit.serial: 7", "unit.serial"),
        ("TouchPro", "../x", "unit.model"),
        ("unit.firmware: touchpro", "", "unit.firmware"),
        ("canary-secret", '"a\\r\\nDELE x"', "ftpes.password"),
    ],
)
def test_a_damaged_key_is_named(factory: Path, old: str, new: str, key: str) -> None:
    (factory / "identity.yaml").write_text(GOOD.replace(old, new))
    with pytest.raises(IdentityError, match=key) as caught:
        Identity.read(factory)
    assert "canary-secret" not in str(caught.value)
