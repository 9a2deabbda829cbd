from dataclasses import dataclass
from pathlib import Path

import pytest

from openturret.boot.supervision.safe_mode import (
    BOOTS_MAX,
    DEATHS_MAX,
    SHORT_BOOTS_MAX,
    WINDOW_S,
    Attempts,
    Deaths,
)


@dataclass
class Clock:
    now: float = 0.0

    def monotonic(self) -> float:
        return self.now

    def unix(self) -> float:
        return self.now


def test_deaths_are_counted_by_service_and_only_the_recent_ones() -> None:
    clock = Clock()
    deaths = Deaths(clock)
    assert [deaths.count("runtime") for _ in range(DEATHS_MAX)] == [1, 2, 3, 4, 5]
    assert deaths.count("matrix") == 1
    clock.now = WINDOW_S + 1
    assert deaths.count("runtime") == 1
    deaths.forget()
    assert deaths.count("runtime") == 1


def test_a_service_that_dies_now_and_then_is_never_held_back() -> None:
    clock = Clock()
    deaths = Deaths(clock)
    for _ in range(100):
        clock.now += WINDOW_S / (DEATHS_MAX - 1)
        assert deaths.count("runtime") < DEATHS_MAX + 1
    clock.now += WINDOW_S / (DEATHS_MAX - 2)
    assert deaths.count("runtime") < DEATHS_MAX


def test_boots_that_do_not_last_are_counted_over_power_cuts(tmp_path: Path) -> None:
    path = tmp_path / "attempts"
    assert [Attempts(path).begin() for _ in range(BOOTS_MAX + 1)] == [False] * BOOTS_MAX + [True]
    Attempts(path).lasted()
    assert not Attempts(path).begin()


def test_a_rig_may_pull_the_plug_of_a_unit_that_runs_more_often(tmp_path: Path) -> None:
    path, careful = tmp_path / "attempts", []
    for _ in range(SHORT_BOOTS_MAX + 1):
        careful.append(Attempts(path).begin())
        Attempts(path).ran()
    assert careful == [False] * SHORT_BOOTS_MAX + [True]


@pytest.mark.parametrize("content", [b"", b"x", b"-1", b"1e9", b"[1]", b"9" * 100, b"true\n{"])
def test_a_damaged_counter_costs_no_boot(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "attempts"
    path.write_bytes(content)
    assert [Attempts(path).begin() for _ in range(BOOTS_MAX + 1)] == [False] * BOOTS_MAX + [True]


def test_a_medium_that_cannot_be_written_costs_no_boot(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    attempts = Attempts(tmp_path / "file" / "attempts")
    assert not attempts.begin()
    attempts.ran()
    attempts.lasted()
