"""A hand at one end, lamps at the other: what a telephony device reports and what it waits for."""

from typing import Protocol

import pytest

from openturret.drivers.emulated.usb.gooseneck import GooseneckModel
from openturret.drivers.emulated.usb.handset import HandsetModel
from openturret.drivers.emulated.usb.hid import QUEUE_REPORTS
from openturret.drivers.emulated.usb.model import Setup, Stall
from openturret.drivers.emulated.usb.panel import PanelModel
from openturret.drivers.emulated.usb.peripheral import Peripheral
from openturret.drivers.emulated.usb.speaker import SpeakerModel
from openturret.drivers.emulated.usb.speakerphone import SpeakerphoneModel
from openturret.drivers.emulated.usb.telephony import MUTE_ANSWER_S, HookKind
from openturret.drivers.errors import EmulationError
from openturret.hal.clock import Clock
from openturret.hal.ring import Colour, RingLight

HANDSET_HID = 3
GOOSENECK_HID = 2
REPORTS_IN, REPORTS_OUT = 0x83, 0x03
DARK, OFF_HOOK, RING, MUTE = 0x00, 0x01, 0x02, 0x04
MUTE_PRESSED, MUTE_RELEASED = b"\x01\x03", b"\x01\x01"


class MovableClock(Clock, Protocol):
    def advance(self, seconds: float) -> None: ...


@pytest.fixture
def handset(clock: Clock) -> HandsetModel:
    model = HandsetModel(clock=clock)
    configure(model)
    return model


@pytest.fixture
def headset(clock: Clock) -> HandsetModel:
    model = HandsetModel(hook=HookKind.TOGGLE, clock=clock)
    configure(model)
    return model


@pytest.fixture
def in_call(handset: HandsetModel) -> HandsetModel:
    handset.lift()
    light(handset, OFF_HOOK)
    reports(handset)
    return handset


def configure(model: Peripheral) -> None:
    model.control(Setup(0x00, 9, 1, 0, 0), b"")


def light(model: Peripheral, lamps: int) -> None:
    model.interrupt_out(REPORTS_OUT, bytes((2, lamps)))


def order(model: Peripheral, interface: int, kind: int, report: bytes) -> None:
    setup = Setup(0x21, 9, kind << 8 | report[0], interface, len(report))
    model.control(setup, report)


def reports(model: Peripheral) -> list[bytes]:
    found = []
    while (report := model.interrupt_in(REPORTS_IN)) is not None:
        found.append(report)
    return found


def state(model: Peripheral, kind: int, number: int, interface: int = HANDSET_HID) -> bytes:
    return model.control(Setup(0xA1, 1, kind << 8 | number, interface, 64), b"")


def test_a_cradle_reports_where_the_handset_lies(handset: HandsetModel) -> None:
    handset.lift()
    handset.lift()
    handset.cradle()
    assert reports(handset) == [b"\x01\x01", b"\x01\x00"]


def test_the_off_hook_lamp_acknowledges_the_hook(handset: HandsetModel) -> None:
    handset.lift()
    assert not handset.acknowledged
    light(handset, OFF_HOOK)
    assert handset.acknowledged
    handset.cradle()
    assert not handset.acknowledged


def test_a_toggle_is_off_hook_only_when_the_host_says_so(headset: HandsetModel) -> None:
    headset.lift()
    assert reports(headset) == [b"\x01\x01", b"\x01\x00"]
    assert not headset.off_hook
    light(headset, OFF_HOOK)
    assert headset.off_hook
    headset.cradle()
    assert reports(headset) == [b"\x01\x01", b"\x01\x00"]
    assert headset.off_hook
    light(headset, DARK)
    assert not headset.off_hook


def test_a_toggle_that_was_not_acknowledged_asks_again(headset: HandsetModel) -> None:
    headset.lift()
    headset.lift()
    assert len(reports(headset)) == 4


def test_a_host_may_take_a_toggle_off_hook_by_itself(headset: HandsetModel) -> None:
    light(headset, OFF_HOOK)
    headset.lift()
    assert reports(headset) == []


