"""The boot agent: from power-on to a running unit, and then keeping it so.

    link → dhcp → dns → tftp → tss → trust → slot → matrix → runtime

What the network cannot give is taken from what it gave last time, with an alarm, and
asked for again in the background.
"""

import asyncio
import logging
from collections.abc import Awaitable, Mapping, Sequence
from typing import Final

from ..hal.backoff import Waits
from ..hal.notify import Heartbeat
from .cache import read_bounded, write_atomically
from .control import ControlServer
from .document import MAX_BYTES, Document, parse_document
from .errors import BootError, DocumentError, ServiceError, SlotError
from .folder import StateFolder
from .identity import Identity
from .lan.connection import Connection
from .log import SYSLOG_KEY, Syslog, learn_secrets
from .provision import Provision, Provisioner
from .requests import Requests
from .slots.firmware import Firmware, Hands, running_from
from .slots.health import Abilities, Demands, HealthGate, timeout_s, updates_when_idle
from .slots.manager import Slot
from .slots.probes import any_pbx_answers
from .status import StatusBoard
from .supervision.page import StatusPage, View
from .supervision.recovery import SAFE_MODE, Means, Recovery, silent
from .supervision.safe_mode import LASTS_S, Attempts
from .supervision.services import panel_port, services
from .supervision.supervisor import Supervisor, service_environment
from .supply import Supply
from .surroundings import Surroundings
from .trusted.enrol import Enroller
from .trusted.kept import KeptContent
from .users.login import Logins

logger = logging.getLogger(__name__)

READY_S: Final = 30.0
ENROLMENT_KEY: Final = "application.boot.enrolment.enable"
FAILED: Final = "boot.failed"
CLOSED: Final = "control.closed"
_NEWER_ALARM = "configuration.newer"
_MEDIUM_REMEDY = "free or replace the medium of the state folder"


