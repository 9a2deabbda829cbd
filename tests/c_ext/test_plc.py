"""Packet loss concealment against the vectors of G.711 Appendix I, and at the other rates."""

import os
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from openturret.c_ext._engine import ffi, lib

DATA = Path(os.environ.get("OPENTURRET_DATA", Path(__file__).parents[3] / "shared" / "data"))
ITU = DATA / "itu" / "g711iplc"
GOOD, LOST = 0x6B21, 0x6B20  # ITU-T G.192: a frame that came, a frame that did not
RATES = [8000, 16000, 48000]

Pcm = npt.NDArray[np.int16]

needs_vectors = pytest.mark.skipif(
    not ITU.is_dir(), reason=f"the ITU vectors of G.711 Appendix I are not in {ITU}"
)


class Concealer:
    """Appendix I at one rate, fed with frames of 10 ms."""

    def __init__(self, rate_hz: int = 8000) -> None:
        out = ffi.new("ot_plc **")
        assert lib.ot_plc_create(out, rate_hz) == 0
        self._handle = ffi.gc(out[0], lib.ot_plc_destroy)
        self.frame = rate_hz // 100
        self.delay = lib.ot_plc_delay(self._handle)

    def run(self, pcm: Pcm, lost: set[int]) -> Pcm:
        """The signal with some of its frames lost, taken out of its delay."""
        padded = np.concatenate([pcm, np.zeros(self.frame, np.int16)])
        frames = padded.reshape(-1, self.frame).copy()
        for index, frame in enumerate(frames):
            pointer = ffi.from_buffer("int16_t[]", frame.data)
            if index in lost:
                frame[:] = 12345  # must not be looked at
                lib.ot_plc_lost(self._handle, pointer)
            else:
                lib.ot_plc_good(self._handle, pointer)
        return frames.reshape(-1)[self.delay : self.delay + len(pcm)]


def tone(rate_hz: int, frequency_hz: float, frames: int) -> Pcm:
    time = np.arange(frames * rate_hz // 100) / rate_hz
    return (8000 * np.sin(2 * np.pi * frequency_hz * time)).astype(np.int16)


def level(pcm: Pcm) -> float:
    return float(np.sqrt(np.mean(pcm.astype(float) ** 2)))


@needs_vectors
@pytest.mark.parametrize(("pattern", "expected"), [("fe10", "f2_10"), ("fe10_2", "f2_10_2")])
def test_the_itu_vectors_come_out_bit_for_bit(pattern: str, expected: str) -> None:
    speech = np.fromfile(ITU / "f2.le", "<i2").astype(np.int16)
    marks = np.fromfile(ITU / f"{pattern}.g192", "<u2")
    assert set(marks) == {GOOD, LOST}
    lost = {i for i in range(len(speech) // 80) if marks[i % len(marks)] == LOST}
    heard = Concealer().run(speech, lost)
    assert np.array_equal(heard, np.fromfile(ITU / f"{expected}.raw", "<i2"))


@needs_vectors
@pytest.mark.parametrize(("pattern", "expected"), [("fe10", "f2_10m"), ("fe10_2", "f2_10_2m")])
def test_the_other_itu_vectors_are_the_same_losses_muted(pattern: str, expected: str) -> None:
    speech = np.fromfile(ITU / "f2.le", "<i2")
    marks = np.fromfile(ITU / f"{pattern}.g192", "<u2")
    frames = speech.reshape(-1, 80).copy()
    frames[np.resize(marks, len(frames)) == LOST] = 0
    assert np.array_equal(frames.reshape(-1), np.fromfile(ITU / f"{expected}.raw", "<i2"))


@pytest.mark.parametrize("rate_hz", RATES)
def test_without_loss_nothing_changes(rate_hz: int) -> None:
    noise = np.random.default_rng(1).integers(-32768, 32768, 30 * rate_hz // 100)
    pcm = noise.astype(np.int16)
    assert np.array_equal(Concealer(rate_hz).run(pcm, set()), pcm)


@pytest.mark.parametrize("rate_hz", RATES)
def test_the_delay_is_a_quarter_of_the_longest_period(rate_hz: int) -> None:
    assert Concealer(rate_hz).delay * 1000 / rate_hz == 3.75


@pytest.mark.parametrize("rate_hz", RATES)
@pytest.mark.parametrize("frequency_hz", [80, 160, 400])
def test_a_steady_tone_goes_on(rate_hz: int, frequency_hz: int) -> None:
    pcm = tone(rate_hz, frequency_hz, 40)
    heard = Concealer(rate_hz).run(pcm, {20})
    assert np.abs(heard.astype(int) - pcm).max() < 400


@pytest.mark.parametrize("rate_hz", RATES)
def test_a_long_gap_is_silent_after_60_ms(rate_hz: int) -> None:
    frame = rate_hz // 100
    heard = Concealer(rate_hz).run(tone(rate_hz, 200, 60), set(range(20, 40)))
    assert level(heard[20 * frame : 21 * frame]) > 5000
    assert level(heard[24 * frame : 25 * frame]) < 3000
    assert not heard[26 * frame : 40 * frame].any()


@pytest.mark.parametrize("rate_hz", RATES)
def test_what_comes_after_a_gap_is_itself_again_10_ms_later(rate_hz: int) -> None:
    frame = rate_hz // 100
    pcm = tone(rate_hz, 317, 60)
    heard = Concealer(rate_hz).run(pcm, set(range(20, 24)))
    assert np.array_equal(heard[25 * frame :], pcm[25 * frame :])
    assert not np.array_equal(heard[24 * frame : 25 * frame], pcm[24 * frame : 25 * frame])


@given(
    rate_hz=st.sampled_from(RATES),
    seed=st.integers(0, 1 << 32),
    lost=st.sets(st.integers(0, 40)),
    loudest=st.sampled_from([0, 1, 300, 32767]),
)
def test_no_loss_pattern_makes_it_louder_than_what_came(
    rate_hz: int, seed: int, lost: set[int], loudest: int
) -> None:
    rng = np.random.default_rng(seed)
    pcm = rng.integers(-loudest, loudest + 1, 40 * rate_hz // 100).astype(np.int16)
    heard = Concealer(rate_hz).run(pcm, lost)
    assert np.abs(heard.astype(int)).max(initial=0) <= loudest


@pytest.mark.parametrize("rate_hz", [0, 7999, 11025, 44100])
def test_other_rates_are_refused(rate_hz: int) -> None:
    assert lib.ot_plc_create(ffi.new("ot_plc **"), rate_hz) != 0
