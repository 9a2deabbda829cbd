"""Where the fuzzers begin: a few inputs for each target, made here so that none lies about."""

import struct
from collections.abc import Callable, Mapping

_REPORT_HEADER = struct.Struct("!BBHI")
_SSRC = 0x01020304  # of rtcp.c


def _rtp(first: int, second: int, rest: bytes) -> bytes:
    return struct.pack("!BBHII", first, second, 1, 160, 7) + rest


def _rtp_seeds() -> list[bytes]:
    voice = bytes(range(160))
    return [
        _rtp(0x80, 0, voice),
        _rtp(0x80, 0x80 | 8, b""),
        _rtp(0x82, 0, bytes(8) + voice),  # two contributing sources
        _rtp(0x90, 0, struct.pack("!HHI", 0xBEDE, 1, 5) + voice),  # an extension header
        _rtp(0xA0, 0, voice[:12] + b"\0\0\0\x04"),  # padding
        _rtp(0xBF, 0x7F, bytes(60) + struct.pack("!HH", 1, 0) + b"\x01"),
        _rtp(0x80, 200, voice),  # looks like RTCP
        _rtp(0x80, 101, struct.pack("!BBH", 5, 0x8A, 800)),  # an event of RFC 4733
    ]


def _sender_report(blocks: int) -> bytes:
    words = 6 + 6 * blocks
    body = struct.pack("!QIII", 0x83AA7E80_00000000, 160, 50, 8000)
    block = struct.pack("!IIIIII", _SSRC, 0x19000004, 70000, 12, 0x11112222, 0x8000)
    return _REPORT_HEADER.pack(0x80 | blocks, 200, words, 9) + body + blocks * block


def _rtcp_seeds() -> list[bytes]:
    receiver = _REPORT_HEADER.pack(0x80, 201, 1, 9)
    name = _REPORT_HEADER.pack(0x81, 202, 3, 9) + b"\x01\x05name!\x00"
    bye = _REPORT_HEADER.pack(0x81, 203, 1, 9)
    extended = _REPORT_HEADER.pack(0x80, 207, 10, 9) + bytes([7, 0, 0, 8]) + bytes(32)
    padded = _REPORT_HEADER.pack(0xA1, 203, 2, 9) + b"\0\0\0\x04"
    return [
        receiver,
        receiver + name + bye,
        _sender_report(0) + name,
        _sender_report(1) + name + padded,
        _sender_report(2) + name + extended,
    ]


def _jitter_seeds() -> list[bytes]:
    put, get, jump = 0x40, 0x81, 0xF0  # two frames each time
    body = bytes(12)
    voice = bytes([put, 1, 2, 27, 0x12]) + body + bytes([get])
    lost = bytes([put, 2, 4, 27, 0x12]) + body + bytes([get, get])
    noise = bytes([2, 1, 2, 2, 40]) + body + bytes([get])
    redundant = bytes([1, 0xFF, 0xFE, 27, 0x12]) + body + bytes([put, 2, 4, 27, 0x12]) + body
    opus = bytes([put, 1, 2, 9, 0x55, 0x78, *range(11), get])
    elsewhere = bytes([jump, 2, 0, 9, 0, 0, 9, 9])
    begin = bytes([0, 20, 160])
    return [
        begin + voice * 20,
        begin + (voice * 3 + lost) * 6,
        begin + voice * 8 + elsewhere + voice * 8,
        begin + (bytes([put, 1, 2, 27, 0x12]) + body) * 30 + bytes([get]) * 9 + voice * 5,
        begin + voice * 5 + noise * 3 + bytes([get]) * 20 + voice * 5,
        begin + voice * 5 + redundant * 5 + voice * 5 + bytes([0xE8]),
        bytes([1, 100, 250]) + voice * 5 + bytes([get]) * 30 + voice * 10,
        bytes([5, 20, 160]) + opus * 20,
        bytes([6, 20, 160]) + (opus * 3 + bytes([get])) * 6,
    ]


