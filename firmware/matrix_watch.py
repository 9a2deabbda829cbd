"""Watches the mixing matrix: when it dies or restarts, no call is shown that nobody can hear."""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from ..hal.clock import Clock
from ..hal.errors import HalError, MatrixError
from ..hal.matrix import MixingMatrix, Topic
from .alarms import AlarmBoard
from .calls.desk import Desk

logger = logging.getLogger(__name__)

GONE: Final = "matrix.gone"
RESTARTED: Final = "matrix.restarted"
REMEDY: Final = "look at state/log/matrix.log"
ASK_S: Final = 0.5
DEAD_S: Final = 5.0
"""How long a matrix may be silent before its calls are given up; it may only be late."""

REOPEN_S: Final = 1.0


class MatrixWatch:
    """Ends the calls that a matrix took with it, and says so.

    Args:
        matrix: Who is watched.
        desk: Whose calls they are.
        alarms: Is told.
        clock: Its monotonic time counts the silence.
    """

    def __init__(self, matrix: MixingMatrix, desk: Desk, alarms: AlarmBoard, clock: Clock) -> None:
        self._matrix = matrix
        self._desk = desk
        self._alarms = alarms
        self._clock = clock
        self._silent_since: float | None = None

    async def run(self) -> None:
        """Watches until it is cancelled."""
        async with asyncio.TaskGroup() as both:
            both.create_task(self._follow())
            both.create_task(self._ask())

    async def _follow(self) -> None:
        """Compares legs after every connection: the matrix at its end may be a new one."""
        while True:
            try:
                async for event in self._matrix.events({Topic.ALARMS}):
                    if event.event == "connected":
                        self._tell(await self._desk.end_silent())
            except HalError as error:
                logger.warning("legs not compared: %s", error)
            await asyncio.sleep(REOPEN_S)

    async def _ask(self) -> None:
        while True:
            try:
                await self._matrix.hello()
            except MatrixError as error:
                await self._miss(error)
            else:
                self._silent_since = None
                self._alarms.clear(GONE)
            if self._desk.profile is None:
                self._alarms.clear(RESTARTED)
            await asyncio.sleep(ASK_S)

    async def _miss(self, error: MatrixError) -> None:
        now = self._clock.monotonic()
        if self._silent_since is None:
            self._silent_since = now
        self._alarms.raise_(GONE, "", f"no voice: {error}", REMEDY)
        if now - self._silent_since >= DEAD_S:
            self._tell(await self._desk.end_silent(matrix_gone=True))

    def _tell(self, cut_off: int) -> None:
        if cut_off:
            message = f"the mixing matrix went away and took {cut_off} call(s) with it"
            self._alarms.raise_(RESTARTED, "", message, REMEDY)
