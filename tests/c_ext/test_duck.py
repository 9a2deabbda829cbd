"""Ducking: how far down, how fast, how long, and back."""

import errno
from typing import TYPE_CHECKING

import numpy as np
import pytest

from openturret.c_ext._engine import ffi, lib

if TYPE_CHECKING:
    from openturret.c_ext._engine import Duck


def duck(depth_db: float = 20, attack_ms: int = 20, hold_ms: int = 300, release_ms: int = 200) \
        -> "Duck":  # fmt: skip
    made = ffi.new("ot_duck *")
    assert change(made, depth_db, attack_ms, hold_ms, release_ms) == 0
    return made


def change(made: "Duck", depth_db: float, attack_ms: int, hold_ms: int, release_ms: int) -> int:
    settings = ffi.new("ot_duck_settings *")
    settings.depth_db = depth_db
    settings.attack_ms = attack_ms
    settings.hold_ms = hold_ms
    settings.release_ms = release_ms
    return lib.ot_duck_set(made, settings)


def run(made: "Duck", keys: list[int]) -> list[float]:
    """Returns the gain in dB after each tick, having seen that ticks join."""
    levels = []
    before = made.gain
    for key in keys:
        gain = lib.ot_duck_run(made, key)
        assert gain.first == before
        before = gain.last
        levels.append(20 * np.log10(gain.last))
    return [float(level) for level in levels]


def test_nobody_talks_and_nothing_happens() -> None:
    assert run(duck(), [0] * 100) == [0.0] * 100


def test_down_in_twenty_milliseconds_and_held_and_back_in_equal_steps() -> None:
    levels = run(duck(), [1] * 5 + [0] * 60)
    expected = [-10] + [-20] * 34 + [-19 + step for step in range(20)]
    assert levels == pytest.approx(expected + [0] * (65 - len(expected)), abs=0.01)
    assert levels[-1] == 0.0


def test_a_pause_between_words_does_not_let_it_up() -> None:
    levels = run(duck(), ([1] * 20 + [0] * 29) * 10)
    assert levels[1:] == pytest.approx([-20.0] * 489, abs=0.01)


def test_a_word_during_release_takes_it_down_from_where_it_is() -> None:
    levels = run(duck(hold_ms=0), [1, 1] + [0] * 15 + [1, 1])
    assert levels[16] == pytest.approx(-5, abs=0.01)
    assert levels[17:] == pytest.approx([-15, -20], abs=0.01)


def test_no_time_at_all_is_one_tick() -> None:
    assert run(duck(attack_ms=0, hold_ms=0, release_ms=0), [1, 0]) == pytest.approx([-20, 0])


def test_a_new_depth_is_approached_without_a_jump() -> None:
    made = duck()
    run(made, [1] * 5)
    assert change(made, 6, 20, 300, 200) == 0
    up = run(made, [1] * 100)
    assert up[0] == pytest.approx(-19.7, abs=0.01)
    assert up[-1] == pytest.approx(-6, abs=0.01)
    assert max(np.diff(up)) == pytest.approx(0.3, abs=0.01)


@pytest.mark.parametrize(
    ("depth_db", "attack_ms"), [(-1, 20), (61, 20), (float("nan"), 20), (20, 10001)]
)
def test_settings_out_of_bounds_are_refused(depth_db: float, attack_ms: int) -> None:
    assert change(ffi.new("ot_duck *"), depth_db, attack_ms, 0, 0) == errno.EINVAL
