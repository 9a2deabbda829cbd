"""Ends a program in order when somebody asks it to stop."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Ctrl-C, a request to stop, and the end of the terminal."""


async def stoppable(work: Coroutine[Any, Any, T]) -> T | None:
    """Do some work to its end, or until one of `SIGNALS` cancels it.

    Cancelled work leaves through its context managers, so processes end and folders go.

    Returns:
        What the work returned; None when it was cancelled.
    """
    task = asyncio.ensure_future(work)
    for number in SIGNALS:
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        return await task
    return None
