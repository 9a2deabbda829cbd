import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openturret.drivers.errors import FirmwareFileError, WrongFirmwareError
from openturret.drivers.flash.dfu_file import (
    ANY,
    DfuFile,
    DfuSuffix,
    checksum,
    has_suffix,
    read_firmware,
)
from openturret.lab.tools import tool

FROM_DFU_SUFFIX = bytes.fromhex("6669726d77617265ffff0177091200015546441058c28806")
"""What ``dfu-suffix --vid 0x1209 --pid 0x7701 --add`` of dfu-util 0.11 made of "firmware"."""

words = st.integers(0, 0xFFFF)
suffixes = st.builds(DfuSuffix, words, words, words)


def sealed(body: bytes) -> bytes:
    return body + checksum(body).to_bytes(4, "little")


def test_a_captured_file_is_read_and_written_again() -> None:
    file = DfuFile.parse(FROM_DFU_SUFFIX)
    assert file == DfuFile(b"firmware", DfuSuffix(0x1209, 0x7701, ANY))
    assert bytes(file) == FROM_DFU_SUFFIX


def test_dfu_suffix_reads_what_we_write(tmp_path: Path) -> None:
    path = tmp_path / "ours.dfu"
    path.write_bytes(bytes(DfuFile(b"firmware", DfuSuffix(0x1209, 0x7701, 0x0110))))
    command = [str(tool("dfu-suffix").path), "--check", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "0x1209" in done.stdout
    assert "0x7701" in done.stdout
    assert "0x0110" in done.stdout


@given(st.binary(min_size=1, max_size=300), suffixes)
def test_what_is_written_is_read_again(payload: bytes, suffix: DfuSuffix) -> None:
    assert DfuFile.parse(bytes(DfuFile(payload, suffix))) == DfuFile(payload, suffix)


@pytest.mark.parametrize("length", range(len(FROM_DFU_SUFFIX)))
def test_a_file_cut_anywhere_is_refused(length: int) -> None:
    with pytest.raises(FirmwareFileError):
        DfuFile.parse(FROM_DFU_SUFFIX[:length])


@given(st.integers(0, len(FROM_DFU_SUFFIX) * 8 - 1))
def test_a_flipped_bit_anywhere_is_refused(bit: int) -> None:
    damaged = bytearray(FROM_DFU_SUFFIX)
    damaged[bit // 8] ^= 1 << bit % 8
    with pytest.raises(FirmwareFileError):
        DfuFile.parse(bytes(damaged))


@given(st.binary(max_size=400), st.booleans())
def test_any_bytes_are_a_file_or_refused(data: bytes, with_suffix: bool) -> None:
    try:
        DfuFile.parse(sealed(data + b"\x00\x01UFD\x10") if with_suffix else data)
    except FirmwareFileError:
        return


@pytest.mark.parametrize("length", [0, 15, 25, 255])
def test_a_suffix_of_an_impossible_length_is_refused(length: int) -> None:
    body = b"firmware" + b"\xff\xff\x01\x77\x09\x12\x00\x01UFD" + bytes([length])
    with pytest.raises(FirmwareFileError, match=f"{length} bytes; 16 to 23"):
        DfuFile.parse(sealed(body))


def test_a_longer_suffix_is_left_out_as_a_whole() -> None:
    body = b"firmware" + b"more" + b"\xff\xff\x01\x77\x09\x12\x00\x01UFD\x14"
    assert DfuFile.parse(sealed(body)).payload == b"firmware"


def test_a_suffix_of_another_release_is_refused() -> None:
    body = b"firmware" + b"\xff\xff\x01\x77\x09\x12\x1a\x01UFD\x10"
    with pytest.raises(FirmwareFileError, match="release 011a"):
        DfuFile.parse(sealed(body))


def test_a_damaged_file_says_both_checksums() -> None:
    with pytest.raises(FirmwareFileError, match=r"CRC is [0-9a-f]{8}, its suffix says 0688c258"):
        DfuFile.parse(b"F" + FROM_DFU_SUFFIX[1:])


def test_a_wrong_device_is_named_beside_the_right_one() -> None:
    with pytest.raises(WrongFirmwareError, match="for 1209:7701:any, the device is 1209:7702:0100"):
        DfuSuffix(0x1209, 0x7701).must_fit(0x1209, 0x7702, 0x0100)


@given(words, words, words, st.tuples(st.booleans(), st.booleans(), st.booleans()))
def test_a_wildcard_fits_everything_and_nothing_else_does(
    vid: int, pid: int, release: int, open_fields: tuple[bool, bool, bool]
) -> None:
    device = (vid, pid, release)
    wanted = [ANY if free else field for free, field in zip(open_fields, device, strict=True)]
    assert DfuSuffix(*wanted).fits(*device)
    other = (vid ^ 1, pid ^ 1, release ^ 1)
    closed = not all(free or field == ANY for free, field in zip(open_fields, device, strict=True))
    assert DfuSuffix(*wanted).fits(*other) is not closed


def test_a_file_without_suffix_is_told_from_one_with() -> None:
    assert has_suffix(FROM_DFU_SUFFIX)
    assert not has_suffix(b"firmware" * 4)
    assert not has_suffix(b"")


def test_a_file_that_is_missing_empty_or_huge_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FirmwareFileError, match="cannot read"):
        read_firmware(tmp_path / "missing.dfu")
    (tmp_path / "empty.dfu").touch()
    with pytest.raises(FirmwareFileError, match="empty"):
        read_firmware(tmp_path / "empty.dfu")
    with (tmp_path / "huge.dfu").open("wb") as file:
        file.truncate(67_108_865)
    with pytest.raises(FirmwareFileError, match="larger"):
        read_firmware(tmp_path / "huge.dfu")
