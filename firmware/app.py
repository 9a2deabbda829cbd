"""The runtime of a unit: what starts in which order, and what follows a login or a logout.

    configuration -> devices -> SIP agent -> calls of before -> user -> recordings -> panel

The matrix and its calls are older than this process and outlive it: a start first takes back
what is running, then registers.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, cast

from ..hal.board import Board, load_board
from ..hal.clock import Clock
from ..hal.errors import HalError, MatrixError
from ..hal.matrix import MixingMatrix
from ..hal.registry import Registry
from ..hal.wire.json_lines import JsonObject, JsonValue
from .board import Devices
from .calls.agent import Agent, AgentSettings
from .calls.desk import Desk, DeskParts, host_of
from .calls.errors import CallsError
from .calls.journal import Journal
from .calls.profile import Profile, profile_of
from .calls.registration import Registration
from .config.errors import ConfigError
from .config.keys import find
from .config.store import Configuration, load
from .services.boot_control import BootControl
from .services.boot_files import BootFiles, Mark
from .services.changes import Changes
from .services.errors import LoginRefusedError, ServiceError
from .services.live import LiveFeed
from .services.log import Log
from .services.sessions import Lockout, Sessions
from .services.web import WebServer, WebSettings

logger = logging.getLogger(__name__)

LOOK_S: Final = 0.5
"""How often the files that boot leaves are looked at."""

CALLS_FIRST_S: Final = 2.0
"""How long the panel waits for the calls: longer only when the matrix does not answer."""

MATRIX_RETRY_S: Final = 0.25
FAREWELL_S: Final = 4.0
"""How long hanging up and unregistering may take at the end."""

RECORDERS: Final = ("application.recording.recorder.a", "application.recording.recorder.b")


@dataclass(frozen=True, slots=True)
class Setup:
    """What the process was started with.

    Attributes:
        state: The unit's state folder.
        board: Its board description.
        control_port: OLDCB control port of the matrix.
        event_port: OLDCB event port of the matrix.
    """

    state: Path
    board: Path
    control_port: int = 4250
    event_port: int = 4251


class Runtime:
    """The runtime; the web server asks it for everything that it shows.

    Args:
        setup: What the process was started with.
        registry: Knows the drivers.
        clock: Tells the time.
        rng: Spreads retries.
        log: Where it learns what must never be written.
    """

    def __init__(
        self, setup: Setup, registry: Registry, clock: Clock, rng: random.Random, log: Log
    ) -> None:
        self._clock = clock
        self._log = log
        self._files = BootFiles(setup.state)
        self._boot = BootControl(setup.state / "run" / "boot.sock")
        self._alarms: dict[str, JsonObject] = {}
        self._configuration = self._read_configuration()
        self._changes = Changes()
        self._profile_mark: Mark = None
        self._profile_lock = asyncio.Lock()
        self._reported = ("", "")
        self._tasks: set[asyncio.Task[None]] = set()
        self._devices = Devices(_board(setup.board), registry, clock)
        self._matrix = _matrix(registry, self._configuration, setup)
        self._live = LiveFeed(self._matrix, clock)
        self._agent = Agent(self._agent_settings())
        self._journal = Journal(setup.state / "journal", clock)
        self._rng = rng
        self._desk: Desk | None = None
        self._sessions = self._make_sessions(setup.state / "run" / "sessions.json")
        self._web = self._make_web()

    # ------------------------------------------------------------ life

    async def run(self, stop: asyncio.Event) -> None:
        """Serves until `stop` is set, then hangs up, unregisters and lets go of everything."""
        try:
            await self.start()
            await stop.wait()
        finally:
            await self.stop()

    async def start(self) -> None:
        """Takes back what is running, logs in who was logged in, opens the panel.

        Raises:
            CallsError: The SIP agent cannot start, for one because its port is in use.
            OSError: The panel's port is in use.
        """
        self._start_syslog()
        await self._devices.open()
        await self._agent.start()
        self._desk = self._make_desk()
        resuming = self._spawn(self._resume(self._desk))
        await asyncio.wait({resuming}, timeout=CALLS_FIRST_S)
        if self._configuration.flag("application.boot.startserver"):
            await self._web.start()
            logger.info("the panel answers on port %d", self._web.port)

    async def stop(self) -> None:
        """Ends calls and registrations, then everything else; the matrix goes on."""
        tasks, self._tasks = self._tasks, set()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._web.stop()
        await self._farewell()
        await self._agent.stop(hang_up=True)
        await self._live.close()
        await self._devices.close()

    @property
    def web_port(self) -> int:
        """The port that the panel answers on."""
        return self._web.port

    async def _farewell(self) -> None:
        if self._desk is None:
            return
        with contextlib.suppress(TimeoutError, CallsError, HalError):
            async with asyncio.timeout(FAREWELL_S):
                await self._desk.close_profile()
        await self._desk.stop()

    async def _resume(self, desk: Desk) -> None:
        """Takes the calls back as soon as the matrix answers, then follows logins and logouts."""
        await self._take_calls_back(desk)
        self._spawn(self._follow_desk(desk))
        await self._follow_profile()
        self._spawn(self._watch_files())

    async def _take_calls_back(self, desk: Desk) -> None:
        while True:
            try:
                await desk.start()
            except MatrixError as error:
                self._raise_alarm(
                    "matrix.gone", f"no calls: {error}", "look at state/log/matrix.log"
                )
                await asyncio.sleep(MATRIX_RETRY_S)
            else:
                self._clear_alarm("matrix.gone")
                return

    def _spawn(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(_logged(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    # ------------------------------------------------------------ making the parts

    def _read_configuration(self) -> Configuration:
        """The unit's configuration; with an alarm, the defaults when it cannot be used."""
        path = self._files.configuration
        try:
            configuration = load(path) if path.exists() else Configuration()
        except ConfigError as error:
            self._raise_alarm(
                "configuration.refused", str(error), "correct the configuration at the TSS"
            )
            return Configuration()
        for warning in configuration.warnings:
            logger.warning("%s", warning)
        self._learn_secrets(configuration)
        return configuration

    def _learn_secrets(self, configuration: Configuration) -> None:
        for name, value in configuration.items():
            key = find(name)
            if key is not None and key.secret and isinstance(value, str):
                self._log.redactor.learn(value)

    def _agent_settings(self) -> AgentSettings:
        port = self._configuration.integer("application.sip.connection.port")
        return AgentSettings(address=self._files.address(), port=port)

    def _make_desk(self) -> Desk:
        recorders = (host_of(self._configuration.text(key)) for key in RECORDERS)
        handsets = {
            position.removeprefix("handset-"): handset
            for position, handset in self._devices.handsets.items()
        }
        return Desk(
            DeskParts(
                agent=self._agent,
                matrix=self._matrix,
                servers=self._configuration.texts("application.sip.pbx.servers"),
                journal=self._journal,
                handsets=handsets,
                clock=self._clock,
                rng=self._rng,
                peers=tuple(host for host in recorders if host),
            )
        )

    def _make_sessions(self, path: Path) -> Sessions:
        duration_s = self._configuration.integer("application.web.session.duration")
        return Sessions(path, self._clock, duration_s)

    def _make_web(self) -> WebServer:
        lockout = Lockout(
            self._configuration.integer("application.web.lockout.attempts"),
            self._configuration.integer("application.web.lockout.duration"),
            self._clock,
        )
        settings = WebSettings(port=self._configuration.integer("application.web.port"))
        return WebServer(self, self._sessions, lockout, settings)

    def _start_syslog(self) -> None:
        serial = str(self._files.unit().get("serial") or "-")
        self._log.start_syslog(self._configuration.text("application.syslog.server"), serial)

    # ------------------------------------------------------------ who is logged in

    async def login(self, user: str, password: str) -> str:
        """Logs a user in at the directory and takes the profile over; returns the name.

        Raises:
            LoginRefusedError: Wrong password, no directory, no usable profile.
            BootGoneError: Boot does not answer.
        """
        self._log.redactor.learn(password)
        login = await self._boot.login(user, password)
        try:
            await self._take_profile()
        except (ConfigError, CallsError, HalError) as error:
            await self._boot.logout()
            raise LoginRefusedError(
                f"the profile of {user} cannot be used: {error}",
                code="bad_profile",
                remedy="correct the profile at the TSS",
            ) from error
        profile = self._desk.profile if self._desk else None
        return (profile.name if profile else "") or login.name

    async def logout(self) -> None:
        """Logs the user out: ends the calls, unregisters, forgets the profile.

        Raises:
            BootGoneError: Boot does not answer.
        """
        await self._boot.logout()
        await self._take_profile()

    async def _watch_files(self) -> None:
        """Follows what boot leaves, for a login need not come from this process."""
        seen = self._files.marks()
        while True:
            await asyncio.sleep(LOOK_S)
            now = self._files.marks()
            if now != seen:
                seen = now
                await self._follow_profile()
                self._changes.ring()

    async def _follow_profile(self) -> None:
        try:
            await self._take_profile()
            self._clear_alarm("profile.refused")
        except (ConfigError, CallsError, HalError) as error:
            self._raise_alarm("profile.refused", str(error), "correct the profile at the TSS")

    async def _take_profile(self) -> None:
        """Makes the profile on disk the one in force; nothing when it is already.

        Raises:
            ConfigError: The profile says what is not allowed; nobody is logged in then.
            CallsError: The SIP agent refused it.
        """
        async with self._profile_lock:
            marked = self._files.marks()[1]
            if marked == self._profile_mark or self._desk is None:
                return
            before, self._profile_mark = self._profile_mark, marked
            if marked is None:
                await self._log_out(self._desk)
            else:
                await self._log_in(self._desk, is_resumed=before is None)

    async def _log_in(self, desk: Desk, *, is_resumed: bool) -> None:
        profile = self._read_profile()
        if profile == desk.profile:
            return
        if not is_resumed:
            self._sessions.end_all()
        self._reported = ("", "")
        await desk.open_profile(profile)
        logger.info("%s is logged in", profile.identity.username)

    async def _log_out(self, desk: Desk) -> None:
        self._sessions.end_all()
        if desk.profile is not None:
            await desk.close_profile()
            logger.info("nobody is logged in")

    def _read_profile(self) -> Profile:
        path = self._files.configuration
        configuration = load(path if path.exists() else None, self._files.profile)
        self._learn_secrets(configuration)
        return profile_of(configuration)

    async def _follow_desk(self, desk: Desk) -> None:
        """Passes on what changes at the desk, and tells boot how registration goes."""
        async for _ in desk.changes():
            self._changes.ring()
            await self._report(desk)

    async def _report(self, desk: Desk) -> None:
        report = registered(desk.registrations) if desk.profile else ("", "")
        if report == self._reported:
            return
        self._reported = report
        with contextlib.suppress(ServiceError):
            await self._boot.report("register", *report)

    # ------------------------------------------------------------ what the panel shows

    @property
    def desk(self) -> Desk | None:
        """The desk, while somebody is logged in."""
        return self._desk if self._desk is not None and self._desk.profile is not None else None

    def public_state(self) -> JsonObject:
        """What everybody may see: unit, boot and alarms."""
        return {
            "time": self._clock.unix(),
            "unit": self._files.unit(),
            "boot": self._files.boot(),
            "alarms": self._all_alarms(),
        }

    def state(self) -> JsonObject:
        """Everything that the panel shows."""
        snapshot = self._desk.snapshot() if self._desk is not None else {}
        recording: JsonObject = {"state": "off", "recorders": []}
        return {**self.public_state(), **snapshot, "user": self._user(), "recording": recording}

    async def legs(self) -> list[JsonValue]:
        """Every RTP leg of the matrix, with its counters."""
        return [cast(JsonObject, asdict(leg)) for leg in await self._matrix.leg_list()]

    async def changes(self) -> AsyncIterator[None]:
        """Wakes whenever the state may have changed."""
        async for _ in self._changes:
            yield

    def live(self) -> AsyncIterator[JsonObject]:
        """Levels and alarms as they happen."""
        return self._live.messages()

    def _user(self) -> JsonObject | None:
        profile = self.desk.profile if self.desk is not None else None
        if profile is None:
            return None
        return {"id": profile.identity.username, "name": profile.name}

    # ------------------------------------------------------------ alarms

    def _all_alarms(self) -> list[JsonValue]:
        lost = [] if self.desk is None else [_pbx_alarm(item) for item in self.desk.registrations]
        return [*self._files.alarms(), *self._alarms.values(), *(item for item in lost if item)]

    def _raise_alarm(self, code: str, message: str, remedy: str) -> None:
        known = self._alarms.get(code)
        if known is not None and known["message"] == message:
            return
        logger.error("%s: %s; %s", code, message, remedy)
        since = self._clock.unix()
        self._alarms[code] = {"code": code, "message": message, "remedy": remedy, "since": since}

    def _clear_alarm(self, code: str) -> None:
        if self._alarms.pop(code, None) is not None:
            self._changes.ring()


