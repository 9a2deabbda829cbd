"""The files of one recorded stream, whole at any instant.

``<label>.wav``    16-bit PCM, each packet at the place that its timestamp says, gaps silent
``<label>.g711``   the payload bytes exactly as they came, in order of arrival
``<label>.index``  one record per packet, in the same order: what is needed to sort and compare

Every packet is written before the next one is read, so a killed recorder loses nothing it received.
"""

from __future__ import annotations

import hashlib
import os
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ...firmware.wire.rtp import RtpPacket
from ..g711 import Law, decode
from ..wav import GrowingWav
from .errors import LayoutError

RATE_HZ = 8_000
MAX_HOURS = 12
MAX_JUMP_SAMPLES = 30 * RATE_HZ
_RECORD = struct.Struct("!IIHHd")


def safe_name(text: str) -> str:
    """Turn text from the wire into a file name of at most 64 harmless characters.

    >>> safe_name("../../etc/passwd")
    '_.._etc_passwd'
    """
    return re.sub(r"[^A-Za-z0-9._-]", "_", text).lstrip(".")[:64] or "unnamed"


@dataclass(frozen=True, slots=True)
class IndexedPacket:
    """One packet of a recorded stream.

    Attributes:
        ssrc: its source.
        timestamp: RTP timestamp.
        sequence: RTP sequence number, 16 bits.
        payload: the exact payload bytes.
        arrival_unix: when it came, UTC.
    """

    ssrc: int
    timestamp: int
    sequence: int
    payload: bytes
    arrival_unix: float


class StreamArchive:
    """Writes one stream.

    Args:
        folder: where the files go.
        name: file name without suffix; must be safe.
        law: G.711 law of the payload.
    """

    def __init__(self, folder: Path, name: str, law: Law, *, max_hours: float = MAX_HOURS) -> None:
        self._law, self._max_octets = law, int(max_hours * 3600 * RATE_HZ)
        self.wav = GrowingWav(folder / f"{name}.wav", max_samples=self._max_octets)
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
        self._payload = os.open(folder / f"{name}.g711", flags, 0o644)
        self._index = os.open(folder / f"{name}.index", flags, 0o644)
        self.octets = 0
        self.dropped = 0
        self._ssrc: int | None = None
        self._last_timestamp = 0
        self._position = 0

    @property
    def samples(self) -> int:
        """Samples in the WAV file, silence of gaps included."""
        return self.wav.samples

    def write(self, packet: RtpPacket, arrival_unix: float) -> None:
        """Write a packet; past the bound it is counted and dropped."""
        if packet.payload_type != self._law or self.octets + len(packet.payload) > self._max_octets:
            self.dropped += 1
            return
        self.octets += len(packet.payload)
        os.write(self._payload, packet.payload)
        record = (packet.ssrc, packet.timestamp, packet.sequence, len(packet.payload), arrival_unix)
        os.write(self._index, _RECORD.pack(*record))
        self.wav.write_at(self._place(packet), decode(packet.payload, self._law))

    def close(self) -> None:
        """Close the files; a second time does nothing."""
        if self._payload >= 0:
            os.close(self._payload)
            os.close(self._index)
            self._payload = self._index = -1
            self.wav.close()

    def _place(self, packet: RtpPacket) -> int:
        """Return where the packet goes; a new source or a wild jump goes on at the end."""
        step = (packet.timestamp - self._last_timestamp + 2**31) % 2**32 - 2**31
        if self._ssrc != packet.ssrc or abs(step) > MAX_JUMP_SAMPLES:
            self._position = self.wav.samples
        else:
            self._position += step
        self._ssrc, self._last_timestamp = packet.ssrc, packet.timestamp
        return self._position


def read_packets(folder: Path, name: str) -> tuple[IndexedPacket, ...]:
    """Read a recorded stream back in sequence order, also one whose recorder was killed.

    Raises:
        LayoutError: the files are not there.
    """
    try:
        index = (folder / f"{name}.index").read_bytes()
        payload = (folder / f"{name}.g711").read_bytes()
    except OSError as error:
        raise LayoutError(f"{folder.name} holds no stream {name}: {error}") from error
    return in_sequence(tuple(_packets(index, payload)))


def _packets(index: bytes, payload: bytes) -> Iterator[IndexedPacket]:
    start = 0
    for number in range(len(index) // _RECORD.size):
        record = _RECORD.unpack_from(index, number * _RECORD.size)
        ssrc, timestamp, sequence, length, arrival = record
        if start + length > len(payload):
            return
        yield IndexedPacket(ssrc, timestamp, sequence, payload[start : start + length], arrival)
        start += length


def in_sequence(packets: tuple[IndexedPacket, ...]) -> tuple[IndexedPacket, ...]:
    """Sort packets that came out of order; sources stay in the order in which they came."""
    keyed: list[tuple[int, int, IndexedPacket]] = []
    segment = extended = 0
    last: IndexedPacket | None = None
    for packet in packets:
        step = 0 if last is None else _step(last.sequence, packet.sequence)
        if last is None or packet.ssrc != last.ssrc or abs(step) > 1_000:
            segment, extended = segment + 1, packet.sequence
        else:
            extended += step
        keyed.append((segment, extended, packet))
        last = packet
    return tuple(packet for *_, packet in sorted(keyed, key=lambda each: each[:2]))


def _step(before: int, after: int) -> int:
    return (after - before + 0x8000) % 0x10000 - 0x8000


def payload_sha256(packets: tuple[IndexedPacket, ...]) -> str:
    """Return the digest of the payload bytes in sequence order."""
    digest = hashlib.sha256()
    for packet in packets:
        digest.update(packet.payload)
    return digest.hexdigest()
