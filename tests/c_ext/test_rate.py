"""Conversion between 8, 16 and 48 kHz: what passes, what folds back, and when it comes."""

import errno
from itertools import permutations

import numpy as np
import numpy.typing as npt
import pytest

from openturret.c_ext._engine import ffi, lib

RATES_HZ = (8000, 16000, 48000)
PAIRS = list(permutations(RATES_HZ, 2))
DOWNWARD = [(before, after) for before, after in PAIRS if before > after]
AMPLITUDE = 8000.0

Pcm = npt.NDArray[np.int16]


def sine(frequency_hz: float, rate_hz: int, seconds: float = 1.0) -> Pcm:
    time = np.arange(round(rate_hz * seconds)) / rate_hz
    return np.round(AMPLITUDE * np.sin(2 * np.pi * frequency_hz * time)).astype(np.int16)


def convert(pcm: Pcm, from_hz: int, to_hz: int) -> tuple[Pcm, int]:
    """Converts tick by tick; returns the sound and the delay in us."""
    out = ffi.new("ot_rate **")
    assert lib.ot_rate_create(out, from_hz, to_hz) == 0
    rate = ffi.gc(out[0], lib.ot_rate_destroy)
    before, after = from_hz // 100, to_hz // 100
    made = np.zeros(len(pcm) // before * after, np.int16)
    for tick in range(len(pcm) // before):
        lib.ot_rate_run(
            rate,
            ffi.from_buffer("int16_t[]", made[tick * after : (tick + 1) * after].data),
            ffi.from_buffer("int16_t[]", pcm[tick * before : (tick + 1) * before].data),
        )
    return made, lib.ot_rate_delay_us(rate)


def steady(pcm: Pcm) -> npt.NDArray[np.float64]:
    return pcm[len(pcm) // 2 :].astype(np.float64)


def level_db(pcm: Pcm) -> float:
    """Power against the sine that went in."""
    return float(10 * np.log10(np.mean(steady(pcm) ** 2) / (AMPLITUDE**2 / 2) + 1e-12))


def without_tone_db(pcm: Pcm, frequency_hz: float, rate_hz: int) -> float:
    """Power of all that is not the tone, against the tone."""
    spectrum = np.abs(np.fft.rfft(steady(pcm) * np.blackman(len(steady(pcm))))) ** 2
    bins = np.fft.rfftfreq(len(steady(pcm)), 1 / rate_hz)
    tone = np.abs(bins - frequency_hz) < 10
    return float(10 * np.log10(spectrum[~tone].sum() / spectrum[tone].sum()))


@pytest.mark.parametrize(("from_hz", "to_hz"), PAIRS)
@pytest.mark.parametrize("part", [0.0125, 0.125, 0.5, 0.85])
def test_the_pass_band_is_flat_and_clean(from_hz: int, to_hz: int, part: float) -> None:
    frequency_hz = part * min(from_hz, to_hz) / 2
    heard, _ = convert(sine(frequency_hz, from_hz), from_hz, to_hz)
    assert level_db(heard) == pytest.approx(0, abs=0.1)
    assert without_tone_db(heard, frequency_hz, to_hz) < -70


@pytest.mark.parametrize(
    ("from_hz", "to_hz", "frequency_hz"),
    [
        (from_hz, to_hz, (1 + part) * to_hz / 2)
        for from_hz, to_hz in DOWNWARD
        for part in (0.15, 0.5, 0.875, 1.0)
        if (1 + part) * to_hz < from_hz  # else there is no such tone to begin with
    ],
)
def test_what_would_fold_into_the_band_is_gone(
    from_hz: int, to_hz: int, frequency_hz: float
) -> None:
    """A tone above half the new rate would be heard at rate minus tone."""
    heard, _ = convert(sine(frequency_hz, from_hz), from_hz, to_hz)
    assert level_db(heard) < -70


@pytest.mark.parametrize(("from_hz", "to_hz"), PAIRS)
def test_the_delay_is_what_it_says(from_hz: int, to_hz: int) -> None:
    click = np.zeros(from_hz // 2, np.int16)
    click[from_hz // 4] = 20000
    heard, delay_us = convert(click, from_hz, to_hz)
    peak_us = 1e6 * int(np.argmax(np.abs(heard))) / to_hz
    assert peak_us - 250_000 == pytest.approx(delay_us, abs=1e6 / min(from_hz, to_hz))
    assert delay_us <= 4000


@pytest.mark.parametrize("rate_hz", RATES_HZ)
def test_equal_rates_change_nothing(rate_hz: int) -> None:
    noise = np.random.default_rng(1).integers(-32768, 32768, rate_hz // 10, dtype=np.int16)
    heard, delay_us = convert(noise, rate_hz, rate_hz)
    assert np.array_equal(heard, noise)
    assert delay_us == 0


@pytest.mark.parametrize(("from_hz", "to_hz"), PAIRS)
def test_full_scale_is_limited_not_wrapped(from_hz: int, to_hz: int) -> None:
    square = np.where(np.arange(from_hz) * 200 // from_hz % 2, 32767, -32768).astype(np.int16)
    heard, _ = convert(square, from_hz, to_hz)
    assert heard.max() == 32767  # a filter overshoots at an edge
    assert heard.min() == -32768
    turns = np.count_nonzero(np.diff(steady(heard) > 0))
    assert turns == pytest.approx(100, abs=1), "half a second at 100 Hz"


@pytest.mark.parametrize(("from_hz", "to_hz"), [(44100, 8000), (8000, 44100), (0, 0)])
def test_other_rates_are_refused(from_hz: int, to_hz: int) -> None:
    assert lib.ot_rate_create(ffi.new("ot_rate **"), from_hz, to_hz) == errno.EINVAL
