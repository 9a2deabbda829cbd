"""Reads a capture and says of each RTP stream what arrived, what is missing and the longest gap."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from .capture import records

ETHERNET_HEADER = 14
ETHERTYPE_IPV4 = b"\x08\x00"
UDP = 17
RTP_HEADER = 12


@dataclass(frozen=True, slots=True)
class Datagram:
    """One UDP datagram of a capture; `time_s` is UTC seconds."""

    time_s: float
    source: tuple[str, int]
    target: tuple[str, int]
    payload: bytes


@dataclass(slots=True)
class RtpStream:
    """One RTP stream of a capture: same addresses, same SSRC."""

    source: tuple[str, int]
    target: tuple[str, int]
    ssrc: int
    times_s: list[float] = field(default_factory=list)
    sequences: set[int] = field(default_factory=set)
    highest_sequence: int = -1

    @property
    def packets(self) -> int:
        """How many packets the capture holds."""
        return len(self.times_s)

    @property
    def lost(self) -> int:
        """How many sequence numbers between the lowest and the highest are missing."""
        return max(self.sequences) - min(self.sequences) + 1 - len(self.sequences)

    def longest_gap_ms(self, begin_s: float = 0.0, end_s: float = float("inf")) -> float:
        """The longest time between two packets that ends inside a window, milliseconds."""
        gaps = (
            after - before
            for before, after in zip(self.times_s, self.times_s[1:], strict=False)
            if begin_s <= after <= end_s
        )
        return max(gaps, default=0.0) * 1000

    def add(self, time_s: float, sequence: int) -> None:
        """Count one packet; `sequence` is extended past its 16 bits as RFC 3550 A.1 does."""
        if not self.sequences:
            self.highest_sequence = sequence
        step = (sequence - self.highest_sequence + 0x8000) % 0x10000 - 0x8000
        extended = self.highest_sequence + step
        self.highest_sequence = max(self.highest_sequence, extended)
        self.sequences.add(extended)
        self.times_s.append(time_s)


def read_datagrams(path: Path) -> Iterator[Datagram]:
    """UDP over IPv4 over Ethernet from a pcap file; a torn last record ends the reading.

    Raises:
        CaptureError: it is not a pcap file.
    """
    for record in records(path.read_bytes()):
        datagram = _datagram(record.seconds + record.microseconds / 1e6, record.data)
        if datagram:
            yield datagram


def _datagram(time_s: float, frame: bytes) -> Datagram | None:
    packet = frame[ETHERNET_HEADER:]
    if frame[12:14] != ETHERTYPE_IPV4 or len(packet) < 28 or packet[9] != UDP:
        return None
    header = (packet[0] & 0x0F) * 4
    if not 20 <= header <= len(packet) - 8:
        return None
    source_port, target_port = struct.unpack_from("!HH", packet, header)
    source, target = (".".join(map(str, packet[at : at + 4])) for at in (12, 16))
    return Datagram(time_s, (source, source_port), (target, target_port), packet[header + 8 :])


def rtp_streams(path: Path, *, lowest_port: int = 1024) -> list[RtpStream]:
    """The RTP streams of a capture: version 2, even ports, at least 50 packets.

    Raises:
        CaptureError: it is not a pcap file.
    """
    streams: dict[tuple[tuple[str, int], tuple[str, int], int], RtpStream] = {}
    for datagram in read_datagrams(path):
        if not _may_be_rtp(datagram, lowest_port):
            continue
        sequence, _, ssrc = struct.unpack_from("!HII", datagram.payload, 2)
        key = (datagram.source, datagram.target, ssrc)
        streams.setdefault(key, RtpStream(*key)).add(datagram.time_s, sequence)
    return [stream for stream in streams.values() if stream.packets >= 50]


def _may_be_rtp(datagram: Datagram, lowest_port: int) -> bool:
    ports = (datagram.source[1], datagram.target[1])
    return (
        len(datagram.payload) >= RTP_HEADER
        and datagram.payload[0] >> 6 == 2
        and min(ports) >= lowest_port
        and not any(port % 2 for port in ports)
    )
