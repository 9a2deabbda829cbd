"""Reports and the descriptor that tells of them, read back by a walk of its own."""

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openturret.drivers.emulated.usb.reports import (
    Controls,
    Report,
    ReportKind,
    Within,
    item,
    report_descriptor,
    signed_item,
)
from openturret.drivers.emulated.usb.usages import Page


def items(octets: bytes) -> Iterator[tuple[int, int]]:
    """Yields tag and value of short items (HID 1.11 section 6.2.2.2)."""
    while octets:
        size = (0, 1, 2, 4)[octets[0] & 3]
        yield octets[0] & 0xFC, int.from_bytes(octets[1 : 1 + size], "little")
        octets = octets[1 + size :]


def bits_by_report(octets: bytes) -> dict[tuple[int, int], int]:
    """Returns how many bits each report has, by the tag of its main items and its number."""
    state: dict[int, int] = {}
    found: dict[tuple[int, int], int] = {}
    for tag, value in items(octets):
        state[tag] = value
        if tag in (0x80, 0x90, 0xB0):
            key = (tag, state[0x84])
            found[key] = found.get(key, 0) + state[0x74] * state[0x94]
    return found


@st.composite
def some_controls(draw: st.DrawFn, prefix: str) -> Controls:
    count, bits = draw(st.integers(1, 20)), draw(st.integers(1, 31))
    names = tuple(f"{prefix}.{n}" for n in range(count))
    ranged = draw(st.booleans())
    first = draw(st.integers(1, 0xF000))
    usages = tuple(range(first, first + count)) if ranged else (first,)
    page = draw(st.sampled_from(list(Page)))
    return Controls(names, page, usages, bits, draw(st.booleans()), ranged)


@st.composite
def some_reports(draw: st.DrawFn) -> Report:
    parts: list[Controls | Within] = []
    for place in range(draw(st.integers(1, 5))):
        controls = draw(some_controls(str(place)))
        parts.append(Within((1, 2), (controls,)) if draw(st.booleans()) else controls)
    return Report(draw(st.integers(1, 255)), draw(st.sampled_from(list(ReportKind))), tuple(parts))


@given(some_reports(), st.data())
def test_a_report_says_what_was_put_into_it(report: Report, data: st.DataObject) -> None:
    values = {
        name: data.draw(st.integers(0, (1 << controls.bits) - 1))
        for controls in report.controls
        for name in controls.names
    }
    octets = report.pack(values)
    assert len(octets) == report.octets
    assert report.unpack(octets) == values


@given(some_reports())
def test_a_report_is_as_long_as_its_descriptor_says(report: Report) -> None:
    tag = {1: 0x80, 2: 0x90, 3: 0xB0}[report.kind]
    octets = report_descriptor((Page.TELEPHONY, 1), (report,))
    assert bits_by_report(octets) == {(tag, report.number): 8 * (report.octets - 1)}


@given(some_reports())
def test_collections_are_closed(report: Report) -> None:
    depth = 0
    for tag, _ in items(report_descriptor((Page.TELEPHONY, 1), (report,))):
        depth += (tag == 0xA0) - (tag == 0xC0)
        assert depth >= 0
    assert depth == 0


@given(some_reports(), st.binary(max_size=100))
def test_octets_of_another_length_are_no_report(report: Report, octets: bytes) -> None:
    if len(octets) == report.octets and octets[0] == report.number:
        report.unpack(octets)
    else:
        with pytest.raises(ValueError, match=f"is not a report {report.number}"):
            report.unpack(octets)


@pytest.mark.parametrize(
    ("value", "octets"), [(0, "05 00"), (255, "05 ff"), (256, "06 0001"), (65536, "07 00000100")]
)
def test_an_item_takes_as_few_octets_as_hold_it(value: int, octets: str) -> None:
    assert item(0x04, value) == bytes.fromhex(octets)


@pytest.mark.parametrize(("value", "octets"), [(127, "25 7f"), (128, "26 8000"), (255, "26 ff00")])
def test_a_signed_item_keeps_its_sign_bit_free(value: int, octets: str) -> None:
    assert signed_item(0x24, value) == bytes.fromhex(octets)


def test_a_selector_is_an_array_whose_zero_selects_nothing() -> None:
    colours = Controls(("colour",), Page.LED, (0x48, 0x49, 0x4A), bits=8, selector=True)
    expected = "05 08  09 48 09 49 09 4a  15 01 25 03  75 08 95 01  91 00"
    assert colours.items(0x90) == bytes.fromhex(expected)


def test_one_usage_for_all_and_a_range_of_usages() -> None:
    names = ("a", "b", "c")
    lamps = Controls(names, Page.LED, (0x4B,))
    assert lamps.items(0x90) == bytes.fromhex("05 08 09 4b 15 00 25 01 75 01 95 03 91 02")
    keys = Controls(names, Page.BUTTON, (1, 2, 3), ranged=True, relative=True)
    assert keys.items(0x80) == bytes.fromhex("05 09 19 01 29 03 15 00 25 01 75 01 95 03 81 06")
