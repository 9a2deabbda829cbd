"""HID report descriptors: what is read out of right ones, and what is said of wrong ones."""

import contextlib
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openturret.drivers.errors import DescriptorError
from openturret.drivers.usb.report_descriptor import (
    MAX_CONTROLS,
    MAX_DESCRIPTOR_BYTES,
    MAX_REPORT_BITS,
    Field,
    Flag,
    ReportKind,
    parse,
)

Octets = Callable[[str], bytes]
NAMES = ("headset-absolute", "headset-toggle", "phone-two-keys", "speaker-box")

ONE_BIT = "15002501 7501 9501"


def fields(text: str) -> tuple[Field, ...]:
    return parse(bytes.fromhex(text)).fields


def usages(field: Field) -> list[str]:
    return [f"{field.usage_at(index):08x}" for index in range(field.count)]


def test_a_headset_is_read_field_by_field(octets: Octets) -> None:
    descriptor = parse(octets("headset-absolute"))
    inputs = [field for field in descriptor.fields if field.kind is ReportKind.INPUT]
    assert [(field.bit_offset, field.size_bits, field.count) for field in inputs] == [
        (0, 1, 2),
        (2, 1, 4),
        (6, 1, 1),
        (7, 4, 1),
    ]
    assert [usages(field) for field in inputs] == [
        ["000b0020", "000b0097"],
        ["000b002f", "000b0021", "000b0024", "000b0050"],
        ["00090007"],
        ["000b00b0"],
    ]
    assert [field.relative for field in inputs] == [False, True, False, False]
    assert Flag.NO_PREFERRED in inputs[0].flags
    assert Flag.NULL_STATE in inputs[3].flags
    assert not inputs[3].variable
    assert inputs[3].index_of(0x0B00BB) == 11
    assert inputs[3].index_of(0x0B00BC) is None


def test_report_ids_and_lengths_are_known(octets: Octets) -> None:
    descriptor = parse(octets("headset-absolute"))
    assert descriptor.numbered
    assert descriptor.report_ids(ReportKind.INPUT) == (2,)
    assert descriptor.size_bytes(ReportKind.INPUT, 2) == 3
    assert descriptor.size_bytes(ReportKind.OUTPUT, 2) == 3
    assert descriptor.size_bytes(ReportKind.FEATURE, 5) == 64
    assert descriptor.size_bytes(ReportKind.INPUT, 3) == 0


def test_a_device_without_report_ids_has_report_0(octets: Octets) -> None:
    descriptor = parse(octets("headset-toggle"))
    assert not descriptor.numbered
    assert descriptor.report_ids(ReportKind.INPUT) == (0,)
    assert descriptor.size_bytes(ReportKind.INPUT, 0) == 1


def test_limits_are_signed_where_the_minimum_is(octets: Octets) -> None:
    two_keys = parse(octets("phone-two-keys")).fields[0]
    assert (two_keys.logical_minimum, two_keys.logical_maximum) == (-1, 1)
    (below_zero,) = fields("050ba101 15fe 25ff 7502 9501 0920 8106 c0")
    assert (below_zero.logical_minimum, below_zero.logical_maximum) == (-2, -1)
    (unsigned,) = fields("050ba101 1500 25ff 7508 9501 0920 8102 c0")
    assert unsigned.logical_maximum == 255


def test_the_maximum_may_come_before_the_minimum() -> None:
    (field,) = fields("050ba101 2501 15ff 7502 9501 0920 8106 c0")
    assert (field.logical_minimum, field.logical_maximum) == (-1, 1)


def test_collections_around_a_field_are_kept_outermost_first(octets: Octets) -> None:
    knobs = [f for f in parse(octets("speaker-box")).fields if f.report_id == 2]
    assert [[c.usage for c in knob.collections] for knob in knobs] == [
        [0x0B0001, 0x0A0002],
        [0x0B0001, 0x0A0001],
    ]
    assert [collection.kind for collection in knobs[0].collections] == [1, 2]


def test_globals_are_pushed_and_popped() -> None:
    one, two = fields(f"050ba101 {ONE_BIT} 0920 8102 a4 0508 7504 0917 9102 b4 092f 8102 c0")[::2]
    assert (one.size_bits, two.size_bits) == (1, 1)
    assert usages(two) == ["000b002f"]


def test_a_usage_of_four_octets_brings_its_page() -> None:
    (field,) = fields(f"0509a101 {ONE_BIT} 0b20000b00 8102 c0")
    assert usages(field) == ["000b0020"]


