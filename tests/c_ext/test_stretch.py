"""Time stretching: the length changes by a period, the pitch and the waveform do not."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from openturret.c_ext._engine import ffi, lib

RATES = [8000, 16000, 48000]

Pcm = npt.NDArray[np.int16]


def tone(rate_hz: int, frequency_hz: float, ms: float, amplitude: float = 8000) -> Pcm:
    time = np.arange(int(rate_hz * ms / 1000)) / rate_hz
    return (amplitude * np.sin(2 * np.pi * frequency_hz * time)).astype(np.int16)


def shorten(pcm: Pcm, rate_hz: int, *, force: bool = False) -> Pcm:
    work = pcm.copy()
    left = lib.ot_stretch_shorten(
        ffi.from_buffer("int16_t[]", work.data), len(work), rate_hz, force
    )
    return work[:left]


def lengthen(past: Pcm, pcm: Pcm, rate_hz: int, *, force: bool = False) -> Pcm:
    work = np.concatenate([pcm, np.zeros(rate_hz // 50, np.int16)])
    before = np.ascontiguousarray(past[-rate_hz * 15 // 1000 :])
    now = lib.ot_stretch_lengthen(
        ffi.from_buffer("int16_t[]", work.data),
        len(pcm),
        ffi.from_buffer("int16_t[]", before.data),
        rate_hz,
        force,
    )
    return work[:now]


def steepest(pcm: Pcm) -> int:
    return int(np.abs(np.diff(pcm.astype(int))).max())


@pytest.mark.parametrize("rate_hz", RATES)
@pytest.mark.parametrize("frequency_hz", [80, 123, 200, 350])
def test_a_whole_number_of_periods_is_taken_out(rate_hz: int, frequency_hz: int) -> None:
    pcm = tone(rate_hz, frequency_hz, 30)
    shorter = shorten(pcm, rate_hz)
    periods = (len(pcm) - len(shorter)) * frequency_hz / rate_hz
    assert periods > 0.9
    assert periods == pytest.approx(round(periods), abs=0.03 * round(periods) + 0.02)
    assert steepest(shorter) <= 1.1 * steepest(pcm)


@pytest.mark.parametrize("rate_hz", RATES)
@pytest.mark.parametrize("frequency_hz", [80, 123, 200, 350])
def test_a_whole_number_of_periods_is_put_in(rate_hz: int, frequency_hz: int) -> None:
    whole = tone(rate_hz, frequency_hz, 50)
    past, pcm = whole[: len(whole) // 2], whole[len(whole) // 2 :]
    longer = lengthen(past, pcm, rate_hz)
    periods = (len(longer) - len(pcm)) * frequency_hz / rate_hz
    assert periods > 0.9
    assert periods == pytest.approx(round(periods), abs=0.03 * round(periods) + 0.02)
    assert steepest(np.concatenate([past, longer])) <= 1.1 * steepest(whole)


@pytest.mark.parametrize("rate_hz", RATES)
def test_the_ends_stay_what_they_were(rate_hz: int) -> None:
    pcm = tone(rate_hz, 180, 30)
    assert shorten(pcm, rate_hz)[0] == pcm[0]
    assert np.array_equal(shorten(pcm, rate_hz)[-20:], pcm[-20:])
    longer = lengthen(pcm, pcm, rate_hz)
    assert np.array_equal(longer[-20:], pcm[-20:])


def test_what_does_not_repeat_itself_is_left_alone_unless_forced() -> None:
    noise = np.random.default_rng(3).integers(-9000, 9000, 240).astype(np.int16)
    assert len(shorten(noise, 8000)) == 240
    assert len(shorten(noise, 8000, force=True)) < 240
    assert len(lengthen(noise, noise, 8000)) == 240
    assert len(lengthen(noise, noise, 8000, force=True)) > 240


def test_what_is_quiet_may_always_be_stretched() -> None:
    noise = np.random.default_rng(3).integers(-30, 31, 240).astype(np.int16)
    assert len(shorten(noise, 8000)) < 240
    assert len(lengthen(noise, noise, 8000)) > 240


@given(
    rate_hz=st.sampled_from(RATES),
    samples=st.integers(0, 1440),
    seed=st.integers(0, 1 << 32),
    force=st.booleans(),
)
def test_any_length_and_sound_stays_within_bounds(
    rate_hz: int, samples: int, seed: int, force: bool
) -> None:
    rng = np.random.default_rng(seed)
    pcm = rng.choice(np.array([-32768, 0, 32767]), samples).astype(np.int16)
    past = rng.choice(np.array([-32768, 32767]), rate_hz * 15 // 1000).astype(np.int16)
    longest = rate_hz * 15 // 1000
    assert samples - longest <= len(shorten(pcm, rate_hz, force=force)) <= samples
    assert samples <= len(lengthen(past, pcm, rate_hz, force=force)) <= samples + longest
