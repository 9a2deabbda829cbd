"""Sound devices without a sound card: a private JACK server, and emulated devices on it.

The server runs on JACK's dummy driver, which only keeps the time.  It has a name of its own, so
that it is found by those who are told (``JACK_DEFAULT_SERVER``) and meets no other server of the
machine.  Server and devices are processes of their own and are ended by their pids.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from ..drivers.emulated.hand import Hand
from .errors import ServiceError
from .tools import Tool, tool

SERVER_VARIABLE: Final = "JACK_DEFAULT_SERVER"
"""How libjack, and PortAudio with it, is told which server is meant."""
READY_S: Final = 15.0
GRACE_S: Final = 5.0


class JackBench:
    """A JACK server and the audio devices of a board as its clients.

    Args:
        board: Board description whose devices have ``match: {name: ...}``.
        folder: For sockets, logs and the name of the server.
        rate_hz: Of everything on the server.
        period_frames: That the server handles at a time.
    """

    def __init__(
        self, board: Path, folder: Path, *, rate_hz: int = 48_000, period_frames: int = 480
    ) -> None:
        self.folder = folder
        self.server = f"openturret-{os.getpid()}-{folder.name}"
        self._board = board
        self._rate_hz = rate_hz
        self._period_frames = period_frames
        self._processes: list[subprocess.Popen[bytes]] = []

    @property
    def environment(self) -> Mapping[str, str]:
        """What a process needs to find the server."""
        return {SERVER_VARIABLE: self.server}

    async def __aenter__(self) -> Self:
        try:
            await self.start()
        except BaseException:
            await self.stop()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Starts the server, then the devices, and waits for both.

        Raises:
            ToolMissingError: There is no jackd.
            ServiceError: The server or the devices did not come.
        """
        self._start_server(tool("jackd"))
        await self._wait_for_server(tool("jack_wait"))
        module = "openturret.drivers.emulated.jack"
        options = ["--board", self._board, "--sockets", self.folder, "--server", self.server]
        self._spawn("devices", [sys.executable, "-m", module, *map(str, options)], os.environ)
        await (await self.hand()).close()

    async def hand(self) -> Hand:
        """Returns a hand at the devices."""
        return await Hand.connect(self.folder, patience_s=READY_S)

    def freeze(self) -> None:
        """SIGSTOP to the server: streams stay open and stand still."""
        self._processes[0].send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT: it goes on."""
        self._processes[0].send_signal(signal.SIGCONT)

    async def stop(self) -> None:
        """Ends the devices, then the server."""
        while self._processes:
            await asyncio.to_thread(_end, self._processes.pop())

    def _start_server(self, jackd: Tool) -> None:
        dummy = ["-d", "dummy", "-r", str(self._rate_hz), "-p", str(self._period_frames)]
        argv = [str(jackd.path), "--no-realtime", "-n", self.server, *dummy, "-C", "0", "-P", "0"]
        self._spawn("jackd", argv, jackd.environment())

    async def _wait_for_server(self, jack_wait: Tool) -> None:
        waiting = await asyncio.create_subprocess_exec(
            str(jack_wait.path), "-s", self.server, "-w", "-t", f"{READY_S:.0f}",
            env=jack_wait.environment(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        if await waiting.wait():
            said = (self.folder / "jackd.log").read_text(errors="replace")[-1000:]
            raise ServiceError(f"jackd was not ready within {READY_S:g} s: {said}")

    def _spawn(self, name: str, argv: Sequence[str], environment: Mapping[str, str]) -> None:
        with (self.folder / f"{name}.log").open("ab") as log:
            self._processes.append(
                subprocess.Popen(
                    argv,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    env=dict(environment),
                    start_new_session=True,
                )
            )


def _end(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.send_signal(signal.SIGTERM)
    try:
        process.wait(GRACE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
