"""Laying two recordings side by side."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from openturret.lab.recorder.archive import IndexedPacket, in_sequence
from openturret.lab.recorder.compare import compare
from openturret.lab.recorder.errors import AlignmentError


def _stream(count: int, *, seed: int = 1, sequence: int = 0, ssrc: int = 1) -> list[IndexedPacket]:
    rng = random.Random(seed)
    return [
        IndexedPacket(ssrc, 160 * n, (sequence + n) % 65_536, rng.randbytes(160), float(n))
        for n in range(count)
    ]


def test_the_same_voice_is_the_same_whatever_the_numbers() -> None:
    a, b = _stream(200, sequence=65_500), _stream(200, sequence=9, ssrc=2)[30:]
    found = compare(tuple(a), tuple(b))
    assert found.same
    assert (found.common, found.offset, found.samples) == (170, -30, 170 * 160)
    assert found.sha256_a == found.sha256_b


def test_one_byte_is_enough_to_differ() -> None:
    a = _stream(100)
    b = [replace(p, payload=b"\0" + p.payload[1:]) if n == 40 else p for n, p in enumerate(a)]
    found = compare(tuple(a), tuple(b))
    assert not found.same
    assert (found.identical, found.first_difference) == (99, 40)


def test_a_lost_packet_is_named_at_its_recorder() -> None:
    a, b = _stream(100), _stream(100, sequence=500)
    del b[50]
    found = compare(tuple(a), tuple(b))
    assert (found.missing_at_a, found.missing_at_b, found.identical) == (0, 1, 99)
    assert not found.same


def test_two_different_voices_cannot_be_aligned() -> None:
    with pytest.raises(AlignmentError):
        compare(tuple(_stream(100, ssrc=1)), tuple(_stream(100, seed=2, ssrc=2)))


def test_silence_says_nothing_about_the_alignment() -> None:
    quiet = [replace(p, payload=b"\xff" * 160) for p in _stream(50)]
    a = (*quiet, *(replace(p, sequence=50 + p.sequence) for p in _stream(50)))
    found = compare(a, a[20:])
    assert found.same
    assert found.offset == -20


def test_a_pure_tone_is_aligned_by_source_and_timestamp() -> None:
    tone = tuple(replace(p, payload=b"\x11" * 160) for p in _stream(50))
    assert compare(tone, tone[10:]).same


def test_a_tone_from_another_source_cannot_be_aligned() -> None:
    tone = tuple(replace(p, payload=b"\x11" * 160) for p in _stream(50))
    with pytest.raises(AlignmentError):
        compare(tone, tuple(replace(p, ssrc=2) for p in tone))


def test_packets_are_sorted_over_a_wrap() -> None:
    stream = _stream(50, sequence=65_520)
    shuffled = [*stream[:10], *reversed(stream[10:14]), *stream[14:]]
    assert list(in_sequence(tuple(shuffled))) == stream
