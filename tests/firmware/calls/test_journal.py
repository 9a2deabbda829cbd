"""The journal keeps what was written through anything but a missing file."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openturret.firmware.calls.errors import JournalError
from openturret.firmware.calls.events import Dialog
from openturret.firmware.calls.journal import Entry, Journal, decode, encode

DIALOG = Dialog(
    "3848276298220188511@host",
    '"Alice" <sip:1001@turret.example>',
    "a1",
    "<sip:2001@turret.example>",
    "b2",
    "sip:2001@10.20.0.10:5060;ob",
    "<sip:1001@10.1.0.101:5060>",
    4711,
    -1,
    ("<sip:10.11.0.20;lr;ftag=a1>", "<sip:10.12.0.20;lr>"),
    "replaces, outbound",
    "INVITE, BYE",
    "UDP",
)
ENTRY = Entry("call-1", "pbx-1", DIALOG, {"kind": "call", "leg": 7, "device": "handset-left"}, 12.5)


class Clock:
    """Says what it is told to."""

    def __init__(self, now: float) -> None:
        self.now = now

    def monotonic(self) -> float:
        return self.now

    def unix(self) -> float:
        return self.now


def test_what_is_written_is_read_by_the_next_process(tmp_path: Path) -> None:
    Journal(tmp_path / "journal", Clock(100.0)).write(ENTRY)
    assert Journal(tmp_path / "journal", Clock(200.0)).entries() == [ENTRY]


def test_a_newer_state_keeps_the_start_of_the_call(tmp_path: Path) -> None:
    clock = Clock(100.0)
    journal = Journal(tmp_path, clock)
    journal.write(Entry("c", "direct", DIALOG))
    clock.now = 160.0
    journal.write(Entry("c", "direct", DIALOG, {"state": "held"}))
    (entry,) = journal.entries()
    assert (entry.started_unix_s, entry.note) == (100.0, {"state": "held"})


def test_entries_come_oldest_first_and_go_when_removed(tmp_path: Path) -> None:
    journal = Journal(tmp_path, Clock(0.0))
    for name, started in (("b", 2.0), ("a", 3.0), ("c", 1.0)):
        journal.write(Entry(name, "direct", DIALOG, {}, started))
    journal.remove("b")
    journal.remove("never there")
    assert [entry.call_id for entry in journal.entries()] == ["c", "a"]


def test_an_id_cannot_leave_the_folder(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal", Clock(1.0))
    journal.write(Entry("../../escape", "direct", DIALOG))
    assert [path.parent for path in tmp_path.rglob("*.json")] == [tmp_path / "journal"]
    assert [entry.call_id for entry in journal.entries()] == ["../../escape"]


def test_a_file_torn_at_any_byte_is_dropped_and_the_others_are_kept(tmp_path: Path) -> None:
    journal = Journal(tmp_path, Clock(1.0))
    journal.write(ENTRY)
    whole = encode(ENTRY)
    torn = tmp_path / "torn.json"
    for cut in range(len(whole) - 1):
        torn.write_bytes(whole[:cut])
        assert journal.entries() == [ENTRY]
        assert not torn.exists()


def test_an_unfinished_write_is_not_an_entry(tmp_path: Path) -> None:
    (tmp_path / "call-9.part").write_bytes(encode(ENTRY)[:50])
    assert Journal(tmp_path, Clock(1.0)).entries() == []


@given(st.binary(max_size=400))
def test_garbage_is_a_journal_error(data: bytes) -> None:
    with pytest.raises(JournalError):
        decode(data)


def test_a_changed_byte_is_a_journal_error() -> None:
    whole = bytearray(encode(ENTRY))
    whole[-20] ^= 1
    with pytest.raises(JournalError, match="checksum"):
        decode(bytes(whole))


def test_the_kind_says_whose_an_entry_is() -> None:
    assert ENTRY.kind == "call"
    assert Entry("x", "", DIALOG).kind == ""
