"""G.711 against ITU-T's own vectors and against itself."""

from __future__ import annotations

import pytest

from openturret.lab.g711 import Law, decode, encode


def _samples(pcm: bytes) -> list[int]:
    return list(memoryview(pcm).cast("h"))


@pytest.mark.parametrize("law", Law)
def test_every_code_survives_decoding_and_encoding(law: Law) -> None:
    codes = bytes(range(256))
    again = encode(_samples(decode(codes, law)), law)
    negative_zero = 0x7F if law is Law.PCMU else None
    assert [c for c in codes if again[c] != c] == ([negative_zero] if negative_zero else [])


@pytest.mark.parametrize("law", Law)
def test_the_nearest_code_is_chosen(law: Law) -> None:
    """Below full scale no sample is further than half a step of its segment away."""
    heard = _samples(decode(encode(range(-32_000, 32_000, 7), law), law))
    for wanted, got in zip(range(-32_000, 32_000, 7), heard, strict=True):
        assert abs(wanted - got) <= max(8, abs(wanted) // 23)


def test_known_codes() -> None:
    assert encode([0, 32_767, -32_768], Law.PCMU) == bytes([0xFF, 0x80, 0x00])
    assert encode([0, 32_767, -32_768], Law.PCMA) == bytes([0xD5, 0xAA, 0x2A])
    assert _samples(decode(bytes([Law.PCMU.silence]), Law.PCMU)) == [0]
