import wave
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openturret.drivers.emulated.sound import Heard, Silence, Speech, Tone, read_wav
from openturret.hal.errors import AudioFormatError

PCM = bytes(range(200)) * 5


def write_wav(
    path: Path, pcm: bytes, *, rate_hz: int = 8000, channels: int = 1, sample_bytes: int = 2
) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(sample_bytes)
        file.setframerate(rate_hz)
        file.writeframes(pcm)
    return path


@given(st.integers(1, 40), st.integers(1, 200))
def test_speech_in_frames_is_the_speech(frames: int, samples: int) -> None:
    speech = Speech(PCM)
    said = b"".join(speech.frame(number, samples) for number in range(frames))
    assert said == PCM.ljust(len(said), b"\0")[: len(said)]


@given(st.integers(1, 40), st.integers(1, 700))
def test_looped_speech_has_no_seam(frames: int, samples: int) -> None:
    speech = Speech(PCM, loop=True)
    said = b"".join(speech.frame(number, samples) for number in range(frames))
    assert said == (PCM * (len(said) // len(PCM) + 1))[: len(said)]


def test_an_empty_recording_loops_as_silence() -> None:
    assert Speech(b"", loop=True).frame(3, 80) == Silence().frame(3, 80)


def test_a_tone_has_no_break_between_frames() -> None:
    tone = Tone(440, -6)
    assert tone.frame(0, 160) + tone.frame(1, 160) == tone.frame(0, 320)


@pytest.mark.parametrize(("frequency_hz", "level_dbfs"), [(0, 0), (4000, -3), (1000, 1)])
def test_an_impossible_tone_is_refused(frequency_hz: float, level_dbfs: float) -> None:
    with pytest.raises(AudioFormatError):
        Tone(frequency_hz, level_dbfs)


@pytest.mark.parametrize(
    ("rate_hz", "channels", "sample_bytes", "says"),
    [(16000, 1, 2, "16000 Hz"), (8000, 2, 2, "2 channel"), (8000, 1, 1, "8 bits")],
)
def test_another_format_is_refused_with_the_way_out(
    tmp_path: Path, rate_hz: int, channels: int, sample_bytes: int, says: str
) -> None:
    path = write_wav(
        tmp_path / "x.wav", bytes(400), rate_hz=rate_hz, channels=channels,
        sample_bytes=sample_bytes,
    )  # fmt: skip
    with pytest.raises(AudioFormatError, match=f"{says}.*sox x.wav -r 8000 -c 1 -b 16"):
        read_wav(path)


@pytest.mark.parametrize("data", [b"", b"RIFF", b"RIFF\xff\xff\xff\xffWAVEfmt "])
def test_what_is_no_wav_is_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "x.wav"
    path.write_bytes(data)
    with pytest.raises(AudioFormatError):
        read_wav(path)


def test_a_wav_comes_back_as_it_was_written(tmp_path: Path) -> None:
    assert read_wav(write_wav(tmp_path / "x.wav", PCM)) == PCM


def test_what_was_never_put_is_heard_as_silence_and_counted(tmp_path: Path) -> None:
    heard = Heard(tmp_path / "h.wav", first=10, samples=4)
    loud = b"\x01\x02" * 4
    heard.put(12, loud)
    heard.put(13, None)
    heard.put(14, loud)
    assert heard.close(16) == 6 * 4 / 8000
    assert heard.silent == 4
    quiet = bytes(8)
    assert read_wav(tmp_path / "h.wav") == quiet * 2 + loud + quiet + loud + quiet


def test_a_frame_before_the_start_or_twice_is_not_kept(tmp_path: Path) -> None:
    heard = Heard(tmp_path / "h.wav", first=10, samples=1)
    for number in (9, 10, 10):
        heard.put(number, bytes([number, 0]))
    heard.close(11)
    assert read_wav(tmp_path / "h.wav") == b"\x0a\0"


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AudioFormatError, match="cannot write"):
        Heard(tmp_path / "no" / "h.wav", first=0, samples=1)
