from pathlib import Path

import pytest

from openturret.boot.errors import VaultError
from openturret.boot.users.vault import KEY_BYTES, OVERHEAD_BYTES, Vault

CONTENT = b"profile.user.name: Alice\n"
PLACE = "profile/alice"


@pytest.fixture
def vault(tmp_path: Path) -> Vault:
    return Vault(tmp_path / "unit.key", "OT-0001")


@pytest.fixture
def path(tmp_path: Path, vault: Vault) -> Path:
    path = tmp_path / "alice.sealed"
    vault.write(path, PLACE, CONTENT)
    return path


def test_what_was_sealed_opens_and_cannot_be_read(vault: Vault, path: Path) -> None:
    assert vault.read(path, PLACE, 100) == CONTENT
    sealed = path.read_bytes()
    assert b"Alice" not in sealed
    assert len(sealed) == len(CONTENT) + OVERHEAD_BYTES


def test_the_key_is_this_users_only_and_stays(tmp_path: Path, path: Path) -> None:
    key = tmp_path / "unit.key"
    assert key.stat().st_mode & 0o077 == 0
    assert len(key.read_bytes()) == KEY_BYTES
    assert Vault(key, "OT-0001").read(path, PLACE, 100) == CONTENT


def test_the_same_content_is_sealed_differently_each_time(
    tmp_path: Path, vault: Vault, path: Path
) -> None:
    vault.write(tmp_path / "again", PLACE, CONTENT)
    assert (tmp_path / "again").read_bytes() != path.read_bytes()


def test_nothing_there_is_nothing(tmp_path: Path, vault: Vault) -> None:
    assert vault.read(tmp_path / "bob.sealed", "profile/bob", 100) is None


@pytest.mark.parametrize("place", ["profile/bob", "last", "", "profile/alice\0"])
def test_a_file_opens_in_its_place_only(vault: Vault, path: Path, place: str) -> None:
    with pytest.raises(VaultError, match="damaged, or not from this unit"):
        vault.read(path, place, 100)


def test_a_file_opens_on_its_unit_only(tmp_path: Path, path: Path) -> None:
    with pytest.raises(VaultError, match="not from this unit"):
        Vault(tmp_path / "unit.key", "OT-0002").read(path, PLACE, 100)
    with pytest.raises(VaultError, match="not from this unit"):
        Vault(tmp_path / "another.key", "OT-0001").read(path, PLACE, 100)


def test_a_file_that_was_changed_anywhere_does_not_open(vault: Vault, path: Path) -> None:
    sealed = path.read_bytes()
    for at in range(len(sealed)):
        path.write_bytes(sealed[:at] + bytes([sealed[at] ^ 1]) + sealed[at + 1 :])
        with pytest.raises(VaultError):
            vault.read(path, PLACE, 100)


def test_a_file_that_was_cut_anywhere_does_not_open(vault: Vault, path: Path) -> None:
    sealed = path.read_bytes()
    for length in range(len(sealed)):
        path.write_bytes(sealed[:length])
        with pytest.raises(VaultError):
            vault.read(path, PLACE, 100)


def test_a_file_that_is_too_long_or_a_link_does_not_open(
    tmp_path: Path, vault: Vault, path: Path
) -> None:
    assert vault.read(path, PLACE, len(CONTENT)) == CONTENT
    with pytest.raises(VaultError, match=f"at most {len(CONTENT) - 1} bytes"):
        vault.read(path, PLACE, len(CONTENT) - 1)
    (tmp_path / "link").symlink_to(path)
    with pytest.raises(VaultError):
        vault.read(tmp_path / "link", PLACE, 100)


@pytest.mark.parametrize("damage", [b"", b"short", bytes(KEY_BYTES + 1)])
def test_a_damaged_key_is_replaced_and_what_it_sealed_is_lost(
    tmp_path: Path, vault: Vault, path: Path, damage: bytes
) -> None:
    (tmp_path / "unit.key").write_bytes(damage)
    with pytest.raises(VaultError):
        vault.read(path, PLACE, 100)
    vault.write(path, PLACE, CONTENT)
    assert vault.read(path, PLACE, 100) == CONTENT
