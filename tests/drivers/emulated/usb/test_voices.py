"""Voices at every rate: without a seam between milliseconds, honestly repeated or decimated."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openturret.drivers.emulated.sound import Speech
from openturret.drivers.emulated.usb.voices import (
    Heard,
    Quiet,
    Spoken,
    Tone,
    Voice,
    from_pcm,
    louder,
    mixed,
    to_pcm,
)
from openturret.hal.errors import AudioFormatError

RATES_HZ = (8000, 16000, 48000)
SAMPLES = st.lists(st.integers(-32768, 32767), max_size=300)


def said(voice: Voice, rate_hz: int, milliseconds: int) -> list[int]:
    return [sample for n in range(milliseconds) for sample in voice.samples(n, rate_hz)]


@pytest.mark.parametrize("rate_hz", RATES_HZ)
def test_a_tone_is_one_sine_at_the_rate(rate_hz: int) -> None:
    peak = 32767 * 10 ** (-6 / 20)
    expected = [round(peak * math.sin(2 * math.pi * 1234.5 * n / rate_hz)) for n in range(rate_hz)]
    heard = said(Tone(1234.5, -6), rate_hz, 1000)
    assert max(abs(a - b) for a, b in zip(heard, expected, strict=True)) <= 1


@pytest.mark.parametrize(
    ("frequency_hz", "level_dbfs"), [(0, 0), (4000, 0), (-1, 0), (440, 0.1), (440, float("nan"))]
)
def test_an_impossible_tone_is_refused(frequency_hz: float, level_dbfs: float) -> None:
    with pytest.raises(AudioFormatError):
        Tone(frequency_hz, level_dbfs)


@given(SAMPLES, st.sampled_from(RATES_HZ))
def test_speech_is_repeated_sample_by_sample(samples: list[int], rate_hz: int) -> None:
    milliseconds = len(samples) // 8
    voice = Spoken(Speech(to_pcm(samples)))
    times = rate_hz // 8000
    expected = [each for each in samples[: 8 * milliseconds] for _ in range(times)]
    assert said(voice, rate_hz, milliseconds) == expected


@given(SAMPLES, st.sampled_from(RATES_HZ), st.sampled_from(RATES_HZ))
def test_what_was_heard_can_be_said_again(
    samples: list[int], recorded_hz: int, rate_hz: int
) -> None:
    voice = Heard(recorded_hz, to_pcm(samples))
    milliseconds = len(samples) * 1000 // recorded_hz + 1
    expected = [
        samples[place] if (place := n * recorded_hz // rate_hz) < len(samples) else 0
        for n in range(milliseconds * rate_hz // 1000)
    ]
    assert said(voice, rate_hz, milliseconds) == expected


def test_quiet_is_zeros() -> None:
    assert said(Quiet(), 16000, 3) == [0] * 48


@given(SAMPLES)
def test_pcm_is_little_endian_both_ways(samples: list[int]) -> None:
    octets = to_pcm(samples)
    assert octets == b"".join(each.to_bytes(2, "little", signed=True) for each in samples)
    assert from_pcm(octets) == from_pcm(octets + b"\x01") == samples


def test_loudness_and_sums_saturate() -> None:
    assert louder([100, -100, 30000], 2.0) == [200, -200, 32767]
    assert mixed([30000, -30000, 5], [10000, -10000, -7]) == [32767, -32768, -2]
