"""The boot's log: a file, the terminal, the events among it, and the syslog server of the TSS."""

import logging
import os
import sys
from collections import deque
from collections.abc import Callable
from ipaddress import IPv4Address
from typing import Final

from ..hal.syslog import Peer, RateLimit, Redactor, SyslogFormatter, SyslogHandler
from .document import Document
from .events import EventLog
from .folder import StateFolder
from .logfile import LogFile

logger = logging.getLogger(__name__)

MAX_BACKLOG: Final = 500
"""Records that wait for a syslog server; a unit that waits for days keeps the newest."""

RATE_HZ: Final = 20.0
"""Lines per second that a syslog server gets in the long run."""

APPLICATION: Final = "boot"
SYSLOG_KEY: Final = "application.syslog.server"
_SECRET_WORDS = ("password", "passwd", "secret", "community", "token")


class FileHandler(logging.Handler):
    """Writes records to a log file of bounded size; a full medium stops nobody.

    Args:
        file: Where lines go.
        formatter: What makes a line of a record.
    """

    def __init__(self, file: LogFile, formatter: logging.Formatter) -> None:
        super().__init__()
        self._file = file
        self.setFormatter(formatter)

    def emit(self, record: logging.LogRecord) -> None:
        """Writes one record."""
        self._file.append(self.format(record))


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
        redactor: Takes secrets out.
        monotonic: Seconds of a clock that never jumps, for the rate limit.
    """

    def __init__(self, host: str, redactor: Redactor, monotonic: Callable[[], float]) -> None:
        self._formatter = formatter(host, redactor)
        self._monotonic = monotonic
        self._log = logging.getLogger("openturret")
        self._backlog = Backlog()
        self._handler: SyslogHandler | None = None

    def open(self) -> None:
        """Begins to keep what is logged."""
        self._log.addHandler(self._backlog)

    def send_to(self, server: object) -> None:
        """Sends what was logged so far, and what comes; drops it when there is no server.

        Args:
            server: ``address:port`` as the configuration has it.
        """
        self.close()
        if not server:
            return
        try:
            address = syslog_address(str(server))
        except ValueError as error:
            logger.error("%s: %s", SYSLOG_KEY, error)  # noqa: TRY400
            return
        limit = RateLimit(RATE_HZ, MAX_BACKLOG, self._monotonic)
        self._handler = SyslogHandler(Peer(address), limit)
        self._handler.setFormatter(self._formatter)
        self._backlog.pass_on(self._handler)
        self._log.addHandler(self._handler)

    def close(self) -> None:
        """Stops to keep and to send."""
        self._log.removeHandler(self._backlog)
        if self._handler is not None:
            self._log.removeHandler(self._handler)
            self._handler.close()
            self._handler = None


def formatter(host: str, redactor: Redactor) -> SyslogFormatter:
    """Returns what makes RFC 5424 lines of the boot's records."""
    return SyslogFormatter(host, APPLICATION, process=os.getpid(), redactor=redactor)


def start_log(folder: StateFolder, host: str, redactor: Redactor, *, verbose: bool) -> None:
    """Sends the log to the terminal, to ``log/boot.log`` and its events to ``log/events.jsonl``.

    Args:
        folder: The unit's state folder.
        host: What the unit calls itself.
        redactor: Takes secrets out.
        verbose: Also what debugging needs.
    """
    log = logging.getLogger("openturret")
    log.setLevel(logging.DEBUG if verbose else logging.INFO)
    terminal = logging.StreamHandler(sys.stderr)
    terminal.setFormatter(formatter(host, redactor))
    log.addHandler(terminal)
    log.addHandler(FileHandler(LogFile(folder.log), formatter(host, redactor)))
    log.addHandler(EventLog(folder.events, redactor))


def learn_secrets(configuration: Document, redactor: Redactor) -> None:
    """Makes known what a log must never show: the values of keys that sound like a secret."""
    for key, value in configuration.values.items():
        if isinstance(value, str) and any(word in key.lower() for word in _SECRET_WORDS):
            redactor.learn(value)


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
