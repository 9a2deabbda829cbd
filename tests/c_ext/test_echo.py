"""Echo cancelling, noise suppression and automatic gain in a simulated room."""

import errno
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pytest

from openturret.c_ext._engine import ffi, lib

SECONDS = 10
LAST_S = 3
ROOM_MS = 40
AWAY_MS = 60  # rings and converters between what is played and what is captured

Pcm = npt.NDArray[np.int16]
Floats = npt.NDArray[np.float64]
Source: TypeAlias = Callable[[int, int, float], Floats]


@dataclass(frozen=True, slots=True)
class Canceller:
    """One run over a whole recording."""

    rate_hz: int
    cancel: bool = True
    noise_db: int = 0
    agc: bool = False
    delay_ms: int = AWAY_MS - 10
    tail_ms: int = 100

    def run(self, mic: Floats, played: Pcm | None = None) -> Floats:
        options = ffi.new("ot_echo_options *")
        options.cancel_echo = self.cancel
        options.suppress_noise_db = self.noise_db
        options.agc = self.agc
        options.delay_ms = self.delay_ms
        out = ffi.new("ot_echo **")
        assert lib.ot_echo_create(out, self.rate_hz, self.tail_ms, options) == 0
        echo = ffi.gc(out[0], lib.ot_echo_destroy)
        pcm = whole(mic)
        tick = self.rate_hz // 100
        for at in range(0, len(pcm), tick):
            part = slice(at, at + tick)
            reference = (
                ffi.NULL if played is None else ffi.from_buffer("int16_t[]", played[part].data)
            )
            lib.ot_echo_run(echo, ffi.from_buffer("int16_t[]", pcm[part].data), reference)
        return pcm.astype(np.float64)


def whole(pcm: Floats) -> Pcm:
    return np.clip(np.round(pcm), -32768, 32767).astype(np.int16)


def noise(seed: int, rate_hz: int, level: float, seconds: int = SECONDS) -> Floats:
    return np.random.default_rng(seed).standard_normal(rate_hz * seconds) * level


def babble(seed: int, rate_hz: int, level: float, seconds: int = SECONDS) -> Floats:
    """Noise with formants and two syllables a second."""
    white = noise(seed, rate_hz, 1, seconds)
    hz = np.fft.rfftfreq(len(white), 1 / rate_hz)
    formants = np.sum([np.exp(-(((hz - at) / 250) ** 2)) for at in (500, 1500, 2500)], axis=0)
    shaped: Floats = np.fft.irfft(np.fft.rfft(white) * (formants + 0.02 * (hz < 3400)), len(white))
    time = np.arange(len(white)) / rate_hz
    envelope = np.maximum(0, np.sin(4 * np.pi * time + np.sin(time + seed)))
    voice: Floats = shaped / shaped.std() * envelope * level
    return voice


