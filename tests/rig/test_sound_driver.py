"""ALSA's own programs at a card whose line is two files, made with ALSA's ``file`` plug-in."""

from __future__ import annotations

import wave
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from openturret.lab.rig._labgrid import Target, target_factory
from openturret.lab.rig.classes import AlsaAudioDriver
from openturret.lab.rig.errors import SoundError

RATE_HZ = 48000
CARDS = """\
pcm.null {{ type null }}
pcm.line {{ type file slave.pcm null file {folder}/out.raw infile {folder}/in.raw format raw }}
"""


def tone(frequency_hz: float, seconds: float) -> bytes:
    time_s = np.arange(round(RATE_HZ * seconds)) / RATE_HZ
    return (8000 * np.sin(2 * np.pi * frequency_hz * time_s)).astype("<i2").tobytes()


@pytest.fixture
def driver_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[str | None], AlsaAudioDriver]]:
    (tmp_path / "asound.conf").write_text(CARDS.format(folder=tmp_path))
    (tmp_path / "in.raw").write_bytes(tone(1000.0, 3.0))
    monkeypatch.setenv("ALSA_CONFIG_PATH", str(tmp_path / "asound.conf"))
    target = Target("rig")

    def make(alsa_name: str | None) -> AlsaAudioDriver:
        card = {"host": "localhost", "alsa_name": alsa_name}
        target_factory.make_resource(target, "AlsaAudio", None, card)
        target_factory.make_driver(target, "AlsaAudioDriver", None, {})
        return target.get_driver(AlsaAudioDriver)

    yield make
    target.cleanup()


Making = Callable[[str | None], AlsaAudioDriver]


def test_what_the_card_hears_is_kept(driver_of: Making, tmp_path: Path) -> None:
    heard = tmp_path / "heard.wav"
    driver_of("line").listen(heard, seconds=2.0)
    with wave.open(str(heard)) as file:
        form = (file.getnchannels(), file.getsampwidth(), file.getframerate(), file.getnframes())
        pcm = file.readframes(file.getnframes())
    assert form == (1, 2, RATE_HZ, 2 * RATE_HZ)
    assert pcm == tone(1000.0, 2.0)


def test_what_a_file_says_is_played(driver_of: Making, tmp_path: Path) -> None:
    spoken, said = tmp_path / "spoken.wav", tone(440.0, 0.5)
    with wave.open(str(spoken), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE_HZ)
        file.writeframes(said)
    driver_of("line").speak(spoken)
    assert (tmp_path / "out.raw").read_bytes()[: len(said)] == said


def test_a_card_that_is_not_there_is_told(driver_of: Making, tmp_path: Path) -> None:
    with pytest.raises(SoundError, match=r"arecord ended with 1: .*nowhere"):
        driver_of("nowhere").listen(tmp_path / "heard.wav", seconds=1.0)


def test_a_card_that_is_unplugged_is_told(driver_of: Making, tmp_path: Path) -> None:
    with pytest.raises(SoundError, match="unplugged"):
        driver_of(None).listen(tmp_path / "heard.wav", seconds=1.0)
