"""What a network does to a stream: when each packet arrives, under a virtual clock.

A trace takes a stream of 20 ms packets and returns what arrives, in order of arrival.  All of
them are repeatable: the same seed gives the same trace.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

PACKET_MS = 20
PACKET_SAMPLES = 160


@dataclass(frozen=True, slots=True)
class Packet:
    """One packet on the way: `at_ms` is when it arrives, on the receiver's clock."""

    at_ms: float
    sequence: int
    timestamp: int
    ssrc: int
    payload: bytes
    marker: bool = False
    redundant: bytes = b""


Stream = Sequence[Packet]
Shaper = Callable[[Stream, np.random.Generator], list[Packet]]


@dataclass(frozen=True, slots=True)
class Trace:
    """A network, or a sender, of a certain kind."""

    name: str
    shape: Shaper
    seeds: int = 1
    first_sequence: int = 1000
    first_timestamp: int = 50_000


def packets(code: bytes, sequence: int, timestamp: int) -> list[Packet]:
    """The stream of a sender without fault, over a network without delay."""
    return [
        Packet(
            at_ms=n * PACKET_MS,
            sequence=sequence + n,
            timestamp=timestamp + n * PACKET_SAMPLES,
            ssrc=7,
            payload=code[n * PACKET_SAMPLES : (n + 1) * PACKET_SAMPLES],
        )
        for n in range(len(code) // PACKET_SAMPLES)
    ]


def constant(stream: Stream, _: np.random.Generator) -> list[Packet]:
    """Nothing happens."""
    return list(stream)


def delayed(stream: Stream, delays_ms: Sequence[float]) -> list[Packet]:
    """Adds a delay to each packet and sorts them by arrival."""
    late = [replace(p, at_ms=p.at_ms + d) for p, d in zip(stream, delays_ms, strict=True)]
    return sorted(late, key=lambda packet: packet.at_ms)


def uniform(most_ms: float) -> Shaper:
    """Each packet is delayed by itself, by up to `most_ms`."""

    def shape(stream: Stream, rng: np.random.Generator) -> list[Packet]:
        return delayed(stream, rng.uniform(0, most_ms, len(stream)).tolist())

    return shape


def random_loss(part: float) -> Shaper:
    """Each packet is lost by itself."""

    def shape(stream: Stream, rng: np.random.Generator) -> list[Packet]:
        lost = rng.random(len(stream)) < part
        return [packet for packet, gone in zip(stream, lost, strict=True) if not gone]

    return shape


def bursts(part: float, length: int) -> Shaper:
    """Losses of `length` packets in a row."""

    def shape(stream: Stream, rng: np.random.Generator) -> list[Packet]:
        starts = rng.random(len(stream)) < part / length
        gone = {n + i for n in np.flatnonzero(starts).tolist() for i in range(length)}
        return [packet for n, packet in enumerate(stream) if n not in gone]

    return shape


def gilbert_elliott(part: float, mean_length: float = 2.0) -> Shaper:
    """Losses that come in bursts of random length: a chain of a good and a bad state."""
    leave_bad = 1 / mean_length
    leave_good = leave_bad * part / (1 - part)

    def shape(stream: Stream, rng: np.random.Generator) -> list[Packet]:
        bad = False
        came = []
        for packet in stream:
            bad = rng.random() >= leave_bad if bad else rng.random() < leave_good
            if not bad:
                came.append(packet)
        return came

    return shape


def spikes(length_ms: float, every_ms: float) -> Shaper:
    """The network stands still now and then; what waited comes all at once."""

    def shape(stream: Stream, _: np.random.Generator) -> list[Packet]:
        delays = []
        for packet in stream:
            into = (packet.at_ms - 1500) % every_ms
            held = packet.at_ms >= 1500 and into < length_ms
            delays.append(length_ms - into if held else 0.0)
        return delayed(stream, delays)

    return shape


def reordered(depth: int, part: float) -> Shaper:
    """Some packets are overtaken by the next `depth`."""

    def shape(stream: Stream, rng: np.random.Generator) -> list[Packet]:
        held = rng.random(len(stream)) < part
        return delayed(stream, (held * (depth * PACKET_MS + 1)).tolist())

    return shape


def duplicated(stream: Stream, _: np.random.Generator) -> list[Packet]:
    """Every fifth packet comes twice, the second time 30 ms later."""
    again = [replace(packet, at_ms=packet.at_ms + 30) for packet in stream[::5]]
    return sorted([*stream, *again], key=lambda packet: packet.at_ms)


def drifting(ppm: float) -> Shaper:
    """The sender's clock is fast (positive) or slow."""

    def shape(stream: Stream, _: np.random.Generator) -> list[Packet]:
        return [replace(p, at_ms=p.at_ms / (1 + ppm * 1e-6)) for p in stream]

    return shape


def other_source(stream: Stream, _: np.random.Generator) -> list[Packet]:
    """Half way the SSRC, the sequence and the timestamp are others."""
    half = len(stream) // 2
    return [
        p
        if n < half
        else replace(p, ssrc=8, sequence=p.sequence + 30_000, timestamp=p.timestamp + 999_999)
        for n, p in enumerate(stream)
    ]


def jumped(stream: Stream, _: np.random.Generator) -> list[Packet]:
    """Half way the timestamp jumps by a minute; the sequence goes on."""
    half = len(stream) // 2
    return [
        p if n < half else replace(p, timestamp=p.timestamp + 480_000) for n, p in enumerate(stream)
    ]


def silence_suppressed(stream: Stream, _: np.random.Generator) -> list[Packet]:
    """DTX: what is quiet is not sent, timestamps go on, sequence numbers do not (RFC 3551)."""
    sent: list[Packet] = []
    quiet_run = 0
    for packet in stream:
        # The seven bits below the sign, inverted, grow with the level in u-law.
        loudest = max(~octet & 0x7F for octet in packet.payload)
        quiet_run = quiet_run + 1 if loudest < 16 else 0
        if quiet_run <= 2:
            resumes = bool(sent) and packet.timestamp - sent[-1].timestamp > PACKET_SAMPLES
            sequence = stream[0].sequence + len(sent)
            sent.append(replace(packet, sequence=sequence, marker=resumes))
    return sent


def redundant(lose: Shaper) -> Shaper:
    """Each packet carries the one before once more (RFC 2198), then some are lost."""

    def shape(stream: Stream, rng: np.random.Generator) -> list[Packet]:
        carrying = [stream[0]]
        for before, packet in pairwise(stream):
            carrying.append(replace(packet, redundant=before.payload))
        return lose(carrying, rng)

    return shape


TRACES = (
    Trace("constant delay", constant),
    Trace("uniform 0-60 ms", uniform(60), seeds=3),
    Trace("Gilbert-Elliott 1 %", gilbert_elliott(0.01), seeds=3),
    Trace("Gilbert-Elliott 5 %", gilbert_elliott(0.05), seeds=3),
    Trace("Gilbert-Elliott 10 %", gilbert_elliott(0.10), seeds=3),
    Trace("spikes of 200 ms", spikes(200, 3000)),
    Trace("reordering, depth 3", reordered(3, 0.05), seeds=3),
    Trace("duplicates", duplicated),
    Trace("SSRC change", other_source),
    Trace("timestamp jump", jumped),
    Trace("wrap of both counters", constant, 1, 65_400, (1 << 32) - 20_000),
    Trace("DTX", silence_suppressed),
)
HOURS = (
    Trace("+100 ppm for an hour", drifting(100)),
    Trace("-100 ppm for an hour", drifting(-100)),
)
LOSSES = (
    Trace("none", constant),
    Trace("1 % random", random_loss(0.01), seeds=12),
    Trace("5 % random", random_loss(0.05), seeds=12),
    Trace("10 % random", random_loss(0.10), seeds=12),
    Trace("5 % in threes", bursts(0.05, 3), seeds=12),
    Trace("10 % in threes", bursts(0.10, 3), seeds=12),
)
REDUNDANT = (Trace("10 % random, RFC 2198", redundant(random_loss(0.10)), seeds=12),)
