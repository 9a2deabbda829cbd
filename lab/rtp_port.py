"""A pair of RTP and RTCP ports of a bench server, and what was received there.

Accepts only what comes from the address and port that SDP named.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from ..firmware.wire.errors import WireError
from ..firmware.wire.rtp import (
    Goodbye,
    ReceiverReport,
    ReportBlock,
    RtcpPacket,
    RtpPacket,
    SenderReport,
    SourceDescription,
    parse_rtcp,
)
from ..hal.clock import Clock
from .errors import LabError

RATE_HZ = 8_000
MAX_DATAGRAMS_PER_WAKE = 64
MAX_JUMP = 1_000
_WINDOW = 512


class NoPortError(LabError, OSError):
    """No free pair of ports is left in the range."""


@dataclass(slots=True)
class Reception:
    """What was received from one source, after RFC 3550 appendix A.

    A new SSRC or a jump of the sequence by more than `MAX_JUMP` packets starts a new segment;
    the counts go on.

    Attributes:
        ssrc: current source.
        first_sequence: first sequence number ever, 16 bits; None before the first packet.
        last_sequence: highest sequence number of the current segment, 16 bits.
        packets: packets taken, each once.
        lost: packets of finished and current segments that never came.
        segments: how often the source began anew.
        max_gap_ms: longest time between two packets.
        jitter: interarrival jitter in timestamp units (section 6.4.1).
    """

    ssrc: int = 0
    first_sequence: int | None = None
    last_sequence: int | None = None
    packets: int = 0
    duplicates: int = 0
    reordered: int = 0
    foreign: int = 0
    malformed: int = 0
    segments: int = 0
    payload_octets: int = 0
    max_gap_ms: float = 0.0
    jitter: float = 0.0
    first_unix: float | None = None
    last_unix: float | None = None
    _lost_before: int = 0
    _begin: int = 0
    _highest: int = 0
    _in_segment: int = 0
    _last_arrival: float | None = None
    _last_transit: float | None = None
    _recent: deque[int] = field(default_factory=lambda: deque(maxlen=_WINDOW))

    @property
    def lost(self) -> int:
        """Packets that never came, so far."""
        return self._lost_before + self._lost_in_segment

    @property
    def _lost_in_segment(self) -> int:
        if not self._in_segment:
            return 0
        return max(0, self._highest - self._begin + 1 - self._in_segment)

    @property
    def highest_sequence(self) -> int:
        """Extended highest sequence number, for a receiver report."""
        return self._highest & 0xFFFFFFFF

    def take(self, packet: RtpPacket, arrival: float, unix: float) -> bool:
        """Count a packet; False when it came before (a duplicate)."""
        extended = self._extend(packet)
        if extended in self._recent:
            self.duplicates += 1
            return False
        self._recent.append(extended)
        self.reordered += extended < self._highest
        self._highest = max(self._highest, extended)
        self._begin = min(self._begin, extended)
        self.last_sequence = self._highest & 0xFFFF
        self.packets += 1
        self._in_segment += 1
        self.payload_octets += len(packet.payload)
        self._time(packet, arrival, unix)
        return True

    def reset_gap(self) -> None:
        """Start the measurement of the longest gap anew."""
        self.max_gap_ms = 0.0

    def _extend(self, packet: RtpPacket) -> int:
        if self.first_sequence is None:
            self.first_sequence = packet.sequence
        delta = (packet.sequence - self._highest + 0x8000) % 0x10000 - 0x8000
        fresh = not self.segments or packet.ssrc != self.ssrc or abs(delta) > MAX_JUMP
        if not fresh:
            return self._highest + delta
        self._lost_before, self._in_segment = self.lost, 0
        self.ssrc, self.segments = packet.ssrc, self.segments + 1
        self._begin = self._highest = packet.sequence + 0x10000
        self._last_transit = None
        self._recent.clear()
        return self._begin

    def _time(self, packet: RtpPacket, arrival: float, unix: float) -> None:
        if self._last_arrival is not None:
            self.max_gap_ms = max(self.max_gap_ms, 1000 * (arrival - self._last_arrival))
        self._last_arrival, self.last_unix = arrival, unix
        if self.first_unix is None:
            self.first_unix = unix
        transit = arrival * RATE_HZ - packet.timestamp
        if self._last_transit is not None and abs(transit - self._last_transit) < RATE_HZ * 60:
            self.jitter += (abs(transit - self._last_transit) - self.jitter) / 16
        self._last_transit = transit


class RtpPort:
    """A bound pair of ports, read by the event loop.

    Args:
        address: address to bind.
        ports: range to search for an even port whose next one is free too.
        clock: the time.
        received: called with each packet that was taken, in order of arrival.
        rtcp_interval_s: mean time between two receiver reports.
        name: canonical name in RTCP.
        rng: where the SSRC and the spread of the reports come from.
    """

    def __init__(
        self,
        *,
        address: str,
        ports: range,
        clock: Clock,
        received: Callable[[RtpPacket], None],
        rtcp_interval_s: float = 5.0,
        name: str = "bench",
        rng: random.Random | None = None,
    ) -> None:
        self._clock, self._received, self._name = clock, received, name
        self._interval_s = rtcp_interval_s
        self._rng = rng or random.Random()
        self._rtp, self._rtcp = _bind_pair(address, ports)
        self.port = int(self._rtp.getsockname()[1])
        self.ssrc = self._rng.getrandbits(32)
        self.reception = Reception()
        self.rtcp_received = 0
        self._source: tuple[str, int] | None = None
        self._rtcp_source: tuple[str, int] | None = None
        self._sender_report: tuple[int, float] | None = None
        self._reported = (0, 0)
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._rtp, self._read_rtp)
        self._loop.add_reader(self._rtcp, self._read_rtcp)
        self._timer = self._loop.call_later(self._next_report(), self._report)

    @property
    def source(self) -> tuple[str, int] | None:
        """The only address and port that is listened to, None before SDP named one."""
        return self._source

    def lock(self, address: str, port: int, rtcp_port: int | None = None) -> None:
        """Listen to this source only, and send there."""
        self._source = (address, port)
        self._rtcp_source = (address, min(port + 1, 65_535) if rtcp_port is None else rtcp_port)

    def send(self, packet: RtpPacket) -> None:
        """Send a packet to the source; an unreachable one is not an error."""
        if self._source is not None:
            with contextlib.suppress(OSError):
                self._rtp.sendto(bytes(packet), self._source)

    def send_rtcp(self, *packets: RtcpPacket) -> None:
        """Send a compound report to the source; an unreachable one is not an error."""
        data = b"".join(bytes(each) for each in packets)  # type: ignore[arg-type]
        if self._rtcp_source is not None:
            with contextlib.suppress(OSError):
                self._rtcp.sendto(data, self._rtcp_source)

    def close(self) -> None:
        """Say goodbye and free the ports; a second time does nothing."""
        if self._rtp.fileno() < 0:
            return
        self.send_rtcp(
            self.report(), SourceDescription(self.ssrc, self._name), Goodbye((self.ssrc,))
        )
        self._timer.cancel()
        for each in (self._rtp, self._rtcp):
            self._loop.remove_reader(each)
            each.close()

    def report(self) -> ReceiverReport:
        """Build a receiver report and begin the next interval."""
        heard = self.reception
        if not heard.packets:
            return ReceiverReport(self.ssrc)
        expected, lost = heard.packets + heard.lost, heard.lost
        in_interval, lost_now = expected - self._reported[0], lost - self._reported[1]
        self._reported = (expected, lost)
        fraction = 256 * lost_now // in_interval if in_interval > 0 < lost_now else 0
        last, delay = self._since_sender_report()
        return ReceiverReport(
            self.ssrc,
            (
                ReportBlock(
                    heard.ssrc,
                    min(fraction, 255),
                    lost,
                    heard.highest_sequence,
                    int(heard.jitter) & 0xFFFFFFFF,
                    last,
                    delay,
                ),
            ),
        )

    def _since_sender_report(self) -> tuple[int, int]:
        if self._sender_report is None:
            return 0, 0
        middle, when = self._sender_report
        return middle, int((self._clock.monotonic() - when) * 65_536) & 0xFFFFFFFF

    def _next_report(self) -> float:
        return self._interval_s * self._rng.uniform(0.5, 1.5)

    def _report(self) -> None:
        self.send_rtcp(self.report(), SourceDescription(self.ssrc, self._name))
        self._timer = self._loop.call_later(self._next_report(), self._report)

    def _read_rtp(self) -> None:
        for _ in range(MAX_DATAGRAMS_PER_WAKE):
            try:
                data, source = self._rtp.recvfrom(2048)
            except OSError:
                return
            self._take_rtp(data, source)

    def _take_rtp(self, data: bytes, source: tuple[str, int]) -> None:
        if source != self._source:
            self.reception.foreign += 1
            return
        try:
            packet = RtpPacket.parse(data)
        except WireError:
            self.reception.malformed += 1
            return
        if self.reception.take(packet, self._clock.monotonic(), self._clock.unix()):
            self._received(packet)

    def _read_rtcp(self) -> None:
        for _ in range(MAX_DATAGRAMS_PER_WAKE):
            try:
                data, source = self._rtcp.recvfrom(2048)
            except OSError:
                return
            if self._source is not None and source[0] == self._source[0]:
                self._take_rtcp(data)

    def _take_rtcp(self, data: bytes) -> None:
        try:
            packets = parse_rtcp(data)
        except WireError:
            self.reception.malformed += 1
            return
        self.rtcp_received += 1
        for packet in packets:
            if isinstance(packet, SenderReport):
                middle = packet.ntp_time >> 16 & 0xFFFFFFFF
                self._sender_report = (middle, self._clock.monotonic())


def _bind_pair(address: str, ports: range) -> tuple[socket.socket, socket.socket]:
    for port in range(ports.start + ports.start % 2, ports.stop - 1, 2):
        pair = (_udp_socket(), _udp_socket())
        try:
            pair[0].bind((address, port))
            pair[1].bind((address, port + 1))
        except OSError:
            for each in pair:
                each.close()
            continue
        return pair
    raise NoPortError(f"no free pair of ports in {ports.start}-{ports.stop - 1} at {address}")


def _udp_socket() -> socket.socket:
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.setblocking(False)
    udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 262_144)
    return udp
