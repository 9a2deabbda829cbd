"""Tells any number of readers that something has changed, never how often."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator


class Changes:
    """A bell: whoever listens wakes at least once after each ring."""

    def __init__(self) -> None:
        self._readers: set[asyncio.Event] = set()

    def ring(self) -> None:
        """Wakes every reader."""
        for reader in self._readers:
            reader.set()

    async def rings(self) -> AsyncGenerator[None, None]:
        """Yields after every ring; rings while the reader is busy become one."""
        bell = asyncio.Event()
        self._readers.add(bell)
        try:
            while True:
                await bell.wait()
                bell.clear()
                yield
        finally:
            self._readers.discard(bell)
