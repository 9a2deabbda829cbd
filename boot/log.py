"""Log lines as RFC 5424 writes them, to a file and to the TSS."""

import logging
import socket
from collections import deque
from datetime import UTC, datetime
from ipaddress import IPv4Address
from pathlib import Path
from typing import Final

logger = logging.getLogger(__name__)

MAX_DATAGRAM: Final = 2048
MAX_LOG_BYTES: Final = 1_048_576
MAX_BACKLOG: Final = 500
"""Records that wait for a syslog server; a unit that waits for days keeps the newest."""

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


class Backlog(logging.Handler):
    """Keeps the newest records until it is known where they go."""

    def __init__(self, capacity: int = MAX_BACKLOG) -> None:
        super().__init__()
        self._records: deque[logging.LogRecord] = deque(maxlen=capacity)

    def emit(self, record: logging.LogRecord) -> None:
        """Keeps one record."""
        self._records.append(record)

    def pass_on(self, handler: logging.Handler) -> None:
        """Gives every kept record to a handler, oldest first, and forgets them."""
        while self._records:
            handler.handle(self._records.popleft())


class Syslog:
    """The boot's log on its way to the TSS: kept until a configuration says where it goes.

    Args:
        host: What the unit calls itself there.
    """

    def __init__(self, host: str) -> None:
        self._host = host
        self._log = logging.getLogger("openturret")
        self._backlog = Backlog()

    def open(self) -> None:
        """Begins to keep what is logged."""
        self._log.addHandler(self._backlog)

    def send_to(self, server: object) -> None:
        """Sends what was logged so far, and what comes; drops it when there is no server.

        Args:
            server: ``address:port`` as the configuration has it.
        """
        self._log.removeHandler(self._backlog)
        if not server:
            return
        try:
            handler = SyslogHandler(syslog_address(str(server)))
        except ValueError as error:
            logger.error("application.syslog.server: %s", error)  # noqa: TRY400
            return
        handler.setFormatter(Rfc5424Formatter(self._host, "boot"))
        self._backlog.pass_on(handler)
        self._log.addHandler(handler)


def syslog_address(text: str) -> tuple[str, int]:
    """Returns address and port of a syslog server written ``10.11.0.10:514``.

    A name is not accepted: resolving it would make every log line wait for DNS.

    Raises:
        ValueError: It is not an IPv4 address and a port.
    """
    host, _, port = text.rpartition(":")
    if not (port.isascii() and port.isdecimal() and 0 < int(port) < 65_536):
        raise ValueError(f"{text!r} is not address:port")
    return str(IPv4Address(host)), int(port)


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
