"""What was heard is judged as an ear would: the same words, at any gain, anywhere."""

import wave
from pathlib import Path

import numpy as np
import pytest

from openturret.lab.listening import UnreadableAudioError, compare, compare_samples, trim_silence

RATE_HZ = 8000


def sentence(seed: int = 1, seconds: float = 1.0) -> np.ndarray:
    """Noise with a speech-like envelope, so that it resembles nothing but itself."""
    rng = np.random.default_rng(seed)
    count = int(seconds * RATE_HZ)
    return rng.normal(0, 3000, count) * (1.2 + np.sin(np.arange(count) / 700))


def write(path: Path, samples: np.ndarray, *, channels: int = 1) -> Path:
    with wave.open(str(path), "wb") as target:
        target.setnchannels(channels)
        target.setsampwidth(2)
        target.setframerate(RATE_HZ)
        target.writeframes(samples.clip(-32768, 32767).astype("<i2").tobytes())
    return path


def test_a_sentence_is_found_where_it_was_put() -> None:
    spoken = sentence()
    heard = np.concatenate([np.zeros(4000), 0.5 * spoken, np.zeros(3000)])
    result = compare_samples(spoken, heard, RATE_HZ)
    assert result.offset_s == pytest.approx(0.5)
    assert result.correlation == pytest.approx(1.0)
    assert result.snr_db > 80


def test_every_repetition_counts() -> None:
    heard = np.tile(np.concatenate([sentence(), np.zeros(2000)]), 3)
    assert compare_samples(sentence(), heard, RATE_HZ).times == 3


def test_another_voice_is_not_taken_for_it() -> None:
    result = compare_samples(sentence(1), sentence(2, seconds=3), RATE_HZ)
    assert result.times == 0
    assert result.correlation < 0.5


def test_noise_lowers_the_ratio_to_what_was_added() -> None:
    spoken = sentence()
    noise = np.random.default_rng(9).normal(0, np.sqrt(np.mean(spoken**2)) / 10, len(spoken))
    assert compare_samples(spoken, spoken + noise, RATE_HZ).snr_db == pytest.approx(20, abs=1)


def test_a_lost_half_second_shows() -> None:
    heard = sentence()
    heard[2000:6000] = 0
    assert compare_samples(sentence(), heard, RATE_HZ).snr_db < 5


def test_a_recording_shorter_than_the_sentence_holds_nothing() -> None:
    assert compare_samples(sentence(), sentence()[:100], RATE_HZ).times == 0


def test_silence_is_trimmed_at_both_ends_only() -> None:
    loud = np.full(10, 500.0)
    samples = np.concatenate([np.zeros(5), loud, np.zeros(5), loud, np.zeros(5)])
    assert len(trim_silence(samples)) == 25


def test_files_are_compared(tmp_path: Path) -> None:
    spoken = write(tmp_path / "spoken.wav", sentence())
    heard = write(tmp_path / "heard.wav", np.concatenate([np.zeros(800), sentence()]))
    assert compare(spoken, heard).times == 1


def test_a_stereo_file_is_refused(tmp_path: Path) -> None:
    stereo = write(tmp_path / "stereo.wav", sentence(), channels=2)
    with pytest.raises(UnreadableAudioError, match="mono"):
        compare(stereo, stereo)


def test_a_missing_file_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(UnreadableAudioError, match=r"nothing\.wav"):
        compare(tmp_path / "nothing.wav", tmp_path / "nothing.wav")
