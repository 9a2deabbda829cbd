from __future__ import annotations

import wave
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from openturret.lab import listening, speech
from openturret.lab.errors import SpeechError, ToolMissingError


@pytest.fixture(scope="module")
def sentences(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    try:
        return speech.make_all(folder=tmp_path_factory.mktemp("speech"))
    except ToolMissingError as error:
        pytest.skip(str(error))


def test_every_sentence_is_a_few_seconds_of_loud_enough_speech(sentences: dict[str, Path]) -> None:
    assert set(sentences) == set(speech.SENTENCES)
    for path in sentences.values():
        samples = speech.read_wav(path)
        assert 2 < len(samples) / speech.RATE_HZ < 8
        assert 16000 < np.abs(samples).max() <= 16384


def test_no_sentence_is_taken_for_another(sentences: dict[str, Path]) -> None:
    for name, path in sentences.items():
        for other_name, other in sentences.items():
            correlation = listening.compare(path, other).correlation
            assert (correlation > 0.99) == (name == other_name), (name, other_name)


def test_a_sentence_is_made_once(sentences: dict[str, Path]) -> None:
    path = sentences["hoot-1"]
    before = path.stat().st_mtime_ns
    assert speech.make("hoot-1", path.parent) == path
    assert path.stat().st_mtime_ns == before


def test_a_repeated_sentence_is_as_long_as_asked(
    sentences: dict[str, Path], tmp_path: Path
) -> None:
    once = speech.read_wav(sentences["hoot-1"])
    repeated = speech.read_wav(
        speech.repeat(sentences["hoot-1"], tmp_path / "long.wav", seconds=20)
    )
    assert len(repeated) % len(once) == 0
    assert abs(len(repeated) / speech.RATE_HZ - 20) < len(once) / speech.RATE_HZ
    assert np.array_equal(repeated[: len(once)], once)


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    samples = np.array([0, 1, -1, 32767, -32768], dtype=np.int16)
    speech.write_wav(tmp_path / "x.wav", samples)
    assert np.array_equal(speech.read_wav(tmp_path / "x.wav"), samples)


def test_another_kind_of_wav_is_refused(tmp_path: Path) -> None:
    with wave.open(str(tmp_path / "stereo.wav"), "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(8000)
    with pytest.raises(SpeechError, match="not mono"):
        speech.read_wav(tmp_path / "stereo.wav")


def test_benches_that_start_together_share_one_sentence(
    sentences: dict[str, Path], tmp_path: Path
) -> None:
    with ThreadPoolExecutor(4) as benches:
        made = list(benches.map(lambda _: speech.make("hoot-1", tmp_path), range(4)))
    assert set(made) == set(tmp_path.iterdir())
    assert made[0].read_bytes() == sentences["hoot-1"].read_bytes()
