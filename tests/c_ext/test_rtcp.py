"""The RTCP parser: compound packets, believed only as a whole."""

import struct
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openturret.c_ext._engine import ffi, lib

OURS = 0x11223344


@dataclass(frozen=True, slots=True)
class Report:
    sender_ssrc: int
    ntp_middle: int
    fraction_lost: int | None
    packets_lost: int
    jitter: int
    last_report: int
    delay_since: int
    bye: bool


def parse(data: bytes) -> Report | None:
    raw = ffi.new("ot_rtcp *")
    if lib.ot_rtcp_parse(raw, data, len(data), OURS) != 0:
        return None
    return Report(
        sender_ssrc=raw.sender_ssrc,
        ntp_middle=raw.ntp_middle,
        fraction_lost=raw.fraction_lost if raw.has_block else None,
        packets_lost=raw.packets_lost,
        jitter=raw.jitter,
        last_report=raw.last_report,
        delay_since=raw.delay_since,
        bye=bool(raw.bye),
    )


def part(count: int, kind: int, body: bytes) -> bytes:
    return struct.pack("!BBH", 0x80 | count, kind, len(body) // 4) + body


def block(ssrc: int, lost: int = 0, fraction: int = 0) -> bytes:
    return struct.pack(
        "!IIIIII", ssrc, fraction << 24 | lost & 0xFFFFFF, 500, 12, 0xABCD0001, 0x10000
    )


SENDER = part(
    2,
    200,
    struct.pack("!IIIIII", 99, 0x12345678, 0x9ABCDEF0, 7, 8, 9)
    + block(5)
    + block(OURS, lost=-3, fraction=64),
)
RECEIVER = part(1, 201, struct.pack("!I", 99) + block(OURS, lost=17))
NAME = part(1, 202, struct.pack("!IBB", 99, 1, 2) + b"me" + bytes(4))
BYE = part(1, 203, struct.pack("!I", 99))


def test_a_sender_report_with_our_block_is_read() -> None:
    assert parse(SENDER + NAME) == Report(
        sender_ssrc=99,
        ntp_middle=0x56789ABC,
        fraction_lost=64,
        packets_lost=-3,
        jitter=12,
        last_report=0xABCD0001,
        delay_since=0x10000,
        bye=False,
    )


def test_a_block_about_someone_else_says_nothing_of_us() -> None:
    report = parse(part(1, 201, struct.pack("!I", 99) + block(OURS + 1)))
    assert report is not None
    assert report.fraction_lost is None


def test_a_goodbye_is_seen() -> None:
    report = parse(RECEIVER + NAME + BYE)
    assert report is not None
    assert report.bye
    assert report.packets_lost == 17


def test_only_whole_parts_are_believed_when_cut() -> None:
    whole = SENDER + NAME + BYE
    ends = {len(SENDER), len(SENDER + NAME)}
    for length in range(len(whole)):
        assert (parse(whole[:length]) is not None) == (length in ends)


@pytest.mark.parametrize(
    ("lie", "data"),
    [
        ("a name first", NAME + SENDER),
        ("more blocks than octets", bytes([0x82]) + RECEIVER[1:]),
        ("a length past the end", RECEIVER[:2] + b"\x00\x08" + RECEIVER[4:]),
        ("version 1 in the second part", RECEIVER + b"\x40" + NAME[1:]),
        ("padding in the first part", bytes([0xA1]) + RECEIVER[1:] + BYE),
        ("padding longer than its part", RECEIVER + bytes([0xA1]) + BYE[1:7] + b"\xfc"),
        ("padding of zero", RECEIVER + bytes([0xA1]) + BYE[1:7] + b"\0"),
        ("a report without a sender", part(0, 201, b"") + BYE),
    ],
)
def test_a_lie_is_refused(lie: str, data: bytes) -> None:
    assert parse(data) is None, lie


@given(st.binary(max_size=120))
def test_any_octets_are_read_or_refused(data: bytes) -> None:
    report = parse(data)
    if report is not None:
        assert data[1] in {200, 201}


@given(st.data())
def test_one_changed_octet_is_read_or_refused(data: st.DataObject) -> None:
    whole = bytearray(SENDER + NAME + BYE)
    at = data.draw(st.integers(0, len(whole) - 1))
    whole[at] = data.draw(st.integers(0, 255))
    parse(bytes(whole))
