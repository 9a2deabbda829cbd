"""Retries spread out."""

from __future__ import annotations

import random

from openturret.firmware.calls.backoff import Backoff


def test_the_wait_doubles_up_to_a_bound_and_starts_anew_after_success() -> None:
    backoff = Backoff(random.Random(1), first_s=1.0, last_s=8.0)
    waits = [backoff.next_s() for _ in range(6)]
    for wait, middle in zip(waits, [1, 2, 4, 8, 8, 8], strict=True):
        assert middle * 0.5 <= wait <= middle * 1.5
    backoff.reset()
    assert backoff.next_s() <= 1.5


def test_two_turrets_do_not_retry_at_once() -> None:
    one = Backoff(random.Random(1), first_s=1.0, last_s=8.0)
    other = Backoff(random.Random(2), first_s=1.0, last_s=8.0)
    assert one.next_s() != other.next_s()
