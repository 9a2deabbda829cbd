"""Between what streams carry and the mono frames of the engine, and the choice of a rate."""

import array

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openturret.drivers.portaudio.formats import (
    Samples,
    StreamFormat,
    best_rate,
    from_mono,
    to_mono,
)
from openturret.hal.errors import AudioFormatError

FORMATS = [StreamFormat(48_000, channels, samples) for channels in (1, 2) for samples in Samples]
FRAMES = st.lists(st.integers(-32768, 32767), max_size=64)


@pytest.mark.parametrize("form", FORMATS, ids=str)
@given(FRAMES)
def test_what_a_stream_gives_back_is_what_it_was_given(
    form: StreamFormat, samples: list[int]
) -> None:
    frame = array.array("h", samples).tobytes()
    assert to_mono(from_mono(frame, form), form) == frame


@given(FRAMES, FRAMES)
def test_two_channels_are_mixed_at_half_their_strength(left: list[int], right: list[int]) -> None:
    count = min(len(left), len(right))
    stereo = array.array("h", [0] * (2 * count))
    stereo[0::2], stereo[1::2] = array.array("h", left[:count]), array.array("h", right[:count])
    mono = array.array("h", to_mono(stereo.tobytes(), StreamFormat(8000, 2)))
    assert list(mono) == [int((a + b) / 2) for a, b in zip(left, right, strict=False)]


def test_floats_that_are_too_loud_are_held_at_full_scale() -> None:
    form = StreamFormat(48_000, 1, Samples.FLOAT32)
    loud = array.array("f", [2.0, -2.0, 1.0]).tobytes()
    assert list(array.array("h", to_mono(loud, form))) == [32767, -32768, 32767]


def test_the_best_rate_that_both_can_is_taken() -> None:
    assert best_rate("x", {8000, 16_000}.__contains__, None) == 16_000
    assert best_rate("x", lambda _: True, None) == 48_000


def test_the_boards_rate_is_taken_when_the_device_can_do_it() -> None:
    assert best_rate("x", lambda _: True, 8000) == 8000


def test_a_rate_that_the_device_cannot_do_is_refused_with_those_it_can() -> None:
    with pytest.raises(AudioFormatError, match=r"handset can do 16000 or 8000 Hz.*rate_hz: 16000"):
        best_rate("handset", {8000, 16_000}.__contains__, 48_000)


@pytest.mark.parametrize("wanted_hz", [None, 8000])
def test_a_device_without_a_rate_of_the_engine_is_refused(wanted_hz: int | None) -> None:
    with pytest.raises(AudioFormatError, match="none of 48000, 16000, 8000 Hz"):
        best_rate("handset", {44_100}.__contains__, wanted_hz)
