import pytest
from hypothesis import given
from hypothesis import strategies as st

from openturret.drivers.errors import FrameError
from openturret.drivers.serial.frame import MAX_FRAME_BYTES, Frame, check_word

WORDS = st.text(
    st.characters(min_codepoint=0x21, max_codepoint=0x7E, exclude_characters="$*"),
    min_size=1,
    max_size=32,
)
FRAMES = st.builds(
    Frame,
    st.integers(0, 255),
    st.from_regex(r"[a-z]{1,8}", fullmatch=True),
    st.lists(WORDS, max_size=3).map(tuple),
)
DOCUMENTED = b"$07 key line-1 1*312E\n"


def test_the_documented_frame_is_read_and_built_again() -> None:
    frame = Frame.parse(DOCUMENTED.rstrip())
    assert frame == Frame(7, "key", ("line-1", "1"))
    assert bytes(frame) == DOCUMENTED


def crc_bit_by_bit(data: bytes) -> int:
    """CRC-16/CCITT-FALSE as its definition has it; of 123456789 it is 0x29B1."""
    remainder = 0xFFFF
    for octet in data:
        remainder ^= octet << 8
        for _ in range(8):
            remainder = (remainder << 1) ^ (0x11021 if remainder & 0x8000 else 0)
    return remainder


@given(FRAMES)
def test_the_checksum_is_the_published_one(frame: Frame) -> None:
    assert crc_bit_by_bit(b"123456789") == 0x29B1
    said, checksum = bytes(frame)[1:-1].rsplit(b"*")
    assert int(checksum, 16) == crc_bit_by_bit(said)


@given(FRAMES)
def test_every_frame_survives_the_line(frame: Frame) -> None:
    line = bytes(frame)
    assert line.endswith(b"\n")
    assert len(line) <= MAX_FRAME_BYTES + 1
    assert Frame.parse(line[:-1]) == frame


@given(FRAMES, st.data())
def test_a_frame_with_one_byte_changed_is_refused(frame: Frame, data: st.DataObject) -> None:
    line = bytearray(bytes(frame)[:-1])
    at = data.draw(st.integers(0, len(line) - 1))
    line[at] ^= data.draw(st.integers(1, 255))
    with pytest.raises(FrameError):
        Frame.parse(bytes(line))


@pytest.mark.parametrize("size", range(len(DOCUMENTED) - 1))
def test_a_frame_cut_at_any_length_is_refused(size: int) -> None:
    with pytest.raises(FrameError):
        Frame.parse(DOCUMENTED[:size])


@given(st.binary(max_size=200))
def test_noise_is_refused_and_nothing_else(noise: bytes) -> None:
    with pytest.raises(FrameError):
        Frame.parse(noise)


def test_a_line_that_is_too_long_is_refused_before_it_is_looked_at() -> None:
    line = b"$01 key " + b"x" * MAX_FRAME_BYTES
    with pytest.raises(FrameError, match="136 bytes are longer than a frame"):
        Frame.parse(line)


@pytest.mark.parametrize("word", ["", "a b", "a*b", "$", "é", "x" * 33, "a\n"])
def test_a_word_that_frames_cannot_carry_is_refused(word: str) -> None:
    with pytest.raises(FrameError, match="use 1 to 32 printable"):
        check_word(word)
