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
from .cache import write_atomically
from .connection import Connection, Network
from .control import ControlServer
from .document import Document
from .enrol import Enroller
from .errors import BootError, ServiceError, SlotError
from .events import Event
from .firmware import Firmware, Hands, running_from
from .folder import StateFolder
from .health import Abilities, Demands, HealthGate, timeout_s, updates_when_idle
from .identity import Identity
from .kept import KeptContent
from .log import SYSLOG_KEY, Syslog, learn_secrets
from .login import Logins
from .probes import any_pbx_answers
from .provision import Provision, Provisioner
from .requests import Requests
from .services import services
from .slots.manager import Slot
from .status import StatusBoard
from .supervisor import Death, Service, Supervisor, service_environment
from .surroundings import Surroundings

logger = logging.getLogger(__name__)

READY_S: Final = 30.0
ENROLMENT_KEY: Final = "application.boot.enrolment.enable"
_TSS_ALARM, _NEWER_ALARM = "tss.unavailable", "configuration.newer"


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
        self._enroller = Enroller(
            self._provisioner.enrolment,
            lambda: self._provisioner.servers(self._connection.network.resolver),
            self.status,
            Waits(around.retry),
        )
        self._supervisor = Supervisor(
            folder.places, clock=around.clock, backoff=around.restart, listener=self
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
            self.status, self._logins, self._connection, self._configuration, self._firmware.heard
        )
        self._control = ControlServer(folder.socket, requests.methods())
        self._syslog = Syslog(identity.serial, around.redactor, around.clock.monotonic)
        self._in_force: Provision | None = None
        self._background: set[asyncio.Task[None]] = set()

    async def run(self, stop: asyncio.Event) -> None:
        """Boots the unit and keeps it running until ``stop`` is set.

        A clean stop ends the services too, and then gives the address back if the
        configuration says so.  When the agent itself fails, the services are left alone:
        voice goes on.
        """
        self._syslog.open()
        self.status.starting()
        await self._control.start()
        boot = asyncio.create_task(self._boot(), name="boot")
        stopped = asyncio.create_task(stop.wait(), name="stop")
        try:
            await asyncio.wait({boot, stopped}, return_when=asyncio.FIRST_COMPLETED)
            if boot.done():
                boot.result()
            logger.info("stopping")
        finally:
            await _cancel(boot, stopped, *self._background)
            await self._control.stop()
        await self._supervisor.stop()
        await self._connection.close(self._configuration())
        self._logins.close()

    async def _boot(self) -> None:
        await self._firmware.settle(running_from(self._folder.places.run / "matrix.pid"))
        network = await self._connection.open()
        self._start(self._connection.keep())
        provision = await self._provision_or_fall_back(network)
        self._logins.resume(provision.configuration)
        provision = await self._run_firmware(provision)
        self.status.running()
        if provision.configuration.values.get(ENROLMENT_KEY) is not False:
            self._start(self._enroller.keep())
        await self._firmware.judge(provision.configuration)
        await asyncio.Event().wait()

    # ------------------------------------------------------------ what the TSS gives

    async def _provision_or_fall_back(self, network: Network) -> Provision:
        """Returns what the TSS gives, or what it gave last time, or waits for it."""
        try:
            return await self._provision(network)
        except BootError as error:
            kept = await self._provisioner.kept()
            if kept is None:
                return await self._provision_at_last(error, "there is nothing to run yet")
            self._start(self._provision_later(error))
            return kept

    async def _provision(self, network: Network) -> Provision:
        provision = await self._provisioner.provision(network.lease, network.resolver)
        self.status.clear_alarm(_TSS_ALARM)
        return provision

    async def _provision_at_last(self, error: BootError, meanwhile: str) -> Provision:
        """Tries until something verified has come."""
        for delay_s in self._around.retry.delays():
            self.status.raise_alarm(_TSS_ALARM, f"{error}; {meanwhile}", error.remedy)
            logger.info("asking the TSS again in %.1f s", delay_s)
            await asyncio.sleep(delay_s)
            try:
                return await self._provision(self._connection.network)
            except BootError as again:
                error = again
        raise error  # pragma: no cover - the delays have no end

    async def _provision_later(self, error: BootError) -> None:
        """Replaces what was kept once the TSS is back; the running services are not disturbed."""
        provision = await self._provision_at_last(error, "what was kept is used")
        if await self._say_if_newer(provision) and updates_when_idle(provision.configuration):
            await self._firmware.until_idle(provision.configuration)
            self.status.clear_alarm(_NEWER_ALARM)
            self._take_over(provision)
            await self._firmware.switch()
            await self._firmware.judge(provision.configuration)

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
                provision = await self._provision_at_last(error, "there is nothing to run")
            else:
                await self._say_if_newer(provision)
                return provision

    async def _start_services(self, slot: Slot) -> None:
        """Starts matrix and runtime; one that is slow to answer holds nothing up."""
        configuration = self._configuration() or Document({})
        environment = service_environment(self._around.environment, slot.path)
        for service in services(self._folder.root, configuration):
            try:
                with self.status.step(service.name) as step:
                    await self._supervisor.start(service, environment, READY_S)
                    step.detail = f"process {self._supervisor.pid(service.name)}"
            except ServiceError as error:
                self.status.raise_alarm(_silent(service.name), str(error), error.remedy)

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

    def serves(self, service: Service) -> None:
        """Takes note that a service answers."""
        self.status.clear_alarm(_silent(service.name))

    def died(self, death: Death) -> bool:
        """Tells of a death; the service is started again."""
        event = "hung" if death.hung else "ended"
        self.status.tell(logging.ERROR, Event(event, death.service.name, message=str(death)))
        return True

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


def _silent(service: str) -> str:
    """Returns the alarm of a service that does not answer."""
    return f"{service}.silent"


async def _cancel(*tasks: "asyncio.Task[object] | asyncio.Task[None]") -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
