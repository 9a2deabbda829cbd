"""Sets the log of a process up: to standard error for boot to keep, and to the syslog server."""

from __future__ import annotations

import logging
import os
import time
from typing import Final, TextIO

from ...hal.syslog import (
    CleanFormatter,
    RateLimit,
    Redactor,
    SyslogFormatter,
    SyslogHandler,
    connect,
)

logger = logging.getLogger(__name__)

RATE_HZ: Final = 20.0
BURST: Final = 100
_LINE: Final = "%(asctime)s %(levelname)s %(name)s %(message)s"


class Log:
    """The log of this process; no handler of it ever writes a secret that was learned.

    Args:
        application: Name of the process in syslog.
        stream: Where lines go.
        level: Lowest level that is written.
    """

    def __init__(self, application: str, stream: TextIO, level: int = logging.INFO) -> None:
        self.redactor = Redactor()
        self._application = application
        self._handlers: list[logging.Handler] = []
        self._root = logging.getLogger()
        self._root.setLevel(level)
        handler = logging.StreamHandler(stream)
        handler.setFormatter(CleanFormatter(self.redactor, _LINE))
        self._add(handler)

    def start_syslog(self, server: str, host: str) -> None:
        """Sends the log to ``address:port`` as well; nothing when that is empty.

        Args:
            server: The syslog server.
            host: What the unit calls itself there.
        """
        if not server:
            return
        try:
            handler = SyslogHandler(connect(server), RateLimit(RATE_HZ, BURST, time.monotonic))
        except OSError as error:
            logger.warning("no syslog to %s: %s", server, error)
            return
        handler.setFormatter(
            SyslogFormatter(host, self._application, process=os.getpid(), redactor=self.redactor)
        )
        self._add(handler)

    def close(self) -> None:
        """Takes its handlers away again."""
        for handler in self._handlers:
            self._root.removeHandler(handler)
            handler.close()
        self._handlers.clear()

    def _add(self, handler: logging.Handler) -> None:
        self._handlers.append(handler)
        self._root.addHandler(handler)
