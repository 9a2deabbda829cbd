"""G.711 as the far ends of the bench hear and speak it: tables to decode, arithmetic to encode.

Written from ITU-T G.711 and apart from the engine's own, so that the two check each other.
"""

from __future__ import annotations

import enum
from array import array
from collections.abc import Iterable


class Law(enum.IntEnum):
    """The two laws; the value is the static RTP payload type (RFC 3551)."""

    PCMU = 0
    PCMA = 8

    @property
    def silence(self) -> int:
        """The code of a zero sample."""
        return 0xFF if self is Law.PCMU else 0xD5


def _decode_mu(code: int) -> int:
    code = ~code & 0xFF
    magnitude = (((code & 15) << 3) + 0x84) << (code >> 4 & 7)
    return 0x84 - magnitude if code & 0x80 else magnitude - 0x84


def _decode_a(code: int) -> int:
    code ^= 0x55
    segment, magnitude = code >> 4 & 7, (code & 15) << 4
    magnitude = magnitude + 8 if segment == 0 else (magnitude + 0x108) << segment - 1
    return magnitude if code & 0x80 else -magnitude


def _encode_mu(sample: int) -> int:
    sign, magnitude = (0x80, -sample) if sample < 0 else (0, sample)
    magnitude = min(magnitude, 32_635) + 0x84
    segment = magnitude.bit_length() - 8
    return ~(sign | segment << 4 | magnitude >> segment + 3 & 15) & 0xFF


def _encode_a(sample: int) -> int:
    sign, magnitude = (0, ~sample) if sample < 0 else (0x80, sample)
    magnitude >>= 3
    segment = max(0, magnitude.bit_length() - 5)
    step = magnitude >> 1 if segment == 0 else magnitude >> segment
    return (sign | segment << 4 | step & 15) ^ 0x55


_DECODE = {
    Law.PCMU: array("h", map(_decode_mu, range(256))),
    Law.PCMA: array("h", map(_decode_a, range(256))),
}
_ENCODE = {Law.PCMU: _encode_mu, Law.PCMA: _encode_a}


def decode(payload: bytes, law: Law) -> bytes:
    """Return 16-bit little-endian samples, one per byte of the payload."""
    return array("h", map(_DECODE[law].__getitem__, payload)).tobytes()


def encode(samples: Iterable[int], law: Law) -> bytes:
    """Return one byte per sample."""
    return bytes(map(_ENCODE[law], samples))
