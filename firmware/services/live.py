"""Levels and alarms for browsers: one subscription to the matrix, only while somebody looks."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncGenerator
from typing import Final

from ...hal.clock import Clock
from ...hal.errors import HalError
from ...hal.matrix import MixingMatrix, Topic
from ...hal.wire.json_lines import JsonObject
from ..alarms import AlarmBoard

logger = logging.getLogger(__name__)

LEVELS_INTERVAL_S: Final = 0.075
"""Eyes do not need the matrix's 25 Hz, and a browser redraws on every message."""

QUEUE_MAX: Final = 8
RETRY_S: Final = 1.0


class LiveFeed:
    """What moves, for any number of browsers.

    Args:
        matrix: Where levels come from.
        alarms: Where alarms come from.
        clock: Its monotonic time thins the levels out.
    """

    def __init__(self, matrix: MixingMatrix, alarms: AlarmBoard, clock: Clock) -> None:
        self._matrix = matrix
        self._alarms = alarms
        self._clock = clock
        self._readers: set[_Reader] = set()
        self._tasks: tuple[asyncio.Task[None], ...] = ()

    async def messages(self) -> AsyncGenerator[JsonObject, None]:
        """Yields messages for a browser; the oldest give way when it is slow."""
        reader = _Reader()
        self._readers.add(reader)
        self._tasks = self._tasks or (
            asyncio.create_task(self._read_levels(), name="levels"),
            asyncio.create_task(self._read_alarms(), name="alarms"),
        )
        try:
            while True:
                yield await reader.next()
        finally:
            self._readers.discard(reader)
            await self._stop_unread()

    async def close(self) -> None:
        """Ends the subscription, whoever looks."""
        self._readers.clear()
        await self._stop_unread()

    async def _stop_unread(self) -> None:
        if self._readers:
            return
        tasks, self._tasks = self._tasks, ()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _read_levels(self) -> None:
        while True:
            try:
                await self._pass_levels_on()
            except HalError as error:
                logger.warning("no levels: %s", error)
            await asyncio.sleep(RETRY_S)

    async def _pass_levels_on(self) -> None:
        last = float("-inf")
        async for event in self._matrix.events({Topic.LEVELS}):
            now = self._clock.monotonic()
            if event.event == "levels" and now - last >= LEVELS_INTERVAL_S:
                last = now
                self._put({"type": "levels", "time": event.time, **event.details})

    async def _read_alarms(self) -> None:
        async for change in self._alarms.changes():
            self._put(change.as_json())

    def _put(self, message: JsonObject) -> None:
        for reader in tuple(self._readers):
            reader.put(message)


class _Reader:
    """One browser's view, bounded."""

    def __init__(self) -> None:
        self._messages: deque[JsonObject] = deque(maxlen=QUEUE_MAX)
        self._ready = asyncio.Event()

    def put(self, message: JsonObject) -> None:
        self._messages.append(message)
        self._ready.set()

    async def next(self) -> JsonObject:
        while not self._messages:
            self._ready.clear()
            await self._ready.wait()
        return self._messages.popleft()
