"""The boot agent: from power-on to a running unit, and then keeping it so.

    link → dhcp → dns → tftp → ftpes → trust → slot → matrix → runtime

What the network cannot give is taken from what it gave last time, with an alarm, and
asked for again in the background.
"""

import asyncio
import logging
import os
import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

from ..hal.backoff import Backoff
from ..hal.clock import Clock
from ..hal.wire.json_lines import JsonObject, optional
from ..hal.wire.json_lines import field as member
from .cache import write_atomically
from .control import ControlServer
from .dhcp import Binding, DhcpClient, Timing
from .dns import DnsClient
from .document import Document
from .errors import BootError, ControlError, DhcpError, InterfaceError, ServiceError
from .folder import StateFolder
from .identity import Identity
from .interface import Interface, write_network
from .lease import Lease, LeaseStore
from .link import Ports
from .log import Backlog, Rfc5424Formatter, SyslogHandler, syslog_address
from .login import Logins
from .provision import Provision, Provisioner
from .status import StatusBoard
from .supervisor import Service, Supervisor, service_environment

logger = logging.getLogger(__name__)
T = TypeVar("T")

SYSLOG_KEY: Final = "application.syslog.server"
PANEL_KEY: Final = "application.boot.startserver"
PANEL_PORT_KEY: Final = "application.web.port"
XMA_KEY: Final = "application.xma.enable"
MATRIX_PORT: Final = 4250
PANEL_PORT: Final = 80
READY_S: Final = 30.0

REPORTED: Final = ("matrix", "runtime", "register")
"""The stages that the services may report about."""

