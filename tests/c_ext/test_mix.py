"""The mixing kernels, bit for bit against 32-bit arithmetic."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest

from openturret.c_ext._engine import ffi, lib

Pcm = npt.NDArray[np.int16]
Wide = npt.NDArray[np.int32]
LENGTHS = [0, 1, 3, 15, 17, 31, 63, 79, 80, 160, 255, 257, 480, 513]


def samples16(count: int, seed: int = 1) -> Pcm:
    return np.random.default_rng(seed).integers(-32768, 32768, count, dtype=np.int16)


def samples32(count: int, seed: int = 2) -> Wide:
    return np.random.default_rng(seed).integers(-(1 << 18), 1 << 18, count, dtype=np.int32)


def into16(run: Callable[..., None], count: int, *arguments: object) -> Pcm:
    """Runs a kernel that writes 16-bit samples; arrays become pointers."""
    out = np.zeros(count, np.int16)
    pointers = (
        ffi.from_buffer(f"{argument.dtype}_t[]", argument.data)
        if isinstance(argument, np.ndarray)
        else argument
        for argument in arguments
    )
    run(ffi.from_buffer("int16_t[]", out.data), *pointers)
    return out


def cut(values: npt.NDArray[np.int64] | npt.NDArray[np.int32]) -> Pcm:
    return values.clip(-32768, 32767).astype(np.int16)


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
@pytest.mark.parametrize("count", [*range(1, 67), 254, 255, 256, 257, 511])
def test_everyone_hears_the_sum_without_itself(count: int) -> None:
    rng = np.random.default_rng(count)
    sources = rng.integers(-32768, 32768, (count, 160), dtype=np.int16)
    assert np.array_equal(mix(sources), reference(sources))


@pytest.mark.usefixtures("cpu")
@pytest.mark.parametrize("level", [32767, -32768, -32767, 1])
@pytest.mark.parametrize("count", [1, 2, 3, 16, 65, 66, 255, 256])
def test_a_sum_beyond_sixteen_bits_saturates_once(count: int, level: int) -> None:
    sources = np.full((count, 96), level, np.int16)
    sources[0] = -32768
    sources[:, 1] = 32767
    sources[:, 2] = -32768
    assert np.array_equal(mix(sources), reference(sources))


@pytest.mark.usefixtures("cpu")
@pytest.mark.parametrize("samples", LENGTHS[1:])
def test_odd_numbers_of_samples_are_mixed_whole(samples: int) -> None:
    sources = np.random.default_rng(samples).integers(-32768, 32768, (5, samples), dtype=np.int16)
    assert np.array_equal(mix(sources), reference(sources))


@pytest.mark.usefixtures("cpu")
@pytest.mark.parametrize("level", [32767, -32768])
def test_as_many_sources_as_32_bits_can_count_are_mixed(level: int) -> None:
    sources = np.full((65536, 33), level, np.int16)
    assert np.array_equal(mix(sources), np.full_like(sources, level))


@pytest.mark.usefixtures("cpu")
@pytest.mark.parametrize("samples", [80, 95, 160, 480])
def test_the_mix_may_take_the_place_of_its_sources(samples: int) -> None:
    sources = samples16(17 * samples).reshape(17, samples)
    expected = reference(sources)
    place = ffi.from_buffer("int16_t[]", sources.data)
    lib.ot_mix_minus_self(place, place, 17, samples)
    assert np.array_equal(sources, expected)


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


@pytest.mark.usefixtures("cpu")
@pytest.mark.parametrize("count", LENGTHS)
def test_a_listener_hears_the_sum_without_its_own_part(count: int) -> None:
    total, own, wide_own = samples32(count), samples16(count), samples32(count, 3)
    assert np.array_equal(into16(lib.ot_minus_self, count, total, own, count), cut(total - own))
    assert np.array_equal(
        into16(lib.ot_minus_self32, count, total, wide_own, count), cut(total - wide_own)
    )
    assert np.array_equal(into16(lib.ot_saturate, count, total, count), cut(total))


@pytest.mark.usefixtures("cpu")
@pytest.mark.parametrize("count", LENGTHS)
def test_a_gain_on_samples_is_the_scaled_sample_saturated(count: int) -> None:
    pcm = samples16(count)
    wide = scale(pcm.astype(np.int32), 0.25, 3.5)
    assert np.array_equal(into16(lib.ot_gain, count, pcm, 0.25, 3.5, count), cut(wide))


@pytest.mark.usefixtures("cpu")
def test_a_gain_beyond_full_scale_saturates() -> None:
    pcm = np.array([32767, -32768, 20000, -20000] * 20, np.int16)
    assert into16(lib.ot_gain, 80, pcm, 2.0, 2.0, 80).tolist() == [32767, -32768] * 40


@pytest.mark.usefixtures("cpu")
def test_a_gain_of_one_changes_nothing() -> None:
    pcm = np.arange(-32768, 32768, dtype=np.int32).astype(np.int16)
    assert np.array_equal(into16(lib.ot_gain, len(pcm), pcm, 1.0, 1.0, len(pcm)), pcm)


@pytest.mark.usefixtures("cpu")
@pytest.mark.parametrize("count", LENGTHS)
def test_two_channels_are_interleaved_and_taken_apart(count: int) -> None:
    left, right = samples16(count, 4), samples16(count, 5)
    both = into16(lib.ot_interleave, 2 * count, left, right, count)
    assert np.array_equal(both[0::2], left)
    assert np.array_equal(both[1::2], right)
    again = np.zeros_like(left)
    place = ffi.from_buffer("int16_t[]", again.data)
    assert np.array_equal(into16(lib.ot_deinterleave, count, place, both, count), left)
    assert np.array_equal(again, right)


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