def test_of_alternatives_between_delimiters_the_preferred_first_counts() -> None:
    (field,) = fields("050ba101 15002501 7501 9502 a901 0920 092b a900 092f 8102 c0")
    assert usages(field) == ["000b0020", "000b002f"]


def test_the_last_usage_stands_for_all_that_follow() -> None:
    (field,) = fields("0508a101 15002501 7501 9504 094a 094b 9102 c0")
    assert usages(field) == ["0008004a", "0008004b", "0008004b", "0008004b"]


def test_a_long_item_and_reserved_tags_are_passed_over() -> None:
    (field,) = fields(f"fe0210aabb 050ba101 {ONE_BIT} d500 0920 0f00000000 8102 c0")
    assert usages(field) == ["000b0020"]


def test_padding_moves_what_follows_and_is_no_field() -> None:
    (field,) = fields("050ba101 15002501 7507 9501 8103 7501 0920 8102 c0")
    assert field.bit_offset == 7


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("050ba101 85", "octet 4: an item of 2 octets is cut off after 1"),
        ("fe05", "octet 0: an item of 8 octets is cut off after 2"),
        ("c0", "octet 0: a collection is closed that was not opened"),
        ("a101 a102 c0", "octet 5: 1 collections are not closed"),
        ("b4", "octet 0: a state is popped that was not pushed"),
        ("a4" * 17, "octet 16: more than 16 states are pushed"),
        ("a102" * 33, "octet 64: collections are more than 32 deep"),
        ("8500", "report id 0 is not between 1 and 255"),
        ("860001", "report id 256 is not between 1 and 255"),
        ("0901 a901 a901", "delimiters are not in pairs"),
        ("a900", "delimiters are not in pairs"),
        (f"{ONE_BIT} a901 0920 8102", "a main item stands between delimiters"),
        (f"{ONE_BIT} 1920 8102", "a usage range has one end only"),
        (f"{ONE_BIT} 2920 8102", "a usage range has one end only"),
        (f"{ONE_BIT} 1930 2920 8102", "usages 0x30 to 0x20 are no range"),
        (f"{ONE_BIT} 1b20000b00 2b20000c00 8102", "are no range"),
        ("15012500 7501 9501 0920 8102", "the logical minimum 1 is above the maximum 0"),
        ("760101 9501 0920 8102", "values of 257 bits; at most 256"),
        (f"0920 {ONE_BIT} 8102 8501 0920 8102", "some fields have a report id and some have none"),
        ("7520 97ffffffff 0920 8102", f"at most {MAX_REPORT_BITS}"),
        ("15002501 7501 960130 0920 8102", f"more than {MAX_CONTROLS} values"),
    ],
)
def test_a_wrong_descriptor_is_refused_with_its_octet(text: str, message: str) -> None:
    with pytest.raises(DescriptorError, match=message):
        parse(bytes.fromhex(text))


def test_a_descriptor_longer_than_linux_takes_is_refused() -> None:
    with pytest.raises(DescriptorError, match="of 4097 octets; at most 4096"):
        parse(bytes(MAX_DESCRIPTOR_BYTES + 1))


def test_too_many_fields_are_refused() -> None:
    with pytest.raises(DescriptorError, match="more than 512 fields"):
        parse(bytes.fromhex(ONE_BIT + "0920 8102" * 513))


@pytest.mark.parametrize("name", NAMES)
def test_cut_at_every_length_it_is_refused_or_begins_the_same(name: str, octets: Octets) -> None:
    whole = octets(name)
    everything = parse(whole).fields
    refused = 0
    for length in range(len(whole)):
        try:
            read = parse(whole[:length]).fields
        except DescriptorError:
            refused += 1
        else:
            # Before the first collection, or between two, a descriptor may end.
            assert read == everything[: len(read)]
    assert refused > len(whole) // 2


@given(st.binary(max_size=300))
def test_no_octets_crash_it(data: bytes) -> None:
    try:
        descriptor = parse(data)
    except DescriptorError:
        return
    for field in descriptor.fields:
        end = field.bit_offset + field.size_bits * field.count
        assert end <= descriptor.bits[field.kind, field.report_id]
        assert field.logical_minimum <= field.logical_maximum


@given(name=st.sampled_from(NAMES), data=st.data())
def test_no_change_of_one_octet_crashes_it(name: str, data: st.DataObject, octets: Octets) -> None:
    whole = bytearray(octets(name))
    whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(DescriptorError):
        parse(bytes(whole))
