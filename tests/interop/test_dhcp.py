"""The DHCP client against dnsmasq, isc-dhcp-server and Kea, directly and through isc-dhcp-relay."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import pytest

from openturret.boot.errors import AddressConflictError, AddressRefusedError, BootError
from openturret.boot.lan.binding import Binding, DhcpState, Situation, Timing
from openturret.boot.lan.conflict import ArpTiming
from openturret.boot.lan.dhcp import DhcpClient
from openturret.boot.lan.dhcp_messages import Requester
from openturret.boot.lan.interface import IpInterface, run_ip
from openturret.boot.lan.lease import Lease
from openturret.boot.lan.link import InterfacePorts
from openturret.boot.wire.dhcp import Route
from openturret.hal.backoff import Backoff
from openturret.hal.clock import SystemClock
from openturret.lab import dhcp_servers
from openturret.lab.dhcp_servers import GATEWAY, ROUTER, SERVERS, UNIT, Lan, Pool, Running
from openturret.lab.errors import ToolMissingError

pytestmark = [pytest.mark.bench, pytest.mark.slow]

INTERFACE = IpInterface(UNIT, run_ip)
POOL = IPv4Network("10.1.0.0/24")
ELSEWHERE = Lease(IPv4Address("10.66.0.5"), 24, IPv4Address("10.66.0.1"), 0, 3600, 1800, 3150)
NETWORKS = tuple(f"10.{number}.0.0/16" for number in range(100, 150))
"""Fifty routes of seven bytes: a long option (RFC 3396)."""


@dataclass
class Notes:
    states: list[str] = field(default_factory=list)
    troubles: list[BootError] = field(default_factory=list)
    round_trips: int = 0

    def count(self, round_trips: int) -> None:
        self.round_trips += round_trips

    def enter(self, state: DhcpState, address: IPv4Address | None, detail: str = "") -> None:
        self.states.append(state.value)

    def trouble(self, error: BootError, detail: str) -> None:
        self.troubles.append(error)


@dataclass
class Unit:
    """A client, and the leases that it gets."""

    client: DhcpClient
    notes: Notes
    leases: list[Lease] = field(default_factory=list)
    ended: list[Lease] = field(default_factory=list)

    async def acquire(self, stored: Lease | None = None) -> Binding:
        async with asyncio.timeout(20):
            binding = await self.client.acquire(stored)
        await INTERFACE.apply(binding.lease, None)
        return binding

    @asynccontextmanager
    async def keeping(self, binding: Binding) -> AsyncIterator[None]:
        task = asyncio.create_task(self.client.keep(binding, self._lease, self._end))
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def until(self, wanted: Callable[[], object]) -> None:
        async with asyncio.timeout(20):
            while not wanted():
                await asyncio.sleep(0.01)

    async def _lease(self, lease: Lease) -> None:
        self.leases.append(lease)

    async def _end(self, lease: Lease) -> None:
        self.ended.append(lease)
        await INTERFACE.clear(lease)


@pytest.fixture
def unit() -> Callable[[], Unit]:
    """Makes units on the one interface; the one before has lost its power then."""
    made: list[Unit] = []

    def make() -> Unit:
        for earlier in made:
            earlier.client.close()
        made.append(new_unit())
        return made[-1]

    return make


def new_unit() -> Unit:
    notes, rng = Notes(), random.Random()
    arp = ArpTiming(answer_s=0.1, probe_min_s=0.1, probe_max_s=0.2, announce_wait_s=0.1)
    timing = Timing(
        Backoff(first_s=1, cap_s=2, jitter=0.1, rng=rng), arp, decline_s=0.1, renew_floor_s=0.5
    )
    requester = Requester(INTERFACE.mac(), "turret-1")
    ports = InterfacePorts(UNIT, INTERFACE.mac)
    return Unit(DhcpClient(Situation(ports, requester, SystemClock(), rng, timing, notes)), notes)


def aged(binding: Binding, age_s: float) -> Binding:
    """The same lease, so many seconds later."""
    return replace(binding, bound_at=binding.bound_at - age_s)


@pytest.fixture(scope="module")
def network() -> Iterator[Lan]:
    try:
        with dhcp_servers.lan() as lan:
            yield lan
    except ToolMissingError as error:
        pytest.skip(str(error))


@pytest.fixture
async def clean(network: Lan) -> AsyncIterator[None]:
    yield
    network.ip(None, f"address flush dev {UNIT}")
    network.ip(network.rival, "address flush dev riv0")


@pytest.fixture(params=[*sorted(SERVERS), *(f"{name} behind a relay" for name in sorted(SERVERS))])
def server(
    request: pytest.FixtureRequest, network: Lan, tmp_path: Path, clean: None
) -> Iterator[Running]:
    with started(request.param, network, tmp_path) as running:
        yield running


@pytest.fixture(params=sorted(SERVERS))
def near_server(
    request: pytest.FixtureRequest, network: Lan, tmp_path: Path, clean: None
) -> Iterator[Running]:
    with started(request.param, network, tmp_path) as running:
        yield running


@contextmanager
def started(
    name: str,
    network: Lan,
    folder: Path,
    pool: Pool = Pool(),  # noqa: B008
) -> Iterator[Running]:
    program, _, relayed = name.partition(" ")
    try:
        with ExitStack() as stack:
            serving = dhcp_servers.serving(
                program, folder, pool, network, behind_relay=bool(relayed)
            )
            running = stack.enter_context(serving)
            if relayed:
                stack.enter_context(dhcp_servers.relaying(folder, network))
            yield running
    except ToolMissingError as error:
        pytest.skip(str(error))


async def test_a_new_unit_gets_everything_that_the_server_can_say(
    unit: Callable[[], Unit], server: Running
) -> None:
    subject = unit()
    lease = (await subject.acquire()).lease
    assert lease.address in POOL
    assert (lease.prefix, lease.lease_s, lease.renew_s, lease.rebind_s) == (24, 3600, 1800, 3150)
    assert lease.routers == (IPv4Address(ROUTER),)
    assert lease.routes[0] == Route(IPv4Network("10.9.0.0/16"), IPv4Address(ROUTER))
    assert lease.dns_servers == lease.ntp_servers == (IPv4Address(GATEWAY),)
    assert lease.domain == "turret.example"
    assert lease.search == ("turret.example", "example")
    assert lease.boot_file == "site.yaml"
    assert lease.tftp_servers[:5] == (
        GATEWAY, "10.1.0.3", "10.1.0.4", "10.1.0.5", "tftp.turret.example",
    )  # fmt: skip
    assert subject.notes.troubles == []
    assert subject.notes.states == ["SELECTING", "REQUESTING", "BOUND"]
    assert subject.notes.round_trips == 2


async def test_a_stored_lease_is_confirmed_in_one_round_trip(
    unit: Callable[[], Unit], server: Running
) -> None:
    first = await unit().acquire()
    again = unit()
    second = await again.acquire(first.lease)
    assert second.lease.address == first.lease.address
    assert second.confirmed
    assert again.notes.round_trips == 1
    assert again.notes.states == ["INIT-REBOOT", "REBOOTING", "BOUND"]


async def test_a_lease_of_another_lan_is_refused_and_a_new_one_granted(
    unit: Callable[[], Unit], near_server: Running
) -> None:
    subject = unit()
    binding = await subject.acquire(replace(ELSEWHERE, acquired=SystemClock().unix()))
    assert binding.lease.address in POOL
    assert [type(trouble) for trouble in subject.notes.troubles] == [AddressRefusedError]


@pytest.mark.parametrize(("age_s", "state"), [(1800, "RENEWING"), (3150, "REBINDING")])
async def test_a_lease_is_renewed_and_never_dropped(
    unit: Callable[[], Unit], server: Running, age_s: float, state: str
) -> None:
    subject = unit()
    binding = await subject.acquire()
    async with subject.keeping(aged(binding, age_s)):
        await subject.until(lambda: subject.leases)
    assert subject.leases[0].address == binding.lease.address
    assert subject.ended == []
    assert subject.notes.states[-2:] == [state, "BOUND"]
    assert subject.notes.troubles == []


async def test_a_released_address_is_free_for_the_server_and_a_wish_of_the_unit(
    unit: Callable[[], Unit],
    server: Running,
) -> None:
    subject = unit()
    lease = (await subject.acquire()).lease
    await subject.client.release(lease)
    await subject.until(lambda: server.said("RELEASE"))
    await INTERFACE.clear(lease)
    assert str(lease.address) in server.said("RELEASE")
    again = unit()
    assert (await again.acquire(replace(lease, released=True))).lease.address == lease.address
    assert again.notes.round_trips == 2


@pytest.mark.parametrize("new", [True, False], ids=["new", "stored"])
async def test_an_address_that_a_rival_uses_is_declined_and_another_granted(
    unit: Callable[[], Unit], near_server: Running, network: Lan, *, new: bool
) -> None:
    first = unit()
    taken = (await first.acquire()).lease
    if new:
        await first.client.release(taken)
    network.ip(None, f"address flush dev {UNIT}")
    network.ip(network.rival, f"address add {taken.address}/24 dev riv0")
    subject = unit()
    binding = await subject.acquire(replace(taken, released=new))
    assert binding.lease.address != taken.address
    assert binding.lease.address in POOL
    assert AddressConflictError in [type(trouble) for trouble in subject.notes.troubles]
    assert str(taken.address) in near_server.said("DECLINE")


async def test_a_cable_that_was_away_has_its_lease_confirmed(
    unit: Callable[[], Unit], near_server: Running, network: Lan
) -> None:
    subject = unit()
    binding = await subject.acquire()
    async with subject.keeping(binding):
        await asyncio.sleep(0)
        network.ip(network.gateway, "link set port0 down", "link set port0 up")
        await subject.until(lambda: subject.leases)
    assert subject.leases[0].address == binding.lease.address
    assert subject.ended == []
    assert "REBOOTING" in subject.notes.states


async def test_a_rival_that_comes_later_and_stays_gets_the_address(
    unit: Callable[[], Unit], network: Lan, tmp_path: Path, clean: None
) -> None:
    with started("dnsmasq", network, tmp_path) as server:
        subject = unit()
        binding = await subject.acquire()
        taken = binding.lease.address
        async with subject.keeping(binding):
            network.ip(network.rival, f"address add {taken}/24 dev riv0")
            await subject.until(lambda: subject.leases)
        assert subject.ended == [binding.lease]
        assert subject.leases[0].address != taken
        assert str(taken) in server.said("DECLINE")


@pytest.mark.parametrize("name", ["dhcpd", "kea"])
async def test_a_long_option_comes_in_pieces_and_is_whole(
    unit: Callable[[], Unit], name: str, network: Lan, tmp_path: Path, clean: None
) -> None:
    with started(name, network, tmp_path, Pool(routes=NETWORKS)):
        lease = (await unit().acquire()).lease
    assert [str(route.network) for route in lease.routes] == list(NETWORKS)


@pytest.mark.parametrize("name", ["dhcpd", "dnsmasq"])
async def test_options_that_do_not_fit_go_on_in_the_fields_for_names(
    unit: Callable[[], Unit], name: str, network: Lan, tmp_path: Path, clean: None
) -> None:
    with started(name, network, tmp_path, Pool(file="x" * 200)):
        lease = (await unit().acquire()).lease
    assert lease.boot_file == "x" * 200
