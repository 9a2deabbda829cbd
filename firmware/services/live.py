"""Levels and alarms of the matrix for browsers: one subscription, only while somebody looks."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import AsyncIterator
from typing import Final

from ...hal.clock import Clock
from ...hal.errors import HalError
from ...hal.matrix import MatrixEvent, MixingMatrix, Topic
from ...hal.wire.json_lines import JsonObject

logger = logging.getLogger(__name__)

LEVELS_INTERVAL_S: Final = 0.075
"""Eyes do not need the matrix's 25 Hz, and a browser redraws on every message."""

QUEUE_MAX: Final = 8
RETRY_S: Final = 1.0


class LiveFeed:
    """What moves, for any number of browsers.

    Args:
        matrix: Where levels come from.
        clock: Its monotonic time thins the levels out.
    """

    def __init__(self, matrix: MixingMatrix, clock: Clock) -> None:
        self._matrix = matrix
        self._clock = clock
        self._readers: set[_Reader] = set()
        self._task: asyncio.Task[None] | None = None

    async def messages(self) -> AsyncIterator[JsonObject]:
        """Yields messages for a browser; the oldest give way when it is slow."""
        reader = _Reader()
        self._readers.add(reader)
        self._task = self._task or asyncio.create_task(self._read(), name="levels")
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
        if self._readers or self._task is None:
            return
        task, self._task = self._task, None
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    async def _read(self) -> None:
        while True:
            try:
                await self._pass_on()
            except HalError as error:
                logger.warning("no levels: %s", error)
            await asyncio.sleep(RETRY_S)

    async def _pass_on(self) -> None:
        last = float("-inf")
        async for event in self._matrix.events({Topic.LEVELS, Topic.ALARMS}):
            now = self._clock.monotonic()
            if event.event == "levels" and now - last < LEVELS_INTERVAL_S:
                continue
            last = now if event.event == "levels" else last
            message = _message(event)
            for reader in tuple(self._readers) if message else ():
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


def _message(event: MatrixEvent) -> JsonObject:
    """The event as a browser gets it; empty for what it does not need."""
    if event.event not in {"levels", "alarm"}:
        return {}
    return {"type": event.event, "time": event.time, **event.details}
