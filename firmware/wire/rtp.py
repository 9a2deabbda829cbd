"""RTP and RTCP packets as values (RFC 3550)."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from .errors import MalformedError, TooLargeError, TruncatedError

MAX_REPORTS = 31
_RTP_HEADER = struct.Struct("!BBHII")
_RTCP_HEADER = struct.Struct("!BBH")
_SENDER_INFO = struct.Struct("!IIIII")
_REPORT = struct.Struct("!IIIIII")
_SENDER_REPORT, _RECEIVER_REPORT, _SOURCE_DESCRIPTION, _BYE = 200, 201, 202, 203


@dataclass(frozen=True, slots=True)
class RtpPacket:
    """One RTP packet (RFC 3550 section 5.1); ``bytes(packet)`` is what goes on the wire.

    Attributes:
        payload_type: 0 to 127.
        sequence: 0 to 65535.
        timestamp: in samples, modulo 2**32.
        ssrc: synchronisation source.
        payload: codec bytes, padding removed.
        marker: start of a talk spurt.
        csrcs: contributing sources, at most 15.
        extension: profile word and data of the header extension, None when there is none.
    """

    payload_type: int
    sequence: int
    timestamp: int
    ssrc: int
    payload: bytes
    marker: bool = False
    csrcs: tuple[int, ...] = ()
    extension: tuple[int, bytes] | None = None

    @classmethod
    def parse(cls, data: bytes) -> RtpPacket:
        """Parse one datagram.

        Raises:
            TruncatedError: it ends inside its header, extension or padding.
            MalformedError: it is not RTP version 2.
        """
        _need(data, 12)
        first, second, sequence, timestamp, ssrc = _RTP_HEADER.unpack_from(data)
        if first >> 6 != 2:
            raise MalformedError(f"RTP version {first >> 6}")
        count = first & 15
        _need(data, 12 + 4 * count)
        csrcs = struct.unpack_from(f"!{count}I", data, 12)
        start = 12 + 4 * count
        extension = _extension(data, start) if first & 0x10 else None
        start += 0 if extension is None else 4 + len(extension[1])
        payload = _unpad(data[start:]) if first & 0x20 else data[start:]
        return cls(
            second & 127, sequence, timestamp, ssrc, payload, bool(second >> 7), csrcs, extension
        )

    def __bytes__(self) -> bytes:
        first = 0x80 | len(self.csrcs) | (0 if self.extension is None else 0x10)
        second = self.payload_type | self.marker << 7
        head = _RTP_HEADER.pack(first, second, self.sequence, self.timestamp, self.ssrc)
        sources = struct.pack(f"!{len(self.csrcs)}I", *self.csrcs)
        return head + sources + _pack_extension(self.extension) + self.payload


def _need(data: bytes, length: int) -> None:
    if len(data) < length:
        raise TruncatedError(f"{len(data)} bytes where {length} are needed")


def _extension(data: bytes, start: int) -> tuple[int, bytes]:
    _need(data, start + 4)
    profile, words = struct.unpack_from("!HH", data, start)
    _need(data, start + 4 + 4 * words)
    return profile, data[start + 4 : start + 4 + 4 * words]


def _pack_extension(extension: tuple[int, bytes] | None) -> bytes:
    if extension is None:
        return b""
    return struct.pack("!HH", extension[0], len(extension[1]) // 4) + extension[1]


def _unpad(payload: bytes) -> bytes:
    if not payload or not 0 < payload[-1] <= len(payload):
        raise TruncatedError("the padding is longer than the payload")
    return payload[: -payload[-1]]


@dataclass(frozen=True, slots=True)
class ReportBlock:
    """What a receiver says of one source (RFC 3550 section 6.4.1).

    Attributes:
        ssrc: source that the block is about.
        fraction_lost: lost since the last report, in 1/256.
        lost: packets lost in total, signed 24 bits.
        highest_sequence: extended highest sequence number received.
        jitter: interarrival jitter, in timestamp units.
        last_sender_report: middle 32 bits of the NTP time of the last sender report.
        delay: since that report, in 1/65536 s.
    """

    ssrc: int
    fraction_lost: int = 0
    lost: int = 0
    highest_sequence: int = 0
    jitter: int = 0
    last_sender_report: int = 0
    delay: int = 0

    @classmethod
    def parse(cls, data: bytes) -> ReportBlock:
        """Parse 24 bytes.

        Raises:
            TruncatedError: fewer bytes.
        """
        _need(data, 24)
        ssrc, lost, highest, jitter, last, delay = _REPORT.unpack_from(data)
        count = lost & 0xFFFFFF
        signed = count - 2**24 if count & 0x800000 else count
        return cls(ssrc, lost >> 24, signed, highest, jitter, last, delay)

    def __bytes__(self) -> bytes:
        lost = max(-(2**23), min(2**23 - 1, self.lost)) & 0xFFFFFF
        word = self.fraction_lost << 24 | lost
        return _REPORT.pack(
            self.ssrc, word, self.highest_sequence, self.jitter, self.last_sender_report, self.delay
        )


@dataclass(frozen=True, slots=True)
class SenderReport:
    """What a sender says of itself and of what it hears (RFC 3550 section 6.4.1).

    Attributes:
        ssrc: the sender.
        ntp_time: 64-bit NTP timestamp.
        rtp_time: the same instant in RTP timestamp units.
        packets: packets sent.
        octets: payload octets sent.
        reports: one per source heard, at most 31.
    """

    ssrc: int
    ntp_time: int
    rtp_time: int
    packets: int
    octets: int
    reports: tuple[ReportBlock, ...] = ()

    def __bytes__(self) -> bytes:
        ntp_high, ntp_low = self.ntp_time >> 32 & 0xFFFFFFFF, self.ntp_time & 0xFFFFFFFF
        info = _SENDER_INFO.pack(ntp_high, ntp_low, self.rtp_time, self.packets, self.octets)
        return _rtcp(_SENDER_REPORT, self.ssrc, info, self.reports)


@dataclass(frozen=True, slots=True)
class ReceiverReport:
    """What a receiver says of what it hears (RFC 3550 section 6.4.2).

    Attributes:
        ssrc: the receiver.
        reports: one per source heard, at most 31.
    """

    ssrc: int
    reports: tuple[ReportBlock, ...] = ()

    def __bytes__(self) -> bytes:
        return _rtcp(_RECEIVER_REPORT, self.ssrc, b"", self.reports)


@dataclass(frozen=True, slots=True)
class SourceDescription:
    """The canonical name of one source (RFC 3550 section 6.5), the item that RTCP demands.

    Attributes:
        ssrc: the source.
        cname: canonical name, at most 255 bytes.
    """

    ssrc: int
    cname: str

    def __bytes__(self) -> bytes:
        name = self.cname.encode()[:255]
        chunk = struct.pack("!IBB", self.ssrc, 1, len(name)) + name + b"\0"
        chunk += bytes(-len(chunk) % 4)
        return _RTCP_HEADER.pack(0x81, _SOURCE_DESCRIPTION, len(chunk) // 4) + chunk


@dataclass(frozen=True, slots=True)
class Goodbye:
    """Sources that leave (RFC 3550 section 6.6).

    Attributes:
        ssrcs: the sources.
        reason: text, may be empty.
    """

    ssrcs: tuple[int, ...]
    reason: str = ""

    def __bytes__(self) -> bytes:
        body = struct.pack(f"!{len(self.ssrcs)}I", *self.ssrcs)
        if self.reason:
            text = self.reason.encode()[:255]
            body += bytes([len(text)]) + text
        body += bytes(-len(body) % 4)
        return _RTCP_HEADER.pack(0x80 | len(self.ssrcs), _BYE, len(body) // 4) + body


@dataclass(frozen=True, slots=True)
class OtherRtcp:
    """An RTCP packet of a type that is not interpreted here.

    Attributes:
        kind: packet type.
        body: everything after the four-byte header.
    """

    kind: int
    body: bytes


RtcpPacket = SenderReport | ReceiverReport | SourceDescription | Goodbye | OtherRtcp


def _rtcp(kind: int, ssrc: int, info: bytes, reports: tuple[ReportBlock, ...]) -> bytes:
    if len(reports) > MAX_REPORTS:
        raise TooLargeError(f"{len(reports)} report blocks are more than {MAX_REPORTS}")
    body = struct.pack("!I", ssrc) + info + b"".join(map(bytes, reports))
    return _RTCP_HEADER.pack(0x80 | len(reports), kind, len(body) // 4) + body


def parse_rtcp(data: bytes) -> tuple[RtcpPacket, ...]:
    """Parse a compound RTCP datagram.

    Raises:
        TruncatedError: a packet ends before its length says.
        MalformedError: one of them is not RTCP version 2.
    """
    packets: list[RtcpPacket] = []
    while data:
        _need(data, 4)
        first, kind, words = _RTCP_HEADER.unpack_from(data)
        if first >> 6 != 2:
            raise MalformedError(f"RTCP version {first >> 6}")
        end = 4 + 4 * words
        _need(data, end)
        body = _unpad(data[4:end]) if first & 0x20 else data[4:end]
        packets.append(_parse_one(kind, first & 31, body))
        data = data[end:]
    return tuple(packets)


def _parse_one(kind: int, count: int, body: bytes) -> RtcpPacket:
    if kind == _SENDER_REPORT:
        _need(body, 24)
        ntp_high, ntp_low, rtp_time, packets, octets = _SENDER_INFO.unpack_from(body, 4)
        reports = _parse_reports(body[24:], count)
        ntp_time = ntp_high << 32 | ntp_low
        return SenderReport(_ssrc(body), ntp_time, rtp_time, packets, octets, reports)
    if kind == _RECEIVER_REPORT:
        return ReceiverReport(_ssrc(body), _parse_reports(body[4:], count))
    if kind == _BYE:
        return _parse_goodbye(body, count)
    if kind == _SOURCE_DESCRIPTION and count == 1 and len(body) >= 6 and body[4] == 1:
        _need(body, 6 + body[5])
        return SourceDescription(_ssrc(body), body[6 : 6 + body[5]].decode("utf-8", "replace"))
    return OtherRtcp(kind, body)


def _ssrc(body: bytes) -> int:
    _need(body, 4)
    return int.from_bytes(body[:4], "big")


def _parse_reports(body: bytes, count: int) -> tuple[ReportBlock, ...]:
    return tuple(ReportBlock.parse(body[24 * n : 24 * n + 24]) for n in range(count))


def _parse_goodbye(body: bytes, count: int) -> Goodbye:
    _need(body, 4 * count)
    ssrcs = struct.unpack_from(f"!{count}I", body)
    rest = body[4 * count :]
    if not rest:
        return Goodbye(ssrcs)
    _need(rest, 1 + rest[0])
    return Goodbye(ssrcs, rest[1 : 1 + rest[0]].decode("utf-8", "replace"))
