"""Ends a program in order when somebody asks it to stop."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
from collections.abc import Callable, Coroutine
from typing import Any, Protocol, TypeVar

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


class Server(Protocol):
    """Something that listens from its start to its close."""

    async def start(self) -> None:
        """Begins to listen."""
        ...

    async def close(self) -> None:
        """Ends what is going on and stops listening."""
        ...


async def serve(server: Server, ready: Callable[[], str]) -> None:
    """Run a server until one of `SIGNALS` comes, and close it.

    Args:
        server: what to run.
        ready: the line that says on standard output that it listens.

    Raises:
        OSError: the server cannot start.
    """
    await stoppable(_serve(server, ready))


async def _serve(server: Server, ready: Callable[[], str]) -> None:
    await server.start()
    sys.stdout.write(f"{ready()}\n")
    sys.stdout.flush()
    try:
        await asyncio.Event().wait()
    finally:
        await server.close()
