import pytest
from hypothesis import given
from hypothesis import strategies as st
from smp import packet
from smp.image_management import ImageStatesReadRequest

from openturret.drivers.emulated.smp_frames import (
    MAX_FRAME_BYTES,
    FrameReader,
    SmpMessage,
    lines,
)
from openturret.hal.errors import WireError

bodies = st.dictionaries(
    st.text(max_size=8), st.one_of(st.integers(-9, 9), st.binary(max_size=40), st.booleans())
)


def read(wire: bytes) -> list[bytes]:
    reader = FrameReader()
    frames = (reader.feed(line) for line in wire.splitlines())
    return [frame for frame in frames if frame is not None]


@given(bodies, st.integers(0, 255), st.sampled_from([0, 2]), st.integers(0, 1))
def test_a_message_survives(
    body: dict[str, object], sequence: int, operation: int, version: int
) -> None:
    message = SmpMessage(operation, 1, 5, sequence, version, body)
    assert SmpMessage.parse(bytes(message)) == message


@given(st.binary(min_size=1, max_size=600))
def test_a_frame_survives_its_lines(frame: bytes) -> None:
    assert read(b"".join(lines(frame))) == [frame]
    assert all(len(line) <= 127 for line in lines(frame))


@given(st.binary(min_size=1, max_size=600))
def test_the_library_and_we_read_each_other(frame: bytes) -> None:
    assert read(b"".join(packet.encode(frame))) == [frame]
    decoder = packet.decode()
    next(decoder)
    *before, last = lines(frame)
    for line in before:
        decoder.send(line)
    with pytest.raises(StopIteration) as ended:
        decoder.send(last)
    assert ended.value.value == frame


def test_a_request_of_the_library_is_read() -> None:
    request = ImageStatesReadRequest()
    message = SmpMessage.parse(bytes(request))
    assert (message.operation, message.group, message.command) == (0, 1, 0)
    assert (message.sequence, message.version, message.body) == (request.sequence, 1, {})


@given(st.binary(max_size=60))
def test_any_bytes_are_a_message_or_refused(data: bytes) -> None:
    try:
        SmpMessage.parse(data)
    except WireError:
        return


@given(st.lists(st.binary(max_size=40).map(lambda data: data.replace(b"\n", b""))))
def test_any_lines_are_frames_or_refused(wire: list[bytes]) -> None:
    reader = FrameReader()
    for line in wire:
        for start in (b"", b"\x06\x09", b"\x04\x14"):
            try:
                reader.feed(start + line)
            except WireError:
                continue


@pytest.mark.parametrize("length", range(1, 60))
def test_a_message_cut_anywhere_is_refused(length: int) -> None:
    whole = bytes(SmpMessage(2, 1, 1, 7, 1, {"off": 0, "data": bytes(40)}))
    with pytest.raises(WireError):
        SmpMessage.parse(whole[:length])


def test_a_wrong_crc_is_refused_and_the_next_frame_is_read() -> None:
    reader = FrameReader()
    [line] = lines(b"frame")
    damaged = line[:6] + (b"A" if line[6:7] != b"A" else b"B") + line[7:]
    with pytest.raises(WireError, match="CRC"):
        reader.feed(damaged)
    assert reader.feed(line) == b"frame"


def test_a_console_between_the_frames_is_passed_over() -> None:
    noise = b"*** Booting Zephyr OS ***\n"
    assert read(noise + b"".join(lines(b"one")) + noise + b"".join(lines(b"two"))) == [
        b"one",
        b"two",
    ]


def test_a_frame_that_is_too_long_is_refused_at_once() -> None:
    [first, *_] = lines(bytes(MAX_FRAME_BYTES))
    with pytest.raises(WireError, match="says 4098"):
        FrameReader().feed(first)


def test_a_line_that_continues_nothing_is_passed_over() -> None:
    assert FrameReader().feed(b"\x04\x14AAAA") is None


@pytest.mark.parametrize("body", [b"\x80", b"\x01", b"\xa1\x01\x02", b"\xff"])
def test_a_body_that_is_not_a_map_of_words_is_refused(body: bytes) -> None:
    with pytest.raises(WireError, match="CBOR"):
        SmpMessage.parse(bytes((0, 0, 0, len(body), 0, 1, 0, 0)) + body)
