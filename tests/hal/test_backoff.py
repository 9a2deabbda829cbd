"""Retries spread out."""

from __future__ import annotations

import random

from openturret.hal.backoff import Backoff, Waits


def backoff(*, seed: int) -> Backoff:
    return Backoff(first_s=1.0, cap_s=8.0, jitter=0.5, rng=random.Random(seed))


def test_the_wait_doubles_up_to_a_bound_and_starts_anew_after_success() -> None:
    waits = Waits(backoff(seed=1))
    for middle in (1, 2, 4, 8, 8, 8):
        assert middle * 0.5 <= waits.next_s() <= middle * 1.5
    waits.reset()
    assert waits.next_s() <= 1.5


def test_two_turrets_do_not_retry_at_once() -> None:
    assert Waits(backoff(seed=1)).next_s() != Waits(backoff(seed=2)).next_s()
