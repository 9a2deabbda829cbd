"""The whole bench: brings everything up, powers units on, ends everything.

Runs inside a namespace (`openturret.lab.namespace`). All that it writes stands in one
folder::

    ca/         throw-away certificates          syslog.jsonl   what the syslog sink got
    gateway/    dnsmasq, TFTP root               parties/2001/  what baresip said and heard
    tss/        database, keys, published tree   recorders/A/   what recorder A kept
    tpo/        what the hoots heard             captures/      pcap files
    pbx1/ …     configurations
    units/NAME/ factory and state of a unit      log/           output of every process

Example::

    async with Bench(folder) as bench:
        unit = await bench.power_on("touchpro-1")
        await unit.login("alice", "correct horse")
        with bench.faults.cut("fibre"):
            ...
        await unit.power_off()
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from . import (
    capture,
    directory,
    gateway,
    namespace,
    party,
    pbx,
    plan,
    settings,
    speech,
    syslog_sink,
    tss,
)
from .certificates import Authority
from .directory import DirectoryUser
from .errors import LabError, NamespaceError
from .faults import Faults
from .network import Network
from .party import PartyControl, PartyFiles
from .pbx import PbxUser
from .processes import Processes, Service, ServiceProcess, logged
from .unit import Trust, Unit

logger = logging.getLogger(__name__)

FIRMWARE_VERSION = "0.1.0"
RECORDER_NAMES = ("A", "B")


@dataclass(frozen=True, slots=True)
class Folders:
    """Where a bench keeps what it makes."""

    root: Path

    def __getitem__(self, name: str) -> Path:
        """A folder of the bench, made when missing."""
        path = self.root / name
        path.mkdir(parents=True, exist_ok=True)
        return path

    @property
    def syslog(self) -> Path:
        """What the syslog sink got, one JSON object per line."""
        return self.root / "syslog.jsonl"


class Bench:
    """Everything that a unit talks to, and the units.

    Args:
        folder: where everything is written; made when missing. Keep its path short
            (Unix sockets below it).
        firmware: the image that the TSS publishes; packed from this checkout when None.
        units: how many units stand on the client LAN, ``touchpro-1`` upwards.
        say: told what comes up, one line each.

    Attributes:
        network: the namespaces and links.
        processes: every process of the bench, by name.
        faults: what can go wrong.
        tss: the TSS's administration; change something and call its ``publish``.
        units: the units by name.
        seconds: how long each part took to come up, and ``all``.
    """

    def __init__(
        self,
        folder: Path,
        *,
        firmware: Path | None = None,
        units: int = 1,
        say: Callable[[str], None] = logger.info,
    ) -> None:
        self.folders = Folders(folder.resolve())
        self.plans = [plan.unit(number) for number in range(1, units + 1)]
        self.network = Network((*plan.HOSTS, *(plan.unit_host(unit) for unit in self.plans)))
        self.processes = Processes(self.network, self.folders["log"])
        self.faults = Faults(self.network, self.processes)
        self.tss = tss.Administration(self.folders["tss"])
        self.authority = Authority(self.folders["ca"], now=datetime.now(UTC))
        self.seconds: dict[str, float] = {}
        self._firmware = firmware
        self._say = say
        trust = Trust(self.authority.path, self.tss.root)
        self.units = {unit.name: self._unit(unit, trust) for unit in self.plans}

    async def __aenter__(self) -> Self:
        """Bring everything up.

        Raises:
            NamespaceError: this process is not inside a namespace of the bench.
            ServiceError: a server did not come up.
            ToolMissingError: a program is missing.
        """
        if not namespace.inside():
            raise NamespaceError("the bench runs inside a namespace: use namespace.enter")
        async with contextlib.AsyncExitStack() as stack:
            await stack.enter_async_context(self.processes)
            with self._timed("all"):
                await self._bring_up()
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for unit in self.units.values():
            self.network.kill_all_in(unit.name)
        await self._stack.__aexit__(kind, error, trace)

    async def power_on(self, name: str) -> Unit:
        """Power a unit on; see `Unit.power_on`.

        Raises:
            LabError: there is no such unit.
        """
        if name not in self.units:
            raise LabError(f"there is no unit {name!r}; there are {', '.join(self.units)}")
        await self.units[name].power_on()
        return self.units[name]

    async def factory_reset(self, name: str) -> None:
        """Unplug a unit, if it is on, and take it back to how it left the factory.

        Its hardware is restarted too: handsets on their cradles, nobody speaks.
        """
        await self.units[name].factory_reset()

    async def capture(self, host: str, *, interface: str = "eth0") -> ServiceProcess:
        """Capture at a host (or a router) into ``captures/<host>-<interface>.pcap``."""
        name = f"{host}-{interface}"
        file = self.folders["captures"] / f"{name}.pcap"
        return await self.processes.start(
            capture.service(f"capture-{name}", host, file, interface=interface)
        )

    def party(self, number: str) -> PartyFiles:
        """What a party said and heard."""
        return PartyFiles(self.folders[f"parties/{number}"])

    def party_control(self, number: str) -> PartyControl:
        """The control port of a party."""
        for known in plan.PARTIES:
            if known.number == number:
                return PartyControl(plan.PARTY.address, known.control_port)
        raise LabError(f"there is no party {number}")

    def recorder(self, name: str) -> Path:
        """What recorder ``A`` or ``B`` kept."""
        return self.folders[f"recorders/{name}"]

    def addresses(self) -> dict[str, str]:
        """The address of every host of the bench."""
        return {host.name: host.address for host in plan.HOSTS}

    def _unit(self, unit: plan.UnitPlan, trust: Trust) -> Unit:
        return Unit(
            unit,
            self.folders[f"units/{unit.name}"],
            network=self.network,
            processes=self.processes,
            trust=trust,
        )

    async def _bring_up(self) -> None:
        with self._timed("network"):
            self.network.build()
        with self._timed("preparation"):
            sentences = speech.make_all()
            self._load_directories()
            self._publish()
        await self._start_all(self._servers(sentences))
        await self._start_all(self._parties(sentences))

    async def _start_all(self, services: Iterable[Service]) -> None:
        async with asyncio.TaskGroup() as group:
            for service in services:
                group.create_task(self._start(service))

    async def _start(self, service: Service) -> None:
        with self._timed(service.name):
            await self.processes.start(service)

    @contextlib.contextmanager
    def _timed(self, name: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self.seconds[name] = time.perf_counter() - start
        self._say(f"{name} is up after {self.seconds[name]:.2f} s")

    def _servers(self, sentences: dict[str, Path]) -> Iterator[Service]:
        yield self._gateway()
        yield from self._tss_nodes()
        yield from self._recorders()
        yield self._tpo(sentences)
        yield syslog_sink.service(plan.TSS[0], self.folders.syslog)
        yield from self._pbx_pair()
        for host in plan.DIRECTORIES:
            yield directory.directory_service(host.name, host, self.folders[host.name])
        yield directory.balancer_service(
            plan.BALANCER.name,
            plan.BALANCER,
            self.folders[plan.BALANCER.name],
            servers=plan.DIRECTORIES,
        )

    def _gateway(self) -> Service:
        folder = self.folders["gateway"]
        gateway.write_hints(folder, self.plans)
        return gateway.service(folder, units=self.plans)

    def _pbx_pair(self) -> Iterator[Service]:
        users = [PbxUser(user.number, user.sip_password) for user in (*plan.PEOPLE, *plan.PARTIES)]
        for host in plan.PBX:
            folder = self.folders[host.name]
            yield pbx.service(host.name, host, folder, domain=plan.DOMAIN, users=users)

    def _tss_nodes(self) -> Iterator[Service]:
        for host in plan.TSS:
            certificate = self.authority.issue(host.name, host.domain_names)
            yield tss.service(host.name, host, self.folders["tss"], certificate)

    def _recorders(self) -> Iterator[Service]:
        for host, name in zip(plan.RECORDERS, RECORDER_NAMES, strict=True):
            argv = [sys.executable, "-m", "openturret.lab.recorder", "--address", host.address]
            argv += ["--directory", str(self.recorder(name)), "--name", name, "--verbose"]
            ready = logged(f"recorder {name} ready")
            yield Service(host.name, host.name, argv, ready=ready)

    def _tpo(self, sentences: dict[str, Path]) -> Service:
        folder = self.folders["tpo"]
        argv = [sys.executable, "-m", "openturret.lab.tpo", "--address", plan.TPO.address]
        argv += ["--directory", str(folder), "--status", str(folder / "status.json"), "--verbose"]
        for hoot in plan.HOOTS:
            argv += ["--hoot", f"{hoot}={sentences[hoot]}"]
        return Service(plan.TPO.name, plan.TPO.name, argv, ready=logged("tpo ready"))

    def _parties(self, sentences: dict[str, Path]) -> Iterator[Service]:
        for known in plan.PARTIES:
            folder = self.party(known.number).folder
            yield party.service(known, folder, sentence=sentences[known.sentence])

    def _load_directories(self) -> None:
        names = [*plan.BALANCER.domain_names]
        for host in plan.DIRECTORIES:
            names += host.domain_names
        certificate = self.authority.issue("directory", names)
        users = [
            DirectoryUser(person.user, person.password, person.name, person.number)
            for person in plan.PEOPLE
        ]
        for host in plan.DIRECTORIES:
            directory.load(
                self.folders[host.name],
                authority=self.authority.path,
                certificate=certificate,
                users=users,
            )

    def _publish(self) -> None:
        image = self._firmware or tss.pack_firmware(
            self.folders["tss"] / "firmware.whl", version=FIRMWARE_VERSION
        )
        self.tss.add_firmware("touchpro", FIRMWARE_VERSION, image)
        self.tss.set_configuration("default", settings.unit_configuration())
        for unit in self.plans:
            self.tss.add_unit(
                mac=unit.mac,
                serial=unit.serial,
                model=unit.model,
                password=unit.ftpes_password,
            )
            self.tss.set_configuration(unit.folder, settings.unit_configuration())
        for person in plan.PEOPLE:
            self.tss.add_user(person.user, name=person.name, profile=settings.profile(person))
        self.tss.publish()
