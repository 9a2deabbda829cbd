"""RTP and RTCP: captured bytes, round trips, and hostile bytes."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openturret.firmware.wire import rtp
from openturret.firmware.wire.errors import MalformedError, TruncatedError, WireError

PACKET = bytes.fromhex("8080 1234 0001e240 deadbeef".replace(" ", "")) + b"\xff" * 160


def test_a_packet_is_read_and_rebuilt_byte_for_byte() -> None:
    packet = rtp.RtpPacket.parse(PACKET)
    assert packet == rtp.RtpPacket(0, 0x1234, 123456, 0xDEADBEEF, b"\xff" * 160, marker=True)
    assert bytes(packet) == PACKET


def test_sources_and_extension_survive_a_round_trip() -> None:
    packet = rtp.RtpPacket(
        8, 65535, 2**32 - 1, 7, b"ab", csrcs=(1, 2), extension=(0xBEDE, b"\x10\x80\x00\x00")
    )
    assert rtp.RtpPacket.parse(bytes(packet)) == packet


def test_padding_is_removed() -> None:
    padded = bytes([0xA0]) + PACKET[1:12] + b"voice" + b"\0\0\3"
    assert rtp.RtpPacket.parse(padded).payload == b"voice"


def test_padding_longer_than_the_payload_is_refused() -> None:
    with pytest.raises(TruncatedError, match="padding"):
        rtp.RtpPacket.parse(bytes([0xA0]) + PACKET[1:12] + b"\x09")


def test_another_version_is_refused() -> None:
    with pytest.raises(MalformedError, match="version 1"):
        rtp.RtpPacket.parse(b"\x40" + PACKET[1:])


def test_a_header_cut_at_every_length_is_refused() -> None:
    for length in range(12):
        with pytest.raises(TruncatedError):
            rtp.RtpPacket.parse(PACKET[:length])


BLOCK = rtp.ReportBlock(9, 12, -3, 70_000, 40, 0x11223344, 6553)
COMPOUND = (
    rtp.SenderReport(5, 2**63 + 1, 160, 10, 1600, (BLOCK,)),
    rtp.SourceDescription(5, "recorder@dc1"),
    rtp.Goodbye((5,), "call ended"),
)


def test_a_compound_report_survives_a_round_trip() -> None:
    assert rtp.parse_rtcp(b"".join(bytes(each) for each in COMPOUND)) == COMPOUND


def test_a_receiver_report_with_lost_packets_survives_a_round_trip() -> None:
    report = rtp.ReceiverReport(5, (BLOCK, BLOCK))
    assert rtp.parse_rtcp(bytes(report)) == (report,)


def test_an_unknown_report_is_kept_apart() -> None:
    assert rtp.parse_rtcp(bytes.fromhex("80ce0001 00000001")) == (rtp.OtherRtcp(206, b"\0\0\0\1"),)


def test_a_compound_cut_at_every_length_is_a_value_or_a_typed_error() -> None:
    whole = b"".join(bytes(each) for each in COMPOUND)
    for length in range(len(whole)):
        _value_or_typed_error(rtp.parse_rtcp, whole[:length])


@given(st.binary(max_size=200))
def test_any_bytes_are_a_value_or_a_typed_error(data: bytes) -> None:
    _value_or_typed_error(rtp.RtpPacket.parse, data)
    _value_or_typed_error(rtp.parse_rtcp, data)


@given(st.integers(0, 31), st.integers(200, 204), st.binary(max_size=120))
def test_any_report_body_is_a_value_or_a_typed_error(count: int, kind: int, body: bytes) -> None:
    padded = body + bytes(-len(body) % 4)
    head = bytes([0x80 | count, kind]) + (len(padded) // 4).to_bytes(2, "big")
    _value_or_typed_error(rtp.parse_rtcp, head + padded)


def _value_or_typed_error(parse: Callable[[bytes], object], data: bytes) -> None:
    try:
        parse(data)
    except WireError:
        return
