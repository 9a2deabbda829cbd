r"""How a process says that it lives: the notification protocol of systemd (sd_notify(3)).

Who supervises opens a datagram socket and names it in ``NOTIFY_SOCKET``; who is supervised sends
lines of ``NAME=value`` to it.  Matrix and runtime say it to the boot agent, the boot agent to
systemd.

>>> Notice.parse(b"READY=1\nSTATUS=2 calls\n")
Notice(ready=True, alive=False, stopping=False, status='2 calls')
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final, Self

logger = logging.getLogger(__name__)

SOCKET: Final = "NOTIFY_SOCKET"
"""The variable of the environment that names the supervisor's socket."""

NOTICE_BYTES_MAX: Final = 4096
STATUS_CHARACTERS_MAX: Final = 200


@dataclass(frozen=True, slots=True)
class Notice:
    """What one datagram says.

    Attributes:
        ready: The process serves.
        alive: Everything that it is made of works.
        stopping: It ends.
        status: What it does, for people; empty when it does not say.
    """

    ready: bool = False
    alive: bool = False
    stopping: bool = False
    status: str = ""

    @classmethod
    def parse(cls, data: bytes) -> Notice:
        """Returns what a datagram says; what is not understood is left out."""
        text = data[:NOTICE_BYTES_MAX].decode("utf-8", "replace")
        found = dict(line.partition("=")[::2] for line in reversed(text.split("\n")))
        status = "".join(c if c.isprintable() else " " for c in found.get("STATUS", ""))
        return cls(
            ready=found.get("READY") == "1",
            alive=found.get("WATCHDOG") == "1",
            stopping=found.get("STOPPING") == "1",
            status=status[:STATUS_CHARACTERS_MAX],
        )

    def __bytes__(self) -> bytes:
        """The datagram."""
        marks = (("READY", self.ready), ("WATCHDOG", self.alive), ("STOPPING", self.stopping))
        lines = [f"{name}=1" for name, given in marks if given]
        status = " ".join(self.status.split())[:STATUS_CHARACTERS_MAX]
        lines += [f"STATUS={status}"] if status else []
        return "\n".join(lines).encode()


class Notifier:
    """Tells whoever supervises this process; nobody where nobody does.

    Args:
        address: Path of the supervisor's socket, ``@name`` for an abstract one; empty for none.
    """

    def __init__(self, address: str) -> None:
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        self._socket: socket.socket | None = None

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> Notifier:
        """The one that an environment names."""
        return cls(environment.get(SOCKET, ""))

    def tell(self, notice: Notice) -> None:
        """Sends a notice; it is lost when the supervisor has no room for it, or is away."""
        if not self._address:
            return
        with contextlib.suppress(OSError):
            self._opened().sendto(bytes(notice), self._address)

    def _opened(self) -> socket.socket:
        if self._socket is None:
            kind = socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC
            self._socket = socket.socket(socket.AF_UNIX, kind)
        return self._socket

    def close(self) -> None:
        """Closes the socket."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None


def without_supervisor(environment: Mapping[str, str]) -> dict[str, str]:
    """Returns an environment for children that shall not speak to our own supervisor."""
    ours = {SOCKET, "WATCHDOG_PID", "WATCHDOG_USEC"}
    return {name: value for name, value in environment.items() if name not in ours}


def watchdog_period_s(environment: Mapping[str, str], pid: int | None = None) -> float | None:
    """Returns how often a supervisor wants to hear of this process, in seconds.

    By sd_watchdog_enabled(3) that is half of its patience; None when it does not watch, or
    watches another process.
    """
    usec, whom = environment.get("WATCHDOG_USEC", ""), environment.get("WATCHDOG_PID")
    if not (usec.isascii() and usec.isdecimal()) or whom not in (None, str(pid or os.getpid())):
        return None
    return int(usec) / 2e6 or None


class Heartbeat:
    """Says that this process lives, for as long as what it is made of works.

    Used around the time in which the process serves::

        async with Heartbeat(os.environ, pulse):
            await stop.wait()

    Args:
        environment: Names the supervisor, and says how often it wants to hear of us.
        pulse: Asks every part for a sign of life and returns what the process does, in a few
            words.  It raises, or never returns, when a part is dead: then nothing is said.
    """

    def __init__(self, environment: Mapping[str, str], pulse: Callable[[], Awaitable[str]]) -> None:
        self._notifier = Notifier.of(environment)
        self._period_s = watchdog_period_s(environment)
        self._pulse = pulse
        self._beating: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Says that the process serves, and begins to say that it lives."""
        self._notifier.tell(Notice(ready=True, status="serving"))
        if self._period_s is not None:
            self._beating = asyncio.create_task(self._beat(self._period_s), name="heartbeat")
        return self

    async def __aexit__(self, *_: object) -> None:
        """Says that the process ends."""
        if self._beating is not None:
            self._beating.cancel()
            await asyncio.gather(self._beating, return_exceptions=True)
        self._notifier.tell(Notice(stopping=True, status="stopping"))
        self._notifier.close()

    async def _beat(self, period_s: float) -> None:
        while True:
            try:
                doing = await self._pulse()
            except Exception as error:
                logger.warning("no sign of life is given: %s", error)
            else:
                self._notifier.tell(Notice(alive=True, status=doing))
            await asyncio.sleep(period_s)
