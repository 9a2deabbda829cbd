"""Keeps the matrix and the runtime alive: started, watched, started again.

Each is a process group of its own, so that the death of one, or of the boot agent
itself, touches no other.  An agent that starts again finds the processes of the one
before it by their pid files and takes them over instead of starting them twice.
"""

import asyncio
import contextlib
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from ..hal.backoff import Backoff
from ..hal.clock import Clock
from .cache import read_bounded, write_atomically
from .errors import ServiceError
from .logfile import rotate

logger = logging.getLogger(__name__)

STABLE_S: Final = 30.0
"""A process that lived this long has earned an immediate restart again."""

_PROBE_S = 0.02


@dataclass(frozen=True, slots=True)
class Service:
    """What to run.

    Attributes:
        module: Started as ``python -m <module>``.
        ready_port: TCP port on loopback that answers once it serves; None is ready at once.
    """

    name: str
    module: str
    arguments: tuple[str, ...] = ()
    ready_port: int | None = None
    python: str = field(default_factory=lambda: sys.executable)

    @property
    def command(self) -> tuple[str, ...]:
        """The command line."""
        return (self.python, "-m", self.module, *self.arguments)


@dataclass(frozen=True, slots=True)
class Places:
    """Where pid files and logs go."""

    run: Path
    log: Path


class Process:
    """One running process, ours or taken over, watched through its pidfd."""

    def __init__(self, pid: int, child: "subprocess.Popen[bytes] | None") -> None:
        """Takes over a process.

        Raises:
            ProcessLookupError: It is gone already.
        """
        self.pid = pid
        self._child = child
        self._pidfd = os.pidfd_open(pid)

    async def ended(self) -> int | None:
        """Returns when the process has ended; its exit code if it was our child."""
        loop = asyncio.get_running_loop()
        gone = loop.create_future()
        loop.add_reader(self._pidfd, _resolve, gone)
        try:
            await gone
        finally:
            loop.remove_reader(self._pidfd)
        return self._child.wait() if self._child else None

    async def stop(self, grace_s: float) -> None:
        """Asks the process group to end, and kills what is left of it when the grace is over."""
        self._signal(signal.SIGTERM)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(grace_s):
                await self.ended()
        self._signal(signal.SIGKILL)
        await self.ended()

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)

    def close(self) -> None:
        """Frees the handle; the process is left as it is."""
        with contextlib.suppress(OSError):
            os.close(self._pidfd)


class _Patience:
    """How long to wait before a restart: not at all, unless deaths follow each other."""

    def __init__(self, backoff: Backoff) -> None:
        self._backoff = backoff
        self._delays: Iterator[float] | None = None

    def delay_after(self, lived_s: float) -> float:
        """Returns the delay in seconds after a life of that length."""
        if self._delays is None or lived_s >= STABLE_S:
            self._delays = self._backoff.delays()
            return 0.0
        return next(self._delays)


