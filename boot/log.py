"""Log lines as RFC 5424 writes them, to a file and to the TSS."""

import logging
import socket
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

MAX_DATAGRAM: Final = 2048
MAX_LOG_BYTES: Final = 1_048_576

_FACILITY_LOCAL0 = 16
_SEVERITIES = ((logging.CRITICAL, 2), (logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6))
_DEBUG = 7


class Rfc5424Formatter(logging.Formatter):
    """Writes one record as one line: ``<134>1 2026-01-05T08:00:00.000Z host app pid id - text``."""

    def __init__(self, host: str, application: str) -> None:
        super().__init__()
        self._host = host
        self._application = application

    def format(self, record: logging.LogRecord) -> str:
        """Returns the line without its newline; control characters are made visible."""
        moment = datetime.fromtimestamp(record.created, UTC)
        stamp = moment.isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"
        text = record.getMessage()
        if record.exc_info:
            text += " " + self.formatException(record.exc_info)
        priority = _FACILITY_LOCAL0 * 8 + severity(record.levelno)
        unit = record.name.rpartition(".")[2][:32] or "-"
        head = f"<{priority}>1 {stamp} {self._host} {self._application} {record.process or '-'}"
        return f"{head} {unit} - {_visible(text)}"


class SyslogHandler(logging.Handler):
    """Sends every record to a syslog server over UDP (RFC 5426); never waits, never raises."""

    def __init__(self, address: tuple[str, int]) -> None:
        super().__init__()
        self._udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self._address = address

    def emit(self, record: logging.LogRecord) -> None:
        """Sends one record, or drops it when the network will not take it."""
        try:
            self._udp.sendto(self.format(record).encode()[:MAX_DATAGRAM], self._address)
        except OSError:
            return

    def close(self) -> None:
        """Closes the socket."""
        self._udp.close()
        super().close()


def log_to_file(path: Path, formatter: logging.Formatter) -> logging.Handler:
    """Sends the boot's log to a file, keeping one older file when it has grown."""
    rotate(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handler = logging.FileHandler(path, encoding="utf-8")
    handler.setFormatter(formatter)
    return handler


def rotate(path: Path, max_bytes: int = MAX_LOG_BYTES) -> None:
    """Moves a log that has grown to ``<name>.1``."""
    if path.is_file() and path.stat().st_size > max_bytes:
        path.replace(path.with_name(path.name + ".1"))


def severity(level: int) -> int:
    """Returns the syslog severity of a logging level (RFC 5424 §6.2.1)."""
    return next((number for floor, number in _SEVERITIES if level >= floor), _DEBUG)


def _visible(text: str) -> str:
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
