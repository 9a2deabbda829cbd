"""Starts the bench's servers, knows when they are ready, and ends every one of them.

Readiness is a condition with a deadline, never a pause: a TCP port that accepts, or a
line in the log. A server that ends before it is ready is an error that carries the end
of its log.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from .errors import ServiceError
from .network import Network

_POLL_SECONDS = 0.02
_TAIL_BYTES = 2000

Ready = Callable[["ServiceProcess"], Awaitable[bool]]
"""Asked again and again until it says yes."""


def accepts(address: str, *ports: int) -> Ready:
    """Ready when every TCP port accepts a connection."""

    async def ask(_process: ServiceProcess) -> bool:
        return all([await _connects(address, port) for port in ports])

    return ask


def logged(text: str, *, times: int = 1) -> Ready:
    """Ready when the log of the process holds a text, so many times since its last start."""

    async def ask(process: ServiceProcess) -> bool:
        return process.said().count(text.encode()) >= times

    return ask


def listens(path: Path) -> Ready:
    """Ready when a Unix socket accepts a connection; one that a dead process left does not."""

    async def ask(_process: ServiceProcess) -> bool:
        try:
            _, writer = await asyncio.open_unix_connection(os.fspath(path))
        except OSError:
            return False
        await _close(writer)
        return True

    return ask


async def started(_process: ServiceProcess) -> bool:
    """Ready as soon as it runs."""
    return True


@dataclass(frozen=True, slots=True)
class Service:
    """What to run and where.

    Attributes:
        name: what the bench calls it; its log is ``<name>.log``.
        namespace: the host that it runs on.
        argv: the command line.
        ready: when it may be used.
        env: variables added to the environment.
        deadline_s: longest time from its start until it is ready.
        grace_s: how long it may take to end after SIGTERM.
    """

    name: str
    namespace: str
    argv: Sequence[str]
    ready: Ready = started
    env: Mapping[str, str] = field(default_factory=dict)
    deadline_s: float = 15.0
    grace_s: float = 2.0


class ServiceProcess:
    """One run of a service, and its next ones after a restart."""

    def __init__(self, service: Service, network: Network, log: Path) -> None:
        self.service = service
        self.log = log
        self._network = network
        self._process: subprocess.Popen[bytes] | None = None
        self._log_start = 0

    @property
    def name(self) -> str:
        """What the bench calls it."""
        return self.service.name

    @property
    def pid(self) -> int:
        """The pid of the running (or last) process.

        Raises:
            ServiceError: it was never started.
        """
        if self._process is None:
            raise ServiceError(f"{self.name} was never started")
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether it has been started and has not ended."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start it; its output is appended to its log."""
        argv = self._network.command(self.service.namespace, self.service.argv)
        self._log_start = self.log.stat().st_size if self.log.exists() else 0
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, **self.service.env},
                start_new_session=True,
            )

    async def wait_ready(self) -> None:
        """Wait until it may be used.

        Raises:
            ServiceError: it ended, or its deadline passed; with the end of its log.
        """
        try:
            async with asyncio.timeout(self.service.deadline_s):
                while not await self._asked():
                    await asyncio.sleep(_POLL_SECONDS)
        except TimeoutError as error:
            raise ServiceError(
                f"{self.name} was not ready within {self.service.deadline_s:g} s: {self.tail()}"
            ) from error

    async def _asked(self) -> bool:
        if not self.running:
            raise ServiceError(f"{self.name} ended before it was ready: {self.tail()}")
        return await self.service.ready(self)

    def said(self) -> bytes:
        """What it has logged since its last start."""
        with self.log.open("rb") as log:
            log.seek(self._log_start)
            return log.read()

    def tail(self) -> str:
        """The end of its log."""
        if not self.log.exists():
            return "(no log)"
        return self.log.read_bytes()[-_TAIL_BYTES:].decode(errors="replace").strip()

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to it; nothing happens when it has ended."""
        if self.running:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def freeze(self) -> None:
        """SIGSTOP to it and to its children: it holds its sockets and does nothing."""
        _signal_all(self._family(), signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT: it goes on."""
        _signal_all(self._family(), signal.SIGCONT)

    async def kill(self) -> None:
        """SIGKILL to it and to its children, and wait for the end of all of them."""
        family = self._family()
        _signal_all(family, signal.SIGKILL)
        while self.running or any(map(_lives, family)):
            await asyncio.sleep(_POLL_SECONDS)

    async def stop(self) -> None:
        """SIGTERM, and SIGKILL when it has not ended after the service's grace."""
        self.signal(signal.SIGCONT)
        self.signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(self.service.grace_s):
                await self._ended()
        except TimeoutError:
            await self.kill()

    async def restart(self) -> None:
        """Start it again after a kill or a stop, and wait until it is ready."""
        await self.stop()
        self.start()
        await self.wait_ready()

    async def _ended(self) -> None:
        while self.running:
            await asyncio.sleep(_POLL_SECONDS)

    def _family(self) -> list[int]:
        return [self.pid, *_descendants(self.pid)] if self.running else []


class Processes:
    """All services of a bench; leaves none behind.

    Example::

        async with Processes(network, folder / "log") as processes:
            await processes.start(Service("sink", "tss1", [sys.executable, "-m", "..."]))
    """

    def __init__(self, network: Network, log_folder: Path) -> None:
        self._network = network
        self._log_folder = log_folder
        self._all: dict[str, ServiceProcess] = {}

    async def __aenter__(self) -> Self:
        self._log_folder.mkdir(parents=True, exist_ok=True)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.stop_all()

    def __getitem__(self, name: str) -> ServiceProcess:
        return self._all[name]

    def __contains__(self, name: object) -> bool:
        return name in self._all

    def __iter__(self) -> Iterator[ServiceProcess]:
        return iter(self._all.values())

    async def start(self, service: Service) -> ServiceProcess:
        """Start a service and wait until it is ready.

        Raises:
            ServiceError: it ended or was not ready in time.
        """
        process = self.launch(service)
        await process.wait_ready()
        return process

    def launch(self, service: Service) -> ServiceProcess:
        """Start a service without waiting for it."""
        log = self._log_folder / f"{service.name}.log"
        process = ServiceProcess(service, self._network, log)
        process.start()
        self._all[service.name] = process
        return process

    async def stop_all(self) -> None:
        """Stop all of them at once."""
        await asyncio.gather(*(process.stop() for process in self._all.values()))


async def _connects(address: str, port: int) -> bool:
    try:
        async with asyncio.timeout(1.0):
            _, writer = await asyncio.open_connection(address, port)
    except OSError:
        return False
    await _close(writer)
    return True


async def _close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()


def _signal_all(pids: Iterable[int], number: signal.Signals) -> None:
    """Send a signal to processes, some of which may have ended meanwhile."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def _lives(pid: int) -> bool:
    """Whether a process is there and not a zombie that its parent has yet to collect."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] not in "ZX"


def _descendants(pid: int) -> Iterator[int]:
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                yield int(child)
                yield from _descendants(int(child))