class Keeper:
    """Keeps one service running until it is told to stop."""

    def __init__(
        self,
        service: Service,
        places: Places,
        environment: Mapping[str, str],
        *,
        clock: Clock,
        backoff: Backoff,
        on_death: Callable[[Service, int | None, float], None],
    ) -> None:
        """Sets up without starting anything.

        Args:
            service: What to run.
            places: Where its pid file and log go.
            environment: Its whole environment.
            clock: Tells how long it lived.
            backoff: Delays from the second death in a row on; the first costs nothing.
            on_death: Told service, exit code and the delay until it is started again.
        """
        self._service = service
        self._places = places
        self._environment = dict(environment)
        self._clock = clock
        self._backoff = backoff
        self._on_death = on_death
        self._process: Process | None = None
        self._watch: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int | None:
        """The process id, while it runs."""
        return self._process.pid if self._process else None

    async def start(self) -> None:
        """Takes over the process of an earlier agent, or starts one; then keeps it running.

        Raises:
            ServiceError: It cannot be started at all.
        """
        self._process = self._taken_over() or self._spawn()
        self._watch = asyncio.create_task(self._keep(), name=f"keep {self._service.name}")

    async def wait_ready(self, timeout_s: float) -> None:
        """Returns when the service answers on its port.

        Raises:
            ServiceError: It does not in time.
        """
        port = self._service.ready_port
        try:
            async with asyncio.timeout(timeout_s):
                while port is not None and not await _answers(port):
                    await asyncio.sleep(_PROBE_S)
        except TimeoutError as error:
            log = self._places.log / f"{self._service.name}.log"
            raise ServiceError(
                f"{self._service.name} does not answer on port {port} after {timeout_s:.0f} s",
                f"read {log}",
            ) from error

    async def stop(self, grace_s: float) -> None:
        """Stops the service and does not start it again."""
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.gather(self._watch, return_exceptions=True)
        if self._process is not None:
            await self._process.stop(grace_s)
            self._process.close()
            self._process = None
        with contextlib.suppress(OSError):
            self._pid_file.unlink()

    @property
    def _pid_file(self) -> Path:
        return self._places.run / f"{self._service.name}.pid"

    async def _keep(self) -> None:
        patience = _Patience(self._backoff)
        while (process := self._process) is not None:
            started = self._clock.monotonic()
            code = await process.ended()
            self._process = None
            process.close()
            delay_s = patience.delay_after(self._clock.monotonic() - started)
            self._on_death(self._service, code, delay_s)
            await asyncio.sleep(delay_s)
            self._process = await self._spawn_again()

    async def _spawn_again(self) -> Process:
        for delay_s in self._backoff.delays():
            try:
                return self._spawn()
            except ServiceError as error:
                logger.error("%s; trying again in %.1f s", error, delay_s)  # noqa: TRY400
                await asyncio.sleep(delay_s)
        raise ServiceError("the back-off has ended")  # pragma: no cover - it has no end

    def _spawn(self) -> Process:
        """Starts the process in a session of its own.

        Raises:
            ServiceError: The operating system refuses.
        """
        path = self._places.log / f"{self._service.name}.log"
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            rotate(path)
            with path.open("ab") as log:
                child = subprocess.Popen(
                    self._service.command,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    env=self._environment,
                    start_new_session=True,
                )
        except OSError as error:
            raise ServiceError(f"{self._service.name} does not start: {error}") from error
        self._note_pid(child.pid)
        logger.info("%s started as %d", self._service.name, child.pid)
        return Process(child.pid, child)

    def _note_pid(self, pid: int) -> None:
        """Writes the pid file; a full medium is no reason to lose sight of the process."""
        try:
            write_atomically(self._pid_file, b"%d\n" % pid, durable=False)
        except OSError:
            logger.exception("the next agent will not find %s", self._service.name)

    def _taken_over(self) -> Process | None:
        """Returns the process that an earlier agent started, when it still runs."""
        data = (read_bounded(self._pid_file, 32) or b"").strip()
        if not data.isdigit() or not _runs(int(data), self._service.command):
            return None
        with contextlib.suppress(ProcessLookupError):
            process = Process(int(data), None)
            logger.info("%s still runs as %d and is taken over", self._service.name, process.pid)
            return process
        return None


class Supervisor:
    """All services of a unit."""

    def __init__(
        self,
        places: Places,
        *,
        clock: Clock,
        backoff: Backoff,
        on_death: Callable[[Service, int | None, float], None],
    ) -> None:
        self._places = places
        self._clock = clock
        self._backoff = backoff
        self._on_death = on_death
        self._keepers: dict[str, Keeper] = {}

    async def start(
        self, service: Service, environment: Mapping[str, str], timeout_s: float
    ) -> None:
        """Starts a service and waits until it answers; from then on it is kept running.

        Raises:
            ServiceError: It does not start, or does not answer in time; in the latter
                case it is kept running all the same.
        """
        keeper = Keeper(
            service,
            self._places,
            environment,
            clock=self._clock,
            backoff=self._backoff,
            on_death=self._on_death,
        )
        self._keepers[service.name] = keeper
        await keeper.start()
        await keeper.wait_ready(timeout_s)

    def pid(self, name: str) -> int | None:
        """Returns the process id of a service, while it runs."""
        keeper = self._keepers.get(name)
        return keeper.pid if keeper else None

    async def stop(self, grace_s: float = 5.0) -> None:
        """Stops all services, the last started first.

        Args:
            grace_s: How long each may take before it is killed.
        """
        for keeper in reversed(self._keepers.values()):
            await keeper.stop(grace_s)
        self._keepers.clear()


def service_environment(base: Mapping[str, str], slot: Path) -> dict[str, str]:
    """Returns an environment in which Python finds the slot's packages first."""
    paths: Sequence[str] = [str(slot), *filter(None, [base.get("PYTHONPATH")])]
    return {**base, "PYTHONPATH": os.pathsep.join(paths)}


async def _answers(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True


def _runs(pid: int, command: Sequence[str]) -> bool:
    """Returns whether that process is the one that the command would start."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[:-1]
    except OSError:
        return False
    return [word.decode("utf-8", "surrogateescape") for word in words][1:] == list(command[1:])


def _resolve(future: "asyncio.Future[None]") -> None:
    if not future.done():
        future.set_result(None)
