"""How long to wait before trying again, so that a floor of turrets does not try at once."""

from __future__ import annotations

import random


class Backoff:
    """Doubles the wait with every failure, and spreads it by half either way.

    Args:
        rng: Where the spread comes from.
        first_s: The wait after the first failure, before spreading.
        last_s: The longest wait, before spreading.
    """

    def __init__(self, rng: random.Random, *, first_s: float, last_s: float) -> None:
        self._rng = rng
        self._first_s = first_s
        self._last_s = last_s
        self._next_s = first_s

    def next_s(self) -> float:
        """Returns the wait after one more failure, in seconds."""
        wait_s = self._next_s
        self._next_s = min(self._next_s * 2, self._last_s)
        return wait_s * self._rng.uniform(0.5, 1.5)

    def reset(self) -> None:
        """Notes a success."""
        self._next_s = self._first_s
