"""In-band digits: every key is found once, and speech is none."""

import wave
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from openturret.c_ext._engine import ffi, lib
from openturret.lab import speech
from openturret.lab.errors import SpeechError, ToolMissingError

ROWS_HZ, COLUMNS_HZ = (697, 770, 852, 941), (1209, 1336, 1477, 1633)
KEYS = "123A456B789C*0#D"

Pcm = npt.NDArray[np.int16]


def key(name: str, ms: int = 80, amplitude: float = 4000, twist_db: float = 0) -> Pcm:
    row, column = divmod(KEYS.index(name), 4)
    time = np.arange(8 * ms) / 8000
    low = np.sin(2 * np.pi * ROWS_HZ[row] * time)
    high = np.sin(2 * np.pi * COLUMNS_HZ[column] * time) * 10 ** (twist_db / 20)
    return np.asarray(amplitude * (low + high), np.int16)


def silence(ms: int = 80) -> Pcm:
    return np.zeros(8 * ms, np.int16)


def found(pcm: Pcm, tick: int = 80) -> str:
    """The digits that a detector tells, asked every `tick` samples."""
    out = ffi.new("ot_inband **")
    assert lib.ot_inband_create(out) == 0
    detector = ffi.gc(out[0], lib.ot_inband_destroy)
    digit = ffi.new("char[]", b" ")
    told = ""
    for i in range(0, len(pcm), tick):
        part = np.ascontiguousarray(pcm[i : i + tick])
        data = ffi.from_buffer("int16_t[]", part.data)
        if lib.ot_inband_run(detector, data, len(part), digit):
            told += bytes(ffi.buffer(digit))[:1].decode()
    return told


@pytest.mark.parametrize("tick", [1, 80, 160, 400])
def test_every_key_is_found_once(tick: int) -> None:
    pcm = np.concatenate([part for name in KEYS for part in (key(name), silence())])
    assert found(pcm, tick) == KEYS


def test_a_held_key_is_one_digit() -> None:
    assert found(np.concatenate([key("5", 3000), silence()])) == "5"


def test_the_same_key_twice_is_two_digits() -> None:
    assert found(np.concatenate([key("7"), silence(), key("7"), silence()])) == "77"


@pytest.mark.parametrize("ms", [50, 60, 100])
def test_short_digits_are_found(ms: int) -> None:
    pcm = np.concatenate([part for name in KEYS for part in (key(name, ms), silence(ms))])
    assert found(pcm) == KEYS


def test_a_blip_is_no_digit() -> None:
    pcm = np.concatenate([part for name in KEYS for part in (key(name, 15), silence())])
    assert found(pcm) == ""


@pytest.mark.parametrize("amplitude", [400, 1000, 10_000])
@pytest.mark.parametrize("twist_db", [-3, 0, 3])
def test_soft_and_loud_and_uneven_keys_are_found(amplitude: float, twist_db: float) -> None:
    parts = [part for name in KEYS for part in (key(name, 80, amplitude, twist_db), silence())]
    assert found(np.concatenate(parts)) == KEYS


def test_keys_are_found_over_noise() -> None:
    parts = [part for name in KEYS for part in (key(name), silence())]
    pcm = np.concatenate(parts)
    noise = np.random.default_rng(5).normal(0, 200, len(pcm))
    assert found(np.asarray(pcm + noise, np.int16)) == KEYS


@pytest.mark.parametrize("frequency_hz", [*ROWS_HZ, *COLUMNS_HZ, 425])
def test_half_a_key_is_no_digit(frequency_hz: int) -> None:
    time = np.arange(16000) / 8000
    assert found((8000 * np.sin(2 * np.pi * frequency_hz * time)).astype(np.int16)) == ""


def test_noise_is_no_digit() -> None:
    noise = np.random.default_rng(6).integers(-20_000, 20_000, 8000 * 60)
    assert found(noise.astype(np.int16)) == ""


def test_an_octave_of_voices_is_no_digit() -> None:
    time = np.arange(8000 * 60) / 8000
    pitch = 150 + 70 * np.sin(2 * np.pi * 0.31 * time) + 20 * np.sin(2 * np.pi * 5.1 * time)
    phase = 2 * np.pi * np.cumsum(pitch) / 8000
    wave_form = sum(np.sin(k * phase) / k for k in range(1, 14))
    assert found(np.asarray(6000 * wave_form, np.int16)) == ""


@pytest.mark.slow
def test_speech_is_no_digit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LD_PRELOAD", raising=False)  # espeak-ng hangs with AddressSanitizer
    try:
        files = speech.make_all(folder=tmp_path)
    except (SpeechError, ToolMissingError) as error:
        pytest.skip(f"no speech to listen to: {error}")
    for name, path in files.items():
        with wave.open(str(path)) as sound:
            pcm = np.frombuffer(sound.readframes(sound.getnframes()), "<i2")
        for gain in (0.3, 1.0, 1.9):
            assert found((pcm * gain).astype(np.int16)) == "", name
