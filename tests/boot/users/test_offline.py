from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openturret.boot.errors import BadCredentialsError, DirectoryUnreachableError, VaultError
from openturret.boot.users.offline import Secret, Verifier, Verifiers
from openturret.boot.users.vault import Vault

DAY_S = 86_400


class Calendar:
    def __init__(self) -> None:
        self.moment = 1_800_000_000.0

    def now(self) -> float:
        return self.moment


@pytest.fixture
def calendar() -> Calendar:
    return Calendar()


@pytest.fixture(scope="module")
def secret() -> Secret:
    return Secret.of("correct horse")


@pytest.fixture
def verifiers(tmp_path: Path, calendar: Calendar, secret: Secret) -> Verifiers:
    verifiers = Verifiers(tmp_path / "login", Vault(tmp_path / "unit.key", "OT-0001"), calendar)
    verifiers.learn("alice", "Alice Martin", secret)
    return verifiers


def test_who_was_here_lately_gets_in_with_the_same_password(
    verifiers: Verifiers, calendar: Calendar
) -> None:
    calendar.moment += 7 * DAY_S
    assert verifiers.check("alice", "correct horse", days=7) == "Alice Martin"
    with pytest.raises(BadCredentialsError):
        verifiers.check("alice", "correct horse ", days=7)


@pytest.mark.parametrize("later_s", [7 * DAY_S + 1, -1])
def test_who_was_here_too_long_ago_or_in_the_future_does_not(
    verifiers: Verifiers, calendar: Calendar, later_s: float
) -> None:
    calendar.moment += later_s
    with pytest.raises(DirectoryUnreachableError, match="alice in here for 7 days"):
        verifiers.check("alice", "correct horse", days=7)


def test_who_was_never_here_does_not(verifiers: Verifiers) -> None:
    with pytest.raises(DirectoryUnreachableError):
        verifiers.check("bob", "correct horse", days=7)


@pytest.mark.parametrize("user", ["alice", "Alice"])
def test_what_is_forgotten_lets_nobody_in(verifiers: Verifiers, user: str) -> None:
    verifiers.forget(user)
    with pytest.raises(DirectoryUnreachableError):
        verifiers.check("alice", "correct horse", days=7)


def test_everybody_can_be_forgotten(tmp_path: Path, verifiers: Verifiers, secret: Secret) -> None:
    (tmp_path / "login" / "lockout.json").write_bytes(b"{}")
    verifiers.learn("bob", "", secret)
    verifiers.forget_all()
    assert [path.name for path in (tmp_path / "login").iterdir()] == ["lockout.json"]


def test_a_verifier_of_another_user_lets_nobody_in(tmp_path: Path, verifiers: Verifiers) -> None:
    folder = tmp_path / "login"
    (folder / "bob.verifier").write_bytes((folder / "alice.verifier").read_bytes())
    with pytest.raises(VaultError):
        verifiers.check("bob", "correct horse", days=7)


def test_the_password_is_salted_and_not_in_what_is_kept(tmp_path: Path, secret: Secret) -> None:
    assert Secret.of("correct horse") != secret
    assert b"horse" not in bytes(Verifier("Alice", 0.0, secret))
    assert secret.salt.hex() not in repr(secret)


def test_a_verifier_survives_its_own_bytes(secret: Secret) -> None:
    verifier = Verifier("Alice é", 1_800_000_000.5, secret)
    assert Verifier.parse(bytes(verifier)) == verifier
    for length in range(len(bytes(verifier))):
        with pytest.raises(VaultError):
            Verifier.parse(bytes(verifier)[:length])


@given(st.binary(max_size=100) | st.sampled_from([b"{}", b"[]", b'{"salt": 1}', b"[" * 5000]))
def test_any_bytes_are_a_verifier_or_a_typed_error(data: bytes) -> None:
    try:
        Verifier.parse(data)
    except VaultError:
        return


@pytest.mark.parametrize("moment", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_no_moment_is_always_lately(tmp_path: Path, secret: Secret, moment: str) -> None:
    vault = Vault(tmp_path / "unit.key", "OT-0001")
    verifiers = Verifiers(tmp_path, vault, Calendar())
    content = bytes(Verifier("Alice", 123.0, secret)).replace(b"123.0", moment.encode())
    vault.write(tmp_path / "alice.verifier", "verifier/alice", content)
    with pytest.raises(VaultError, match="no verifier"):
        verifiers.check("alice", "correct horse", days=90)
