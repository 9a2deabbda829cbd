"""WAV files that are whole at any instant."""

from __future__ import annotations

from array import array
from pathlib import Path

import pytest

from openturret.lab.wav import GrowingWav, WavError, read, repair


def _pcm(*samples: int) -> bytes:
    return array("h", samples).tobytes()


def test_samples_land_where_their_time_says(tmp_path: Path) -> None:
    with GrowingWav(tmp_path / "a.wav") as wav:
        wav.write_at(4, _pcm(5, 6))
        wav.write_at(0, _pcm(1, 2))
    assert list(read(tmp_path / "a.wav")) == [1, 2, 0, 0, 5, 6]


def test_the_file_is_whole_while_it_is_written(tmp_path: Path) -> None:
    with GrowingWav(tmp_path / "a.wav") as wav:
        for position in range(5):
            wav.write_at(position, _pcm(position))
            assert len(read(tmp_path / "a.wav")) == position + 1


def test_nothing_is_written_out_of_bounds(tmp_path: Path) -> None:
    with GrowingWav(tmp_path / "a.wav", max_samples=10) as wav:
        assert not wav.write_at(9, _pcm(1, 2))
        assert not wav.write_at(-1, _pcm(1, 2))
        assert wav.write_at(8, _pcm(1, 2))
    assert len(read(tmp_path / "a.wav")) == 10


def test_a_header_that_lags_behind_is_repaired(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    with GrowingWav(path) as wav:
        wav.write_at(0, _pcm(1, 2))
    path.write_bytes(path.read_bytes() + _pcm(3))
    assert repair(path) == 3
    assert list(read(path)) == [1, 2, 3]


def test_what_is_not_a_wav_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(b"RIFF")
    with pytest.raises(WavError):
        read(path)
    with pytest.raises(WavError):
        repair(path)
