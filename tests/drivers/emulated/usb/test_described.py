"""What libusb reads in right and wrong configurations."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openturret.drivers.emulated.usb.described import read_configuration
from openturret.drivers.emulated.usb.handset import HandsetModel
from openturret.drivers.errors import DescribedError

HEAD = bytes.fromhex("09 02 1900 01 01 00 c0 32")
INTERFACE = bytes.fromhex("09 04 00 00 01 03 00 00 00")
UNKNOWN = bytes.fromhex("04 21 aa bb")
ENDPOINT = bytes.fromhex("07 05 81 03 0800 04")
HANDSET = HandsetModel().configuration_descriptor()


def test_what_is_unknown_belongs_to_what_it_follows() -> None:
    found = read_configuration(HEAD + UNKNOWN + INTERFACE + UNKNOWN * 2 + ENDPOINT + UNKNOWN)
    ((setting,),) = found.interfaces
    assert found.head.extra == UNKNOWN
    assert setting.interface.extra == UNKNOWN * 2
    assert [each.extra for each in setting.endpoints] == [UNKNOWN]


def test_the_most_that_there_may_be() -> None:
    thirty_two = INTERFACE[:4] + b"\x20" + INTERFACE[5:]
    bare = b"\x02\x21"
    found = read_configuration(HEAD[:4] + b"\x20" + HEAD[5:] + bare + thirty_two + ENDPOINT * 32)
    assert found.head.extra == bare
    assert len(found.interfaces[0][0].endpoints) == 32


def test_alternate_settings_stand_side_by_side() -> None:
    found = read_configuration(HANDSET)
    settings = [[each.alternate for each in each_one] for each_one in found.interfaces]
    assert settings == [[0], [0, 1], [0, 1], [0]]
    assert found.interface_of(0x82) == 2
    assert found.interface_of(0x84) is None
    assert found.setting(2, 0) is not found.setting(2, 1) is not None
    assert found.setting(2, 2) is None


@pytest.mark.parametrize(
    "octets",
    [
        b"",
        HEAD[:8],
        b"\x08" + HEAD[1:],
        b"\x09\x04" + HEAD[2:],
        HEAD[:4] + b"\x21" + HEAD[5:] + INTERFACE,
        HEAD + b"\x00\x21",
        HEAD + b"\x01\x24",
        HEAD + b"\x08" + INTERFACE[1:],
        HEAD + INTERFACE[:4] + b"\x21" + INTERFACE[5:],
        HEAD + INTERFACE,
        HEAD + INTERFACE + b"\x07",
        HEAD + INTERFACE + b"\x00\x24" + ENDPOINT,
        HEAD + INTERFACE + b"\x06" + ENDPOINT[1:],
        HEAD + INTERFACE + ENDPOINT + b"\x00\x25",
    ],
)
def test_octets_that_libusb_refuses(octets: bytes) -> None:
    with pytest.raises(DescribedError):
        read_configuration(octets)


def test_a_descriptor_that_runs_over_the_end_ends_the_reading() -> None:
    cut = read_configuration(HEAD[:4] + b"\x02" + HEAD[5:] + INTERFACE + ENDPOINT + b"\xff\x21")
    assert len(cut.interfaces) == 1
    assert read_configuration(HEAD + b"\xff\x21\x00").interfaces == ()


@pytest.mark.parametrize("instead", [HEAD, ENDPOINT[:6], b"\xff\x21"])
def test_an_endpoint_that_is_not_there_is_not_counted(instead: bytes) -> None:
    setting = read_configuration(HEAD + INTERFACE + instead).interfaces[0][0]
    assert setting.endpoints == ()


def test_an_endpoint_too_few_in_front_of_one_that_runs_over_is_no_error() -> None:
    two = INTERFACE[:4] + b"\x02" + INTERFACE[5:]
    ((setting,),) = read_configuration(HEAD + two + ENDPOINT + b"\xff\x21").interfaces
    assert [each.octets for each in setting.endpoints] == [ENDPOINT]


@pytest.mark.parametrize("length", range(9))
def test_too_little_for_an_interface_is_none(length: int) -> None:
    assert read_configuration(HEAD + b"\x01\x04\0\0\0\0\0\0\0"[:length]).interfaces == ()


@pytest.mark.parametrize("length", range(9, len(HANDSET)))
def test_a_handset_cut_at_every_length_never_has_more_than_it_says(length: int) -> None:
    try:
        found = read_configuration(HANDSET[:length])
    except DescribedError:
        return
    whole = read_configuration(HANDSET)
    assert len(found.interfaces) <= len(whole.interfaces)
    for few, many in zip(found.interfaces, whole.interfaces, strict=False):
        assert [each.interface.octets for each in few] == [
            each.interface.octets for each in many[: len(few)]
        ]


@given(st.binary(max_size=200))
def test_any_octets_are_read_or_refused(octets: bytes) -> None:
    for head in (b"", HEAD, HEAD[:4] + b"\x20" + HEAD[5:]):
        try:
            found = read_configuration(head + octets)
        except DescribedError:
            continue
        assert len(found.interfaces) <= 32


@given(st.data())
def test_a_handset_with_wrong_octets_is_read_or_refused(data: st.DataObject) -> None:
    octets = bytearray(HANDSET)
    for place in data.draw(st.lists(st.integers(0, len(octets) - 1), min_size=1, max_size=4)):
        octets[place] = data.draw(st.integers(0, 255))
    try:
        read_configuration(bytes(octets))
    except DescribedError:
        return
