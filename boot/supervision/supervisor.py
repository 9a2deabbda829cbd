"""Keeps the matrix and the runtime alive: started, watched, ended when they hang, started again.

Each is a process group of its own, so that the death of one, or of the boot agent
itself, touches no other.  An agent that starts again finds the processes of the one
before it by their pid files and takes them over instead of starting them twice.
"""

import asyncio
import contextlib
import logging
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

from ...hal.backoff import Backoff
from ...hal.clock import Clock
from ...hal.notify import without_supervisor
from ..cache import read_bounded, write_atomically
from ..errors import ServiceError
from ..logfile import rotate, trim
from .life import Life, LifeSocket
from .process import Process, is_running

logger = logging.getLogger(__name__)

STABLE_S: Final = 30.0
"""A process that lived this long has earned an immediate restart again."""

GRACE_S: Final = 5.0
"""How long a service may take to end before it is killed."""

START_S: Final = 60.0
"""How long a service may take until it serves, before it is taken for hanging."""

ABORT_S: Final = 2.0
"""How long a process that hangs has for writing where it stands."""

LOG_LOOK_S: Final = 60.0
"""How often the log of a service is looked at for its size."""

_PROBE_S = 0.05


@dataclass(frozen=True, slots=True)
class Service:
    """What to run.

    Attributes:
        module: Started as ``python -m <module>``.
        ready_port: TCP port on loopback that answers once it serves; None is ready at once.
        patience_s: How long it may be silent once it gives signs of life, seconds.
        start_s: How long it may take until it serves, seconds.
    """

    name: str
    module: str
    arguments: tuple[str, ...] = ()
    ready_port: int | None = None
    python: str = field(default_factory=lambda: sys.executable)
    patience_s: float = 10.0
    start_s: float = START_S

    @property
    def command(self) -> tuple[str, ...]:
        """The command line."""
        return (self.python, "-m", self.module, *self.arguments)


@dataclass(frozen=True, slots=True)
class Places:
    """Where pid files, sockets and logs go."""

    run: Path
    log: Path


@dataclass(frozen=True, slots=True)
class Death:
    """The end of a process that nobody asked to end.

    Attributes:
        service: Whose process it was.
        code: Its exit code, negative for a signal; None when it was not our child.
        hung: Whether it was ended because it gave no sign of life.
        doing: What it said last that it did.
        lived_s: How long it lived, seconds.
        delay_s: After how long it is started again, unless it is held back.
    """

    service: Service
    code: int | None
    hung: bool
    doing: str
    lived_s: float
    delay_s: float

    def __str__(self) -> str:
        """What happened, in words."""
        how = "hung and was ended" if self.hung else f"ended with {self.code}"
        doing = f"; the last that it said: {self.doing}" if self.doing else ""
        return f"{self.service.name} {how} after {self.lived_s:.1f} s{doing}"


