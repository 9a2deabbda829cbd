from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openturret.boot.slots.record import (
    MAX_REJECTED,
    Installed,
    Record,
    RecordFile,
    Rejected,
    Trial,
    TrialState,
)
from openturret.hal.errors import WireError

words = st.text(max_size=12)
installed = st.builds(Installed, words, words, words)


@st.composite
def records(draw: st.DrawFn) -> Record:
    slots = draw(st.dictionaries(words, installed, min_size=1, max_size=2))
    name = st.sampled_from(sorted(slots))
    trial = st.builds(Trial, name, st.sampled_from(TrialState), st.integers(0, 9))
    rejected = st.lists(st.builds(Rejected, words, words, words), max_size=3)
    return Record(slots, draw(st.none() | name), draw(st.none() | trial), tuple(draw(rejected)))


@given(records())
def test_a_record_survives_its_bytes(record: Record) -> None:
    assert Record.parse(bytes(record)) == record


def test_a_record_that_is_cut_anywhere_is_damaged() -> None:
    record = Record({"a": Installed("1.0", "0" * 64, "1" * 64)}, "a", Trial("a"))
    data = bytes(record).rstrip(b"\n")
    for end in range(len(data)):
        with pytest.raises((WireError, ValueError)):
            Record.parse(data[:end])


@given(st.binary(max_size=60), st.integers(0, 300), records())
def test_a_record_with_a_wound_is_damaged_or_another(wound: bytes, at: int, record: Record) -> None:
    data = bytes(record)
    try:
        Record.parse(data[:at] + wound + data[at + len(wound) :])
    except (WireError, ValueError):
        return


@pytest.mark.parametrize(
    "text",
    [
        '{"slots": {}, "committed": "a", "trial": null, "rejected": []}',
        '{"slots": {}, "trial": {"slot": "b", "state": "pending", "starts": 0}, "rejected": []}',
        '{"slots": {"a": 7}, "rejected": []}',
        '{"slots": {"a": {"version": 1, "sha256": "", "content": ""}}, "rejected": []}',
        '{"slots": {}, "rejected": [{}]}',
    ],
)
def test_a_record_of_what_is_not_there_is_damaged(text: str) -> None:
    with pytest.raises(WireError):
        Record.parse(text.encode())


def test_a_damaged_record_is_as_good_as_none(tmp_path: Path) -> None:
    file = RecordFile(tmp_path / "record.json")
    assert file.read() == Record()
    (tmp_path / "record.json").write_bytes(b'{"slots"')
    assert file.read() == Record()


def test_only_the_last_rejections_are_kept() -> None:
    record = Record()
    for number in range(MAX_REJECTED + 3):
        record = record.filled("a", Installed(f"{number}.0", "")).bad("a", "no ticks")
    versions = [rejected.version for rejected in record.rejected]
    assert versions == [f"{number}.0" for number in range(3, MAX_REJECTED + 3)]
    assert record.slots == {}
    assert record.trial is None


def test_the_only_firmware_is_tried_for_ever() -> None:
    record = Record().filled("a", Installed("1.0", ""))
    for starts in range(1, 9):
        record, said = record.started().settled()
        assert said is None
        assert record.trial == Trial("a", TrialState.PENDING, starts)
