"""A clock that stands still until a test moves it."""

from dataclasses import dataclass

import pytest


@dataclass
class StillClock:
    now_s: float = 100.0

    def monotonic(self) -> float:
        return self.now_s

    def unix(self) -> float:
        return self.now_s

    def advance(self, seconds: float) -> None:
        self.now_s += seconds


@pytest.fixture
def clock() -> StillClock:
    return StillClock()