def test_a_mute_stays_when_the_lamp_answers(in_call: HandsetModel, clock: MovableClock) -> None:
    in_call.mute()
    assert reports(in_call) == [MUTE_PRESSED, MUTE_RELEASED]
    assert in_call.muted
    light(in_call, OFF_HOOK | MUTE)
    clock.advance(MUTE_ANSWER_S)
    assert in_call.muted


def test_a_mute_reverts_without_its_answer(in_call: HandsetModel, clock: MovableClock) -> None:
    in_call.mute()
    clock.advance(MUTE_ANSWER_S - 0.001)
    assert in_call.muted
    clock.advance(0.001)
    assert not in_call.muted


def test_another_lamp_is_no_answer(in_call: HandsetModel, clock: MovableClock) -> None:
    in_call.mute()
    light(in_call, OFF_HOOK | RING)
    assert in_call.muted
    clock.advance(MUTE_ANSWER_S)
    assert not in_call.muted


def test_an_unmute_reverts_without_its_answer(in_call: HandsetModel, clock: MovableClock) -> None:
    light(in_call, OFF_HOOK | MUTE)
    in_call.mute(muted=False)
    assert not in_call.muted
    clock.advance(MUTE_ANSWER_S)
    assert in_call.muted
    in_call.mute(muted=False)
    light(in_call, OFF_HOOK)
    clock.advance(MUTE_ANSWER_S)
    assert not in_call.muted


def test_a_host_may_mute_by_itself(in_call: HandsetModel) -> None:
    light(in_call, OFF_HOOK | MUTE)
    assert in_call.muted
    assert reports(in_call) == []


def test_an_answer_long_ago_does_not_speak_for_a_host_that_changed_its_mind(
    in_call: HandsetModel,
) -> None:
    in_call.mute()
    light(in_call, OFF_HOOK | MUTE)
    light(in_call, OFF_HOOK)
    assert not in_call.muted


def test_a_mute_that_waits_ends_with_the_call(in_call: HandsetModel) -> None:
    in_call.mute()
    light(in_call, DARK)
    light(in_call, OFF_HOOK)
    assert not in_call.muted


def test_a_mute_applies_off_hook_only(handset: HandsetModel) -> None:
    handset.mute()
    assert reports(handset) == [b"\x01\x02", b"\x01\x00"]
    assert not handset.muted
    light(handset, MUTE)
    assert not handset.muted
    light(handset, MUTE | OFF_HOOK)
    assert handset.muted


def test_a_device_without_a_hook_mutes_at_any_time(clock: MovableClock) -> None:
    gooseneck = GooseneckModel(clock=clock)
    configure(gooseneck)
    gooseneck.mute()
    assert gooseneck.muted
    clock.advance(MUTE_ANSWER_S)
    assert not gooseneck.muted
    order(gooseneck, GOOSENECK_HID, 2, b"\x02\x01")
    assert gooseneck.muted


def test_push_to_talk_and_latch_report_while_they_are_held(handset: HandsetModel) -> None:
    handset.press("ptt")
    handset.press("ptt")
    handset.press("latch")
    handset.release("ptt")
    handset.release("latch")
    states = [b"\x01\x04", b"\x01\x0c", b"\x01\x08", b"\x01\x00"]
    assert reports(handset) == states


def test_a_knob_sends_a_pulse_for_each_detent(handset: HandsetModel) -> None:
    handset.turn(2)
    handset.turn(-1)
    louder, quieter, rest = b"\x01\x10", b"\x01\x20", b"\x01\x00"
    assert reports(handset) == [louder, rest, louder, rest, quieter, rest]


def test_lamps_are_ordered_by_either_way(handset: HandsetModel) -> None:
    light(handset, 0x3F)
    assert handset.lamps == {"off_hook", "ring", "mute", "hold", "speaker", "talk"}
    order(handset, HANDSET_HID, 2, b"\x02\x00")
    assert not handset.lamps


def test_the_host_can_ask_for_every_state(handset: HandsetModel) -> None:
    handset.lift()
    light(handset, RING)
    assert state(handset, 1, 1) == b"\x01\x01"
    assert state(handset, 2, 2) == bytes((2, RING))
    assert state(handset, 3, 3) == b"\x03\x00"


