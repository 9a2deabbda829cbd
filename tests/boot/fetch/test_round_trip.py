import pytest

from openturret.boot.fetch.round_trip import MARGIN_S, RoundTrip


def test_the_first_wait_is_the_one_that_was_chosen() -> None:
    assert RoundTrip(0.5, 2.0).wait_s == 0.5


def test_a_steady_network_is_waited_for_little_longer_than_it_takes() -> None:
    round_trip = RoundTrip(0.5, 2.0)
    for _ in range(50):
        round_trip.measure(0.04)
    assert round_trip.usual_s == pytest.approx(0.04)
    assert round_trip.wait_s == pytest.approx(0.04 + MARGIN_S)


def test_an_unsteady_network_is_waited_for_longer() -> None:
    round_trip = RoundTrip(1.0, 2.0)
    for took_s in (0.02, 0.1) * 20:
        round_trip.measure(took_s)
    assert round_trip.wait_s > 0.1 + MARGIN_S


def test_silence_doubles_the_wait_up_to_a_bound_until_something_comes() -> None:
    round_trip = RoundTrip(0.5, 2.0)
    waits = []
    for _ in range(100):
        waits.append(round_trip.wait_s)
        round_trip.back_off()
    assert waits[:4] == [0.5, 1.0, 2.0, 2.0]
    assert set(waits[2:]) == {2.0}
    round_trip.progress()
    assert round_trip.wait_s == 0.5


def test_a_slow_answer_never_makes_the_wait_longer_than_the_first() -> None:
    round_trip = RoundTrip(0.5, 2.0)
    round_trip.measure(10.0)
    assert round_trip.wait_s == 0.5
