from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from openturret.boot.fetch.bandwidth import Bandwidth


@dataclass
class World:
    """Time that only sleeping moves."""

    now: float = 100.0
    slept: list[float] = field(default_factory=list)

    def monotonic(self) -> float:
        return self.now

    def unix(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


@pytest.fixture
def world() -> World:
    return World()


def test_bytes_come_at_the_pace(world: World) -> None:
    bandwidth = Bandwidth(800, world, world.sleep)
    for _ in range(50):
        bandwidth.take(10_000)
    assert world.now - 100 == pytest.approx(5.0, abs=0.11), "500 kB at 100 kB/s"


def test_time_spent_elsewhere_is_no_credit(world: World) -> None:
    bandwidth = Bandwidth(800, world, world.sleep)
    bandwidth.take(10_000)
    world.now += 3600
    before = world.now
    for _ in range(10):
        bandwidth.take(10_000)
    assert world.now - before == pytest.approx(0.9, abs=0.01), "but for a tenth of a second"


def test_a_slow_sender_is_not_slowed_down(world: World) -> None:
    bandwidth = Bandwidth(800, world, world.sleep)
    for _ in range(10):
        world.now += 1
        assert bandwidth.take(10_000) == 0
    assert world.slept == []


def test_a_slow_pace_has_a_small_buffer(world: World) -> None:
    assert Bandwidth(64, world).buffer_bytes == 8192
    assert Bandwidth(8000, world).buffer_bytes == 250_000
