"""Levels in dBFS."""

import math

import numpy as np
import pytest

from openturret.c_ext._engine import ffi, lib


def level_dbfs(pcm: list[int]) -> float:
    samples = np.array(pcm, np.int16)
    energy = lib.ot_energy(ffi.from_buffer("int16_t[]", samples.data), len(samples))
    return lib.ot_level_dbfs(energy, len(samples))


@pytest.mark.usefixtures("cpu")
@pytest.mark.parametrize(
    ("pcm", "expected_dbfs"),
    [([-32768] * 80, 0.0), ([3277] * 80, -20.0), ([0] * 80, -127.0), ([], -127.0)],
)
def test_full_scale_is_zero_and_silence_is_the_floor(pcm: list[int], expected_dbfs: float) -> None:
    assert level_dbfs(pcm) == pytest.approx(expected_dbfs, abs=0.01)


@pytest.mark.usefixtures("cpu")
def test_a_full_scale_sine_is_three_decibels_down() -> None:
    sine = [round(32767 * math.sin(2 * math.pi * i / 80)) for i in range(80)]
    assert level_dbfs(sine) == pytest.approx(-3.01, abs=0.01)


@pytest.mark.usefixtures("cpu")
@pytest.mark.parametrize("samples", [0, 1, 15, 16, 31, 33, 63, 80, 160, 480, 8001])
def test_energy_is_the_sum_of_squares(samples: int) -> None:
    pcm = np.random.default_rng(samples).integers(-32768, 32768, samples, dtype=np.int16)
    energy = lib.ot_energy(ffi.from_buffer("int16_t[]", pcm.data), samples)
    assert energy == int((pcm.astype(np.int64) ** 2).sum())


@pytest.mark.usefixtures("cpu")
@pytest.mark.parametrize("samples", [1, 2, 31, 80, 65536])
def test_the_most_energy_there_is_does_not_overflow(samples: int) -> None:
    pcm = np.full(samples, -32768, np.int16)
    assert lib.ot_energy(ffi.from_buffer("int16_t[]", pcm.data), samples) == samples << 30
