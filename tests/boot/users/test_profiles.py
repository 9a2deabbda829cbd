import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from openturret.boot.errors import VaultError
from openturret.boot.users.profiles import Profiles
from openturret.boot.users.vault import Vault

ALICE = b"profile.user.name: Alice\n"
Start = Callable[[], Profiles]


@pytest.fixture
def start(tmp_path: Path) -> Start:
    """Starts the agent's part anew on the same medium and memory."""

    def memory() -> Path:
        folder = tmp_path / "memory"
        folder.mkdir(exist_ok=True)
        return folder

    def start() -> Profiles:
        vault = Vault(tmp_path / "state" / "unit.key", "OT-0001")
        return Profiles(tmp_path / "state" / "profile", tmp_path / "state" / "login", memory, vault)

    return start


def cut_power(tmp_path: Path) -> None:
    shutil.rmtree(tmp_path / "memory", ignore_errors=True)


def log_in(profiles: Profiles, *, keep: bool = True) -> None:
    profiles.keep("alice", ALICE)
    profiles.begin(ALICE)
    profiles.note_last("alice" if keep else None)


def test_the_profile_in_force_is_plain_in_memory_and_nowhere_on_the_medium(
    tmp_path: Path, start: Start
) -> None:
    profiles = start()
    log_in(profiles)
    assert profiles.current.read_bytes() == ALICE
    assert profiles.current.resolve().parent == tmp_path / "memory"
    for path in (tmp_path / "state").rglob("*"):
        assert path.is_dir() or path.is_symlink() or b"Alice" not in path.read_bytes()


def test_a_new_profile_replaces_the_old_one_as_a_new_file(start: Start) -> None:
    profiles = start()
    profiles.begin(ALICE)
    before = profiles.current.stat().st_ino
    profiles.begin(b"profile.user.name: Bob\n")
    assert profiles.current.stat().st_ino != before
    assert b"Bob" in profiles.current.read_bytes()


def test_a_restarted_agent_leaves_alone_who_is_logged_in(start: Start) -> None:
    log_in(start(), keep=False)
    again = start()
    assert again.resume(keep=False) is None
    assert again.current.read_bytes() == ALICE


def test_after_a_power_cut_the_last_user_is_logged_in_again(tmp_path: Path, start: Start) -> None:
    log_in(start())
    cut_power(tmp_path)
    again = start()
    assert not again.current.exists(), "until the boot has come so far nobody is"
    assert again.resume(keep=True) == "alice"
    assert again.current.read_bytes() == ALICE


@pytest.mark.parametrize("noted", [True, False])
def test_where_policy_says_so_nobody_is_after_a_power_cut(
    tmp_path: Path, start: Start, noted: bool
) -> None:
    log_in(start(), keep=noted)
    cut_power(tmp_path)
    again = start()
    assert again.resume(keep=False) is None
    assert not again.current.is_symlink()
    assert again.resume(keep=True) is None, "and it is not remembered for later"


def test_who_logged_out_stays_out(tmp_path: Path, start: Start) -> None:
    profiles = start()
    log_in(profiles)
    profiles.end()
    assert not profiles.current.is_symlink()
    cut_power(tmp_path)
    assert start().resume(keep=True) is None
    assert start().kept("alice") == ALICE, "for the day when no TSS can be reached"


def test_a_clean_stop_leaves_nothing_plain_and_forgets_nobody(tmp_path: Path, start: Start) -> None:
    profiles = start()
    log_in(profiles)
    (tmp_path / "memory" / ".profile.yaml.new").write_bytes(b"what a killed agent left")
    profiles.clear_memory()
    assert not (tmp_path / "memory").exists()
    assert start().resume(keep=True) == "alice"


def test_a_plain_profile_on_the_medium_counts_for_nothing_and_goes(
    tmp_path: Path, start: Start
) -> None:
    current = tmp_path / "state" / "profile" / "current.yaml"
    current.parent.mkdir(parents=True)
    current.write_bytes(ALICE)
    assert start().resume(keep=True) is None
    assert not current.exists()


@pytest.mark.parametrize("file", ["profile/alice.sealed", "login/last.sealed"])
def test_damage_is_told_and_logs_nobody_in(tmp_path: Path, start: Start, file: str) -> None:
    log_in(start())
    cut_power(tmp_path)
    path = tmp_path / "state" / file
    path.write_bytes(path.read_bytes()[:-1])
    again = start()
    with pytest.raises(VaultError):
        again.resume(keep=True)
    assert not again.current.exists()


def test_a_profile_that_is_gone_is_told(tmp_path: Path, start: Start) -> None:
    profiles = start()
    log_in(profiles)
    profiles.drop("alice")
    cut_power(tmp_path)
    with pytest.raises(VaultError, match="alice is gone"):
        start().resume(keep=True)


@pytest.mark.parametrize("user", ["current", "last", "profile", "a.b@c-d_e"])
def test_no_users_name_collides_with_a_file_of_ours(
    tmp_path: Path, start: Start, user: str
) -> None:
    profiles = start()
    log_in(profiles)
    profiles.keep(user, b"x: 1\n")
    assert profiles.current.read_bytes() == profiles.kept("alice") == ALICE
    cut_power(tmp_path)
    assert start().resume(keep=True) == "alice"
