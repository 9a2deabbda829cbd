"""Lamps and the ring as output reports."""

from collections.abc import Callable

import pytest

from openturret.drivers.usb.lamps import Lamps
from openturret.drivers.usb.report_descriptor import parse
from openturret.drivers.usb.vocabulary import Vocabulary
from openturret.hal import Colour, Lamp, RingLight

DARK = RingLight()


@pytest.fixture
def box(octets: Callable[[str], bytes]) -> Lamps:
    return Lamps(parse(octets("speaker-box")), Vocabulary("channel-{}"))


def show(lamps: Lamps, *lit: str, ring: RingLight = DARK) -> list[str]:
    reports = list(lamps.changed(lit, ring))
    for report_id, report in reports:
        lamps.shown(report_id, report)
    return [report.hex() for _, report in reports]


def test_a_device_that_was_just_attached_is_told_everything(box: Lamps) -> None:
    assert show(box) == ["0300"]


def test_what_it_shows_already_is_not_told_again(box: Lamps) -> None:
    assert show(box, "channel-2") == ["0302"]
    assert show(box, "channel-2") == []
    assert show(box, "channel-1") == ["0301"]


def test_what_it_did_not_take_is_told_again(box: Lamps) -> None:
    assert list(box.changed({"channel-1"}, DARK)) == [(3, b"\x03\x01")]
    assert show(box, "channel-1") == ["0301"]


@pytest.mark.parametrize(
    ("ring", "report"),
    [
        (RingLight(Colour.RED), "0314"),
        (RingLight(Colour.GREEN), "0318"),
        (RingLight(Colour.AMBER, blinking=True), "032c"),
        (RingLight(Colour.OFF, blinking=True), "0300"),
    ],
)
def test_a_ring_is_a_colour_and_a_mode(box: Lamps, ring: RingLight, report: str) -> None:
    assert show(box, ring=ring) == [report]


def test_a_lamp_and_a_ring_in_one_report_keep_each_other(box: Lamps) -> None:
    show(box, "channel-1", ring=RingLight(Colour.RED))
    assert show(box, "channel-1", "channel-2", ring=RingLight(Colour.GREEN)) == ["031b"]
    assert show(box, ring=RingLight(Colour.GREEN)) == ["0318"]


def test_a_lamp_that_knows_one_value_is_none() -> None:
    stuck = parse(bytes.fromhex("0508a101 15002500 7501 9501 0918 9102 2501 0917 9102 c0"))
    lamps = Lamps(stuck, Vocabulary("x-{}"))
    assert lamps.names == {Lamp.OFF_HOOK}
    assert show(lamps, Lamp.RING, Lamp.OFF_HOOK) == ["02"]


def test_a_device_has_the_lamps_that_it_says(octets: Callable[[str], bytes], box: Lamps) -> None:
    headset = Lamps(parse(octets("headset-absolute")), Vocabulary("button-{}"))
    assert headset.names == {Lamp.OFF_HOOK, Lamp.MUTE, Lamp.RING, Lamp.HOLD, Lamp.TALK}
    assert box.names == {"channel-1", "channel-2"}
