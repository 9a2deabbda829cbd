"""The call log: a chain that shows every change."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from openturret.firmware.recording.errors import LedgerError
from openturret.firmware.recording.ledger import FIRST, Ledger, digest, verify
from openturret.hal.clock import SystemClock

Lines = list[bytes]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "calls.jsonl"
    ledger = Ledger(path, SystemClock())
    for number in range(6):
        ledger.append("call.started", {"call_id": f"call-{number}", "remote": "2001"})
    ledger.close()
    return path


def test_a_log_that_nobody_touched_is_intact(path: Path) -> None:
    found = verify(path)
    assert (found.intact, found.entries) == (True, 6)
    first = json.loads(path.read_text().splitlines()[0])
    assert (first["number"], first["previous"]) == (1, FIRST)


def test_the_chain_goes_on_after_a_restart(path: Path) -> None:
    ledger = Ledger(path, SystemClock())
    ledger.append("call.ended", {"call_id": "call-0"})
    ledger.close()
    assert verify(path).entries == 7
    assert verify(path).last == ledger.last


def _change(lines: Lines) -> Lines:
    return [line.replace(b"2001", b"2002") if n == 2 else line for n, line in enumerate(lines)]


def _change_and_sign(lines: Lines) -> Lines:
    entry = json.loads(lines[2]) | {"remote": "2002"}
    entry["digest"] = digest(entry)
    return [*lines[:2], json.dumps(entry).encode() + b"\n", *lines[3:]]


TAMPERINGS: dict[str, tuple[Callable[[Lines], Lines], int]] = {
    "a changed line": (_change, 3),
    "a changed line with a new digest": (_change_and_sign, 4),
    "a removed line": (lambda lines: lines[:2] + lines[3:], 3),
    "a removed first line": (lambda lines: lines[1:], 1),
    "two lines exchanged": (lambda ls: [*ls[:2], ls[3], ls[2], *ls[4:]], 3),
    "a line said twice": (lambda lines: lines[:3] + lines[2:], 4),
    "garbage": (lambda lines: [*lines[:4], b"\xff\xfe\n", *lines[5:]], 5),
    "a torn last line": (lambda lines: [*lines[:5], lines[5][:-9]], 6),
}


@pytest.mark.parametrize("name", TAMPERINGS)
def test_tampering_shows(path: Path, name: str) -> None:
    tamper, line = TAMPERINGS[name]
    path.write_bytes(b"".join(tamper(path.read_bytes().splitlines(keepends=True))))
    found = verify(path)
    assert not found.intact
    assert found.broken_line == line


def test_every_single_byte_counts(path: Path) -> None:
    whole = path.read_bytes()
    for position in range(0, len(whole), 7):
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 1]) + whole[position + 1 :])
        assert not verify(path).intact, position


def test_a_power_cut_costs_at_most_the_last_entry(path: Path) -> None:
    whole = path.read_bytes()
    cut = whole[:-20]
    path.write_bytes(cut)
    ledger = Ledger(path, SystemClock())
    ledger.close()
    found = verify(path)
    assert (found.intact, found.entries) == (True, 6)
    last = json.loads(path.read_text().splitlines()[-1])
    assert last["kind"] == "ledger.recovered"
    assert last["bytes_lost"] > 0


def test_a_cut_inside_the_only_entry_begins_anew(tmp_path: Path) -> None:
    path = tmp_path / "calls.jsonl"
    path.write_bytes(b'{"number": 1, "kin')
    Ledger(path, SystemClock()).close()
    assert verify(path).entries == 1


def test_what_is_no_log_is_not_continued(tmp_path: Path) -> None:
    path = tmp_path / "calls.jsonl"
    path.write_bytes(b"hello\n")
    with pytest.raises(LedgerError):
        Ledger(path, SystemClock())
    with pytest.raises(LedgerError):
        verify(tmp_path / "nothing")