def registered(registrations: tuple[Registration, ...]) -> tuple[str, str]:
    """State and detail of the boot stage ``register``.

    >>> registered((Registration("pbx-1", "10.11.0.20:5060", registered=True, status=200),))
    ('done', '1 of 1 PBXs')
    """
    good = sum(item.registered for item in registrations)
    detail = f"{good} of {len(registrations)} PBXs"
    if good == len(registrations):
        return "done", detail
    if any(item.status == 0 for item in registrations):
        return "running", detail
    return ("done" if good else "failed"), detail


def _pbx_alarm(registration: Registration) -> JsonObject:
    """The alarm for a PBX that was asked and does not have us; empty when all is well."""
    if registration.registered or registration.status in (0, 200):
        return {}
    return {
        "code": "pbx.lost",
        "subject": registration.server,
        "message": f"not registered at {registration.server}: "
        f"{registration.status} {registration.reason}",
        "remedy": "the unit tries again by itself; check the PBX and the way to it",
    }


def _board(path: Path) -> Board:
    """The board; one without devices when there is no description, so that the panel works."""
    if path.exists():
        return load_board(path)
    logger.warning("no board description at %s: no handsets; give --board", path)
    return Board("none", {})


def _matrix(registry: Registry, configuration: Configuration, setup: Setup) -> MixingMatrix:
    make = cast(Callable[..., MixingMatrix], registry.load("oldcb.matrix"))
    return make(
        configuration.text("application.oldcb.address"),
        control_port=setup.control_port,
        event_port=setup.event_port,
    )


async def _logged(work: Coroutine[None, None, None]) -> None:
    """Runs work whose result nobody waits for; what it raises is logged."""
    try:
        await work
    except Exception:
        logger.exception("background work ended")
