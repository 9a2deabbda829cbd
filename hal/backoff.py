"""Delays that double up to a cap, with jitter, without end.

>>> import itertools, random
>>> steps = Backoff(first_s=4, cap_s=64, jitter=0, rng=random.Random(1)).delays()
>>> list(itertools.islice(steps, 6))
[4.0, 8.0, 16.0, 32.0, 64.0, 64.0]
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Backoff:
    """How patient a retry is.

    Attributes:
        first_s: First delay.
        cap_s: Longest delay before jitter.
        jitter: Each delay is spread by this share of itself, both ways, so that a
            thousand units that lost the same server do not return together.
        rng: Where the jitter comes from.
    """

    first_s: float
    cap_s: float
    jitter: float
    rng: random.Random

    def delays(self) -> Iterator[float]:
        """Yields delays in seconds, for ever."""
        base = float(self.first_s)
        while True:
            yield base * (1 + self.jitter * self.rng.uniform(-1, 1))
            base = min(base * 2, self.cap_s)


class Waits:
    """The waits of one thing that is tried again and again.

    Args:
        backoff: How patient it is.
    """

    def __init__(self, backoff: Backoff) -> None:
        self._backoff = backoff
        self._delays = backoff.delays()

    def next_s(self) -> float:
        """Returns the wait after one more failure, seconds."""
        return next(self._delays)

    def reset(self) -> None:
        """Notes a success: the next wait is the first again."""
        self._delays = self._backoff.delays()
