"""Chapter 9 of USB 2.0: what a device answers, what it stalls, what a cable and a supply do."""

import contextlib
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openturret.drivers.emulated.usb.descriptors import Identity
from openturret.drivers.emulated.usb.device import CompositeDevice
from openturret.drivers.emulated.usb.gooseneck import GooseneckModel
from openturret.drivers.emulated.usb.handset import HandsetModel
from openturret.drivers.emulated.usb.model import Nak, Setup, Stall
from openturret.drivers.emulated.usb.panel import PanelModel
from openturret.drivers.emulated.usb.speaker import SpeakerModel
from openturret.drivers.emulated.usb.speakerphone import SpeakerphoneModel
from openturret.hal.gain import Gain

HID = 3
REPORTS_IN = 0x83
REPORTS_OUT = 0x03
CONFIGURE = Setup(0x00, 9, 1, 0, 0)
EARPIECE_MINUS_10_DB = (Setup(0x21, 0x01, 0x0200, 0x0200, 2), b"\x00\xf6")


def configured(model: CompositeDevice) -> CompositeDevice:
    model.control(CONFIGURE, b"")
    return model


@pytest.fixture
def handset() -> HandsetModel:
    model = HandsetModel()
    configured(model)
    return model


def ask(model: CompositeDevice, kind: int, request: int, value: int = 0, index: int = 0) -> bytes:
    return model.control(Setup(kind, request, value, index, 255), b"")


def test_a_device_has_no_configuration_until_it_is_told() -> None:
    model = HandsetModel()
    assert ask(model, 0x80, 8) == b"\x00"
    with pytest.raises(Stall):
        ask(model, 0x81, 0, index=HID)
    configured(model)
    assert ask(model, 0x80, 8) == b"\x01"
    assert ask(model, 0x81, 0, index=HID) == b"\x00\x00"


def test_an_answer_is_never_longer_than_asked_for(handset: HandsetModel) -> None:
    assert handset.control(Setup(0x80, 6, 0x0100, 0, 8), b"") == handset.device_descriptor()[:8]


def test_a_device_says_that_it_has_a_supply_of_its_own() -> None:
    assert ask(HandsetModel(), 0x80, 0) == b"\x01\x00"
    assert HandsetModel().configuration_descriptor()[7] == 0xC0


def test_strings_name_the_unit(handset: HandsetModel) -> None:
    assert ask(handset, 0x80, 6, 0x0300) == b"\x04\x03\x09\x04"
    assert ask(handset, 0x80, 6, 0x0303, 0x0409)[2:].decode("utf-16-le") == "HS-0001"


@pytest.mark.parametrize(
    ("kind", "request_", "value", "index"),
    [
        (0x80, 6, 0x0101, 0),
        (0x80, 6, 0x0201, 0),
        (0x80, 6, 0x0308, 0),
        (0x80, 6, 0x03FF, 0),
        (0x80, 6, 0x0600, 0),
        (0x81, 6, 0x2300, HID),
        (0x81, 6, 0x2200, 9),
        (0x81, 0, 0, 9),
        (0x82, 0, 0, 0x85),
        (0x00, 9, 2, 0),
        (0x00, 5, 128, 0),
        (0x00, 3, 1, 0),
        (0x02, 3, 1, REPORTS_IN),
        (0x01, 11, 1, HID),
        (0x01, 11, 0, 9),
        (0x81, 10, 0, 9),
        (0x82, 12, 0, 0x82),
        (0x00, 7, 0x0100, 0),
        (0xC0, 1, 0, 0),
        (0xA0, 1, 0x0101, 0),
    ],
)
def test_what_a_device_does_not_do_stalls(
    handset: HandsetModel, kind: int, request_: int, value: int, index: int
) -> None:
    length = 2 if kind & 0x80 else 0
    with pytest.raises(Stall):
        handset.control(Setup(kind, request_, value, index, length), b"")


def test_a_data_stage_of_another_length_than_announced_stalls(handset: HandsetModel) -> None:
    setup, data = EARPIECE_MINUS_10_DB
    for wrong in (data[:1], data + b"\0"):
        with pytest.raises(Stall):
            handset.control(setup, wrong)
        with pytest.raises(Stall):
            handset.control(replace(setup, length=len(data) + 1), data)
    assert handset.gains[Gain.EARPIECE] == 0.0


def test_the_host_chooses_alternate_settings(handset: HandsetModel) -> None:
    handset.control(Setup(0x01, 11, 1, 2, 0), b"")
    assert ask(handset, 0x81, 10, index=2) == b"\x01"
    configured(handset)
    assert ask(handset, 0x81, 10, index=2) == b"\x00"
    assert handset.isochronous_in(0x82) == b""


def test_a_halted_endpoint_stalls_until_the_host_clears_it(handset: HandsetModel) -> None:
    handset.halt(REPORTS_IN)
    assert ask(handset, 0x82, 0, index=REPORTS_IN) == b"\x01\x00"
    with pytest.raises(Stall):
        handset.interrupt_in(REPORTS_IN)
    handset.control(Setup(0x02, 1, 0, REPORTS_IN, 0), b"")
    assert handset.interrupt_in(REPORTS_IN) is None


def test_the_host_may_halt_an_endpoint_itself(handset: HandsetModel) -> None:
    handset.control(Setup(0x02, 3, 0, REPORTS_OUT, 0), b"")
    with pytest.raises(Stall):
        handset.interrupt_out(REPORTS_OUT, b"\x02\x01")
    assert not handset.lamps