class Listener(Protocol):
    """Who is told how the services fare."""

    def serves(self, service: Service) -> None:
        """A process of the service answers."""

    def died(self, death: Death) -> bool:
        """A process has ended; returns whether it is started again, or held back for now."""


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
        listener: Listener,
    ) -> None:
        """Sets up without starting anything.

        Args:
            service: What to run.
            places: Where its pid file, socket and log go.
            environment: Its whole environment.
            clock: Tells how long it lived.
            backoff: Delays from the second death in a row on; the first costs nothing.
            listener: Told how it fares.
        """
        self._service = service
        self._places = places
        self._environment = dict(environment)
        self._clock = clock
        self._backoff = backoff
        self._listener = listener
        self._process: Process | None = None
        self._watch: asyncio.Task[None] | None = None
        self._socket = LifeSocket(places.run / f"{service.name}.notify", service.patience_s)
        self._life = Life(service.patience_s, service.start_s)
        self._released = asyncio.Event()
        self._settled = asyncio.Event()
        self._refusal: ServiceError | None = None

    @property
    def pid(self) -> int | None:
        """The process id, while it runs."""
        return self._process.pid if self._process else None

    @property
    def doing(self) -> str:
        """What its process said last that it does."""
        return self._life.doing

    def start(self, *, held: bool = False) -> None:
        """Takes over the process of an earlier agent, or starts one; then keeps it running.

        Args:
            held: Start none; wait until it is released.
        """
        self._socket.open()
        self._new_life()
        self._process = self._taken_over()
        if not held:
            self._released.set()
        self._watch = asyncio.create_task(self._keep(), name=f"keep {self._service.name}")

    async def wait_ready(self, timeout_s: float) -> None:
        """Returns when the service answers on its port.

        Raises:
            ServiceError: It does not in time, or cannot be started; it is tried again all the same.
        """
        service = self._service
        try:
            async with asyncio.timeout(timeout_s):
                await self._settled.wait()
        except TimeoutError as error:
            raise ServiceError(
                f"{service.name} does not answer on port {service.ready_port} "
                f"after {timeout_s:.0f} s",
                f"read {self._log}",
            ) from error
        if self._refusal is not None:
            raise self._refusal

    def release(self, service: Service, environment: Mapping[str, str]) -> None:
        """Starts a service again that was held back, as it is configured now."""
        self._service, self._environment = service, dict(environment)
        if self._process is None:
            self._settled.clear()
        self._released.set()

    async def stop(self, grace_s: float) -> None:
        """Stops the service and does not start it again."""
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.gather(self._watch, return_exceptions=True)
        if self._process is not None:
            await self._process.stop(grace_s)
            self._process.close()
            self._process = None
        self._socket.close()
        with contextlib.suppress(OSError):
            self._pid_file.unlink()

    @property
    def _pid_file(self) -> Path:
        return self._places.run / f"{self._service.name}.pid"

    @property
    def _log(self) -> Path:
        return self._places.log / f"{self._service.name}.log"

    async def _keep(self) -> None:
        patience = _Patience(self._backoff)
        await self._end_other_firmware()
        while True:
            if self._process is None:
                await self._released.wait()
                self._process = await self._spawn_again()
            death = await self._death_of(self._process, patience)
            self._process.close()
            self._process = None
            self._released.clear()
            if self._listener.died(death):
                await asyncio.sleep(death.delay_s)
                self._released.set()

    async def _end_other_firmware(self) -> None:
        """Ends what an earlier agent left when it runs from other packages than it should."""
        process = self._process
        if process is None or python_path_of(process.pid) == self._environment.get("PYTHONPATH"):
            return
        logger.info("%s runs other firmware as %d and is ended", self._service.name, process.pid)
        await process.stop(GRACE_S)
        process.close()
        self._process = None

    async def _death_of(self, process: Process, patience: _Patience) -> Death:
        """Returns when a process has ended by itself, or was ended because it hung."""
        started = self._clock.monotonic()
        ended = asyncio.create_task(process.ended())
        silent = asyncio.create_task(self._life.until_silent())
        beside = asyncio.gather(self._note_ready(), self._keep_log_short())
        try:
            await asyncio.wait({ended, silent}, return_when=asyncio.FIRST_COMPLETED)
            hung = not ended.done()
            if hung:
                logger.error("%s hangs; it said last: %s", self._service.name, self._life.doing)
                await process.abort(ABORT_S)
            code = await ended
        finally:
            for work in (ended, silent, beside):
                work.cancel()
            await asyncio.gather(ended, silent, beside, return_exceptions=True)
        lived_s = self._clock.monotonic() - started
        delay_s = patience.delay_after(lived_s)
        return Death(self._service, code, hung, self._life.doing, lived_s, delay_s)

    async def _note_ready(self) -> None:
        port = self._service.ready_port
        while port is not None and not await _answers(port):
            await asyncio.sleep(_PROBE_S)
        self._life.serves()
        self._settled.set()
        self._listener.serves(self._service)

    async def _keep_log_short(self) -> None:
        while True:
            await asyncio.sleep(LOG_LOOK_S)
            with contextlib.suppress(OSError):
                trim(self._log)

    async def _spawn_again(self) -> Process:
        for delay_s in self._backoff.delays():
            try:
                return self._spawn()
            except ServiceError as error:
                self._refusal = error
                self._settled.set()
                logger.error("%s; trying again in %.1f s", error, delay_s)  # noqa: TRY400
                await asyncio.sleep(delay_s)
        raise ServiceError("the back-off has ended")  # pragma: no cover - it has no end

    def _new_life(self) -> None:
        self._life = Life(self._service.patience_s, self._service.start_s)
        self._socket.follow(self._life)
        self._settled.clear()

    def _spawn(self) -> Process:
        """Starts the process in a session of its own.

        Raises:
            ServiceError: The operating system refuses.
        """
        self._new_life()
        environment = {**without_supervisor(self._environment), **self._socket.environment()}
        log = self._open_log()
        try:
            child = subprocess.Popen(
                self._service.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment,
                start_new_session=True,
            )
        except OSError as error:
            raise ServiceError(f"{self._service.name} does not start: {error}") from error
        finally:
            os.close(log)
        self._refusal = None
        self._note_pid(child.pid)
        logger.info("%s started as %d", self._service.name, child.pid)
        return Process(child.pid, child)

    def _open_log(self) -> int:
        """Opens the log that the process writes; nothing is kept where the medium takes none."""
        try:
            self._log.parent.mkdir(parents=True, exist_ok=True)
            rotate(self._log)
            return os.open(self._log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        except OSError as error:
            logger.warning("%s: what %s says is lost: %s", self._log, self._service.name, error)
            return os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)

    def _note_pid(self, pid: int) -> None:
        """Writes the pid file; a full medium is no reason to lose sight of the process."""
        try:
            write_atomically(self._pid_file, b"%d\n" % pid, durable=False)
        except OSError as error:
            logger.warning("the next agent will not find %s: %s", self._service.name, error)

    def _taken_over(self) -> Process | None:
        """Returns the process that an earlier agent started, when it still runs."""
        try:
            data = (read_bounded(self._pid_file, 32) or b"").strip()
        except OSError as error:
            logger.warning("%s: a process left behind is not found: %s", self._pid_file, error)
            return None
        if not data.isdigit() or not is_running(int(data), self._service.command):
            return None
        with contextlib.suppress(ProcessLookupError):
            process = Process(int(data), None)
            logger.info("%s still runs as %d and is taken over", self._service.name, process.pid)
            return process
        return None


