"""Asks several servers for the same thing, one after the other but without waiting for the dead."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

T = TypeVar("T")


async def race(
    attempts: Sequence[Callable[[], Awaitable[T]]],
    *,
    head_start_s: float,
    is_final: Callable[[BaseException], bool],
) -> T:
    """Returns what the first attempt brings that succeeds; the others are called off.

    Each attempt starts when the ones before it have failed, or when the last of them has had
    its head start: the order is a preference, and a dead server costs no more than that
    (as RFC 8305 does it for addresses).

    Args:
        attempts: At least one, in order of preference.
        head_start_s: Seconds.
        is_final: Whether a failure is an answer too, so that nobody else is asked.

    Raises:
        Exception: A final failure, or the last one of all.
    """
    waiting = list(attempts)
    running: set[asyncio.Future[T]] = set()
    failure: BaseException | None = None
    try:
        while waiting or running:
            if waiting:
                running.add(asyncio.ensure_future(waiting.pop(0)()))
            done, running = await asyncio.wait(
                running,
                timeout=head_start_s if waiting else None,
                return_when=asyncio.FIRST_COMPLETED,
            )
            for attempt in done:
                failure = attempt.exception()
                if failure is None:
                    return attempt.result()
                if is_final(failure):
                    raise failure
    finally:
        for attempt in running:
            attempt.cancel()
        await asyncio.gather(*running, return_exceptions=True)
    raise failure or ValueError("there is nobody to ask")
