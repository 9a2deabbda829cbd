"""Levels, frequencies and beginnings of tones that are known."""

from array import array

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openturret.drivers.emulated.sound import Tone
from openturret.drivers.selftest.sound import (
    SILENCE_DBFS,
    level_dbfs,
    measured,
    onset,
    samples_of,
)

RATES = st.sampled_from([8000, 16000, 48000])


def tone(frequency_hz: float, level: float, rate_hz: int, seconds: float = 0.25) -> "array[int]":
    return samples_of(Tone(frequency_hz, level, rate_hz).frame(0, round(seconds * rate_hz)))


@settings(max_examples=12)
@given(st.floats(150, 3500), st.floats(-50, 0), RATES)
def test_a_tone_is_found_with_its_frequency_and_its_level(
    frequency_hz: float, level: float, rate_hz: int
) -> None:
    sound = measured(tone(frequency_hz, level, rate_hz), rate_hz)
    assert sound.frequency_hz == pytest.approx(frequency_hz, abs=1)
    assert sound.level_dbfs == pytest.approx(level, abs=0.5)
    if rate_hz == 8000:
        assert sound.tone_dbfs == pytest.approx(level, abs=0.5)


def test_the_strongest_of_two_tones_is_found_and_its_level_is_its_own() -> None:
    pair = zip(tone(700, -20, 8000), tone(2100, -30, 8000), strict=True)
    sound = measured([low + high for low, high in pair], 8000)
    assert sound.frequency_hz == pytest.approx(700, abs=1)
    assert sound.tone_dbfs == pytest.approx(-20, abs=0.2)
    assert sound.level_dbfs == pytest.approx(-19.6, abs=0.2)


@settings(max_examples=12)
@given(st.integers(0, 500), RATES)
def test_silence_of_any_length_is_silence(length: int, rate_hz: int) -> None:
    sound = measured([0] * length, rate_hz)
    assert sound.level_dbfs == sound.tone_dbfs == SILENCE_DBFS
    assert str(sound) == "silence"
    assert onset([0] * length, -20) is None


def test_a_gap_beside_the_tone_does_not_matter() -> None:
    samples = [*tone(1000, -20, 8000, 0.15), *[0] * 800, *tone(1000, -20, 8000, 0.03)]
    sound = measured(samples, 8000)
    assert sound.tone_dbfs == pytest.approx(-20, abs=0.1)
    assert sound.level_dbfs == pytest.approx(-20, abs=0.1)


def test_the_level_of_a_full_scale_sine_is_zero() -> None:
    assert level_dbfs(tone(1000, 0, 8000)) == pytest.approx(0, abs=0.01)


def test_a_tone_begins_where_it_is_half_as_loud() -> None:
    samples = [0] * 1000 + list(tone(1000, -20, 48000))
    assert onset(samples, -20) == pytest.approx(1004, abs=1)
    assert onset(samples, -10) is None


@settings(max_examples=12)
@given(st.lists(st.integers(-32768, 32767), max_size=300), RATES)
def test_any_samples_have_a_level_within_bounds(samples: list[int], rate_hz: int) -> None:
    sound = measured(samples, rate_hz)
    assert SILENCE_DBFS <= sound.level_dbfs <= 3.1
    assert sound.tone_dbfs >= SILENCE_DBFS
    assert 80 <= sound.frequency_hz <= 3820


def test_samples_are_read_as_the_wire_has_them() -> None:
    assert list(samples_of(b"\x01\x00\xff\x7f\x00\x80")) == [1, 32767, -32768]