def test_the_hid_descriptor_can_be_asked_for_alone(handset: HandsetModel) -> None:
    octets = handset.control(Setup(0x81, 6, 0x2100, HANDSET_HID, 9), b"")
    assert octets == bytes.fromhex("09 21 1101 00 01 22 8400")
    for value in (0x2101, 0x2201, 0x2300):
        with pytest.raises(Stall):
            handset.control(Setup(0x81, 6, value, HANDSET_HID, 9), b"")


@pytest.mark.parametrize(("kind", "number"), [(1, 2), (2, 1), (4, 1), (0, 0), (3, 9)])
def test_a_report_that_is_not_there_stalls(handset: HandsetModel, kind: int, number: int) -> None:
    with pytest.raises(Stall):
        state(handset, kind, number)


@pytest.mark.parametrize("report", [b"\x02", b"\x02\x01\x00", b"\x01\x01"])
def test_a_set_report_of_the_wrong_shape_stalls(handset: HandsetModel, report: bytes) -> None:
    with pytest.raises(Stall):
        order(handset, HANDSET_HID, 2, report)
    with pytest.raises(Stall):
        order(handset, HANDSET_HID, 1, report)


@pytest.mark.parametrize("octets", [b"", b"\x02", b"\x09\x01", b"\x02\x01\x01", b"\x03\x05"])
def test_octets_that_are_no_report_are_ignored_and_counted(
    handset: HandsetModel, octets: bytes
) -> None:
    handset.interrupt_out(REPORTS_OUT, octets)
    assert handset.controls.function.ignored == 1
    assert not handset.lamps
    assert state(handset, 3, 3) == b"\x03\x00"


def test_a_device_without_an_out_endpoint_has_none(clock: Clock) -> None:
    gooseneck = GooseneckModel(clock=clock)
    configure(gooseneck)
    with pytest.raises(Stall):
        gooseneck.interrupt_out(REPORTS_OUT, b"\x02\x01")


def test_only_changes_are_reported(handset: HandsetModel) -> None:
    handset.control(Setup(0x21, 0x0A, 0, HANDSET_HID, 0), b"")
    assert handset.control(Setup(0xA1, 2, 0, HANDSET_HID, 1), b"") == b"\x00"
    with pytest.raises(Stall):
        handset.control(Setup(0x21, 0x0A, 0x0400, HANDSET_HID, 0), b"")


def test_one_program_at_a_time_has_the_call_lock(handset: HandsetModel) -> None:
    order(handset, HANDSET_HID, 3, b"\x03\x07")
    order(handset, HANDSET_HID, 3, b"\x03\x07")
    with pytest.raises(Stall):
        order(handset, HANDSET_HID, 3, b"\x03\x08")
    assert state(handset, 3, 3) == b"\x03\x07"
    light(handset, OFF_HOOK)
    assert handset.lamps == {"off_hook"}
    order(handset, HANDSET_HID, 3, b"\x03\x00")
    order(handset, HANDSET_HID, 3, b"\x03\x08")
    assert state(handset, 3, 3) == b"\x03\x08"


def test_a_device_whose_host_is_gone_is_dark_and_nobody_has_it(in_call: HandsetModel) -> None:
    light(in_call, OFF_HOOK | MUTE)
    order(in_call, HANDSET_HID, 3, b"\x03\x07")
    in_call.unplug()
    assert (in_call.lamps, in_call.muted, in_call.off_hook) == (frozenset(), False, True)
    in_call.plug()
    configure(in_call)
    assert state(in_call, 3, 3) == b"\x03\x00"


def test_reports_that_nobody_fetches_make_room_for_newer_ones(handset: HandsetModel) -> None:
    for _ in range(QUEUE_REPORTS):
        handset.lift()
        handset.cradle()
    handset.press("ptt")
    found = reports(handset)
    assert len(found) == QUEUE_REPORTS
    assert found[-1] == b"\x01\x04"
    assert handset.controls.function.lost == QUEUE_REPORTS + 1


def test_what_waits_is_told(handset: HandsetModel) -> None:
    told: list[int] = []
    handset.on_change(lambda: told.append(1))
    handset.lift()
    assert told == [1]


