"""Sound files and recordings on disk: nothing outside their folder, nothing half-written."""

import os
import struct
import wave
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openturret.firmware.matrix.errors import (
    BadRequestError,
    MatrixProcessError,
    UnknownThingError,
)
from openturret.firmware.matrix.parameters import file_name
from openturret.firmware.matrix.sounds import HEADER_BYTES_MAX, MAX_SAMPLES, read_sound
from openturret.firmware.matrix.wav import WavFile
from openturret.hal.errors import FieldError

PCM = struct.pack("<100h", *range(100))


def put(path: Path, pcm: bytes = PCM, *, rate_hz: int = 8000, channels: int = 1) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(rate_hz)
        file.writeframes(pcm)
    return path


@pytest.mark.parametrize("rate_hz", [8000, 16000, 48000])
def test_a_sound_is_read_as_it_was_written(tmp_path: Path, rate_hz: int) -> None:
    put(tmp_path / "a.wav", rate_hz=rate_hz)
    assert read_sound(tmp_path, "a.wav", rate_hz) == PCM


def test_another_format_is_refused_with_a_remedy(tmp_path: Path) -> None:
    put(tmp_path / "a.wav", rate_hz=44100)
    with pytest.raises(BadRequestError, match=r"44100 Hz.*sox a\.wav -r 8000"):
        read_sound(tmp_path, "a.wav", 8000)
    put(tmp_path / "b.wav", channels=2)
    with pytest.raises(BadRequestError, match="2 channel"):
        read_sound(tmp_path, "b.wav", 8000)
    put(tmp_path / "c.wav", b"")
    with pytest.raises(BadRequestError, match="empty"):
        read_sound(tmp_path, "c.wav", 8000)


def test_a_file_cut_at_any_length_is_an_error_or_a_shorter_sound(tmp_path: Path) -> None:
    whole = put(tmp_path / "a.wav").read_bytes()
    for length in range(len(whole)):
        (tmp_path / "cut.wav").write_bytes(whole[:length])
        try:
            assert PCM.startswith(read_sound(tmp_path, "cut.wav", 8000))
        except BadRequestError:
            continue


@given(st.lists(st.tuples(st.integers(0, 43), st.integers(0, 255)), max_size=6))
def test_no_header_brings_the_reader_down(
    tmp_path_factory: pytest.TempPathFactory, changes: list[tuple[int, int]]
) -> None:
    folder = tmp_path_factory.mktemp("sounds")
    data = bytearray(put(folder / "a.wav").read_bytes())
    for place, value in changes:
        data[place] = value
    (folder / "a.wav").write_bytes(data)
    try:
        assert len(read_sound(folder, "a.wav", 8000)) <= len(data)
    except MatrixProcessError:
        return


def test_what_is_too_long_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = put(tmp_path / "a.wav")
    os.truncate(path, 2 * MAX_SAMPLES + HEADER_BYTES_MAX + 1)
    with pytest.raises(BadRequestError, match="longer than"):
        read_sound(tmp_path, "a.wav", 8000)


def test_what_is_no_plain_file_of_the_folder_is_not_there(tmp_path: Path) -> None:
    sounds = tmp_path / "sounds"
    sounds.mkdir()
    (sounds / "folder.wav").mkdir()
    os.mkfifo(sounds / "pipe.wav")
    (sounds / "link.wav").symlink_to(put(tmp_path / "secret.wav"))
    for name in ("folder.wav", "pipe.wav", "link.wav", "missing.wav"):
        with pytest.raises(UnknownThingError, match=name):
            read_sound(sounds, name, 8000)


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", "../a.wav", "/etc/passwd", "a/b.wav", "a\0.wav", ".hidden", "-r", "x" * 65,
     "a\n.wav", "a\\b", "ä.wav", "~", "a b"],
)  # fmt: skip
def test_a_name_that_could_lead_elsewhere_is_refused(name: str) -> None:
    with pytest.raises(FieldError, match="path must be"):
        file_name({"path": name}, "path")


def test_a_file_that_grows_is_whole_whenever_it_is_looked_at(tmp_path: Path) -> None:
    file = WavFile(tmp_path / "a.wav", 16000)
    for count in range(5):
        with wave.open(str(tmp_path / "a.wav"), "rb") as seen:
            assert (seen.getframerate(), seen.getnchannels(), seen.getsampwidth()) == (16000, 1, 2)
            assert seen.readframes(seen.getnframes()) == PCM * count
        file.append(PCM)
    file.close()
    assert struct.unpack("<I", (tmp_path / "a.wav").read_bytes()[4:8])[0] == 36 + 5 * len(PCM)


def test_a_file_that_is_there_is_never_overwritten(tmp_path: Path) -> None:
    put(tmp_path / "a.wav")
    with pytest.raises(FileExistsError):
        WavFile(tmp_path / "a.wav", 8000)
    (tmp_path / "link.wav").symlink_to(tmp_path / "elsewhere.wav")
    with pytest.raises(FileExistsError):
        WavFile(tmp_path / "link.wav", 8000)
    assert not (tmp_path / "elsewhere.wav").exists()


def test_a_full_disk_is_an_error_and_the_file_whole_as_it_was() -> None:
    if not Path("/dev/full").exists():
        pytest.skip("needs /dev/full")
    with pytest.raises(OSError, match="File exists"):
        WavFile(Path("/dev/full"), 8000)