@pytest.mark.parametrize("endpoint", [0, 0x03, 0x80, 0x84, 0x01, 0x82])
def test_no_report_comes_from_another_endpoint(handset: HandsetModel, endpoint: int) -> None:
    with pytest.raises(Stall):
        handset.interrupt_in(endpoint)


def test_an_unconfigured_device_says_nothing() -> None:
    model = HandsetModel()
    model.lift()
    with pytest.raises(Stall):
        model.interrupt_in(REPORTS_IN)
    assert model.isochronous_in(0x82) == b""


def test_a_bus_reset_ends_what_the_host_had_set_up(handset: HandsetModel) -> None:
    handset.lift()
    handset.interrupt_out(REPORTS_OUT, b"\x02\x01")
    handset.bus_reset()
    assert not handset.lamps
    assert ask(handset, 0x80, 8) == b"\x00"
    configured(handset)
    assert handset.interrupt_in(REPORTS_IN) is None
    assert handset.off_hook


@pytest.mark.parametrize("again", [CompositeDevice.plug, CompositeDevice.unplug])
def test_a_cable_that_is_where_it_was_changes_nothing(
    handset: HandsetModel, again: Callable[[CompositeDevice], None]
) -> None:
    changes: list[bool] = []
    (handset.plug if again is CompositeDevice.plug else handset.unplug)()
    handset.on_change(lambda: changes.append(handset.attached))
    again(handset)
    assert not changes


def test_a_pulled_cable_keeps_the_settings_and_a_cut_supply_does_not(
    handset: HandsetModel,
) -> None:
    handset.control(*EARPIECE_MINUS_10_DB)
    handset.press("latch")
    handset.unplug()
    assert not handset.attached
    handset.plug()
    assert handset.gains[Gain.EARPIECE] == -10.0
    handset.cut_power()
    assert not handset.attached
    handset.restore_power()
    assert handset.gains[Gain.EARPIECE] == 0.0
    configured(handset)
    assert ask(handset, 0xA1, 1, 0x0101, HID) == b"\x01\x08"


def test_a_cable_that_is_out_does_not_attach_when_power_comes(handset: HandsetModel) -> None:
    handset.unplug()
    handset.cut_power()
    handset.restore_power()
    assert not handset.attached
    handset.plug()
    assert (handset.attached, handset.enumerations) == (True, 2)


def test_a_device_may_come_back_as_another_one(handset: HandsetModel) -> None:
    seen: list[tuple[bool, int]] = []
    handset.on_change(lambda: seen.append((handset.attached, handset.enumerations)))
    handset.become(Identity(0x1209, 0x7781, "Firmware update", "HS-0001"), [])
    assert seen == [(False, 1), (True, 2)]
    assert handset.device_descriptor()[10:12] == b"\x81\x77"
    with pytest.raises(Stall):
        ask(configured(handset), 0x81, 0, index=0)


def test_a_device_that_becomes_another_one_without_its_cable_waits_for_it(
    handset: HandsetModel,
) -> None:
    handset.unplug()
    handset.become(Identity(0x1209, 0x7781, "Firmware update", "HS-0001"), [])
    assert not handset.attached


def models() -> st.SearchStrategy[CompositeDevice]:
    makers = (HandsetModel, SpeakerphoneModel, GooseneckModel, SpeakerModel, PanelModel)
    return st.sampled_from(makers).map(lambda make: make())


def octet() -> st.SearchStrategy[int]:
    return st.one_of(st.integers(0, 12), st.integers(0, 255), st.sampled_from([0x81, 0x82, 0x83]))


@st.composite
def setups(draw: st.DrawFn) -> tuple[Setup, bytes]:
    kind = draw(st.one_of(st.sampled_from([0x00, 0x01, 0x02, 0x80, 0x81, 0x82]), octet()))
    kind |= draw(st.sampled_from([0, 0x20]))
    value, index = (draw(octet()) << 8 | draw(octet()) for _ in range(2))
    data = draw(st.binary(max_size=20))
    length = draw(st.one_of(st.just(len(data)), st.integers(0, 0xFFFF)))
    return Setup(kind, draw(octet()), value, index, length), data


@given(models(), st.lists(setups(), max_size=40), st.booleans())
def test_no_setup_packet_crashes_a_model(
    model: CompositeDevice, packets: list[tuple[Setup, bytes]], configure: bool
) -> None:
    if configure:
        configured(model)
    for setup, data in packets:
        try:
            answer = model.control(setup, data)
        except Stall:
            continue
        assert len(answer) <= (setup.length if setup.device_to_host else 0)
    assert model.configuration_descriptor()


@given(models(), st.lists(st.tuples(st.integers(0, 255), st.binary(max_size=200)), max_size=20))
def test_nothing_on_an_endpoint_crashes_a_model(
    model: CompositeDevice, packets: list[tuple[int, bytes]]
) -> None:
    configured(model)
    for endpoint, data in packets:
        model.isochronous_out(endpoint, data)
        assert len(model.isochronous_in(endpoint)) <= 96
        with contextlib.suppress(Stall):
            model.interrupt_out(endpoint, data)
        with contextlib.suppress(Stall):
            model.interrupt_in(endpoint)


def test_a_device_that_hangs_answers_nothing(handset: HandsetModel) -> None:
    handset.lift()
    handset.misbehaviour.hung = True
    with pytest.raises(Nak):
        ask(handset, 0x80, 0)
    with pytest.raises(Nak):
        handset.interrupt_out(REPORTS_OUT, b"\x02\x01")
    assert handset.interrupt_in(REPORTS_IN) is None
    handset.misbehaviour.hung = False
    assert handset.interrupt_in(REPORTS_IN) == b"\x01\x01"
