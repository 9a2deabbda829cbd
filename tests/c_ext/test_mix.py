"""The mixing kernels, bit for bit against 32-bit arithmetic."""

import numpy as np
import numpy.typing as npt
import pytest

from openturret.c_ext._engine import ffi, lib

Pcm = npt.NDArray[np.int16]


def mix(sources: Pcm) -> Pcm:
    out = np.zeros_like(sources)
    lib.ot_mix_minus_self(
        ffi.from_buffer("int16_t[]", out.data),
        ffi.from_buffer("int16_t[]", sources.data),
        *sources.shape,
    )
    return out


def reference(sources: Pcm) -> Pcm:
    wide = sources.astype(np.int32)
    others: npt.NDArray[np.int32] = wide.sum(axis=0) - wide
    return others.clip(-32768, 32767).astype(np.int16)


def scale(samples: npt.NDArray[np.int32], first: float, last: float) -> npt.NDArray[np.int32]:
    out = np.zeros_like(samples)
    lib.ot_scale(
        ffi.from_buffer("int32_t[]", out.data),
        ffi.from_buffer("int32_t[]", samples.data),
        first,
        last,
        len(samples),
    )
    return out


@pytest.mark.usefixtures("cpu")
@pytest.mark.parametrize("count", range(1, 67))
def test_everyone_hears_the_sum_without_itself(count: int) -> None:
    rng = np.random.default_rng(count)
    sources = rng.integers(-32768, 32768, (count, 160), dtype=np.int16)
    assert np.array_equal(mix(sources), reference(sources))


@pytest.mark.usefixtures("cpu")
@pytest.mark.parametrize("level", [32767, -32768, -32767, 1])
@pytest.mark.parametrize("count", [1, 2, 3, 16, 65, 66])
def test_a_sum_beyond_sixteen_bits_saturates_once(count: int, level: int) -> None:
    sources = np.full((count, 80), level, np.int16)
    sources[0] = -32768
    assert np.array_equal(mix(sources), reference(sources))


@pytest.mark.usefixtures("cpu")
@pytest.mark.parametrize("samples", [1, 3, 15, 17, 79, 255, 256, 257, 513])
def test_odd_numbers_of_samples_are_mixed_whole(samples: int) -> None:
    sources = np.random.default_rng(samples).integers(-32768, 32768, (5, samples), dtype=np.int16)
    assert np.array_equal(mix(sources), reference(sources))


@pytest.mark.usefixtures("cpu")
def test_nothing_to_mix_writes_nothing() -> None:
    assert mix(np.zeros((0, 80), np.int16)).size == 0


@pytest.mark.usefixtures("cpu")
def test_a_steady_gain_rounds_halves_away_from_zero() -> None:
    samples = np.array([3, -3, 1, -1, 32767, -32768, 0], np.int32)
    assert scale(samples, 0.5, 0.5).tolist() == [2, -2, 1, -1, 16384, -16384, 0]


@pytest.mark.usefixtures("cpu")
def test_a_moving_gain_goes_straight_to_its_end() -> None:
    ramp = scale(np.full(80, 8000, np.int32), 0.0, 1.0)
    assert ramp.tolist() == [100 * (i + 1) for i in range(80)]


@pytest.mark.usefixtures("cpu")
def test_a_scaled_part_is_limited_to_twice_full_scale() -> None:
    assert scale(np.array([1 << 24, -(1 << 24)], np.int32), 4, 4).tolist() == [65536, -65536]


def test_every_variant_scales_to_the_same_bits() -> None:
    rng = np.random.default_rng(5)
    samples = rng.integers(-40000, 40000, 997, dtype=np.int32)
    moves = rng.uniform(0, 4, (50, 2))
    results = []
    for variant in range(lib.ot_cpu_variants()):
        assert lib.ot_cpu_select(variant) == 0
        results.append(np.array([scale(samples, first, last) for first, last in moves]))
    assert all(np.array_equal(result, results[0]) for result in results)


def test_an_unknown_variant_is_refused() -> None:
    assert lib.ot_cpu_select(lib.ot_cpu_variants()) != 0
