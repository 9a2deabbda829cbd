"""Lays what two recorders kept side by side, and says whether every byte is the same.

The two sessions start at different instants and have their own sequence numbers, so the streams are
laid over each other by what they hold: payloads that occur only once in each vote for an offset.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from .archive import IndexedPacket, payload_sha256, read_packets
from .errors import AlignmentError

SAMPLES_PER_OCTET = 1


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two recordings of the same stream side by side.

    Attributes:
        packets_a: packets that recorder A kept.
        packets_b: packets that recorder B kept.
        common: packets of the common range that both kept.
        identical: how many of those are the same byte by byte.
        missing_at_a: packets of the common range that only B kept.
        missing_at_b: packets of the common range that only A kept.
        samples: samples of the common packets.
        offset: A's packet n is B's packet n + offset, counted from each one's first.
        votes: how many payloads spoke for this offset.
        sha256_a: digest of A's payload in the common range.
        sha256_b: digest of B's payload in the common range.
        first_difference: number of A's first packet that differs, None when none does.
    """

    packets_a: int
    packets_b: int
    common: int
    identical: int
    missing_at_a: int
    missing_at_b: int
    samples: int
    offset: int
    votes: int
    sha256_a: str
    sha256_b: str
    first_difference: int | None

    @property
    def same(self) -> bool:
        """Whether both kept the whole common range and every byte of it is the same."""
        whole = not self.missing_at_a and not self.missing_at_b
        return self.common > 0 and whole and self.identical == self.common


def compare_files(folder_a: Path, folder_b: Path, name: str) -> Comparison:
    """Compare one stream of two recording folders.

    Raises:
        LayoutError: a folder does not hold the stream.
        AlignmentError: the streams have no payload in common.
    """
    return compare(read_packets(folder_a, name), read_packets(folder_b, name))


def compare(a: tuple[IndexedPacket, ...], b: tuple[IndexedPacket, ...]) -> Comparison:
    """Compare two streams in sequence order.

    Raises:
        AlignmentError: the streams have no payload in common.
    """
    numbered_a, numbered_b = _numbered(a), _numbered(b)
    offset, votes = _align(numbered_a, numbered_b)
    first, last = _common_range(numbered_a, numbered_b, offset)
    pairs = [(numbered_a.get(n), numbered_b.get(n + offset)) for n in range(first, last + 1)]
    both = [(x, y) for x, y in pairs if x is not None and y is not None]
    different = [
        n
        for n, (x, y) in enumerate(pairs, first)
        if x is not None and y is not None and x.payload != y.payload
    ]
    return Comparison(
        packets_a=len(a),
        packets_b=len(b),
        common=len(both),
        identical=len(both) - len(different),
        missing_at_a=sum(x is None and y is not None for x, y in pairs),
        missing_at_b=sum(y is None and x is not None for x, y in pairs),
        samples=SAMPLES_PER_OCTET * sum(len(x.payload) for x, _ in both),
        offset=offset,
        votes=votes,
        sha256_a=payload_sha256(tuple(x for x, _ in pairs if x is not None)),
        sha256_b=payload_sha256(tuple(y for _, y in pairs if y is not None)),
        first_difference=min(different, default=None),
    )


_Numbered = Mapping[int, IndexedPacket]


def _numbered(packets: tuple[IndexedPacket, ...]) -> _Numbered:
    """Number packets from 0; lost ones leave a hole."""
    numbers: dict[int, IndexedPacket] = {}
    number, last = 0, None
    for packet in packets:
        if last is not None:
            step = (packet.sequence - last.sequence) % 0x10000
            number += step if packet.ssrc == last.ssrc and 0 < step < 1_000 else 1
        numbers[number], last = packet, packet
    return numbers


def _align(a: _Numbered, b: _Numbered) -> tuple[int, int]:
    once_a, once_b = _only_once(a), _only_once(b)
    ballot = Counter(once_b[payload] - n for payload, n in once_a.items() if payload in once_b)
    if not ballot:
        ballot = _by_timestamp(a, b)
    if not ballot:
        raise AlignmentError("the two streams have no payload in common")
    return ballot.most_common(1)[0]


def _only_once(packets: _Numbered) -> dict[bytes, int]:
    times = Counter(packet.payload for packet in packets.values())
    return {p.payload: n for n, p in packets.items() if times[p.payload] == 1}


def _by_timestamp(a: _Numbered, b: _Numbered) -> Counter[int]:
    """Align streams that hold nothing unique, such as a pure tone, by source and timestamp."""
    when = {(p.ssrc, p.timestamp): n for n, p in b.items()}
    matched = ((when.get((p.ssrc, p.timestamp)), n) for n, p in a.items())
    return Counter(there - n for there, n in matched if there is not None)


def _common_range(a: _Numbered, b: _Numbered, offset: int) -> tuple[int, int]:
    first = max(min(a, default=0), min(b, default=0) - offset)
    return first, min(max(a, default=-1), max(b, default=-1) - offset)
