"""The state of a telephony device: what reports and lamp orders make of it."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openturret.drivers.usb.report_descriptor import parse
from openturret.drivers.usb.reports import Address, InputReports, Reading
from openturret.drivers.usb.telephony import HOLD_OFF_S, Contact, Telephony
from openturret.drivers.usb.vocabulary import INPUTS, Vocabulary
from openturret.hal import (
    DeviceEvent,
    HookEvent,
    HookState,
    KeyEvent,
    Lamp,
    LatchEvent,
    MuteEvent,
    PttEvent,
    VolumeEvent,
)

Octets = Callable[[str], bytes]

HANDSET = bytes.fromhex(
    "050b0901a101 15002501 7501 9504 0920092f092a0929 8102"  # hook, mute, talk, latch: switches
    "050c09e0 7504 9501 250f 8102 c0"  # a knob that states its place
)
HOOK, MUTE, TALK, LATCH = 1, 2, 4, 8
UNIX = 1_700_000_000.0


class Clock:
    now_s = 100.0

    def monotonic(self) -> float:
        return self.now_s

    def unix(self) -> float:
        return UNIX


class Bench:
    """A device, its state, and the time between its reports."""

    def __init__(self, descriptor: bytes, numbered: str = "key-{}") -> None:
        self.clock = Clock()
        self.state = Telephony("here", self.clock)
        self._inputs = InputReports(parse(descriptor), INPUTS)
        self._parts = Vocabulary(numbered).parts(self._inputs.controls)

    def attach(self, *report: int) -> list[DeviceEvent]:
        readings = self._inputs.read(bytes(report)) if report else ()
        return self.state.attach(self._parts, readings)

    def report(self, *report: int, after_s: float = 1.0) -> list[DeviceEvent]:
        self.clock.now_s += after_s
        return self.state.report(self._inputs.read(bytes(report)))

    def settle(self, after_s: float) -> list[DeviceEvent]:
        self.clock.now_s += after_s
        return self.state.report()


def hook(off_hook: bool) -> HookEvent:
    return HookEvent(UNIX, "here", HookState.OFF_HOOK if off_hook else HookState.ON_HOOK)


def mute(muted: bool) -> MuteEvent:
    return MuteEvent(UNIX, "here", muted)


@pytest.fixture
def handset() -> Bench:
    bench = Bench(HANDSET)
    assert bench.attach(0) == []
    return bench


@pytest.fixture
def toggle(octets: Octets) -> Bench:
    bench = Bench(octets("headset-toggle"))
    assert bench.attach(0) == []
    return bench


def test_a_lift_is_an_event_and_is_acknowledged_by_the_lamp(handset: Bench) -> None:
    assert handset.report(HOOK) == [hook(off_hook=True)]
    assert handset.state.hook is HookState.OFF_HOOK
    assert handset.state.lit == {Lamp.OFF_HOOK}
    assert handset.report(0) == [hook(off_hook=False)]
    assert handset.state.lit == frozenset()


def test_a_report_that_comes_twice_is_one_event(handset: Bench) -> None:
    assert handset.report(HOOK) == [hook(off_hook=True)]
    assert handset.report(HOOK, after_s=0.001) == []
    assert handset.report(HOOK) == []


def test_bounce_of_a_switch_is_one_event_and_the_end_is_right(handset: Bench) -> None:
    assert handset.report(HOOK) == [hook(off_hook=True)]
    for value in (0, HOOK, 0):
        assert handset.report(value, after_s=0.002) == []
    assert handset.state.due_s is not None
    assert handset.settle(HOLD_OFF_S) == [hook(off_hook=False)]
    assert handset.state.due_s is None


def test_a_toggle_changes_at_each_press_and_never_at_a_release(toggle: Bench) -> None:
    assert toggle.report(1) == [hook(off_hook=True)]
    assert toggle.report(0) == []
    assert toggle.report(1) == [hook(off_hook=False)]
    assert toggle.report(0) == []


def test_bounce_of_a_toggle_does_not_toggle_again(toggle: Bench) -> None:
    assert toggle.report(1) == [hook(off_hook=True)]
    for value in (0, 1, 0, 1, 0):
        assert toggle.report(value, after_s=0.002) == []
    assert toggle.settle(HOLD_OFF_S) == []
    assert toggle.report(1) == [hook(off_hook=False)]


def test_a_toggle_answers_from_where_the_host_put_its_lamp(toggle: Bench) -> None:
    assert toggle.state.light(Lamp.OFF_HOOK, lit=True) == []
    assert toggle.state.hook is HookState.OFF_HOOK
    assert toggle.report(1) == [hook(off_hook=False)]


def test_a_cradle_switch_stays_where_it_is_whatever_the_lamp_says(handset: Bench) -> None:
    handset.report(HOOK)
    assert handset.state.light(Lamp.OFF_HOOK, lit=False) == []
    assert handset.state.hook is HookState.OFF_HOOK


def test_two_keys_answer_and_end(octets: Octets) -> None:
    phone = Bench(octets("phone-two-keys"))
    phone.attach()
    assert phone.report(1) == [hook(off_hook=True)]
    assert phone.report(0) == []
    assert phone.report(1) == []
    assert phone.report(0) == []
    assert phone.report(3) == [hook(off_hook=False)]


def test_mute_is_answered_by_its_lamp(toggle: Bench) -> None:
    toggle.report(1)
    toggle.report(0)
    assert toggle.report(2) == [mute(muted=True)]
    assert toggle.state.muted
    assert Lamp.MUTE in toggle.state.lit
    toggle.report(0)
    assert toggle.report(2) == [mute(muted=False)]
    assert Lamp.MUTE not in toggle.state.lit


def test_mute_means_nothing_on_hook(toggle: Bench, handset: Bench) -> None:
    assert toggle.report(2) == []
    assert handset.report(MUTE) == []
    assert not toggle.state.muted
    assert toggle.state.lit == frozenset()


def test_mute_ends_with_the_call(toggle: Bench) -> None:
    for value in (1, 0, 2, 0):
        toggle.report(value)
    assert toggle.report(1) == [hook(off_hook=False), mute(muted=False)]
    toggle.report(0)
    assert toggle.report(1) == [hook(off_hook=True)]
    assert not toggle.state.muted


def test_a_mute_switch_that_stays_counts_again_at_the_next_lift(handset: Bench) -> None:
    assert handset.report(HOOK | MUTE) == [hook(off_hook=True), mute(muted=True)]
    assert handset.report(MUTE) == [hook(off_hook=False), mute(muted=False)]
    assert handset.report(HOOK | MUTE) == [hook(off_hook=True), mute(muted=True)]


def test_the_host_may_mute_a_toggle(toggle: Bench) -> None:
    toggle.report(1)
    toggle.report(0)
    assert toggle.state.light(Lamp.MUTE, lit=True) == []
    assert toggle.state.muted
    assert toggle.report(2) == [mute(muted=False)]


def test_the_host_that_hangs_up_ends_the_mute_of_a_toggle(toggle: Bench) -> None:
    for value in (1, 0, 2, 0):
        toggle.report(value)
    assert toggle.state.light(Lamp.OFF_HOOK, lit=False) == [mute(muted=False)]


def test_a_device_without_a_hook_may_always_mute() -> None:
    gooseneck = Bench(bytes.fromhex("050ba101 15002501 7501 9501 092f 8106 c0"))
    gooseneck.attach(0)
    assert gooseneck.report(1) == [mute(muted=True)]


def test_push_to_talk_and_latch_are_reported(handset: Bench) -> None:
    assert handset.report(TALK) == [PttEvent(UNIX, "here", pressed=True)]
    assert handset.state.talking
    assert handset.report(LATCH) == [
        PttEvent(UNIX, "here", pressed=False),
        LatchEvent(UNIX, "here", latched=True),
    ]
    assert (handset.state.talking, handset.state.latched) == (False, True)


def test_keys_are_named_and_held(octets: Octets) -> None:
    headset = Bench(octets("headset-absolute"))
    headset.attach(2, 0x80, 0x07)
    assert headset.report(2, 0x90, 0x07) == [KeyEvent(UNIX, "here", "redial", pressed=True)]
    assert headset.state.pressed == {"redial"}
    assert headset.report(2, 0xC0, 0x07) == [
        KeyEvent(UNIX, "here", "redial", pressed=False),
        KeyEvent(UNIX, "here", "key-7", pressed=True),
    ]
    assert headset.report(2, 0x80, 0x02) == [
        KeyEvent(UNIX, "here", "key-7", pressed=False),
        KeyEvent(UNIX, "here", "5", pressed=True),
    ]


def test_volume_keys_step_at_each_press(toggle: Bench) -> None:
    assert toggle.report(4, after_s=0) == [VolumeEvent(UNIX, "here", 0, 1)]
    assert toggle.report(4, after_s=0) == []
    assert toggle.report(0, after_s=0) == []
    assert toggle.report(4, after_s=0) == [VolumeEvent(UNIX, "here", 0, 1)]
    assert toggle.report(8, after_s=0) == [VolumeEvent(UNIX, "here", 0, -1)]


def test_knobs_that_report_their_turn_know_their_channel(octets: Octets) -> None:
    box = Bench(octets("speaker-box"), "channel-{}")
    box.attach(2, 0, 0)
    assert box.report(2, 3, 0xFE) == [
        VolumeEvent(UNIX, "here", 2, 3),
        VolumeEvent(UNIX, "here", 1, -2),
    ]
    assert box.report(2, 3, 0) == [VolumeEvent(UNIX, "here", 2, 3)]
    assert box.report(1, 2) == [KeyEvent(UNIX, "here", "channel-2", pressed=True)]


def test_a_knob_that_reports_its_place_tells_by_how_much_it_moved(handset: Bench) -> None:
    assert handset.report(0x30) == [VolumeEvent(UNIX, "here", 0, 3)]
    assert handset.report(0x10) == [VolumeEvent(UNIX, "here", 0, -2)]


def test_what_happened_while_it_was_away_is_told_when_it_is_back(handset: Bench) -> None:
    handset.report(TALK)
    assert handset.attach(HOOK | MUTE | LATCH) == [
        hook(off_hook=True),
        mute(muted=True),
        PttEvent(UNIX, "here", pressed=False),
        LatchEvent(UNIX, "here", latched=True),
    ]
    assert handset.state.lit == {Lamp.OFF_HOOK, Lamp.MUTE}


def test_a_device_that_cannot_say_keeps_its_hook_and_holds_no_key(handset: Bench) -> None:
    handset.report(HOOK | TALK)
    assert handset.attach() == [PttEvent(UNIX, "here", pressed=False)]
    assert handset.state.hook is HookState.OFF_HOOK


def test_a_toggle_that_comes_back_is_where_it_was(toggle: Bench) -> None:
    for value in (1, 0, 2, 0):
        toggle.report(value)
    assert toggle.attach(0) == []
    assert toggle.state.hook is HookState.OFF_HOOK
    assert toggle.state.lit == {Lamp.OFF_HOOK, Lamp.MUTE}


def test_a_device_of_another_kind_lets_go_of_what_it_does_not_have(octets: Octets) -> None:
    clock = Clock()
    state = Telephony("here", clock)
    both = InputReports(parse(octets("headset-absolute")), INPUTS)
    parts = Vocabulary("key-{}").parts(both.controls)
    state.attach(parts, both.read(bytes((2, 0x80, 0x02))))
    assert state.pressed == {"5"}
    assert state.attach({}, ()) == [KeyEvent(UNIX, "here", "5", pressed=False)]


def test_lamps_are_kept_as_ordered(handset: Bench) -> None:
    handset.state.light(Lamp.RING, lit=True)
    handset.state.light("channel-2", lit=True)
    handset.state.light(Lamp.RING, lit=False)
    assert handset.state.lit == {"channel-2"}


def test_what_is_not_known_is_passed_over(handset: Bench) -> None:
    assert handset.state.report([Reading(Address(0x0B0097), 1, relative=False)]) == []


def test_a_press_that_comes_before_the_release_was_settled_is_not_lost(toggle: Bench) -> None:
    assert toggle.report(1) == [hook(off_hook=True)]
    assert toggle.report(0, after_s=0.002) == []
    assert toggle.report(1, after_s=HOLD_OFF_S + 0.005) == [hook(off_hook=False)]


@given(st.lists(st.tuples(st.integers(0, 1), st.floats(0, 0.1)), max_size=60))
def test_a_contact_ends_where_it_rests_and_changes_no_more_often_than_a_hand(
    reports: list[tuple[int, float]],
) -> None:
    contact, now_s, changes, value = Contact(), 0.0, 0, 0
    for value, after_s in reports:
        now_s += after_s
        changes += contact.settle(now_s) + contact.report(value, now_s)
    changes += contact.settle(now_s + HOLD_OFF_S)
    assert contact.value == value
    assert contact.due_s is None
    assert changes <= 2 + now_s / HOLD_OFF_S


@given(st.lists(st.tuples(st.integers(0, 255), st.floats(0, 0.05)), max_size=60))
def test_events_tell_the_whole_state(reports: list[tuple[int, float]]) -> None:
    bench = Bench(HANDSET)
    bench.attach(0)
    told: dict[type, object] = {}
    value = 0
    for value, after_s in reports:
        for event in bench.report(value, after_s=after_s):
            told[type(event)] = event
    for event in bench.settle(HOLD_OFF_S):
        told[type(event)] = event
    state = bench.state
    assert told.get(HookEvent, hook(off_hook=False)) == hook(off_hook=bool(value & HOOK))
    assert state.muted is (value & (HOOK | MUTE) == HOOK | MUTE)
    assert told.get(MuteEvent, mute(muted=False)) == mute(muted=state.muted)
    assert (Lamp.OFF_HOOK in state.lit, Lamp.MUTE in state.lit) == (
        bool(value & HOOK),
        state.muted,
    )