class BootAgent:
    """One agent for one unit."""

    def __init__(self, identity: Identity, folder: StateFolder, around: Surroundings) -> None:
        self._identity = identity
        self._folder = folder
        self._around = around
        facts = {"serial": identity.serial, "model": identity.model,
                 "firmware_version": None, "config_version": None}  # fmt: skip
        around.redactor.learn(identity.password)
        self.status = StatusBoard(folder.status, around.clock, facts, around.redactor)
        self._connection = Connection(identity, folder, around, self.status)
        kept = KeptContent.of(identity, folder, around.clock)
        slots = around.slots(folder.slots, kept.vouches_for_firmware)
        self._provisioner = Provisioner(identity, folder, slots, self.status, around.clock)
        self._supply = Supply(
            self._provisioner, self._connection, self.status, around.retry, around.bell
        )
        means = Means(self._show_page, self._something_else, self._start_again, self._is_judged)
        self._recovery = Recovery(self.status, around.clock, around.safe, around.bell, means)
        self._enroller = Enroller(
            self._provisioner.enrolment,
            lambda: self._provisioner.servers(self._connection.network.resolver),
            self.status,
            Waits(around.retry),
        )
        self._supervisor = Supervisor(
            folder.places, clock=around.clock, backoff=around.restart, listener=self._recovery
        )
        hands = Hands(
            self._start_services,
            self._supervisor.stop,
            around.restart_unit,
            self._gate,
            around.health.look_s,
        )
        self._firmware = Firmware(slots, hands, self.status, Abilities(folder.health))
        self._logins = Logins(identity, folder, self._provisioner, self.status, around.clock)
        requests = Requests(
            self.status,
            self._logins,
            self._connection,
            self._configuration,
            self._firmware.heard,
            around.bell.ring,
        )
        self._control = ControlServer(folder.socket, requests.methods())
        self._syslog = Syslog(identity.serial, around.redactor, around.clock.monotonic)
        view = View(self.status.as_json, folder.places.log, around.redactor, around.bell.ring)
        self._page = StatusPage(view)
        self._attempts = Attempts(folder.attempts)
        self._in_force: Provision | None = None
        self._awaits_verdict = False
        self._background: set[asyncio.Task[None]] = set()

    async def run(self, stop: asyncio.Event) -> None:
        """Boots the unit and keeps it running until ``stop`` is set.

        A clean stop ends the services too, and then gives the address back if the
        configuration says so.  When the agent itself fails, the services are left alone:
        voice goes on.
        """
        self._syslog.open()
        self.status.starting()
        await self._show_page()
        door = asyncio.create_task(self._open_door(), name="door")
        careful = self._attempts.begin()
        boot = asyncio.create_task(self._keep_booting(careful=careful), name="boot")
        try:
            async with Heartbeat(self._around.environment, self._pulse):
                await stop.wait()
            logger.info("stopping")
        finally:
            await _cancel(door, boot, *self._background)
            await self._page.close()
            await self._control.stop()
        await self._supervisor.stop()
        await self._connection.close(self._configuration())
        self._logins.close()
        self._attempts.lasted()

    async def _open_door(self) -> None:
        """Opens the control socket, now or as soon as the medium lets it; a boot needs none."""
        for delay_s in self._around.retry.delays():
            try:
                await self._control.start()
            except OSError as error:
                self.status.raise_alarm(CLOSED, f"no control socket: {error}", _MEDIUM_REMEDY)
                await self._around.bell.wait(delay_s)
            else:
                self.status.clear_alarm(CLOSED)
                return

    async def _pulse(self) -> str:
        return self.status.current

    async def _keep_booting(self, *, careful: bool) -> None:
        """Boots; an error that nobody foresaw ends that attempt, never the agent."""
        for delay_s in self._around.restart.delays():
            try:
                await self._boot(careful=careful)
            except Exception as error:
                logger.exception("the boot has failed")
                remedy = getattr(error, "remedy", "send log/boot.log to whoever made the firmware")
                self.status.raise_alarm(FAILED, f"{type(error).__name__}: {error}", remedy)
            await _cancel(*self._background)
            await self._around.bell.wait(delay_s)

    async def _boot(self, *, careful: bool) -> None:
        await self._firmware.settle(running_from(self._folder.places.run / "matrix.pid"))
        await self._connection.open()
        self._start(self._connection.keep())
        if careful:
            await self._wait_before_trying()
        provision = await self._provision_or_fall_back()
        self._logins.resume(provision.configuration)
        self._start(self._recovery.run())
        provision = await self._run_firmware(provision)
        if not self._recovery.is_safe_mode:
            self.status.running()
            self._attempts.ran()
        self._start(self._note_that_it_lasts())
        if provision.configuration.values.get(ENROLMENT_KEY) is not False:
            self._start(self._enroller.keep())
        await self._judge(provision.configuration)
        await asyncio.Event().wait()

    async def _wait_before_trying(self) -> None:
        """Starts nothing for a while, because boots before this one did not last.

        What still runs goes on.
        """
        environment = self._around.environment
        for service in services(self._folder.root, self._kept_configuration()):
            self._supervisor.hold(service, environment)
        self.status.safe_mode()
        self.status.raise_alarm(
            SAFE_MODE,
            f"boot after boot has failed, or did not last {LASTS_S:.0f} s",
            "read log/boot.log.1 and log/boot.log; to try at once: turret boot retry",
        )
        await self._around.bell.wait(next(self._around.safe.delays()))
        self.status.clear_alarm(SAFE_MODE)
        self.status.starting()

    async def _note_that_it_lasts(self) -> None:
        await asyncio.sleep(LASTS_S)
        self._attempts.lasted()
        self.status.clear_alarm(FAILED)

    # ------------------------------------------------------------ what the TSS gives

    async def _provision_or_fall_back(self) -> Provision:
        """Returns what the TSS gives, or what it gave last time, or waits for it."""
        try:
            return await self._supply.now()
        except BootError as error:
            kept = await self._provisioner.kept()
            if kept is None:
                with self._connection.seeking():
                    return await self._supply.at_last(error, "there is nothing to run yet")
            self._start(self._provision_later(error))
            return kept

    async def _provision_later(self, error: BootError) -> None:
        """Replaces what was kept once the TSS is back; the running services are not disturbed."""
        provision = await self._supply.at_last(error, "what was kept is used")
        if await self._say_if_newer(provision) and updates_when_idle(provision.configuration):
            await self._firmware.until_idle(provision.configuration)
            self.status.clear_alarm(_NEWER_ALARM)
            self._take_over(provision)
            await self._firmware.switch()
            await self._judge(provision.configuration)

    async def _say_if_newer(self, provision: Provision) -> bool:
        """Says, and returns, whether something is here that a restart would put in force."""
        waiting = await self._firmware.waiting()
        newer = waiting is not None or self._configuration() != provision.configuration
        if newer:
            self.status.raise_alarm(
                _NEWER_ALARM,
                f"configuration {provision.version} and firmware {provision.slot.version} "
                "are here but not in force",
                "restart the unit when nobody is speaking",
            )
        return newer

    # ------------------------------------------------------------ what runs

    def _take_over(self, provision: Provision) -> None:
        """Makes a configuration the one in force."""
        self._in_force = provision
        learn_secrets(provision.configuration, self._around.redactor)
        self.status.learn(config_version=provision.version)
        self._copy_board()
        self._syslog.send_to(provision.configuration.values.get(SYSLOG_KEY))

    def _configuration(self) -> Document | None:
        return self._in_force.configuration if self._in_force else None

    def _copy_board(self) -> None:
        try:
            if self._identity.board.is_file():
                write_atomically(self._folder.board, self._identity.board.read_bytes())
        except OSError:
            logger.exception("the board description is not copied")

    async def _run_firmware(self, provision: Provision) -> Provision:
        """Starts the firmware and returns with what it runs.

        When no slot holds anything whole, a TSS has to give it first.
        """
        while True:
            self._take_over(provision)
            try:
                await self._firmware.run()
            except SlotError as error:
                provision = await self._supply.at_last(error, "there is nothing to run")
            else:
                await self._say_if_newer(provision)
                return provision

    async def _start_services(self, slot: Slot) -> None:
        """Starts matrix and runtime; one that is slow to answer holds nothing up."""
        self._recovery.begin()
        self._awaits_verdict = True
        configuration = self._configuration() or Document({})
        environment = service_environment(self._around.environment, slot.path)
        for service in services(self._folder.root, configuration):
            if service.ready_port == self._page.port:
                await self._page.close()
            try:
                with self.status.step(service.name) as step:
                    await self._supervisor.start(service, environment, READY_S)
                    step.detail = f"process {self._supervisor.pid(service.name)}"
            except ServiceError as error:
                self.status.raise_alarm(silent(service.name), str(error), error.remedy)

    def _gate(self, configuration: Document, known: Mapping[str, bool]) -> HealthGate:
        """Returns who judges the firmware that was just started."""
        demands = Demands.of(configuration, known, logged_in=self._user_is_here())
        return HealthGate(
            demands,
            report=self.status.said,
            processes=lambda: [self._supervisor.pid(name) for name in ("matrix", "runtime")],
            clock=self._around.clock,
            limit_s=self._around.health.limit_s or timeout_s(configuration),
            answers=self._pbx_answers,
            pace=self._around.health,
        )

    def _user_is_here(self) -> bool:
        return (self._folder.profiles / "current.yaml").exists()

    async def _pbx_answers(self, servers: Sequence[str]) -> bool:
        try:
            resolver = self._connection.network.resolver
        except BootError:
            return False
        return await any_pbx_answers(servers, resolver, self._around.rng)

    # ------------------------------------------------------------ safe mode

    async def _show_page(self) -> None:
        """Shows the boot on the panel's port while nothing else answers there."""
        port = panel_port(self._configuration() or self._kept_configuration())
        if port is not None:
            await self._page.open(port)

    def _kept_configuration(self) -> Document:
        """What the configuration was last; for where to answer, not for what to run."""
        try:
            data = read_bounded(self._folder.configuration, MAX_BYTES)
            return parse_document(data) if data else Document({})
        except (OSError, DocumentError):
            return Document({})

    async def _something_else(self) -> Provision:
        return await self._supply.other_than(self._in_force)

    async def _start_again(self, provision: Provision | None) -> None:
        """Starts what is held back.

        Raises:
            SlotError: There is nothing whole to start.
        """
        if provision is not None:
            self._take_over(provision)
        await self._firmware.run()
        await self._judge(self._configuration() or Document({}))

    async def _judge(self, configuration: Document) -> None:
        """Judges firmware on trial; meanwhile its deaths are the judge's business."""
        try:
            await self._firmware.judge(configuration)
        finally:
            self._awaits_verdict = False

    def _is_judged(self) -> bool:
        slot = self._firmware.slot
        return slot is not None and slot.on_trial and self._awaits_verdict

    # ------------------------------------------------------------ work beside the boot

    def _start(self, work: Awaitable[None]) -> None:
        """Runs something beside the boot and says so if it fails."""
        task = asyncio.ensure_future(work)
        self._background.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: "asyncio.Future[None]") -> None:
        self._background.discard(task)
        if not task.cancelled() and task.exception() is not None:
            logger.error("background work ended", exc_info=task.exception())


async def _cancel(*tasks: "asyncio.Task[object] | asyncio.Task[None]") -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
