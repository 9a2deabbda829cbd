"""Whether a service lives: what it says on its notification socket, and how long it is silent.

Silence is counted in looks of the agent, not in seconds of a clock: an agent that was itself
stopped, or a machine that slept, has not looked meanwhile and blames nobody.
"""

import asyncio
import contextlib
import enum
import logging
import os
import socket
from pathlib import Path
from typing import Final

from ...hal.notify import NOTICE_BYTES_MAX, SOCKET, Notice

logger = logging.getLogger(__name__)

LOOKS: Final = 5
"""How often in a row a service may be found silent."""

_NOTICES_MAX = 16


class Phase(enum.Enum):
    """What is expected of a service."""

    STARTING = "starting"
    BEATING = "beating"
    STOPPING = "stopping"
    TRUSTED = "trusted"
    """It serves, but gives no sign of life: firmware of before the watchdog."""


class Life:
    """The life of one process of a service.

    Args:
        patience_s: How long a service that gives signs of life may be silent, seconds.
        start_s: How long it may take to serve, or to end, seconds.

    Attributes:
        doing: What it said last that it does.
    """

    def __init__(self, patience_s: float, start_s: float) -> None:
        self.doing = ""
        self._look_s = patience_s / LOOKS
        self._start_looks = max(LOOKS, round(start_s / self._look_s))
        self._phase = Phase.STARTING
        self._silent_looks = 0

    @property
    def phase(self) -> Phase:
        """What is expected of it now."""
        return self._phase

    def hear(self, notice: Notice) -> None:
        """Takes a sign of life."""
        self.doing = notice.status or self.doing
        self._silent_looks = 0
        if notice.stopping:
            self._phase = Phase.STOPPING
        elif notice.alive:
            self._phase = Phase.BEATING

    def serves(self) -> None:
        """Takes note that it answers on its port."""
        if self._phase is Phase.STARTING:
            self._phase = Phase.TRUSTED

    def look(self) -> bool:
        """Looks once; returns whether it has been silent for too long."""
        self._silent_looks += 1
        if self._phase is Phase.TRUSTED:
            return False
        limit = LOOKS if self._phase is Phase.BEATING else self._start_looks
        return self._silent_looks > limit

    async def until_silent(self) -> None:
        """Returns when it has been silent for too long; looks meanwhile."""
        while True:
            await asyncio.sleep(self._look_s)
            if self.look():
                return


class LifeSocket:
    """The notification socket of one service; it is there while the agent is.

    Args:
        path: Where the socket is; one that an earlier agent left is replaced, so that a service
            that outlived it is heard by this one.
        patience_s: Told to the service, which speaks twice as often.
    """

    def __init__(self, path: Path, patience_s: float) -> None:
        self._path = path
        self._patience_s = patience_s
        self._socket: socket.socket | None = None
        self._life: Life | None = None

    def open(self) -> None:
        """Opens the socket for this user only.

        Without one, on a full medium for instance, services run but nobody notices if one hangs.
        """
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._path.unlink(missing_ok=True)
            sock.bind(os.fspath(self._path))
            self._path.chmod(0o600)
        except OSError as error:
            logger.warning("%s: a service that hangs is not noticed: %s", self._path, error)
            sock.close()
            return
        self._socket = sock
        asyncio.get_running_loop().add_reader(sock, self._hear)

    def follow(self, life: Life) -> None:
        """Gives what is heard from now on to a life."""
        self._life = life

    def environment(self) -> dict[str, str]:
        """Returns what tells a service where to speak, and how often."""
        if self._socket is None:
            return {}
        return {SOCKET: str(self._path), "WATCHDOG_USEC": str(round(self._patience_s * 1e6))}

    def close(self) -> None:
        """Closes and removes the socket."""
        if self._socket is not None:
            asyncio.get_running_loop().remove_reader(self._socket)
            self._socket.close()
            self._socket = None
        with contextlib.suppress(OSError):
            self._path.unlink()

    def _hear(self) -> None:
        for _ in range(_NOTICES_MAX):
            try:
                data = self._socket.recv(NOTICE_BYTES_MAX) if self._socket else b""
            except BlockingIOError:
                return
            if self._life is not None:
                self._life.hear(Notice.parse(data))
