"""The call log: JSON lines, each with the digest of the one before, so that no line can be changed.

A changed, moved or removed line breaks the chain from there on.  Lines cut off at the end leave no
trace in the file itself: the digest of every entry also goes to the log, and so to syslog.

A power cut may tear the end of the file.  What does not read as an entry there is set aside in a
file beside the log, whole, and the chain goes on after the last entry that is one.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from io import FileIO
from pathlib import Path

from ...hal.clock import Clock
from ...hal.wire.json_lines import JsonObject, JsonValue
from .errors import LedgerError

logger = logging.getLogger(__name__)

FIRST = "0" * 64
MAX_LINE_BYTES = 65_536


@dataclass(frozen=True, slots=True)
class Verification:
    """What became of checking a call log.

    Attributes:
        entries: Good entries from the beginning.
        last: Digest of the last good entry.
        broken_line: First line that is not what it was, counted from 1; None when all are good.
        reason: What is wrong with it.
    """

    entries: int
    last: str
    broken_line: int | None = None
    reason: str = ""

    @property
    def intact(self) -> bool:
        """Whether every line is what it was when it was written."""
        return self.broken_line is None


def digest(entry: Mapping[str, JsonValue]) -> str:
    """Returns the digest of an entry: SHA-256 of its JSON with sorted keys, without ``digest``."""
    bare = {key: value for key, value in entry.items() if key != "digest"}
    text = json.dumps(bare, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def verify(path: Path) -> Verification:
    """Checks a call log from its first line to its last.

    Raises:
        LedgerError: The file cannot be read.
    """
    try:
        with path.open("rb") as file:
            return _verify(file.read())
    except OSError as error:
        raise LedgerError(f"{path.name} cannot be read: {error}") from error


def _verify(data: bytes) -> Verification:
    last, entries = FIRST, 0
    for number, line in enumerate(data.splitlines(keepends=True), 1):
        reason = _fault(line, number, last)
        if reason:
            return Verification(entries, last, number, reason)
        last, entries = str(json.loads(line)["digest"]), number
    return Verification(entries, last)


def _fault(line: bytes, number: int, last: str) -> str:
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        return "not JSON"
    if not isinstance(entry, dict) or not line.endswith(b"\n"):
        return "not a whole entry"
    if entry.get("number") != number:
        return f"is entry {entry.get('number')!r}"
    if entry.get("previous") != last:
        return "does not follow the line before"
    return "" if entry.get("digest") == digest(entry) else "was changed"


class Ledger:
    """Writes the call log of a unit.

    Args:
        path: The file; made when it is not there.
        clock: The time of the entries.

    Raises:
        LedgerError: The file cannot be opened, read or mended.
    """

    def __init__(self, path: Path, clock: Clock) -> None:
        self._path, self._clock = path, clock
        self._aside: Path | None = None
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("a+b", buffering=0)
        except OSError as error:
            raise LedgerError(f"{path.name} cannot be opened: {error}") from error
        try:
            self._number, self._last = self._take_up()
        except OSError as error:
            self._file.close()
            raise LedgerError(f"{path.name} cannot be taken up: {error}") from error

    @property
    def last(self) -> str:
        """Digest of the last entry."""
        return self._last

    @property
    def aside(self) -> Path | None:
        """Where a damaged end was set aside when the log was opened; None when it was whole."""
        return self._aside

    def append(self, kind: str, fields: Mapping[str, JsonValue]) -> JsonObject:
        """Adds an entry and brings it to the disk before returning.

        Raises:
            LedgerError: The disk refuses; the log is as it was.
        """
        entry: JsonObject = {
            **fields,
            "number": self._number + 1,
            "time": _utc(self._clock.unix()),
            "kind": kind,
            "previous": self._last,
        }
        entry["digest"] = digest(entry)
        self._write(json.dumps(entry, separators=(",", ":")).encode() + b"\n")
        self._number, self._last = self._number + 1, str(entry["digest"])
        logger.info("call log %d %s %s", self._number, kind, self._last)
        return entry

    def close(self) -> None:
        """Closes the file."""
        self._file.close()

    def _write(self, line: bytes) -> None:
        try:
            end = self._file.seek(0, os.SEEK_END)
            try:
                _write_whole(self._file, line)
            except OSError:
                self._file.truncate(end)
                raise
        except (OSError, ValueError) as error:
            raise LedgerError(f"{self._path.name} cannot be written: {error}") from error

    def _take_up(self) -> tuple[int, str]:
        """Returns number and digest of the last entry, after mending a damaged end.

        Raises:
            LedgerError: The disk refuses.
            OSError: So it does.
        """
        size = self._file.seek(0, os.SEEK_END)
        if size == 0:
            return 0, FIRST
        self._file.seek(max(0, size - MAX_LINE_BYTES))
        tail = self._file.read()
        found = _whole_entry(tail[tail.rfind(b"\n", 0, -1) + 1 :])
        return found if found is not None else self._mend()

    def _mend(self) -> tuple[int, str]:
        """Sets the damaged end aside and notes that in the log."""
        self._file.seek(0)
        data = self._file.read()
        good, number, last = _good_end(data)
        self._aside = self._keep_aside(data[good:])
        self._file.truncate(good)
        self._number, self._last = number, last
        self.append(
            "ledger.recovered", {"bytes_lost": len(data) - good, "kept_in": self._aside.name}
        )
        return self._number, self._last

    def _keep_aside(self, damaged: bytes) -> Path:
        stamp = datetime.fromtimestamp(self._clock.unix(), UTC).strftime("%Y%m%dT%H%M%S")
        name = hashlib.sha256(damaged).hexdigest()[:8]
        path = self._path.with_name(f"{self._path.name}.damaged-{stamp}-{name}")
        with path.open("wb", buffering=0) as file:
            _write_whole(file, damaged)
        logger.warning("%s: %d damaged bytes kept in %s", self._path.name, len(damaged), path.name)
        return path


def _write_whole(file: FileIO, data: bytes) -> None:
    """Brings every byte to the disk.

    Raises:
        OSError: The disk refuses, or is full.
    """
    view = memoryview(data)
    while view:
        view = view[file.write(view) :]
    os.fsync(file.fileno())


def _whole_entry(line: bytes) -> tuple[int, str] | None:
    """Returns number and digest of a line that is an entry, whatever came before it."""
    try:
        entry = json.loads(line)
        number, known = int(entry["number"]), str(entry["digest"])
        whole = line.endswith(b"\n") and known == digest(entry)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None
    return (number, known) if whole else None


def _good_end(data: bytes) -> tuple[int, int, str]:
    """Returns where the last whole entry ends, its number and its digest."""
    end = len(data)
    while end:
        begin = data.rfind(b"\n", 0, end - 1) + 1
        found = _whole_entry(data[begin:end])
        if found is not None:
            return (end, *found)
        end = begin
    return 0, 0, FIRST


def _utc(unix: float) -> str:
    stamp = datetime.fromtimestamp(unix, UTC).isoformat(timespec="milliseconds")
    return stamp.replace("+00:00", "Z")
