"""A bell that wakes those who wait between two attempts, because somebody asks for one now."""

import asyncio
import contextlib


class Bell:
    """Rings for everybody who waits at that moment, and for nobody later."""

    def __init__(self) -> None:
        self._ring = asyncio.Event()

    def ring(self) -> None:
        """Ends every wait."""
        self._ring.set()
        self._ring = asyncio.Event()

    async def wait(self, delay_s: float) -> bool:
        """Waits for the bell or until the time is up, seconds; returns whether it rang."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(delay_s):
                return await self._ring.wait()
        return False
