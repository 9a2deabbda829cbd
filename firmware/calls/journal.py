"""The journal of live dialogs: what a restarted runtime must know to go on with them.

One file per call, replaced by rename, with a checksum.  SIGKILL loses nothing that was written,
because the page cache survives the process; a power cut loses the calls too, so nothing is
synced to the medium.  A file that a power cut tore is recognised, reported and removed.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import cast
from urllib.parse import quote

from ...hal.clock import Clock
from ...hal.wire.json_lines import JsonObject, JsonValue
from .agent import Agent
from .errors import JournalError
from .events import CallEnded, Dialog, DialogChanged, Event

logger = logging.getLogger(__name__)
FORMAT = 1


@dataclass(frozen=True, slots=True)
class Entry:
    """A live dialog and what its owner wrote beside it.

    Attributes:
        call_id: Ours, the agent's.
        account: The account that made it.
        dialog: How to go on with it.
        note: The owner's: kind, line, leg, device, recording.
        started_unix_s: When it was first written.
    """

    call_id: str
    account: str
    dialog: Dialog
    note: JsonObject = field(default_factory=dict)
    started_unix_s: float = 0.0

    @property
    def kind(self) -> str:
        """``call``, ``channel``, ``siprec``: whose it is."""
        return str(self.note.get("kind", ""))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def encode(entry: Entry) -> bytes:
    """Writes an entry as two lines: the checksum, and the entry as JSON."""
    text = json.dumps({"format": FORMAT, **asdict(entry)}, separators=(",", ":"))
    return f"{_digest(text)}\n{text}\n".encode()


def decode(data: bytes) -> Entry:
    """Reads an entry.

    Raises:
        JournalError: The file is torn, or of another format.
    """
    try:
        digest, text = data.decode().rstrip("\n").split("\n")
        if digest != _digest(text):
            raise JournalError("the checksum does not match")
        fields = json.loads(text)
        if fields.pop("format") != FORMAT:
            raise JournalError("the format is not known")
        return _entry(cast(dict[str, JsonValue], fields))
    except (UnicodeDecodeError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise JournalError(f"torn entry: {error}") from error


def _entry(fields: dict[str, JsonValue]) -> Entry:
    dialog = cast(dict[str, JsonValue], fields.pop("dialog"))
    routes = cast(list[str], dialog.pop("route_set"))
    made = Dialog(**dialog, route_set=tuple(routes))  # type: ignore[arg-type]
    return Entry(dialog=made, **fields)  # type: ignore[arg-type]


class Journal:
    """The entries in a folder.

    Args:
        folder: Made when it is not there.
        clock: Says when a call started.
    """

    def __init__(self, folder: Path, clock: Clock) -> None:
        self._folder = folder
        self._clock = clock
        self._started: dict[str, float] = {}
        folder.mkdir(parents=True, exist_ok=True)

    def write(self, entry: Entry) -> None:
        """Adds an entry or replaces the call's older one; keeps the start of the call."""
        started = self._started.setdefault(
            entry.call_id, entry.started_unix_s or self._clock.unix()
        )
        path = self._path(entry.call_id)
        unfinished = path.with_suffix(".part")
        unfinished.write_bytes(encode(replace(entry, started_unix_s=started)))
        unfinished.replace(path)

    def remove(self, call_id: str) -> None:
        """Removes a call's entry; nothing when there is none."""
        self._started.pop(call_id, None)
        self._path(call_id).unlink(missing_ok=True)

    def entries(self) -> list[Entry]:
        """Returns what is live according to the journal, oldest first; drops torn files."""
        found = sorted(self._read(), key=lambda entry: entry.started_unix_s)
        self._started.update((entry.call_id, entry.started_unix_s) for entry in found)
        return found

    def follow(self, agent: Agent) -> Callable[[], None]:
        """Writes and removes as the agent's calls change; returns what ends that."""
        return agent.subscribe(self._note)

    def _note(self, event: Event) -> None:
        match event:
            case DialogChanged(call_id, account, dialog, note):
                self.write(Entry(call_id, account, dialog, note))
            case CallEnded(call_id):
                self.remove(call_id)
            case _:
                pass

    def _path(self, call_id: str) -> Path:
        return self._folder / f"{quote(call_id, safe='')}.json"

    def _read(self) -> Iterator[Entry]:
        for path in self._folder.glob("*.json"):
            try:
                yield decode(path.read_bytes())
            except JournalError as error:
                logger.warning("journal: %s dropped: %s", path.name, error)
                path.unlink(missing_ok=True)