@pytest.mark.parametrize("key", ["hok", "", "channel-1", "off_hook-lamp", "call_lock"])
def test_a_key_that_is_not_there_is_refused_with_those_that_are(
    handset: HandsetModel, key: str
) -> None:
    with pytest.raises(EmulationError, match="there are hook, mute, ptt, latch"):
        handset.press(key)
    with pytest.raises(EmulationError, match="no control"):
        handset.release(key)


def test_a_knob_that_is_not_there_is_refused(handset: HandsetModel) -> None:
    with pytest.raises(EmulationError, match="volume-2-up"):
        handset.turn(1, channel=2)


def test_a_speakerphone_is_switched_on_by_its_host(clock: Clock) -> None:
    phone = SpeakerphoneModel(clock=clock)
    configure(phone)
    phone.press("hook")
    phone.release("hook")
    assert reports(phone) == [b"\x01\x01", b"\x01\x00"]
    light(phone, 0x0F)
    assert phone.off_hook
    assert phone.lamps == {"off_hook", "ring", "mute", "speaker"}


@pytest.mark.parametrize(
    ("report", "light"),
    [
        (b"\x04\x00\x00", RingLight()),
        (b"\x04\x01\x01", RingLight(Colour.RED)),
        (b"\x04\x02\x01", RingLight(Colour.GREEN)),
        (b"\x04\x01\x02", RingLight(Colour.RED, blinking=True)),
        (b"\x04\x03\x00", RingLight()),
        (b"\x04\x03\x01", RingLight(Colour.AMBER)),
        (b"\x04\x00\x01", RingLight()),
        (b"\x04\x04\x01", RingLight()),
        (b"\x04\xff\x01", RingLight()),
        (b"\x04\x01\x03", RingLight()),
    ],
)
def test_a_light_ring_selects_a_colour_and_a_mode(
    clock: Clock, report: bytes, light: RingLight
) -> None:
    gooseneck = GooseneckModel(clock=clock)
    configure(gooseneck)
    order(gooseneck, GOOSENECK_HID, 2, report)
    assert gooseneck.ring == light
    gooseneck.bus_reset()
    assert gooseneck.ring == RingLight()


def test_each_channel_has_a_key_a_knob_and_a_lamp(clock: Clock) -> None:
    speaker = SpeakerModel(channels=3, clock=clock)
    configure(speaker)
    speaker.press("channel-2")
    speaker.turn(-1, channel=3)
    pressed, turned = 0b000_001_000, 0b100_001_000
    assert reports(speaker) == [
        bytes((1,)) + value.to_bytes(2, "little") for value in (pressed, turned, pressed)
    ]
    light(speaker, 0b101)
    assert speaker.lamps == {"channel-1", "channel-3"}


def test_a_panel_has_keys_and_lamps_by_number(clock: Clock) -> None:
    panel = PanelModel(keys=24, clock=clock)
    configure(panel)
    panel.press("key-1")
    panel.press("key-24")
    panel.release("key-1")
    assert reports(panel) == [b"\x01\x01\x00\x00", b"\x01\x01\x00\x80", b"\x01\x00\x00\x80"]
    panel.interrupt_out(REPORTS_OUT, b"\x02\x04\x00\x80")
    assert panel.lamps == {"key-3", "key-24"}


@pytest.mark.parametrize("count", [0, -1, 33, 257])
def test_impossible_sizes_are_refused(count: int) -> None:
    with pytest.raises(EmulationError, match=f"{count} channels are not between 1 and 32"):
        SpeakerModel(channels=count)
    if count != 33:
        with pytest.raises(EmulationError, match=f"{count} keys are not between 1 and 256"):
            PanelModel(keys=count)


@pytest.mark.parametrize("count", [1, 32])
def test_the_largest_and_the_smallest_fit_a_packet(count: int) -> None:
    for model in (SpeakerModel(channels=count), PanelModel(keys=8 * count)):
        configure(model)
        model.press("channel-1" if isinstance(model, SpeakerModel) else "key-1")
        assert all(len(report) <= 64 for report in reports(model))


def test_a_panel_has_no_audio(clock: Clock) -> None:
    panel = PanelModel(clock=clock)
    assert panel.gains == {}
    with pytest.raises(EmulationError, match="no audio"):
        panel.listen()
