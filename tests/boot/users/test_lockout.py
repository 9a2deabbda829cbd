import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openturret.boot.errors import LockedOutError
from openturret.boot.users.lockout import (
    FORGET_S,
    MAX_USERS,
    UNIT_SHARE,
    Lockout,
    LockoutPolicy,
    parse_counts,
)

POLICY = LockoutPolicy(attempts=3, duration_s=60)


class HandClock:
    def __init__(self) -> None:
        self.uptime_s = 100.0
        self.boot_s = 1_800_000_000.0

    def monotonic(self) -> float:
        return self.uptime_s

    def unix(self) -> float:
        return self.boot_s + self.uptime_s


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "login" / "lockout.json"


def fail(lockout: Lockout, user: str, times: int) -> None:
    for _ in range(times):
        lockout.failed(user, POLICY)


def is_locked(lockout: Lockout, user: str = "alice") -> bool:
    try:
        lockout.check(user)
    except LockedOutError:
        return True
    return False


def test_wrong_passwords_lock_a_user_and_say_for_how_long(path: Path, clock: HandClock) -> None:
    lockout = Lockout(path, clock)
    fail(lockout, "alice", 2)
    lockout.check("alice")
    fail(lockout, "alice", 1)
    clock.uptime_s += 17.5
    with pytest.raises(LockedOutError, match=r"alice .* 3 wrong passwords: try again in 43 s"):
        lockout.check("alice")
    lockout.check("bob")
    clock.uptime_s += 42.5
    lockout.check("alice")


def test_every_further_wrong_password_doubles_the_wait(path: Path, clock: HandClock) -> None:
    lockout = Lockout(path, clock)
    fail(lockout, "alice", 2)
    for wait_s in (60, 120, 240, 480, 960, 1920, 3600, 3600):
        fail(lockout, "alice", 1)
        clock.uptime_s += wait_s - 1
        assert is_locked(lockout)
        clock.uptime_s += 1
        assert not is_locked(lockout)


def test_a_wait_longer_than_an_hour_stays_as_it_is() -> None:
    policy = LockoutPolicy(attempts=1, duration_s=86_400)
    assert [policy.lock_s(failures) for failures in (0, 1, 2, 1000)] == [0, 86_400, 86_400, 86_400]


def test_upper_and_lower_case_are_one_user(path: Path, clock: HandClock) -> None:
    lockout = Lockout(path, clock)
    for user in ("alice", "Alice", "ALICE"):
        lockout.failed(user, POLICY)
    assert is_locked(lockout, "aLiCe")


def test_one_password_tried_on_many_users_locks_the_unit(path: Path, clock: HandClock) -> None:
    lockout = Lockout(path, clock)
    for number in range(POLICY.attempts * UNIT_SHARE):
        assert not is_locked(lockout)
        lockout.failed(f"user{number}", POLICY)
    with pytest.raises(LockedOutError, match=r"this unit .* try again in 60 s"):
        lockout.check("alice")


def test_who_gets_in_takes_the_own_wrong_ones_back_and_nobody_elses(
    path: Path, clock: HandClock
) -> None:
    lockout = Lockout(path, clock)
    for _ in range(POLICY.attempts * UNIT_SHARE):
        fail(lockout, "alice", 2)
        lockout.passed("alice")
    assert not is_locked(lockout)
    fail(lockout, "bob", 3)
    lockout.passed("alice")
    assert is_locked(lockout, "bob")


def test_a_lock_survives_a_reboot(path: Path, clock: HandClock) -> None:
    fail(Lockout(path, clock), "alice", 3)
    clock.boot_s, clock.uptime_s = clock.unix() + 20, 5.0  # off for 20 s
    again = Lockout(path, clock)
    with pytest.raises(LockedOutError, match="in 35 s"):
        again.check("alice")
    clock.uptime_s += 35
    assert not is_locked(again)


@pytest.mark.parametrize("set_by_s", [-1_800_000_000.0, -1000.0, 0.0])
def test_a_clock_that_was_set_back_makes_no_lock_longer(
    path: Path, clock: HandClock, set_by_s: float
) -> None:
    fail(Lockout(path, clock), "alice", 3)
    clock.boot_s += set_by_s
    again = Lockout(path, clock)
    clock.uptime_s += 59
    assert is_locked(again)
    clock.uptime_s += 1
    assert not is_locked(again)


def test_a_running_lock_does_not_care_about_the_wall_clock(path: Path, clock: HandClock) -> None:
    lockout = Lockout(path, clock)
    fail(lockout, "alice", 3)
    clock.boot_s += 86_400
    assert is_locked(lockout)


def test_old_counts_are_forgotten(path: Path, clock: HandClock) -> None:
    lockout = Lockout(path, clock)
    fail(lockout, "alice", 2)
    clock.uptime_s += FORGET_S
    fail(lockout, "alice", 1)
    assert not is_locked(lockout)


def test_the_table_is_bounded_and_the_unit_remembers(path: Path, clock: HandClock) -> None:
    lockout = Lockout(path, clock)
    patient = LockoutPolicy(attempts=100)
    for number in range(2 * MAX_USERS):
        clock.uptime_s += 1
        lockout.failed(f"user{number}", patient)
    kept = json.loads(path.read_bytes())
    assert list(kept["users"]) == [f"user{number}" for number in range(MAX_USERS, 2 * MAX_USERS)]
    assert kept["unit"]["failures"] == 2 * MAX_USERS
    assert path.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    "damage",
    [b"", b"{", b"[]", b"{}", b'{"unit": 3, "users": {}}', b"\xff", b'{"users": {"a": []}}',
     b'{"unit": {"failures": -1, "lock_s": 0, "end": 0}, "users": {}}',
     b'{"unit": {"failures": 1, "lock_s": 1e99, "end": 0}, "users": {}}',
     b'{"unit": {"failures": 1, "lock_s": 1, "end": NaN}, "users": {}}',
     b'{"unit": {"failures": Infinity, "lock_s": 1, "end": 1}, "users": {}}'],
)  # fmt: skip
def test_a_damaged_file_counts_for_nothing(path: Path, clock: HandClock, damage: bytes) -> None:
    path.parent.mkdir()
    path.write_bytes(damage)
    lockout = Lockout(path, clock)
    lockout.check("alice")
    fail(lockout, "alice", 3)
    assert is_locked(Lockout(path, clock))


@given(st.binary(max_size=200) | st.text(alphabet='{}[]":,users nitfalockd_e0159.-', max_size=80))
def test_any_file_is_counts_or_a_typed_error(data: bytes | str) -> None:
    try:
        parse_counts(data if isinstance(data, bytes) else data.encode(), 0.0, 0.0)
    except ValueError:
        return


def test_a_medium_that_is_full_still_locks(
    path: Path, clock: HandClock, caplog: pytest.LogCaptureFixture
) -> None:
    path.parent.write_bytes(b"a file where a folder belongs")
    lockout = Lockout(path, clock)
    fail(lockout, "alice", 3)
    assert is_locked(lockout)
    assert "not kept" in caplog.text
