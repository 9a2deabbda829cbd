"""The unit's connection to its LAN: the cable, the address, the names behind it, the time."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from ipaddress import IPv4Address
from typing import Final, TypeAlias, TypeVar

from ..document import Document
from ..errors import BootError, DhcpError, DocumentError, InterfaceError
from ..fetch.dns import DnsClient
from ..folder import StateFolder
from ..identity import Identity
from ..status import StatusBoard
from ..surroundings import Surroundings
from ..trusted.floor import ClockFloor
from .binding import Binding, DhcpState, Situation
from .dhcp import DhcpClient
from .dhcp_messages import Requester
from .interface import write_network
from .lease import Lease, LeaseStore
from .ntp import SntpClient
from .static import StaticClient, read_static
from .timekeeper import TimeKeeper, firmware_floor

logger = logging.getLogger(__name__)
T = TypeVar("T")

UNCONFIRMED: Final = "dhcp.unconfirmed"
STATIC: Final = "network.static"
UNWRITTEN: Final = "network.unwritten"
RELEASE_KEY: Final = "application.boot.dhcp.release"
_MEDIUM_REMEDY = "free or replace the medium of the state folder"


AddressSource: TypeAlias = DhcpClient | StaticClient


@dataclass(frozen=True, slots=True)
class Network:
    """What is known about the network now."""

    lease: Lease
    resolver: DnsClient


class Connection:
    """Gets an address and keeps it; a refused renewal never costs a working one.

    Args:
        identity: The unit, for its host name.
        folder: Where lease and address are written down.
        around: Interface, sockets and patience.
        status: Shown the stages link and dhcp.
    """

    def __init__(
        self, identity: Identity, folder: StateFolder, around: Surroundings, status: StatusBoard
    ) -> None:
        self._identity = identity
        self._folder = folder
        self._around = around
        self._status = status
        self._progress = _Progress(status)
        self._leases = LeaseStore(folder.lease)
        self._network: Network | None = None
        self._client: AddressSource | None = None
        self._binding: Binding | None = None

    @property
    def network(self) -> Network:
        """The network as it is now.

        Raises:
            DhcpError: The unit has no address.
        """
        if self._network is None:
            raise DhcpError("the unit has no address", "see the stage dhcp")
        return self._network

    async def open(self) -> Network:
        """Returns when the unit has an address, however long that takes."""
        await self._persist("link", self._raise_link)
        self._client = await self._persist("dhcp", self._open_dhcp)
        self._binding = binding = await self._client.acquire(self._leases.load())
        return await self._persist("dhcp", lambda: self._settle(binding))

    async def keep(self) -> None:
        """Renews the lease and keeps the clock right, until cancelled; for after `open`."""
        if self._client is None or self._binding is None:
            return
        async with asyncio.TaskGroup() as both:
            both.create_task(self._timekeeper().keep(self._time_servers))
            both.create_task(self._client.keep(self._binding, self._on_lease, self._on_expiry))

    def seeking(self) -> contextlib.AbstractContextManager[None]:
        """Looks for another DHCP server meanwhile: the lease in use leads to no TSS."""
        return contextlib.nullcontext() if self._client is None else self._client.seeking()

    async def close(self, configuration: Document | None) -> None:
        """Gives the lease back on a clean stop, where the configuration says so.

        Without that the next boot confirms it in one round trip, and boots with it when no
        DHCP server answers.
        """
        if self._client is not None:
            self._client.close()
        if configuration is None or configuration.values.get(RELEASE_KEY) is not True:
            return
        if self._network is None or self._client is None or self._network.lease.static:
            return
        lease, self._network = self._network.lease, None
        await self._client.release(lease)
        try:
            self._leases.save(replace(lease, released=True))
            await self._around.interface.clear(lease)
        except (InterfaceError, OSError) as error:
            logger.warning("after the release: %s", error)

    async def _raise_link(self) -> None:
        with self._status.step("link") as step:
            await self._around.interface.wait_for_carrier()
            step.detail = self._around.interface.name

    async def _open_dhcp(self) -> AddressSource:
        """Returns what gets an address and keeps it: DHCP, or what a person configured.

        Raises:
            InterfaceError: The interface has gone.
        """
        around = self._around
        self._status.begin("dhcp")
        situation = Situation(
            around.ports,
            Requester(around.interface.mac(), f"turret-{self._identity.folder}"),
            around.clock,
            around.rng,
            around.dhcp,
            self._progress,
        )
        configured = self._configured()
        return DhcpClient(situation) if configured is None else StaticClient(situation, configured)

    def _configured(self) -> Lease | None:
        """Returns the static address; a damaged file is told of, and DHCP takes its place."""
        paths = (self._folder.static, self._identity.board.with_name(self._folder.static.name))
        try:
            return read_static(paths, self._around.clock.unix())
        except (DocumentError, OSError) as error:
            remedy = error.remedy if isinstance(error, DocumentError) else _MEDIUM_REMEDY
            self._status.raise_alarm(STATIC, f"{error}; DHCP is asked instead", remedy)
            return None

    async def _settle(self, binding: Binding) -> Network:
        """Puts the first lease into force."""
        network = await self._apply(binding.lease)
        self._status.done("dhcp", self._progress.said)
        if not binding.confirmed:
            self._status.raise_alarm(
                UNCONFIRMED,
                f"no DHCP server confirms {binding.lease.address}; the stored lease is used",
                "check that a DHCP server or relay answers on this LAN",
            )
        return network

    async def _apply(self, lease: Lease) -> Network:
        """Gives the interface a lease, and writes it down for everybody else.

        Raises:
            InterfaceError: The kernel or the medium refuses it.
        """
        previous = self._network.lease if self._network else None
        await self._around.interface.apply(lease, previous)
        self._network = network = Network(lease, self._resolver(lease))
        try:
            write_network(self._folder.network, self._around.interface.name, lease)
            if not lease.static:
                self._leases.save(lease)
        except OSError as error:
            self._status.raise_alarm(UNWRITTEN, f"the lease is not kept: {error}", _MEDIUM_REMEDY)
        else:
            self._status.clear_alarm(UNWRITTEN)
        return network

    async def _on_lease(self, lease: Lease) -> None:
        """Takes over a renewed lease; a refused route never costs a working address."""
        try:
            await self._apply(lease)
        except InterfaceError as error:
            self._status.raise_alarm(UNCONFIRMED, str(error), error.remedy)
            return
        self._status.clear_alarm(UNCONFIRMED)
        logger.info("lease of %s extended by %d s", lease.address, lease.lease_s)

    async def _on_expiry(self, lease: Lease) -> None:
        self._network = None
        try:
            await self._around.interface.clear(lease)
            self._leases.forget()
        except (InterfaceError, OSError) as error:
            logger.warning("%s", error)

    async def _persist(self, stage: str, attempt: Callable[[], Awaitable[T]]) -> T:
        """Tries until it works, telling why it does not."""
        for delay_s in self._around.retry.delays():
            try:
                return await attempt()
            except InterfaceError as error:
                self._status.trouble(stage, error, f"trying again in {delay_s:.1f} s")
                await self._around.bell.wait(delay_s)
        raise InterfaceError("the back-off has ended")  # pragma: no cover - it has no end

    def _timekeeper(self) -> TimeKeeper:
        around = self._around
        verified = ClockFloor(self._folder.trust / "clock", around.clock)
        return TimeKeeper(
            SntpClient(around.clock, around.rng),
            around.clock,
            lambda: max(verified.least(), firmware_floor()),
            self._status,
            around.rng,
        )

    def _time_servers(self) -> tuple[IPv4Address, ...]:
        return () if self._network is None else self._network.lease.ntp_servers

    def _resolver(self, lease: Lease) -> DnsClient:
        around = self._around
        return DnsClient(
            lease.dns_servers,
            clock=around.clock,
            rng=around.rng,
            count=self._status.counter("dns"),
            search=lease.search or (lease.domain,),
        )


@dataclass(slots=True)
class _Progress:
    """Shows what the DHCP client says: in its stage while it boots, as an alarm after.

    Attributes:
        said: The state that it has entered last.
    """

    status: StatusBoard
    said: str = ""

    def count(self, round_trips: int) -> None:
        if self._is_booting():
            self.status.stage("dhcp").count(round_trips)

    def enter(self, state: DhcpState, address: IPv4Address | None, detail: str = "") -> None:
        subject = state.value if address is None else f"{state.value} {address}"
        self.said = "; ".join(filter(None, [subject, detail]))
        self.status.note("dhcp", self.said)

    def trouble(self, error: BootError, detail: str) -> None:
        if self._is_booting():
            self.status.trouble("dhcp", error, detail)
        else:
            self.status.raise_alarm(UNCONFIRMED, f"{error}; {detail}", error.remedy)

    def _is_booting(self) -> bool:
        return self.status.stage("dhcp").state == "running"
