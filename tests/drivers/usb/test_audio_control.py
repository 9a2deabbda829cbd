"""AudioControl descriptors: which feature unit is which gain."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openturret.drivers.emulated.usb.audio import AudioFunction, AudioShape
from openturret.drivers.emulated.usb.audio_descriptors import Terminal
from openturret.drivers.errors import DescriptorError
from openturret.drivers.usb.audio_control import gain_units, split
from openturret.hal import Gain

HOST_IN = "0c24020101010001000000 00"  # input terminal 1: the host's stream
MICROPHONE = "0c2402 04 0102 00 01 0000 00 00"
EARPIECE = "092403 03 0104 00 {source:02x} 00"
TO_HOST = "092403 06 0101 00 {source:02x} 00"
FEATURE = "082406 {number:02x} {source:02x} 01 {master:02x} 00"


def octets(*parts: str) -> bytes:
    return bytes.fromhex("".join(parts))


def feature(number: int, source: int, master: int = 2) -> str:
    return FEATURE.format(number=number, source=source, master=master)


def found(*parts: str) -> dict[Gain, int]:
    units = gain_units(octets(*parts), Gain.EARPIECE)
    return {gain: unit.number for gain, unit in units.items()}


def test_a_handset_has_an_earpiece_and_a_microphone() -> None:
    assert found(
        HOST_IN,
        feature(2, 1),
        EARPIECE.format(source=2),
        MICROPHONE,
        feature(5, 4),
        TO_HOST.format(source=5),
    ) == {Gain.EARPIECE: 2, Gain.MICROPHONE: 5}


def test_the_twins_side_tone_is_told_from_its_microphone() -> None:
    shape = AudioShape(output=Terminal.HANDSET, microphone=Terminal.HANDSET, sidetone=True)
    function = AudioFunction(shape, muted=lambda: False)
    whole = function.descriptors(0, lambda _text: 0)
    control = whole[9 : whole.index(bytes((9, 4, 1)))]
    units = gain_units(control, Gain.EARPIECE)
    assert set(units) == {Gain.EARPIECE, Gain.MICROPHONE, Gain.SIDETONE}
    assert len({unit.number for unit in units.values()}) == 3


def test_a_gain_behind_the_mixer_is_the_earpieces() -> None:
    mixer = "0d2404 08 02 01 07 01 0000 00 00 00"
    assert found(
        HOST_IN,
        MICROPHONE,
        feature(7, 4),
        mixer,
        feature(9, 8),
        EARPIECE.format(source=9),
        TO_HOST.format(source=4),
    ) == {Gain.SIDETONE: 7, Gain.EARPIECE: 9}


def test_a_selector_and_a_processing_unit_are_followed() -> None:
    selector = "082405 0a 02 01 04 00"
    processing = "0e2407 0b 0100 01 0a 01 0000 00 00 00"
    assert found(
        HOST_IN, MICROPHONE, selector, processing, feature(2, 11), EARPIECE.format(source=2)
    ) == {Gain.EARPIECE: 2}


def test_without_a_master_every_channel_is_set() -> None:
    stereo = "0a2406 02 01 01 01 02 02 00"
    units = gain_units(octets(HOST_IN, stereo, EARPIECE.format(source=2)), Gain.LOUDSPEAKER)
    assert units[Gain.LOUDSPEAKER].channels == (1, 2)


def test_controls_of_two_octets_are_read_by_their_lower_one() -> None:
    wide = "0b2406 02 01 02 0102 0202 00"
    units = gain_units(octets(HOST_IN, wide, EARPIECE.format(source=2)), Gain.EARPIECE)
    assert units[Gain.EARPIECE].channels == (1,)


def test_a_unit_that_only_mutes_is_no_gain() -> None:
    assert found(HOST_IN, feature(2, 1, master=1), EARPIECE.format(source=2)) == {}


def test_units_that_feed_each_other_in_a_ring_end() -> None:
    assert found(feature(2, 3), feature(3, 2), EARPIECE.format(source=2)) == {}


def test_a_source_that_is_not_there_is_no_source() -> None:
    assert found(feature(2, 77), EARPIECE.format(source=2)) == {}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("00", "says it has 0 octets; there are 1"),
        ("0124", "says it has 1 octets"),
        ("092406020101", "says it has 9 octets; there are 6"),
        ("052406 02 01", "unit descriptor 0524060201 is too short"),
        ("072406 02 01 00 00", "its controls take no octets"),
        ("062404 08 ff 01", "is too short"),
    ],
)
def test_wrong_descriptors_are_refused(text: str, message: str) -> None:
    with pytest.raises(DescriptorError, match=message):
        gain_units(octets(text), Gain.EARPIECE)


def test_too_many_octets_are_refused() -> None:
    with pytest.raises(DescriptorError, match="5000 octets; at most 4096"):
        gain_units(bytes(5000), Gain.EARPIECE)


@given(st.binary(max_size=400))
def test_no_octets_crash_it(data: bytes) -> None:
    with contextlib.suppress(DescriptorError):
        gain_units(data, Gain.EARPIECE)


@given(st.lists(st.tuples(st.integers(1, 9), st.binary(max_size=20)), max_size=40))
def test_no_units_crash_it(units: list[tuple[int, bytes]]) -> None:
    data = b"".join(bytes((len(body) + 3, 0x24, kind)) + body for kind, body in units)
    assert len(list(split(data))) == len(units)
    with contextlib.suppress(DescriptorError):
        gain_units(data, Gain.EARPIECE)