class Supervisor:
    """All services of a unit."""

    def __init__(
        self, places: Places, *, clock: Clock, backoff: Backoff, listener: Listener
    ) -> None:
        self._places = places
        self._clock = clock
        self._backoff = backoff
        self._listener = listener
        self._keepers: dict[str, Keeper] = {}

    async def start(
        self, service: Service, environment: Mapping[str, str], timeout_s: float
    ) -> None:
        """Starts a service, or releases it, and waits until it answers; then it is kept running.

        Raises:
            ServiceError: It does not start, or does not answer in time; it is kept running, or
                tried again, all the same.
        """
        keeper = self._keepers.get(service.name)
        if keeper is not None:
            keeper.release(service, environment)
        else:
            keeper = self._keeper(service, environment)
            keeper.start()
            self._keepers[service.name] = keeper
        await keeper.wait_ready(timeout_s)

    def hold(self, service: Service, environment: Mapping[str, str]) -> None:
        """Takes over what an earlier agent started, but starts nothing before `start` is asked."""
        if service.name in self._keepers:
            return
        keeper = self._keepers[service.name] = self._keeper(service, environment)
        keeper.start(held=True)

    def pid(self, name: str) -> int | None:
        """Returns the process id of a service, while it runs."""
        keeper = self._keepers.get(name)
        return keeper.pid if keeper else None

    def doing(self, name: str) -> str:
        """Returns what a service said last that it does; empty when it said nothing yet."""
        keeper = self._keepers.get(name)
        return keeper.doing if keeper else ""

    async def stop(self, grace_s: float = GRACE_S) -> None:
        """Stops all services, the last started first.

        Args:
            grace_s: How long each may take before it is killed.
        """
        for keeper in reversed(self._keepers.values()):
            await keeper.stop(grace_s)
        self._keepers.clear()

    def _keeper(self, service: Service, environment: Mapping[str, str]) -> Keeper:
        return Keeper(
            service,
            self._places,
            environment,
            clock=self._clock,
            backoff=self._backoff,
            listener=self._listener,
        )


def service_environment(base: Mapping[str, str], slot: Path) -> dict[str, str]:
    """Returns an environment in which Python finds the slot's packages first."""
    paths: Sequence[str] = [str(slot), *filter(None, [base.get("PYTHONPATH")])]
    return {**base, "PYTHONPATH": os.pathsep.join(paths)}


def python_path_of(pid: int) -> str | None:
    """Returns the PYTHONPATH that a process was started with; None when there is none."""
    try:
        variables = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return None
    paths = (entry for entry in variables if entry.startswith(b"PYTHONPATH="))
    return next((entry.partition(b"=")[2].decode() for entry in paths), None)


async def _answers(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True
