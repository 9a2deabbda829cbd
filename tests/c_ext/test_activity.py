"""Voice activity: speech in noise is found, noise of any kind is not."""

from itertools import product

import numpy as np
import numpy.typing as npt
import pytest

from openturret.c_ext._engine import ffi, lib

RATE_HZ = 8000
TICK = 80

Floats = npt.NDArray[np.float64]


SURE_DB = 15
"""How far voice must stand out of the noise for anybody to be sure."""


def watch(pcm: Floats, rate_hz: int = RATE_HZ) -> npt.NDArray[np.bool_]:
    """Returns, tick by tick, whether somebody was said to speak."""
    activity = ffi.new("ot_activity *")
    lib.ot_activity_init(activity)
    whole = np.clip(np.round(pcm), -32768, 32767).astype(np.int16)
    tick = rate_hz // 100
    return np.array([
        lib.ot_activity_run(
            activity, lib.ot_energy(ffi.from_buffer("int16_t[]", part.data), tick), tick
        )
        for part in whole.reshape(-1, tick)
    ], bool)  # fmt: skip


def noise(level_dbfs: float, seconds: float, seed: int = 1, rate_hz: int = RATE_HZ) -> Floats:
    rng = np.random.default_rng(seed)
    return rng.standard_normal(round(rate_hz * seconds)) * 32768 * 10 ** (level_dbfs / 20)


def words(level_dbfs: float, seconds: float, rate_hz: int = RATE_HZ) -> Floats:
    """Syllables of 150 ms, four a second, of a buzzing voice."""
    time = np.arange(round(rate_hz * seconds)) / rate_hz
    voice = np.sum([np.sin(2 * np.pi * 140 * k * time) / k for k in range(1, 12)], axis=0)
    envelope = np.where(time % 0.25 < 0.15, np.sin(np.pi * (time % 0.25) / 0.15), 0)
    spoken: Floats = voice / voice.std() * envelope * 32768 * 10 ** (level_dbfs / 20)
    return spoken


@pytest.mark.parametrize("rate_hz", [8000, 16000, 48000])
@pytest.mark.parametrize(
    ("voice_dbfs", "noise_dbfs"),
    [(v, n) for v, n in product([-35, -20, -10], [-80, -60, -45]) if v - n >= SURE_DB],
)
def test_words_are_active_and_the_pause_after_is_not(
    rate_hz: int, noise_dbfs: int, voice_dbfs: int
) -> None:
    room = noise(noise_dbfs, 12, rate_hz=rate_hz)
    spoken = words(voice_dbfs, 4, rate_hz)
    room[4 * rate_hz : 8 * rate_hz] += spoken
    active = watch(room, rate_hz)
    assert not active[100:400].any()
    assert active[405:795].all()
    assert not active[820:].any()


@pytest.mark.parametrize("level_dbfs", [-70, -50, -40, -25])
def test_steady_noise_is_nobody(level_dbfs: int) -> None:
    active = watch(noise(level_dbfs, 30))
    assert not active[1000:].any()


def test_noise_that_grows_is_first_a_voice_and_soon_noise() -> None:
    active = watch(np.concatenate([noise(-65, 5), noise(-40, 20)]))
    assert active[510:600].all()
    assert not active[1500:].any()


def test_comfort_noise_between_words_is_nobody() -> None:
    """RFC 3389: at the receiver its level moves a little with every description."""
    parts = [noise(-52 + step, 0.2, seed) for seed, step in enumerate([0, 2, -1, 1, 0, -2] * 25)]
    assert not watch(np.concatenate(parts))[100:].any()


def test_silence_of_a_muted_line_teaches_nothing() -> None:
    """After a minute of zeros the same room is still the same room."""
    room = noise(-50, 5)
    active = watch(np.concatenate([room, np.zeros(60 * RATE_HZ), room]))
    assert not active[100:].any()


def test_it_hangs_over_for_a_fifth_of_a_second() -> None:
    burst = np.concatenate([np.zeros(RATE_HZ), words(-15, 0.1), np.zeros(RATE_HZ)])
    active = np.flatnonzero(watch(burst))
    assert active[0] in (101, 102)
    assert active[-1] == pytest.approx(109 + lib.OT_ACTIVITY_HANG_OVER_MS // 10, abs=1)


def test_one_click_is_not_a_word() -> None:
    room = noise(-60, 4)
    room[2 * RATE_HZ : 2 * RATE_HZ + 5] = 20000
    assert not watch(room).any()


def test_a_tick_without_samples_is_silence() -> None:
    activity = ffi.new("ot_activity *")
    lib.ot_activity_init(activity)
    assert lib.ot_activity_run(activity, 0, 0) == 0
    assert lib.ot_activity_run(activity, 0, TICK) == 0
