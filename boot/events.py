"""What happens during a boot, for machines: ``log/events.jsonl``, one JSON object a line.

An event is logged like any other line and carries itself along: the event log keeps it, syslog
sends it as structured data (RFC 5424 section 6.3), and a person reads the text.
"""

import contextlib
import json
import logging
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from ..hal.syslog import Redactor
from ..hal.wire.json_lines import JsonObject, decode
from .cache import read_bounded
from .errors import BootError
from .logfile import LogFile, older

MAX_BYTES: Final = 1_048_576
"""Of the event log; one older file of this size is kept beside it."""

_MAX_READ: Final = 2 * MAX_BYTES


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened; what does not apply is left out.

    Attributes:
        event: What, such as ``started``, ``done``, ``failed``, ``alarm raised``.
        stage: The stage of the boot, or the service, that it is about.
        detail: The one thing worth knowing: an address, a version, an attempt.
        duration_s: How long the stage took.
        round_trips: What the stage cost.
        code: Of the error or alarm.
        message: What went wrong, for people.
        remedy: What to do about it, for people.
        server: Which server it is about.
        file: Which file.
        option: Which option or key.
    """

    event: str
    stage: str = ""
    detail: str = ""
    duration_s: float | None = None
    round_trips: int | None = None
    code: str = ""
    message: str = ""
    remedy: str = ""
    server: str = ""
    file: str = ""
    option: str = ""

    @classmethod
    def of(cls, event: str, stage: str, error: BootError, detail: str = "") -> "Event":
        """Returns the event of an error."""
        return cls(
            event,
            stage,
            detail,
            code=error.code,
            message=str(error),
            remedy=error.remedy,
            server=error.server,
            file=error.file,
            option=error.option,
        )

    def members(self) -> dict[str, str | int | float]:
        """Returns what applies, by name."""
        return {name: value for name, value in asdict(self).items() if value not in ("", None)}

    def extra(self) -> dict[str, object]:
        """Returns what makes a line of the log carry this event: ``logger.info(…, extra=…)``."""
        return {"structured": self.members()}


class EventLog(logging.Handler):
    """Keeps the events among the records of a log in a file of bounded size.

    Args:
        path: The file; the older one is called ``<name>.1``.
        redactor: Takes secrets out.
        max_bytes: When it is moved aside.
    """

    def __init__(self, path: Path, redactor: Redactor, max_bytes: int = MAX_BYTES) -> None:
        super().__init__()
        self._file = LogFile(path, max_bytes)
        self._redactor = redactor

    def emit(self, record: logging.LogRecord) -> None:
        """Writes one line for an event, nothing for any other record."""
        members = getattr(record, "structured", None)
        if members is None:
            return
        moment = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        clean = {
            name: self._redactor.clean(value) if isinstance(value, str) else value
            for name, value in members.items()
        }
        self._file.append(json.dumps({"time": moment, **clean}, ensure_ascii=False))


def read_events(path: Path) -> Iterator[JsonObject]:
    """Yields the events of both files, oldest first; a line that a power cut tore is left out."""
    for file in (older(path), path):
        for line in (read_bounded(file, _MAX_READ) or b"").splitlines():
            with contextlib.suppress(ValueError):
                yield decode(line)
