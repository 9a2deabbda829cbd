"""Waits for a condition with a deadline."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from .errors import LabError

T = TypeVar("T")
POLL_S = 0.05


class NeverHappenedError(LabError, TimeoutError):
    """Something that must happen did not, before its deadline."""


async def until(
    ask: Callable[[], Awaitable[T | None]], what: str, *, deadline_s: float = 15.0
) -> T:
    """Ask again and again until the answer is something true.

    Raises:
        NeverHappenedError: the deadline passed; `what` says what never happened.
    """
    try:
        async with asyncio.timeout(deadline_s):
            while not (answer := await ask()):
                await asyncio.sleep(POLL_S)
    except TimeoutError:
        raise NeverHappenedError(f"{what} did not happen within {deadline_s:g} s") from None
    return answer
