"""The call log: a chain that shows every change."""

from __future__ import annotations

import json
import subprocess
import sys
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


def test_what_is_no_log_is_kept_aside_and_the_log_begins_anew(tmp_path: Path) -> None:
    path = tmp_path / "calls.jsonl"
    path.write_bytes(b"hello\n")
    ledger = Ledger(path, SystemClock())
    ledger.close()
    assert ledger.aside is not None
    assert ledger.aside.read_bytes() == b"hello\n"
    assert (verify(path).intact, verify(path).entries) == (True, 1)


def test_what_is_not_there_cannot_be_verified(tmp_path: Path) -> None:
    with pytest.raises(LedgerError):
        verify(tmp_path / "nothing")


TORN_ENDS: dict[str, bytes] = {
    "half an entry": b'{"call_id":"call-6","remote":"20',
    "half an entry that got its line feed": b'{"call_id":"call-6","remote":"20\n',
    "a block of zeroes": bytes(4096),
    "more zeroes than the longest line": bytes(200_000),
    "zeroes and a line feed": bytes(512) + b"\n",
    "an entry without its digest": b'{"number":7,"kind":"call.started"}\n',
    "no object": b"[7]\n",
    "a number that is none": b'{"number":"x","digest":"y"}\n',
    "several lines of garbage": b"\xff\xfe\n{}\n\n",
}


@pytest.mark.parametrize("name", TORN_ENDS)
def test_a_damaged_end_is_kept_aside_and_the_chain_goes_on(path: Path, name: str) -> None:
    whole, damage = path.read_bytes(), TORN_ENDS[name]
    path.write_bytes(whole + damage)
    ledger = Ledger(path, SystemClock())
    ledger.append("call.started", {"call_id": "call-7"})
    ledger.close()
    assert ledger.aside is not None
    assert ledger.aside.read_bytes() == damage
    assert path.read_bytes().startswith(whole)
    assert (verify(path).intact, verify(path).entries) == (True, 8)


def test_a_last_entry_with_a_flipped_byte_is_kept_aside(path: Path) -> None:
    lines = path.read_bytes().splitlines(keepends=True)
    flipped = lines[5].replace(b"2001", b"2003")
    path.write_bytes(b"".join([*lines[:5], flipped]))
    ledger = Ledger(path, SystemClock())
    ledger.close()
    assert ledger.aside is not None
    assert ledger.aside.read_bytes() == flipped
    assert (verify(path).intact, verify(path).entries) == (True, 6)


def test_a_whole_log_has_nothing_aside(path: Path) -> None:
    ledger = Ledger(path, SystemClock())
    ledger.close()
    assert ledger.aside is None
    assert list(path.parent.iterdir()) == [path]


def test_a_full_disk_leaves_the_log_as_it_was(path: Path) -> None:
    """A process of its own, for the limit on file sizes cannot be lifted again."""
    before = path.read_bytes()
    script = (
        "import resource, signal, sys; from pathlib import Path\n"
        "from openturret.firmware.recording.errors import LedgerError\n"
        "from openturret.firmware.recording.ledger import Ledger\n"
        "from openturret.hal.clock import SystemClock\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        f"limit = {len(before)} + 40\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))\n"
        "try:\n"
        "    Ledger(Path(sys.argv[1]), SystemClock()).append('call.started', {})\n"
        "except LedgerError:\n"
        "    sys.exit(7)\n"
    )
    assert subprocess.run([sys.executable, "-c", script, str(path)], check=False).returncode == 7
    assert path.read_bytes() == before
