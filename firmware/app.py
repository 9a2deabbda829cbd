"""The runtime of a unit: what it is made of, and what starts and stops in which order.

    configuration -> devices -> SIP agent -> calls of before -> user -> recordings -> panel

The matrix and its calls are older than this process and outlive it: a start first takes back
what is running, then registers.
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, cast

from ..hal.board import DeviceSpec
from ..hal.clock import Clock
from ..hal.errors import HalError, MatrixError
from ..hal.matrix import MixingMatrix
from ..hal.notify import Heartbeat
from ..hal.registry import Registry
from .alarms import AlarmBoard
from .board import Devices, read_board
from .calls.agent import Agent, AgentSettings
from .calls.desk import Desk, DeskParts
from .calls.errors import CallsError
from .calls.journal import Journal
from .calls.registration import Registration
from .config.errors import ConfigError
from .config.keys import find
from .config.store import Configuration, load
from .matrix_watch import GONE, MatrixWatch
from .recording.errors import LedgerError, RecorderUriError
from .recording.ledger import Ledger
from .recording.recordings import Recordings, recorders_of
from .recording.session import Tools
from .recording.watch import RecorderAddress
from .services.boot_control import BootControl
from .services.boot_files import BootFiles
from .services.changes import Changes
from .services.errors import ServiceError
from .services.live import LiveFeed
from .services.log import Log
from .services.sessions import Lockout, Sessions
from .services.web import WebServer, WebSettings
from .shift import Shift
from .unit import Unit, UnitParts
from .xma import XmaWatch, port_filter_of

logger = logging.getLogger(__name__)

LOOK_S: Final = 0.5
"""How often the files that boot leaves are looked at."""

CALLS_FIRST_S: Final = 2.0
"""How long the panel waits for the calls: longer only when the matrix does not answer."""

MATRIX_RETRY_S: Final = 0.25
FAREWELL_S: Final = 4.0
"""How long hanging up and unregistering may take at the end."""

RECORDER_KEYS: Final = ("application.recording.recorder.a", "application.recording.recorder.b")


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
    """The runtime of a unit.

    Args:
        setup: What the process was started with.
        registry: Knows the drivers.
        clock: Tells the time.
        rng: Spreads retries.
        log: Learns what must never be written.

    Raises:
        HalError: The board description or a driver cannot be used.
    """

    def __init__(
        self, setup: Setup, registry: Registry, clock: Clock, rng: random.Random, log: Log
    ) -> None:
        self._clock, self._rng, self._log = clock, rng, log
        self._changes = Changes()
        self._alarms = AlarmBoard(clock)
        self._tasks: set[asyncio.Task[None]] = set()
        self._files = BootFiles(setup.state)
        self._configuration = self._read_configuration()
        board = read_board(setup.board)
        self._devices = Devices(board, registry, clock)
        self._matrix = _matrix(registry, self._configuration, setup, board.mixer)
        self._check_mixer(board.mixer)
        ports = port_filter_of(self._configuration)
        self._xma_watch = XmaWatch(self._devices.xmas, ports, self._alarms)
        self._live = LiveFeed(self._matrix, self._alarms, clock)
        self._agent = Agent(self._agent_settings())
        self._journal = Journal(setup.state / "journal", clock)
        self._recorders = self._read_recorders()
        self._desk = self._make_desk()
        self._matrix_watch = MatrixWatch(self._matrix, self._desk, self._alarms, clock)
        self._recordings = self._make_recordings(setup.state / "ledger" / "calls.jsonl")
        self._sessions = self._make_sessions(setup.state / "run" / "sessions.json")
        self._boot = BootControl(setup.state / "run" / "boot.sock")
        self._shift = self._make_shift()
        self._web = self._make_web()

    @property
    def web_port(self) -> int:
        """The port that the panel answers on."""
        return self._web.port

    # ------------------------------------------------------------ life

    async def run(self, stop: asyncio.Event) -> None:
        """Serves until `stop` is set, then hangs up, unregisters and lets go of everything.

        Raises:
            CallsError: The SIP agent cannot start.
            OSError: The panel's port cannot be had.
        """
        try:
            await self.start()
            async with Heartbeat(os.environ, self._pulse):
                await stop.wait()
        finally:
            await self.stop()

    async def start(self) -> None:
        """Takes back what is running, goes on with the shift, opens the panel.

        Raises:
            CallsError: The SIP agent cannot start, for one because its port is in use.
            OSError: The panel's port is in use, or too low for this user.
        """
        self._start_syslog()
        await self._devices.open()
        self._spawn(self._follow_boot())
        self._spawn(self._xma_watch.run())
        await self._agent.start()
        resuming = self._spawn(self._resume())
        await asyncio.wait({resuming}, timeout=CALLS_FIRST_S)
        self._spawn(self._follow_alarms())
        if self._configuration.flag("application.boot.startserver"):
            await self._web.start()
            logger.info("the panel answers on port %d", self._web.port)

    async def stop(self) -> None:
        """Ends calls and registrations, then everything else; the matrix goes on."""
        await self._web.stop()
        await self._end_tasks()
        await self._farewell()
        await self._agent.stop(hang_up=True)
        await self._live.close()
        await self._devices.close()

    async def _pulse(self) -> str:
        """Returns what the unit does, once the SIP thread has given a sign of life."""
        await self._agent.pulse()
        registrations = self._desk.registrations
        registered = sum(registration.registered for registration in registrations)
        calls = len(self._desk.lines())
        return f"{calls} calls, registered at {registered} of {len(registrations)}"

    async def _resume(self) -> None:
        """Takes the calls back as soon as the matrix answers, then follows logins and logouts."""
        left_over = self._journal.entries()
        await self._take_calls_back()
        self._spawn(self._follow_desk())
        self._spawn(self._matrix_watch.run())
        self._spawn(self._tell_boot())
        await self._shift.resume(left_over)
        self._spawn(self._follow_files())

    async def _take_calls_back(self) -> None:
        while True:
            try:
                await self._desk.start()
            except MatrixError as error:
                remedy = "look at state/log/matrix.log"
                self._alarms.raise_(GONE, "", f"no calls: {error}", remedy)
                await asyncio.sleep(MATRIX_RETRY_S)
            else:
                self._alarms.clear(GONE)
                return

    async def _farewell(self) -> None:
        try:
            async with asyncio.timeout(FAREWELL_S):
                await self._shift.end()
        except (TimeoutError, CallsError, HalError) as error:
            logger.warning("not everything was ended: %s", str(error) or "no time was left")
        await self._desk.stop()

    # ------------------------------------------------------------ what is followed

    async def _follow_desk(self) -> None:
        """Passes on what changes at the desk: to the panel, the recordings and boot."""
        async for _ in self._desk.changes():
            self._changes.ring()
            self._shift.note_calls()
            self._watch_registrations()

    async def _tell_boot(self) -> None:
        """Apart from the rest, so that a boot agent that hangs holds up nobody."""
        async for _ in self._desk.changes():
            await self._shift.report()

    async def _follow_boot(self) -> None:
        """Tells every boot agent how devices and registration are: one may take another's place."""
        told: object = None
        while True:
            agent = self._boot.agent()
            if agent not in (None, told) and await self._tell_devices():
                told = agent
                await self._shift.report_again()
            await asyncio.sleep(LOOK_S)

    async def _tell_devices(self) -> bool:
        """Tells boot how many devices opened, for its judgement; whether boot heard it."""
        try:
            await self._boot.report("hal", *self._devices.tested())
        except ServiceError as error:
            logger.debug("boot was not told of the devices: %s", error)
            return False
        return True

    async def _follow_alarms(self) -> None:
        async for _ in self._alarms.changes():
            self._changes.ring()

    async def _follow_files(self) -> None:
        """Follows what boot leaves, for a login need not come from this process."""
        seen = self._files.marks()
        while True:
            await asyncio.sleep(LOOK_S)
            now = self._files.marks()
            if now != seen:
                seen = now
                await self._shift.follow()
                self._watch_address()
                self._changes.ring()

    def _watch_registrations(self) -> None:
        for registration in self._desk.registrations:
            if self._desk.profile is None or registration.registered:
                self._alarms.clear("pbx.lost", registration.server)
            elif registration.status:
                self._alarms.raise_(*_pbx_alarm(registration))

    def _watch_address(self) -> None:
        """SIP and RTP stay bound to the address of the start; a new one needs a restart."""
        address = self._files.address()
        if address == self._agent.settings.address:
            self._alarms.clear("network.moved")
            return
        remedy = "restart the unit when nobody is speaking"
        self._alarms.raise_("network.moved", "", f"the unit's address is now {address}", remedy)

    # ------------------------------------------------------------ making the parts

    def _read_configuration(self) -> Configuration:
        """The unit's configuration; with an alarm, the defaults when it cannot be used."""
        path = self._files.configuration
        try:
            configuration = load(path) if path.exists() else Configuration()
        except ConfigError as error:
            remedy = "correct the configuration at the TSS and restart the unit"
            self._alarms.raise_("configuration.refused", "", str(error), remedy)
            return Configuration()
        for warning in configuration.warnings:
            logger.warning("%s", warning)
        self._learn_secrets(configuration)
        return configuration

    def _check_mixer(self, mixer: DeviceSpec | None) -> None:
        """The board decides who mixes; a configuration that says otherwise is an alarm."""
        enabled = self._configuration.flag("application.xma.enable")
        if enabled == (mixer is not None):
            return
        mixes = "its own matrix mixes" if mixer is None else f"{mixer.position} mixes"
        message = f"application.xma.enable is {str(enabled).lower()}, but by the board {mixes}"
        remedy = "correct the configuration at the TSS or the board description"
        self._alarms.raise_("xma.disagrees", "", message, remedy)

    def _learn_secrets(self, configuration: Configuration) -> None:
        for name, value in configuration.items():
            key = find(name)
            if key is not None and key.secret and isinstance(value, str):
                self._log.redactor.learn(value)

    def _read_recorders(self) -> tuple[RecorderAddress, ...]:
        a, b = (self._configuration.text(key) for key in RECORDER_KEYS)
        try:
            return recorders_of(a, b)
        except RecorderUriError as error:
            self._alarms.raise_("recording.address", "", str(error), "correct the configuration")
            return ()

    def _agent_settings(self) -> AgentSettings:
        port = self._configuration.integer("application.sip.connection.port")
        settings = AgentSettings(address=self._files.address(), port=port)
        codecs = self._configuration.texts("application.sip.codecs")
        return replace(settings, codecs=codecs) if codecs else settings

    def _make_desk(self) -> Desk:
        handsets = self._devices.handsets
        return Desk(
            DeskParts(
                agent=self._agent,
                matrix=self._matrix,
                servers=self._configuration.texts("application.sip.pbx.servers"),
                journal=self._journal,
                handsets={name.removeprefix("handset-"): item for name, item in handsets.items()},
                clock=self._clock,
                rng=self._rng,
                peers=tuple(recorder.host for recorder in self._recorders),
            )
        )

    def _make_recordings(self, ledger: Path) -> Recordings:
        tools = Tools(
            self._agent, self._matrix, self._alarms, self._clock, self._rng, self._changes.ring
        )
        return Recordings(
            tools,
            unit=self._serial(),
            recorders=self._recorders,
            ledger=self._open_ledger(ledger),
            policy=self._configuration.text("application.recording.policy"),
        )

    def _open_ledger(self, path: Path) -> Ledger | None:
        try:
            ledger = Ledger(path, self._clock)
        except LedgerError as error:
            remedy = "check the unit's storage"
            self._alarms.raise_("recording.ledger", "", f"no call log: {error}", remedy)
            return None
        if ledger.aside is not None:
            remedy = f"keep {ledger.aside} with the call log and check the unit's storage"
            message = "the end of the call log was damaged; the log goes on without it"
            self._alarms.raise_("recording.ledger.damaged", "", message, remedy)
        return ledger

    def _make_sessions(self, path: Path) -> Sessions:
        duration_s = self._configuration.integer("application.web.session.duration")
        return Sessions(path, self._clock, duration_s)

    def _make_shift(self) -> Shift:
        return Shift(
            self._desk,
            self._recordings,
            self._boot,
            self._files,
            alarms=self._alarms,
            clock=self._clock,
            learn=self._learn_secrets,
            ended=self._sessions.end_all,
        )

    def _make_web(self) -> WebServer:
        parts = UnitParts(
            files=self._files,
            desk=self._desk,
            shift=self._shift,
            recordings=self._recordings,
            matrix=self._matrix,
            live=self._live,
            alarms=self._alarms,
            changes=self._changes,
            clock=self._clock,
        )
        attempts = self._configuration.integer("application.web.lockout.attempts")
        duration_s = self._configuration.integer("application.web.lockout.duration")
        settings = WebSettings(port=self._configuration.integer("application.web.port"))
        lockout = Lockout(attempts, duration_s, self._clock)
        return WebServer(Unit(parts), self._sessions, lockout, settings)

    def _start_syslog(self) -> None:
        server = self._configuration.text("application.syslog.server")
        self._log.start_syslog(server, self._serial())

    def _serial(self) -> str:
        return str(self._files.unit().get("serial") or "unknown")

    # ------------------------------------------------------------ tasks

    def _spawn(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(_logged(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _end_tasks(self) -> None:
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _pbx_alarm(registration: Registration) -> tuple[str, str, str, str]:
    return (
        "pbx.lost",
        registration.server,
        f"not registered at {registration.server}: {registration.status} {registration.reason}",
        "the unit tries again by itself; check the PBX and the way to it",
    )


def _matrix(
    registry: Registry, configuration: Configuration, setup: Setup, mixer: DeviceSpec | None
) -> MixingMatrix:
    """The client of who mixes: an XMA2 where the board has one, else the unit's own matrix."""
    if mixer is not None:
        at = cast(Callable[[str], MixingMatrix], registry.load(f"{mixer.driver}.matrix"))
        return at(str(mixer.match["matrix"]))
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
