import struct
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openturret.drivers.emulated.usb.usbredir import (
    KINDS,
    MAX_DATA,
    NEEDED,
    AltSettingStatus,
    Capability,
    ControlPacket,
    DeviceConnect,
    EndpointInfo,
    Frame,
    FrameReader,
    Hello,
    IsoPacket,
    Packet,
    Reset,
    SetAltSetting,
    hello,
)
from openturret.drivers.errors import RedirectionError
from openturret.hal.errors import WireError

HELLO = bytes.fromhex("00000000 44000000 00000000") + b"QEMU usb-redir guest 7.2.22"
HELLO = HELLO.ljust(12 + 64, b"\0") + bytes.fromhex("fe000000")
"""What QEMU 7.2 says first."""

CONTROL = bytes.fromhex("64000000 0a000000 0600000000000000 80 06 80 00 0001 0000 1200")
"""What it asks a device for first: its descriptor (USB 2.0 section 9.4.3)."""


def read(*pieces: bytes) -> list[Frame]:
    reader = FrameReader()
    return [frame for piece in pieces for frame in reader.feed(piece)]


def test_what_qemu_says_is_read_and_rebuilt() -> None:
    first, second = read(HELLO + CONTROL)
    assert isinstance(first.packet, Hello)
    assert first.packet.capabilities >= NEEDED | Capability.DISCONNECT_ACK
    assert second == Frame(6, ControlPacket(0x80, 6, 0x80, 0, 0x0100, 0, 18))
    assert bytes(first) + bytes(second) == HELLO + CONTROL


def test_a_stream_cut_at_every_length_says_the_same() -> None:
    whole = HELLO + CONTROL
    for cut in range(len(whole) + 1):
        assert read(whole[:cut], whole[cut:]) == read(whole)


def test_octet_by_octet_a_frame_comes_with_its_last() -> None:
    reader = FrameReader()
    found = [len(list(reader.feed(bytes([octet])))) for octet in HELLO + CONTROL]
    assert [at + 1 for at, count in enumerate(found) if count] == [len(HELLO), len(HELLO + CONTROL)]


def test_no_more_than_a_packet_is_kept() -> None:
    reader = FrameReader()
    list(reader.feed(bytes(Frame(0, hello(NEEDED)))))
    with pytest.raises(RedirectionError, match="268435456 octets; allowed is 10 to 65546"):
        list(reader.feed(struct.pack("<IIQ", ControlPacket.TYPE, 1 << 28, 1)))


@pytest.mark.parametrize(
    ("number", "length", "said"),
    [
        (18, 0, "type 18; known are 0, 1"),
        (0xFFFFFFFF, 0, "type 4294967295"),
        (Reset.TYPE, 1, "Reset packet of 1 octets; allowed is 0"),
        (SetAltSetting.TYPE, 1, "SetAltSetting packet of 1 octets; allowed is 2"),
        (IsoPacket.TYPE, 3, "IsoPacket packet of 3 octets; allowed is 4 to"),
        (Hello.TYPE, 68, "Hello packet where it must not stand"),
    ],
)
def test_a_header_that_cannot_be_is_refused_at_once(number: int, length: int, said: str) -> None:
    reader = FrameReader()
    list(reader.feed(HELLO))
    with pytest.raises(RedirectionError, match=said):
        list(reader.feed(struct.pack("<IIQ", number, length, 1)))


def test_a_stream_that_does_not_begin_with_hello_is_refused() -> None:
    with pytest.raises(RedirectionError, match="Reset packet where it must not stand"):
        read(struct.pack("<III", Reset.TYPE, 0, 0))


def test_a_broken_protocol_is_a_wire_error() -> None:
    assert issubclass(RedirectionError, WireError)


def test_capabilities_beyond_the_first_word_are_none_of_ours() -> None:
    packet = Hello(bytes(64), bytes.fromhex("70000000 ffffffff"))
    assert packet.capabilities == (
        Capability.MAX_PACKET_SIZE | Capability.LONG_IDS | Capability.LONG_BULK
    )


def test_the_layouts_are_those_of_the_protocol() -> None:
    assert bytes(DeviceConnect(1, 0, 0, 0, 0x1209, 0x7701, 0x0100)).hex() == "01000000091201770001"
    assert EndpointInfo.LAYOUT.size == 160
    assert bytes(AltSettingStatus(4, 2, 1)).hex() == "040201"


def fields(kind: type[Packet]) -> st.SearchStrategy[Packet]:
    data = st.binary(max_size=min(kind.LIMIT, 300))
    fixed = st.binary(min_size=kind.LAYOUT.size, max_size=kind.LAYOUT.size)
    return st.builds(lambda head, tail: kind.parse(head + tail), fixed, data)


packets = st.sampled_from([kind for kind in KINDS.values() if kind is not Hello]).flatmap(fields)
frames = st.builds(Frame, st.integers(0, 2**64 - 1), packets)


@given(st.lists(frames, max_size=4), st.lists(st.integers(0, 2000), max_size=6))
def test_frames_survive_any_cutting(sent: list[Frame], cuts: list[int]) -> None:
    wire = HELLO + b"".join(map(bytes, sent))
    ends = [0, *sorted(cut for cut in cuts if cut < len(wire)), len(wire)]
    assert read(*(wire[start:end] for start, end in pairwise(ends)))[1:] == sent


@given(st.binary(max_size=2 * MAX_DATA // 1000), st.booleans())
def test_garbage_is_frames_or_a_wire_error(garbage: bytes, after_hello: bool) -> None:
    try:
        read(HELLO if after_hello else b"", garbage)
    except RedirectionError:
        return