def _leg_seeds() -> list[bytes]:
    voice = bytes([0x00, 40, 0, 1, 2, 0x12, 0x41])  # a packet, two ticks
    report = bytes([0x90, 1, *range(60)])
    burst = bytes([0xA0, 90, 1, 0x42])
    plain = bytes([0xC0, 0x0E, 1, 8, 0])
    all_of_it = bytes([0xC0, 0x0E, 0, 0, 0x2F])
    protected = bytes([0xC0, 0x0E, 0, 0, 0xC1])
    opus = bytes([0xC0, 0x0E, 8, 96, 0x01])
    noise = bytes([0x00, 0, 0x15, 1, 2, 0, 60, 0x42])
    digit = bytes([0x00, 0, 0x46, 1, 0, 0, 5, 0x8A, 3, 32, 0x41])
    red = bytes([0x00, 80, 0x57, 1, 2, 0x22, 0x80, 2, 128, 160, 0, 0x41])
    raw = bytes([0x80, 16, *_rtp(0xBF, 0, b"\xff\xff\xff\xff"), 0x41])
    garbage = bytes([0x81, 8, *_REPORT_HEADER.pack(0x80, 201, 1, 9), 0x41])
    return [
        voice * 10,
        voice * 4 + report + bytes([0x4F]) + voice * 4,
        voice * 3 + burst + voice * 6,
        voice * 3 + plain + voice * 6 + plain + raw + garbage + bytes([0x4F]) * 6,
        voice * 3 + bytes([0xB0, 0, 0xB0, 1, 0x42, 0xD0, 1, 0x42, 0xD0, 0x38]) + voice * 3,
        bytes([0xE0, 80, 9]) * 6 + voice * 3 + bytes([0xF0, 2, 0, 9, 0, 0, 0, 9]) + voice * 4,
        all_of_it + voice * 3 + noise * 2 + digit * 4 + red * 4 + bytes([0xD0, 0x56]) + voice * 3,
        protected + voice * 3 + report + bytes([0x4F]) + voice,
        opus + bytes([0x00, 20, 0x18, 1, 2, 0x55, 0x78, 0x41]) * 8 + bytes([0x4F]),
    ]


def _command_seeds() -> list[bytes]:
    step = bytes([0xE4])
    leg = [bytes([0, which, 0, which, 0, 1]) for which in range(3)]
    connect = bytes([1, 0, 3, 0, 8, 0, 0, 1, 0])
    rich = bytes([1, 0, 3, 0, 8, 0, 0, 1, 0x23, 101, 13, 100])
    protected = bytes([1, 0, 3, 0, 8, 0, 0, 1, 8, 0x17])
    bus = bytes([9, 0, 0])
    join = bytes([10, 0, 0, 0, 1, 1])
    record = bytes([13, 0, 0, 1, 0, 15, 0, 0, 0, 0, 14, 0, 0, 0, 9, 0, 10, 0])
    device = bytes([4, 0, 40, 0, 5, 0, 0, 1, 0x40])
    clean = bytes([6, 0, 0xC4, 1, 10, 0, 100, 0x50, 0])
    source = bytes([7, 0, 0, 8, 0, 0, 1])
    dial = bytes([3, 0, 0x70, 5, 0, 100])
    calm = bytes([0])
    return [
        calm + leg[0] + connect + step * 4 + bytes([3, 0, 0xFF]) + step,
        calm + leg[0] + leg[1] + bus + join + step * 3 + record + step * 6,
        calm + device + bus + bytes([10, 0, 0, 0x60, 1, 1]) + clean + step * 3,
        calm + source + bytes([9, 0, 2, 10, 0, 0, 0xA0, 1, 1]) + device + step * 6,
        calm + leg[0] + rich + dial * 3 + step * 8 + bytes([16, 0x80]),
        calm + leg[0] + protected + step * 4 + connect + step,
        calm + leg[0] + connect + bytes([16, 0xD1]) + leg[1] + bytes([16, 0xFF]) + step,
        bytes([0xFF, 1]) + leg[0] * 2 + bytes([18, 0x12]) + leg[2] + connect + step,
    ]


_SEEDS: Mapping[str, Callable[[], list[bytes]]] = {
    "commands": _command_seeds,
    "jitter": _jitter_seeds,
    "leg": _leg_seeds,
    "rtcp": _rtcp_seeds,
    "rtp": _rtp_seeds,
}


def seeds(target: str) -> list[bytes]:
    """Returns the inputs that a target begins with; one empty one when none were thought of."""
    make = _SEEDS.get(target)
    return make() if make else [b""]