_MEDIUM_REMEDY = "free or replace the medium of the state folder"
_DHCP_ALARM, _TSS_ALARM, _NEWER_ALARM = "dhcp.unconfirmed", "tss.unavailable", "configuration.newer"


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Everything outside the agent that it needs.

    Attributes:
        interface: The network interface.
        ports: Opens the DHCP client's sockets.
        clock: Tells the time.
        rng: Jitter and identifiers.
        environment: Passed on to the services, with the slot put first on PYTHONPATH.
        dhcp: How patient the DHCP client is.
        retry: Delays between attempts at the interface and at the TSS.
        restart: Delays between repeated deaths of a service.
    """

    interface: Interface
    ports: Ports
    clock: Clock
    rng: random.Random
    environment: Mapping[str, str]
    dhcp: Timing
    retry: Backoff
    restart: Backoff


def surroundings(
    interface: Interface, ports: Ports, clock: Clock, rng: random.Random
) -> Surroundings:
    """Returns the surroundings of a real unit."""
    return Surroundings(
        interface=interface,
        ports=ports,
        clock=clock,
        rng=rng,
        environment=os.environ,
        dhcp=Timing.standard(rng),
        retry=Backoff(first_s=2, cap_s=300, jitter=0.25, rng=rng),
        restart=Backoff(first_s=0.5, cap_s=30, jitter=0.25, rng=rng),
    )


def services(state: Path, configuration: Document) -> tuple[Service, Service]:
    """Returns the matrix and the runtime, in the order in which they start.

    A runtime whose panel is switched off opens no port that could be waited for; neither does a
    matrix beside an XMA2, which stands by.
    """
    arguments = ("--state", str(state))
    port = configuration.values.get(PANEL_PORT_KEY)
    panel: int | None = port if isinstance(port, int) and 0 < port < 65_536 else PANEL_PORT
    if configuration.values.get(PANEL_KEY) is False:
        panel = None
    matrix = None if configuration.values.get(XMA_KEY) is True else MATRIX_PORT
    return (
        Service("matrix", "openturret.firmware.matrix", arguments, ready_port=matrix),
        Service("runtime", "openturret.firmware", arguments, ready_port=panel),
    )


@dataclass(slots=True)
class _Network:
    """What the agent knows about the network now."""

    lease: Lease
    resolver: DnsClient


class BootAgent:
    """One agent for one unit."""

    def __init__(self, identity: Identity, folder: StateFolder, around: Surroundings) -> None:
        self._identity = identity
        self._folder = folder
        self._around = around
        facts = {"serial": identity.serial, "model": identity.model,
                 "firmware_version": None, "config_version": None}  # fmt: skip
        self.status = StatusBoard(folder.status, around.clock, facts)
        self._leases = LeaseStore(folder.lease)
        self._provisioner = Provisioner(identity, folder, self.status, around.clock)
        self._logins = Logins(identity, folder.profiles, self._provisioner, self.status)
        self._supervisor = Supervisor(
            folder.places, clock=around.clock, backoff=around.restart, on_death=self._on_death
        )
        self._control = ControlServer(folder.socket, self._methods())
        self._network: _Network | None = None
        self._provision_in_force: Provision | None = None
        self._backlog = Backlog()
        self._background: set[asyncio.Task[None]] = set()
        self._stopping = False

    async def run(self, stop: asyncio.Event) -> None:
        """Boots the unit and keeps it running until ``stop`` is set.

        A clean stop ends the services too; the address stays.  When the agent itself
        fails, the services are left alone: voice goes on.
        """
        self._open_backlog()
        self.status.starting()
        await self._control.start()
        boot = asyncio.create_task(self._boot(), name="boot")
        stopped = asyncio.create_task(stop.wait(), name="stop")
        try:
            await asyncio.wait({boot, stopped}, return_when=asyncio.FIRST_COMPLETED)
            if boot.done():
                boot.result()
            self._stopping = True
            logger.info("stopping")
        finally:
            await _cancel(boot, stopped, *self._background)
            await self._control.stop()
        await self._supervisor.stop()

    async def _boot(self) -> None:
        await self._persist("link", self._raise_link)
        client = await self._persist("dhcp", self._open_dhcp)
        binding = await client.acquire(self._leases.load())
        network = await self._persist("dhcp", lambda: self._settle(binding))
        self._start(self._keep_lease(client, binding))
        provision = await self._provision_or_fall_back(network)
        self._take_over(provision)
        await self._start_services(provision)
        self.status.running()
        await asyncio.Event().wait()

    async def _raise_link(self) -> None:
        with self.status.step("link") as step:
            await self._around.interface.wait_for_carrier()
            step.detail = self._around.interface.name

    async def _settle(self, binding: Binding) -> _Network:
        """Puts a lease into force."""
        await self._apply(binding.lease)
        self.status.done("dhcp", str(binding.lease.address))
        if not binding.confirmed:
            self.status.raise_alarm(
                _DHCP_ALARM,
                f"no DHCP server confirms {binding.lease.address}; the stored lease is used",
                "check that a DHCP server or relay answers on this LAN",
            )
        if self._network is None:
            raise InterfaceError("the interface lost its address at once", "check ip monitor")
        return self._network

    async def _apply(self, lease: Lease) -> None:
        """Gives the interface a lease, and writes it down for everybody else.

        Raises:
            InterfaceError: The kernel or the medium refuses it.
        """
        previous = self._network.lease if self._network else None
        await self._around.interface.apply(lease, previous)
        self._network = _Network(lease, self._resolver(lease))
        try:
            write_network(self._folder.network, self._around.interface.name, lease)
            self._leases.save(lease)
        except OSError as error:
            raise InterfaceError(f"the lease is not written: {error}", _MEDIUM_REMEDY) from error

    async def _keep_lease(self, client: DhcpClient, binding: Binding) -> None:
        await client.keep(binding, self._on_lease, self._on_expiry)

    async def _on_lease(self, lease: Lease) -> None:
        """Takes over a renewed lease; a refused route never costs a working address."""
        try:
            await self._apply(lease)
        except InterfaceError as error:
            self.status.raise_alarm(_DHCP_ALARM, str(error), error.remedy)
            return
        self.status.clear_alarm(_DHCP_ALARM)
        logger.info("lease of %s extended by %d s", lease.address, lease.lease_s)

    async def _on_expiry(self, lease: Lease) -> None:
        self._network = None
        try:
            await self._around.interface.clear(lease)
            self._leases.forget()
        except (InterfaceError, OSError) as error:
            logger.warning("%s", error)

    async def _provision_or_fall_back(self, network: _Network) -> Provision:
        """Returns what the TSS gives, or what it gave last time, or waits for it."""
        try:
            return await self._provision(network)
        except BootError as error:
            kept = self._provisioner.kept()
            if kept is None:
                return await self._provision_at_last(error, "there is nothing to run yet")
            self._start(self._provision_later(error))
            return kept

    async def _provision(self, network: _Network) -> Provision:
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
                return await self._provision(self._connected())
            except BootError as again:
                error = again
        raise error  # pragma: no cover - the delays have no end

    async def _provision_later(self, error: BootError) -> None:
        """Replaces what was kept once the TSS is back; the running services are not disturbed."""
        provision = await self._provision_at_last(error, "what was kept is used")
        if provision != self._provision_in_force:
            self.status.raise_alarm(
                _NEWER_ALARM,
                f"configuration {provision.version} and firmware {provision.slot.version} "
                "are here but not in force",
                "restart the unit when nobody is speaking",
            )

    def _take_over(self, provision: Provision) -> None:
        """Makes a configuration the one in force."""
        self._provision_in_force = provision
        self.status.learn(firmware_version=provision.slot.version, config_version=provision.version)
        self._copy_board()
        self._close_backlog(provision.configuration)

    def _copy_board(self) -> None:
        try:
            if self._identity.board.is_file():
                write_atomically(self._folder.board, self._identity.board.read_bytes())
        except OSError:
            logger.exception("the board description is not copied")

    def _open_backlog(self) -> None:
        logging.getLogger("openturret").addHandler(self._backlog)

    def _close_backlog(self, configuration: Document) -> None:
        """Sends what was logged so far, and what comes, to the configured syslog server."""
        log = logging.getLogger("openturret")
        log.removeHandler(self._backlog)
        server = configuration.values.get(SYSLOG_KEY)
        if not server:
            return
        try:
            handler = SyslogHandler(syslog_address(str(server)))
        except ValueError as error:
            logger.error("%s: %s", SYSLOG_KEY, error)  # noqa: TRY400
            return
        handler.setFormatter(Rfc5424Formatter(self._identity.serial, "boot"))
        self._backlog.pass_on(handler)
        log.addHandler(handler)

    async def _start_services(self, provision: Provision) -> None:
        """Starts matrix and runtime; one that is slow to answer holds nothing up."""
        environment = service_environment(self._around.environment, provision.slot.path)
        for service in services(self._folder.root, provision.configuration):
            try:
                with self.status.step(service.name) as step:
                    await self._supervisor.start(service, environment, READY_S)
                    step.detail = f"process {self._supervisor.pid(service.name)}"
            except ServiceError as error:
                self.status.raise_alarm(f"{service.name}.silent", str(error), error.remedy)

    def _on_death(self, service: Service, code: int | None, delay_s: float) -> None:
        logger.error("%s ended with %s; starting again in %.1f s", service.name, code, delay_s)

    async def _persist(self, stage: str, attempt: Callable[[], Awaitable[T]]) -> T:
        """Tries until it works, telling why it does not."""
        for delay_s in self._around.retry.delays():
            try:
                return await attempt()
            except InterfaceError as error:
                self.status.trouble(stage, error, f"trying again in {delay_s:.1f} s")
                await asyncio.sleep(delay_s)
        raise InterfaceError("the back-off has ended")  # pragma: no cover - it has no end

    async def _open_dhcp(self) -> DhcpClient:
        """Returns the client that gets a lease and keeps it.

        Raises:
            InterfaceError: The interface has gone.
        """
        around = self._around
        self.status.begin("dhcp")
        return DhcpClient(
            around.ports,
            around.interface.mac(),
            host_name=f"turret-{self._identity.folder}",
            clock=around.clock,
            rng=around.rng,
            timing=around.dhcp,
            listener=_DhcpTrouble(self.status),
        )

    def _resolver(self, lease: Lease) -> DnsClient:
        around = self._around
        return DnsClient(
            lease.dns_servers,
            clock=around.clock,
            rng=around.rng,
            count=self.status.counter("dns"),
        )

    def _connected(self) -> _Network:
        if self._network is None:
            raise DhcpError("the unit has no address", "see the stage dhcp")
        return self._network

    def _start(self, work: Awaitable[None]) -> None:
        """Runs something beside the boot and says so if it fails."""
        task = asyncio.ensure_future(work)
        self._background.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: "asyncio.Future[None]") -> None:
        self._background.discard(task)
        if not task.cancelled() and task.exception() is not None:
            logger.error("background work ended", exc_info=task.exception())

    def _methods(self) -> dict[str, Callable[[JsonObject], Awaitable[Mapping[str, object]]]]:
        return {
            "status": self._say_status,
            "login": self._log_in,
            "logout": self._log_out,
            "report": self._take_report,
        }

    async def _say_status(self, _: JsonObject) -> Mapping[str, object]:
        return self.status.as_json()

    async def _log_in(self, parameters: JsonObject) -> Mapping[str, object]:
        user, password = member(parameters, "user", str), member(parameters, "password", str)
        if self._provision_in_force is None:
            raise ControlError("the unit is not configured yet", "wait for the end of the boot")
        configuration, resolver = self._provision_in_force.configuration, self._connected().resolver
        person, path = await self._logins.login(user, password, configuration, resolver)
        return {"user": person.user, "name": person.name, "profile": str(path)}

    async def _log_out(self, _: JsonObject) -> Mapping[str, object]:
        self._logins.logout()
        return {}

    async def _take_report(self, parameters: JsonObject) -> Mapping[str, object]:
        stage, state = member(parameters, "stage", str), member(parameters, "state", str)
        detail = optional(parameters, "detail", str) or ""
        if stage not in REPORTED:
            raise ControlError(f"stage {stage[:40]!r} is not yours", f"use one of {REPORTED}")
        try:
            self.status.report(stage, state, detail, optional(parameters, "duration_s", float))
        except ValueError as error:
            raise ControlError(str(error)) from error
        return {}


@dataclass(frozen=True, slots=True)
class _DhcpTrouble:
    """Shows what the DHCP client says: in its stage while it boots, as an alarm after."""

    status: StatusBoard

    def count(self, round_trips: int) -> None:
        stage = self.status.stage("dhcp")
        if stage.state == "running":
            stage.count(round_trips)

    def trouble(self, error: BootError, detail: str) -> None:
        if self.status.stage("dhcp").state == "running":
            self.status.trouble("dhcp", error, detail)
        else:
            self.status.raise_alarm(_DHCP_ALARM, f"{error}; {detail}", error.remedy)


async def _cancel(*tasks: "asyncio.Task[object] | asyncio.Task[None]") -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
