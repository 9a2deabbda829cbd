import json
import stat
from pathlib import Path

import pytest

from openturret.firmware.services.sessions import ADDRESSES_MAX, SESSIONS_MAX, Lockout, Sessions


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now

    def unix(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run" / "sessions.json"


def test_a_session_survives_a_restart_without_its_token_being_stored(
    path: Path, clock: Clock
) -> None:
    token = Sessions(path, clock, 60).create("alice")
    assert Sessions(path, clock, 60).user(token) == "alice"
    assert token not in path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_session_ends_by_time_by_logout_and_all_at_once(path: Path, clock: Clock) -> None:
    sessions = Sessions(path, clock, 60)
    first, second, third = (sessions.create("alice") for _ in range(3))
    sessions.end(first)
    assert sessions.user(first) is None
    assert sessions.user(second) == "alice"
    clock.now += 60
    assert sessions.user(second) is None
    sessions.end_all()
    assert Sessions(path, clock, 60).user(third) is None


@pytest.mark.parametrize("token", ["", "x", "\udcff", "a" * 10_000])
def test_a_guessed_token_is_nobody(path: Path, clock: Clock, token: str) -> None:
    sessions = Sessions(path, clock, 60)
    sessions.create("alice")
    assert sessions.user(token) is None


@pytest.mark.parametrize("text", ["", "{", "[]", '{"a": 1}', '{"a": {"user": "x"}}', "\x00"])
def test_a_damaged_file_only_costs_a_new_login(path: Path, clock: Clock, text: str) -> None:
    path.parent.mkdir()
    path.write_text(text)
    sessions = Sessions(path, clock, 60)
    assert sessions.user(sessions.create("alice")) == "alice"


def test_the_number_of_sessions_is_bounded(path: Path, clock: Clock) -> None:
    sessions = Sessions(path, clock, 60)
    tokens = [sessions.create("alice") for _ in range(SESSIONS_MAX + 3)]
    assert len(json.loads(path.read_text())) == SESSIONS_MAX
    assert sessions.user(tokens[0]) is None
    assert sessions.user(tokens[-1]) == "alice"


def test_an_address_waits_after_too_many_wrong_passwords_and_others_do_not(clock: Clock) -> None:
    lockout = Lockout(3, 60, clock)
    for _ in range(3):
        assert lockout.wait_s("10.1.0.9") == 0
        lockout.failed("10.1.0.9")
    assert lockout.wait_s("10.1.0.9") == 60
    assert lockout.wait_s("10.1.0.10") == 0
    clock.now += 60
    assert lockout.wait_s("10.1.0.9") == 0


def test_a_right_password_forgets_the_wrong_ones(clock: Clock) -> None:
    lockout = Lockout(2, 60, clock)
    lockout.failed("10.1.0.9")
    lockout.succeeded("10.1.0.9")
    lockout.failed("10.1.0.9")
    assert lockout.wait_s("10.1.0.9") == 0


def test_many_addresses_do_not_fill_the_memory_nor_free_the_one_that_waits(clock: Clock) -> None:
    lockout = Lockout(1, 60, clock)
    for number in range(ADDRESSES_MAX):
        lockout.failed(str(number))
    assert lockout.wait_s("0") == 60
