"""PJSIP's endpoint: how it is set up, what it logs, and what it cannot place."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from ...hal.clock import Clock
from . import _library as pj
from .callbacks import guarded
from .events import Response

logger = logging.getLogger(__name__)
pjsip_logger = logging.getLogger(f"{__package__}.pjsip")

LOG_LINES_PER_SECOND = 10
LOG_LINE_CHARACTERS = 400
CODECS = {
    "PCMU": "PCMU/8000/1",
    "PCMA": "PCMA/8000/1",
    "G722": "G722/16000/1",
    "OPUS": "opus/48000/2",
}
"""What PJSIP can negotiate for the matrix, by the names of configuration; values are PJSIP's."""
HIGHEST_PRIORITY = 255


@dataclass(frozen=True, slots=True)
class AgentSettings:
    """How the agent presents itself.

    Attributes:
        address: The unit's address: both transports are bound to it.
        port: SIP port, UDP and TCP.
        user_agent: Written into every request.
        log_level: PJSIP's own, 1 to 6; 2 is warnings.
        log_path: Reserved for a SIP trace; None for none.
        codecs: Of `CODECS`, the one offered first coming first.
    """

    address: str = "127.0.0.1"
    port: int = 5060
    user_agent: str = "OpenTurret"
    log_level: int = 2
    log_path: Path | None = None
    codecs: tuple[str, ...] = tuple(CODECS)

    @property
    def priorities(self) -> Mapping[str, int]:
        """PJSIP's priority of each codec that is offered, by PJSIP's name for it.

        >>> AgentSettings(codecs=("PCMA", "PCMU")).priorities
        {'PCMA/8000/1': 255, 'PCMU/8000/1': 254}
        """
        names = dict.fromkeys(CODECS[name] for name in self.codecs)
        return {name: HIGHEST_PRIORITY - rank for rank, name in enumerate(names)}


class PjsipLog(pj.LogWriter):
    """Hands PJSIP's log lines to Python's logging, but not every one of a flood of bad packets.

    Args:
        clock: Tells one second from the next.
    """

    LEVELS: Mapping[int, int] = {0: logging.ERROR, 1: logging.ERROR, 2: logging.WARNING}

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._clock = clock
        self._second = 0
        self._lines = 0

    def write(self, entry: pj.LogEntry) -> None:
        """Logs one line, cut to a readable length."""
        second = int(self._clock.monotonic())
        if second != self._second:
            self._report_dropped()
            self._second, self._lines = second, 0
        self._lines += 1
        if self._lines <= LOG_LINES_PER_SECOND:
            level = self.LEVELS.get(entry.level, logging.DEBUG)
            pjsip_logger.log(level, "%s", entry.msg.rstrip()[:LOG_LINE_CHARACTERS])

    def _report_dropped(self) -> None:
        if self._lines > LOG_LINES_PER_SECOND:
            pjsip_logger.warning("%d lines dropped", self._lines - LOG_LINES_PER_SECOND)


class TapOwner(Protocol):
    """Who decides about requests that PJSIP cannot place."""

    def in_adopted(self, sip_call_id: str, from_tag: str, to_tag: str, message: str) -> int:
        """Returns the status for a request inside a dialog that PJSIP does not know."""
        ...

    def admit(self, method: str, source: str) -> int:
        """Returns the status for a request outside a dialog."""
        ...

    def answered(self, token: int, response: Response) -> None:
        """Takes the answer to a raw request."""
        ...


class Tap(pj.RequestTap):
    """Shows the user agent what PJSIP cannot place."""

    def __init__(self, owner: TapOwner) -> None:
        super().__init__()
        self._owner = owner

    def onRequest(  # noqa: N802
        self,
        method: str,
        call_id: str,
        from_tag: str,
        to_tag: str,
        message: str,
        source: str,
    ) -> int:
        """Returns the status to answer with, 0 to let PJSIP handle it."""
        try:
            if to_tag:
                return self._owner.in_adopted(call_id, from_tag, to_tag, message)
            return self._owner.admit(method, source)
        except Exception:
            logger.exception("request tap")
            return 0

    @guarded
    def onResponse(  # noqa: N802
        self, token: int, status: int, reason: str, message: str
    ) -> None:
        """Gives the answer to whoever sent the request."""
        self._owner.answered(token, Response(status, reason, message))


def endpoint_settings(settings: AgentSettings, writer: PjsipLog) -> pj.EpConfig:
    """Returns PJSIP's settings: no thread, no socket and no sound of its own."""
    config = pj.EpConfig()
    config.uaConfig.threadCnt = 0
    config.uaConfig.mainThreadOnly = True
    config.uaConfig.maxCalls = 64
    config.uaConfig.userAgent = settings.user_agent
    config.uaConfig.mwiUnsolicitedEnabled = False
    config.medConfig.threadCnt = 0
    config.medConfig.hasIoqueue = False
    config.medConfig.clockRate = config.medConfig.sndClockRate = 8000
    config.medConfig.noVad = True
    config.logConfig.level = config.logConfig.consoleLevel = settings.log_level
    config.logConfig.msgLogging = int(settings.log_level > 4)
    writer.__disown__()
    config.logConfig.writer = writer
    return config
