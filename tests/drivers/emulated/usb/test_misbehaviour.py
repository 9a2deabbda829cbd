"""What a twin does wrong on command, seen at its wire."""

from typing import Protocol

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openturret.drivers.emulated.usb.descriptors import DescriptorType
from openturret.drivers.emulated.usb.handset import HandsetModel
from openturret.drivers.emulated.usb.misbehaviour import cut_after, overwritten, replaced
from openturret.drivers.emulated.usb.model import Setup, Stall
from openturret.drivers.emulated.usb.telephony import MUTE_ANSWER_S, HookKind
from openturret.hal.clock import Clock

HID = 3
REPORTS_IN, REPORTS_OUT = 0x83, 0x03
CONFIGURE = Setup(0x00, 9, 1, 0, 0)


class MovableClock(Clock, Protocol):
    def advance(self, seconds: float) -> None: ...


@pytest.fixture
def handset(clock: Clock) -> HandsetModel:
    model = HandsetModel(clock=clock)
    model.control(CONFIGURE, b"")
    return model


def reports(model: HandsetModel) -> list[bytes]:
    found = []
    while (report := model.interrupt_in(REPORTS_IN)) is not None:
        found.append(report)
    return found


def test_a_deaf_device_takes_lamps_and_shows_none(handset: HandsetModel) -> None:
    handset.misbehaviour.deaf = True
    handset.lift()
    handset.interrupt_out(REPORTS_OUT, b"\x02\x01")
    assert handset.lamps == frozenset()
    assert not handset.acknowledged
    handset.misbehaviour.deaf = False
    handset.interrupt_out(REPORTS_OUT, b"\x02\x01")
    assert handset.acknowledged


def test_a_device_that_grows_deaf_in_a_call_unmutes_itself(
    handset: HandsetModel, clock: MovableClock
) -> None:
    handset.interrupt_out(REPORTS_OUT, b"\x02\x01")
    handset.misbehaviour.deaf = True
    handset.mute()
    handset.interrupt_out(REPORTS_OUT, b"\x02\x05")
    assert handset.muted
    clock.advance(MUTE_ANSWER_S)
    assert not handset.muted


def test_every_report_comes_twice(handset: HandsetModel) -> None:
    handset.misbehaviour.doubled = True
    handset.lift()
    assert reports(handset) == [b"\x01\x01"] * 2


def test_a_contact_bounces_before_it_rests(handset: HandsetModel) -> None:
    handset.misbehaviour.bounces = 2
    handset.lift()
    on, off = b"\x01\x01", b"\x01\x00"
    assert reports(handset) == [on, off, on, off, on]
    handset.cradle()
    assert reports(handset) == [off, on, off, on, off]


def test_a_momentary_contact_bounces_at_both_edges() -> None:
    headset = HandsetModel(hook=HookKind.TOGGLE)
    headset.control(CONFIGURE, b"")
    headset.misbehaviour.bounces = 1
    headset.lift()
    on, off = b"\x01\x01", b"\x01\x00"
    assert reports(headset) == [on, off, on, off, on, off]


def test_so_many_control_transfers_stall_and_no_more(handset: HandsetModel) -> None:
    handset.misbehaviour.stalls = 2
    handset.interrupt_out(REPORTS_OUT, b"\x02\x01")
    for _ in range(2):
        with pytest.raises(Stall):
            handset.control(CONFIGURE, b"")
    handset.control(CONFIGURE, b"")


def test_descriptors_are_distorted_where_they_are_said(handset: HandsetModel) -> None:
    wrong = handset.misbehaviour.wrong
    wrong[DescriptorType.CONFIGURATION] = cut_after(20)
    wrong[DescriptorType.REPORT] = replaced(b"\xfe")
    wrong[DescriptorType.STRING] = overwritten(0, b"\x00")
    assert len(handset.control(Setup(0x80, 6, 0x0200, 0, 255), b"")) == 20
    assert len(handset.configuration_descriptor()) == 20
    assert handset.control(Setup(0x81, 6, 0x2200, HID, 255), b"") == b"\xfe"
    assert handset.control(Setup(0x80, 6, 0x0301, 0, 255), b"")[0] == 0
    assert len(handset.device_descriptor()) == 18


def test_the_last_octet_can_be_overwritten() -> None:
    assert overwritten(2, b"x")(b"abc") == b"abx"


@given(st.binary(max_size=40), st.integers(0, 60), st.binary(max_size=8))
def test_overwriting_changes_no_length(octets: bytes, offset: int, new: bytes) -> None:
    changed = overwritten(offset, new)(octets)
    assert len(changed) == len(octets)
    if offset + len(new) <= len(octets):
        assert changed[offset : offset + len(new)] == new
