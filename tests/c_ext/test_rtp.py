"""The RTP parser: what a packet says of itself is believed only when it fits."""

import struct
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openturret.c_ext._engine import ffi, lib

HEADER = struct.Struct("!BBHII")


@dataclass(frozen=True, slots=True)
class Parsed:
    payload_type: int
    marker: bool
    sequence: int
    timestamp: int
    ssrc: int
    payload: bytes


def parse(data: bytes) -> Parsed | None:
    raw = ffi.new("ot_rtp *")
    if lib.ot_rtp_parse(raw, data, len(data)) != 0:
        return None
    end = raw.payload_offset + raw.payload_octets
    assert end <= len(data)
    payload = data[raw.payload_offset : end]
    return Parsed(
        raw.payload_type, bool(raw.marker), raw.sequence, raw.timestamp, raw.ssrc, payload
    )


def packet(first: int = 0x80, second: int = 0, rest: bytes = b"") -> bytes:
    return HEADER.pack(first, second, 0x1234, 0x89ABCDEF, 0xDEADBEEF) + rest


def test_the_fields_of_a_plain_packet_are_read() -> None:
    assert parse(packet(second=0x88, rest=b"sound")) == Parsed(
        payload_type=8,
        marker=True,
        sequence=0x1234,
        timestamp=0x89ABCDEF,
        ssrc=0xDEADBEEF,
        payload=b"sound",
    )


def test_contributors_extension_and_padding_are_stepped_over() -> None:
    rest = bytes(8) + struct.pack("!HH", 0xBEDE, 2) + bytes(8) + b"sound" + b"\0\0\3"
    parsed = parse(packet(first=0x80 | 0x30 | 2, rest=rest))
    assert parsed is not None
    assert parsed.payload == b"sound"


def test_a_packet_cut_at_any_length_stays_within_itself() -> None:
    whole = packet(first=0xB2, rest=bytes(8) + struct.pack("!HH", 1, 1) + bytes(4) + b"ab\2")
    for length in range(len(whole)):
        parsed = parse(whole[:length])
        assert parsed is None or len(parsed.payload) < length - 11


@pytest.mark.parametrize(
    ("lie", "data"),
    [
        ("nothing", b""),
        ("eleven octets", packet()[:11]),
        ("version 1", packet(first=0x40, rest=b"sound")),
        ("version 3", packet(first=0xC0, rest=b"sound")),
        ("more contributors than octets", packet(first=0x8F, rest=bytes(59))),
        ("an extension without its header", packet(first=0x90, rest=b"abc")),
        ("an extension past the end", packet(first=0x90, rest=struct.pack("!HH", 0, 0xFFFF))),
        ("padding of nothing", packet(first=0xA0)),
        ("padding of zero octets", packet(first=0xA0, rest=b"ab\0")),
        ("padding longer than the payload", packet(first=0xA0, rest=b"ab\4")),
        ("a sender report", packet(second=200, rest=bytes(16))),
        ("a receiver report", packet(second=201, rest=bytes(16))),
        ("more than a datagram", packet(rest=bytes(65536))),
    ],
)
def test_a_lie_is_refused(lie: str, data: bytes) -> None:
    assert parse(data) is None, lie


def test_padding_may_fill_the_whole_payload() -> None:
    parsed = parse(packet(first=0xA0, rest=b"\0\0\3"))
    assert parsed is not None
    assert parsed.payload == b""


@given(st.binary(max_size=200))
def test_any_octets_give_a_packet_within_them_or_nothing(data: bytes) -> None:
    parsed = parse(data)
    if parsed is not None:
        assert data[0] >> 6 == 2
        assert parsed.payload in data[12:]


@given(
    st.integers(0, 15),
    st.binary(max_size=40).filter(lambda b: len(b) % 4 == 0),
    st.binary(max_size=300),
    st.integers(0, 255),
)
def test_a_well_made_packet_gives_its_payload_back(
    contributors: int, extension: bytes, payload: bytes, padding: int
) -> None:
    first = 0x80 | 0x10 | contributors | (0x20 if padding else 0)
    rest = bytes(4 * contributors) + struct.pack("!HH", 1, len(extension) // 4) + extension
    tail = bytes(padding - 1) + bytes([padding]) if padding else b""
    parsed = parse(packet(first=first, rest=rest + payload + tail))
    assert parsed is not None
    assert parsed.payload == payload
