from dataclasses import dataclass
from pathlib import Path

import pytest

from openturret.boot.supervision.safe_mode import DEATHS_MAX, WINDOW_S, Attempts, Deaths


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
    assert [Attempts(path).begin() for _ in range(3)] == [0, 1, 2]
    Attempts(path).lasted()
    assert Attempts(path).begin() == 0


@pytest.mark.parametrize("content", [b"", b"x", b"-1", b"1e9", b"[1]", b"9" * 100, b"true\n{"])
def test_a_damaged_counter_costs_no_boot(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "attempts"
    path.write_bytes(content)
    assert Attempts(path).begin() == 0
    assert Attempts(path).begin() == 1


def test_a_medium_that_cannot_be_written_costs_no_boot(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    attempts = Attempts(tmp_path / "file" / "attempts")
    assert attempts.begin() == 0
    attempts.lasted()
