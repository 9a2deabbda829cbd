"""A line survives a restart through its note and its leg's tag."""

from __future__ import annotations

from openturret.firmware.calls.line import CallKind, Line, LineState, restored
from openturret.firmware.calls.lines import who
from openturret.hal.matrix import Leg


def test_a_line_comes_back_from_its_note() -> None:
    line = Line("call-1", CallKind.CHANNEL, "channel-3", "sip:hoot-3@10.12.0.50", label="Hoot 3")
    line.state, line.connected_unix_s, line.sip_call_id = LineState.CONNECTED, 17.0, "abc"
    line.leg = Leg(7, 11_000, 11_001, 1, "10.1.0.101")
    again = restored(line.note())
    assert (again.line_id, again.kind, again.bus) == ("call-1", CallKind.CHANNEL, "channel-3")
    assert (again.remote, again.label) == ("sip:hoot-3@10.12.0.50", "Hoot 3")
    assert (again.state, again.connected_unix_s) == (LineState.CONNECTED, 17.0)
    assert again.adopted
    assert again.outgoing
    assert line.note()["leg"] == 7


def test_a_held_call_comes_back_held() -> None:
    line = Line("call-1", CallKind.CALL, "handset-left", "2001", outgoing=False)
    line.state = LineState.HELD
    assert restored(line.note()).state is LineState.HELD
    assert not restored(line.note()).outgoing


def test_the_tag_names_the_call_for_a_newcomer() -> None:
    line = Line("call-1", CallKind.CALL, "handset-left", "2001", "North desk")
    tag = line.tag()
    assert (tag["call_id"], tag["kind"], tag["device"]) == ("call-1", "call", "handset-left")
    assert (tag["remote"], tag["remote_name"], tag["direction"]) == ("2001", "North desk", "out")


def test_a_caller_without_user_part_is_shown_by_uri() -> None:
    assert who("sip:2001@turret.example") == "2001"
    assert who("sip:turret.example") == "sip:turret.example"
    assert who("tel:+33123456789") == "tel:+33123456789"
