"""HID reports: values in and out, by usage."""

import contextlib
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openturret.drivers.errors import DescriptorError, ReportError
from openturret.drivers.usb.report_descriptor import ReportKind, parse
from openturret.drivers.usb.reports import Address, InputReports, OutputReports
from openturret.drivers.usb.vocabulary import INPUTS, OUTPUTS

Octets = Callable[[str], bytes]

HOOK = Address(0x0B0020)
MUTE = Address(0x0B002F)
KEY_5 = Address(0x0B00B5)
BUTTON_7 = Address(0x090007)


def read(descriptor: bytes, report: str) -> dict[Address, int]:
    readings = InputReports(parse(descriptor), INPUTS).read(bytes.fromhex(report))
    return {reading.address: reading.value for reading in readings}


def test_values_are_read_by_usage(octets: Octets) -> None:
    values = read(octets("headset-absolute"), "02 45 07")
    assert (values[HOOK], values[MUTE], values[BUTTON_7]) == (1, 1, 1)
    assert values[Address(0x0B0021)] == 0


def test_an_array_says_which_usage_is_pressed(octets: Octets) -> None:
    values = read(octets("headset-absolute"), "02 80 02")
    assert values[KEY_5] == 1
    assert sum(values[Address(0x0B00B0 + key)] for key in range(12)) == 1


def test_an_array_outside_its_range_says_that_nothing_is(octets: Octets) -> None:
    values = read(octets("headset-absolute"), "02 80 07")
    assert not any(values[Address(0x0B00B0 + key)] for key in range(12))


def test_signed_values_are_read_as_such(octets: Octets) -> None:
    assert read(octets("phone-two-keys"), "03") == {HOOK: -1}
    assert read(octets("phone-two-keys"), "01") == {HOOK: 1}


def test_a_value_outside_its_logical_range_means_nothing(octets: Octets) -> None:
    assert read(octets("phone-two-keys"), "02") == {}


def test_an_ordinal_collection_numbers_what_is_in_it(octets: Octets) -> None:
    values = read(octets("speaker-box"), "02 03 fe")
    assert values == {Address(0x0C00E0, 2): 3, Address(0x0C00E0, 1): -2}


def test_padding_behind_a_report_does_no_harm(octets: Octets) -> None:
    assert read(octets("headset-toggle"), "01" + "00" * 63)[HOOK] == 1


@pytest.mark.parametrize(
    ("name", "report", "message"),
    [
        ("headset-absolute", "02 01", "report 2 has 2 octets, not 3"),
        ("headset-absolute", "07 01 00", "report 7 is not in the descriptor"),
        ("headset-absolute", "", "report 0 is not in the descriptor"),
        ("headset-toggle", "", "report 0 has 0 octets, not 1"),
    ],
)
def test_a_wrong_report_is_refused(name: str, report: str, message: str, octets: Octets) -> None:
    with pytest.raises(ReportError, match=message):
        read(octets(name), report)


def test_only_reports_that_state_something_can_be_asked_for(octets: Octets) -> None:
    assert InputReports(parse(octets("headset-absolute")), INPUTS).report_ids == (2,)
    assert InputReports(parse(octets("phone-two-keys")), INPUTS).report_ids == ()


def test_a_lamp_goes_into_its_bit_and_no_other(octets: Octets) -> None:
    reports = OutputReports(parse(octets("headset-absolute")), OUTPUTS)
    reports.put(Address(0x080018), 1)
    assert reports.report(2).hex() == "020400"
    reports.put(Address(0x080017), 1)
    reports.put(Address(0x080018), 0)
    assert reports.report(2).hex() == "020100"


def test_lamps_of_one_usage_are_told_apart_by_number(octets: Octets) -> None:
    reports = OutputReports(parse(octets("speaker-box")), OUTPUTS)
    reports.put(Address(0x08004B, 2), 1)
    assert reports.report(3).hex() == "0302"


def test_a_selector_selects_one_usage_or_none(octets: Octets) -> None:
    reports = OutputReports(parse(octets("speaker-box")), OUTPUTS)
    reports.put(Address(0x08004A), 1)
    reports.put(Address(0x08003E), 1)
    assert reports.report(3).hex() == "032c"
    reports.put(Address(0x080048), 0)
    assert reports.report(3).hex() == "032c"
    reports.put(Address(0x08004A), 0)
    assert reports.report(3).hex() == "0320"


def test_a_value_outside_its_range_is_refused(octets: Octets) -> None:
    reports = OutputReports(parse(octets("headset-absolute")), OUTPUTS)
    with pytest.raises(ReportError, match="2 is not between 0 and 1"):
        reports.put(Address(0x080018), 2)


def test_a_lamp_that_is_not_there_is_an_error(octets: Octets) -> None:
    with pytest.raises(KeyError):
        OutputReports(parse(octets("headset-toggle")), OUTPUTS).put(Address(0x08004B), 1)


@given(report=st.binary(max_size=8))
def test_no_report_crashes_the_reader(report: bytes, octets: Octets) -> None:
    for name in ("headset-absolute", "headset-toggle", "phone-two-keys", "speaker-box"):
        inputs = InputReports(parse(octets(name)), INPUTS)
        try:
            readings = inputs.read(report)
        except ReportError:
            continue
        assert {reading.address for reading in readings} <= inputs.controls.keys()


@given(st.binary(max_size=120), st.binary(min_size=1, max_size=40))
def test_no_descriptor_that_parses_crashes_reading_or_building(data: bytes, report: bytes) -> None:
    descriptor = bytes.fromhex("050ba101") + data + b"\xc0"
    try:
        parsed = parse(descriptor)
    except DescriptorError:
        return
    outputs = OutputReports(parsed, OUTPUTS)
    for address in outputs.controls:
        outputs.put(address, outputs.controls[address].field.logical_maximum)
    for report_id in outputs.report_ids:
        assert len(outputs.report(report_id)) == parsed.size_bytes(ReportKind.OUTPUT, report_id)
    with contextlib.suppress(ReportError):
        InputReports(parsed, INPUTS).read(report)


@given(st.lists(st.tuples(st.integers(0, 1), st.integers(1, 17)), min_size=1, max_size=12))
def test_what_is_put_is_what_the_device_reads(shapes: list[tuple[int, int]]) -> None:
    head = bytes.fromhex("0508 1500 27ffff0000 a101 8507")
    lamps = (bytes((0x75, bits, 0x95, 0x01, 0x09, 0x4B, 0x91, 0x02)) for _, bits in shapes)
    descriptor = parse(head + b"".join(lamps) + b"\xc0")
    outputs = OutputReports(descriptor, OUTPUTS)
    wanted = {Address(0x08004B, n): value for n, (value, _) in enumerate(shapes, 1)}
    for address, value in wanted.items():
        outputs.put(address, value)
    number = int.from_bytes(outputs.report(7)[1:], "little")
    for value, bits in shapes:
        assert number & ((1 << bits) - 1) == value
        number >>= bits
