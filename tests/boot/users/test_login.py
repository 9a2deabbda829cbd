"""The policy of logins; the logins themselves are tried at real directories in tests/interop."""

from collections.abc import Callable

import pytest

from openturret.boot.document import Document
from openturret.boot.users import login
from openturret.boot.users.lockout import LockoutPolicy
from openturret.boot.users.login import LoginPolicy
from openturret.firmware.config.keys import names

POLICY_KEYS: dict[str, Callable[[LoginPolicy], object]] = {
    login.ATTEMPTS_KEY: lambda policy: policy.lockout.attempts,
    login.DURATION_KEY: lambda policy: policy.lockout.duration_s,
    login.OFFLINE_KEY: lambda policy: "cached" if policy.offline else "never",
    login.DAYS_KEY: lambda policy: policy.offline_days,
    login.KEEP_KEY: lambda policy: policy.keep,
}


@pytest.mark.parametrize("name", POLICY_KEYS)
def test_the_defaults_are_those_of_the_configuration_keys(name: str) -> None:
    assert POLICY_KEYS[name](LoginPolicy.of(Document({}))) == names()[name].default


@pytest.mark.parametrize("name", [login.ATTEMPTS_KEY, login.DURATION_KEY, login.DAYS_KEY])
def test_the_bounds_are_those_of_the_configuration_keys(
    name: str, caplog: pytest.LogCaptureFixture
) -> None:
    key, normal = names()[name], LoginPolicy()
    assert key.minimum is not None
    assert key.maximum is not None
    for good in (key.minimum, key.maximum):
        assert POLICY_KEYS[name](LoginPolicy.of(Document({name: good}))) == good
    assert not caplog.records
    for bad in (key.minimum - 1, key.maximum + 1, True, "5", None, 1.5):
        assert LoginPolicy.of(Document({name: bad})) == normal
    assert name in caplog.text


def test_a_policy_is_read() -> None:
    values = {
        login.ATTEMPTS_KEY: 3,
        login.DURATION_KEY: 300,
        login.OFFLINE_KEY: "cached",
        login.DAYS_KEY: 30,
        login.KEEP_KEY: False,
    }
    assert LoginPolicy.of(Document(values)) == LoginPolicy(
        LockoutPolicy(3, 300), offline=True, offline_days=30, keep=False
    )


@pytest.mark.parametrize("value", ["always", "CACHED", True, 1, None, ["cached"]])
def test_only_the_very_word_opens_the_offline_way(value: object) -> None:
    assert not LoginPolicy.of(Document({login.OFFLINE_KEY: value})).offline
