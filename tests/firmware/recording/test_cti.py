"""What the recorders are told about the calls."""

from __future__ import annotations

from dataclasses import replace

import pytest

from openturret.firmware.recording.cti import CallBook, RecordedCall, User, mix_of
from openturret.firmware.recording.errors import RecorderUriError
from openturret.firmware.recording.mixes import mixes
from openturret.firmware.recording.recordings import recorders_of
from openturret.firmware.recording.watch import RecorderAddress
from openturret.firmware.wire.siprec import Metadata

LABELS = ("handsets", "speakers-1")
ALICE = User("alice", "sip:1001@turret.example", "Alice")
BOB = RecordedCall("call-1", "x@pbx", "2001", "handset-left", "2001", "Bob", start_unix_s=1e9)
HOOT = RecordedCall("ch-1", "y@tpo", "Hoot", "channel-2", "sip:hoot-1@10.12.0.50", start_unix_s=1e9)


class Hands:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 1e9

    def unix(self) -> float:
        return self.now

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Hands:
    return Hands()


@pytest.fixture
def book(clock: Hands) -> CallBook:
    return CallBook("TP-0001", ALICE, clock)


def test_everybody_is_heard_in_the_mix_that_carries_them(book: CallBook) -> None:
    book.start(BOB)
    book.start(HOOT)
    metadata = book.metadata("a", LABELS)
    names = {p.participant_id: p.aor for p in metadata.participants}
    streams = {s.stream_id: s.label for s in metadata.streams}
    assert {(names[who], streams[where]) for who, where in metadata.senders} == {
        ("sip:1001@turret.example", "handsets"),
        ("sip:1001@turret.example", "speakers-1"),
        ("sip:2001", "handsets"),
        ("sip:hoot-1@10.12.0.50", "speakers-1"),
    }
    assert [call.mix for call in metadata.calls] == ["handsets", "speakers-1"]
    assert Metadata.parse(bytes(metadata)) == metadata


def test_an_ended_call_is_told_for_a_minute(book: CallBook, clock: Hands) -> None:
    book.start(BOB)
    clock.now += 90
    ended = book.end("call-1")
    assert ended is not None
    assert ended.stop_unix_s == 1e9 + 90
    assert book.metadata("a", LABELS).calls[0].stop is not None
    clock.now += 61
    assert book.metadata("a", LABELS).calls == ()


def test_a_moved_call_stays_the_same_call(book: CallBook) -> None:
    assert book.start(BOB)
    before = book.metadata("b", LABELS).calls[0]
    assert not book.start(BOB)
    assert book.start(replace(BOB, device="handset-right"))
    (after,) = book.metadata("b", LABELS).calls
    assert (after.session_id, after.device) == (before.session_id, "handset-right")


def test_the_end_of_an_unknown_call_is_nothing(book: CallBook) -> None:
    assert book.end("call-9") is None


def test_thirty_two_channels_make_eleven_mixes() -> None:
    found = mixes(32)
    assert len(found) == 12
    assert found["speakers-11"] == ("channel-31", "channel-32")
    assert all(mix_of(bus) == label for label, buses in found.items() for bus in buses)


def test_recorders_are_read_from_the_configuration() -> None:
    a, b = recorders_of("sip:recorder@10.11.0.30:5080;transport=tcp", "sip:10.12.0.30")
    assert a == RecorderAddress(
        "a", "sip:recorder@10.11.0.30:5080;transport=tcp", "10.11.0.30", 5080, "tcp"
    )
    assert (b.port, b.transport, b.index) == (5060, "udp", 1)
    assert recorders_of("", "") == ()


@pytest.mark.parametrize("uri", ["recorder", "sips:a@b", "sip:a@b;transport=tls", "tel:1"])
def test_a_recorder_that_cannot_be_reached_is_refused(uri: str) -> None:
    with pytest.raises(RecorderUriError, match="recorder a"):
        recorders_of(uri, "")