def echo_of(played: Pcm, rate_hz: int) -> Floats:
    taps = rate_hz * ROOM_MS // 1000
    room = np.random.default_rng(9).standard_normal(taps) * np.exp(-6 * np.arange(taps) / taps)
    room *= 0.5 / np.sqrt((room**2).sum())
    away = np.zeros(rate_hz * AWAY_MS // 1000)
    return np.concatenate([away, np.convolve(played, room)])[: len(played)]


def last_db(pcm: Floats, rate_hz: int) -> float:
    """Level of the last seconds in dBFS."""
    return float(10 * np.log10(np.mean(pcm[-LAST_S * rate_hz :] ** 2) / 32768**2))


@pytest.mark.parametrize("rate_hz", [8000, 16000, 48000])
@pytest.mark.parametrize("source", [noise, babble])
def test_the_echo_of_the_far_end_is_gone(rate_hz: int, source: Source) -> None:
    played = whole(source(1, rate_hz, 3000))
    mic = echo_of(played, rate_hz) + noise(2, rate_hz, 5)
    heard = Canceller(rate_hz).run(mic, played)
    assert last_db(mic, rate_hz) - last_db(heard, rate_hz) > 25


@pytest.mark.parametrize("rate_hz", [8000, 16000, 48000])
def test_who_speaks_here_is_heard_over_the_echo(rate_hz: int) -> None:
    played = whole(noise(1, rate_hz, 3000))
    near = babble(3, rate_hz, 2500)
    near[: -LAST_S * rate_hz] = 0
    mic = echo_of(played, rate_hz) + near
    heard = Canceller(rate_hz).run(mic, played)
    tick = rate_hz // 100  # what comes out is a tick late
    said = near[-LAST_S * rate_hz : -tick]
    kept = heard[-LAST_S * rate_hz + tick :]
    assert np.corrcoef(said, kept)[0, 1] > 0.93
    assert 10 * np.log10(np.mean(kept**2) / np.mean(said**2)) == pytest.approx(0, abs=1.5)


def test_without_its_reference_an_echo_stays() -> None:
    """What the other tests hear is the canceller's work, not the noise suppressor's."""
    played = whole(babble(1, 8000, 3000))
    mic = echo_of(played, 8000)
    heard = Canceller(8000).run(mic, None)
    assert last_db(mic, 8000) - last_db(heard, 8000) < 3


def test_a_reference_that_comes_too_late_cancels_nothing() -> None:
    played = whole(noise(1, 8000, 3000))
    mic = echo_of(played, 8000)
    heard = Canceller(8000, delay_ms=AWAY_MS + ROOM_MS + 20).run(mic, played)
    assert last_db(mic, 8000) - last_db(heard, 8000) < 6


@pytest.mark.parametrize("rate_hz", [8000, 16000, 48000])
def test_steady_noise_is_lowered_and_a_voice_in_it_is_not(rate_hz: int) -> None:
    fan = noise(4, rate_hz, 100)
    cleaner = Canceller(rate_hz, cancel=False, noise_db=15)
    assert last_db(fan, rate_hz) - last_db(cleaner.run(fan), rate_hz) > 8
    voice = babble(5, rate_hz, 3000) + fan
    assert last_db(cleaner.run(voice), rate_hz) == pytest.approx(last_db(voice, rate_hz), abs=2)


@pytest.mark.parametrize("rate_hz", [8000, 16000, 48000])
@pytest.mark.parametrize("level_dbfs", [-40, -15])
def test_soft_and_loud_voices_come_out_alike(rate_hz: int, level_dbfs: int) -> None:
    voice = babble(6, rate_hz, 1)
    voice *= 32768 * 10 ** (level_dbfs / 20) / voice.std()
    heard = Canceller(rate_hz, cancel=False, agc=True).run(voice)
    assert last_db(heard, rate_hz) == pytest.approx(-22, abs=3)


def test_full_scale_hiss_and_a_burst_leave_it_sane(capfd: pytest.CaptureFixture[str]) -> None:
    """speexdsp would write to stderr where it gives up; it must never get there."""
    rate_hz = 8000
    played = whole(noise(1, rate_hz, 3000))
    mic = echo_of(played, rate_hz)
    hiss = np.where(np.arange(rate_hz) % 2, 32767, -32768)
    played[rate_hz : 2 * rate_hz] = hiss
    mic[2 * rate_hz : 3 * rate_hz] = hiss
    mic[3 * rate_hz : 4 * rate_hz] *= -3  # the room is another, and louder
    heard = Canceller(rate_hz).run(mic, played)
    assert last_db(mic, rate_hz) - last_db(heard, rate_hz) > 25
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("away", [400, 600, 800])
def test_a_loud_tone_through_a_room_that_flips_is_borne_in_silence(
    away: int, capfd: pytest.CaptureFixture[str]
) -> None:
    """Tones leave a canceller free to learn nonsense, and each flip of the room shows it."""
    time = np.arange(8000 * 40) / 8000
    tone = 20000 * np.sin(2 * np.pi * (600 + 300 * np.sin(time / 3)) * time)
    mic = np.roll(tone, away) * np.where(time // 2 % 2, -0.8, 0.8)
    Canceller(8000, delay_ms=0).run(mic, whole(tone))
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    ("rate_hz", "tail_ms", "delay_ms", "noise_db"),
    [(44100, 100, 0, 0), (8000, 19, 0, 0), (8000, 501, 0, 0), (8000, 100, 501, 0),
     (8000, 100, 0, 41)],
)  # fmt: skip
def test_settings_out_of_bounds_are_refused(
    rate_hz: int, tail_ms: int, delay_ms: int, noise_db: int
) -> None:
    options = ffi.new("ot_echo_options *")
    options.delay_ms = delay_ms
    options.suppress_noise_db = noise_db
    out = ffi.new("ot_echo **")
    assert lib.ot_echo_create(out, rate_hz, tail_ms, options) == errno.EINVAL
