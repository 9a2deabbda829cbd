"""The call log: JSON lines, each with the digest of the one before, so that no line can be changed.

A changed, moved or removed line breaks the chain from there on.  Lines cut off at the end leave no
trace in the file itself: the digest of every entry also goes to the log, and so to syslog.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
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
        LedgerError: The file cannot be opened.
    """

    def __init__(self, path: Path, clock: Clock) -> None:
        self._path, self._clock = path, clock
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("a+b", buffering=0)
        except OSError as error:
            raise LedgerError(f"{path.name} cannot be opened: {error}") from error
        try:
            self._number, self._last, torn = self._find_end()
        except LedgerError:
            self._file.close()
            raise
        if torn:
            self.append("ledger.recovered", {"bytes_lost": torn})

    @property
    def last(self) -> str:
        """Digest of the last entry."""
        return self._last

    def append(self, kind: str, fields: Mapping[str, JsonValue]) -> JsonObject:
        """Adds an entry and brings it to the disk before returning.

        Raises:
            LedgerError: The disk refuses.
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
            self._file.write(line)
            os.fsync(self._file.fileno())
        except (OSError, ValueError) as error:
            raise LedgerError(f"{self._path.name} cannot be written: {error}") from error

    def _find_end(self) -> tuple[int, str, int]:
        """Returns number and digest of the last whole entry, and what a power cut tore off."""
        size = self._file.seek(0, os.SEEK_END)
        self._file.seek(max(0, size - 2 * MAX_LINE_BYTES))
        tail = self._file.read()
        whole, newline, torn = tail.rpartition(b"\n")
        if torn:
            self._file.truncate(size - len(torn))
        if not newline:
            return 0, FIRST, len(torn)
        return (*self._last_entry(whole.rpartition(b"\n")[2]), len(torn))

    def _last_entry(self, line: bytes) -> tuple[int, str]:
        try:
            entry = json.loads(line)
            return int(entry["number"]), str(entry["digest"])
        except (ValueError, TypeError, KeyError) as error:
            raise LedgerError(f"{self._path.name} does not end with an entry: {error}") from error


def _utc(unix: float) -> str:
    stamp = datetime.fromtimestamp(unix, UTC).isoformat(timespec="milliseconds")
    return stamp.replace("+00:00", "Z")
