"""An address that a person configured: the file, and how it is taken into use and kept."""

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from openturret.boot.errors import AddressConflictError, BootError, DocumentError
from openturret.boot.lan.binding import DhcpState, Situation, Timing
from openturret.boot.lan.conflict import ArpTiming
from openturret.boot.lan.dhcp_messages import Requester
from openturret.boot.lan.lease import Lease
from openturret.boot.lan.static import StaticClient, parse_static, read_static
from openturret.boot.wire.frame import ArpOperation, ArpPacket
from openturret.hal.backoff import Backoff
from openturret.lab.cable import Cable

MAC = bytes.fromhex("025450000001")
RIVAL = bytes.fromhex("0200000000fe")
ADDRESS = IPv4Address("10.1.0.50")
WHOLE = b"""
network.address: 10.1.0.50/24
network.router: 10.1.0.1
network.dns: [10.1.0.2, 10.1.0.3]
network.domain: turret.example
network.search: [turret.example, example]
network.ntp: 10.1.0.2
network.tftp: [10.1.0.2, tftp.example]
network.file: site.yaml
"""


def test_a_whole_file_is_a_lease_that_never_ends() -> None:
    lease = parse_static(WHOLE, 1000.0)
    assert (lease.address, lease.prefix, lease.static) == (ADDRESS, 24, True)
    assert lease.routers == (IPv4Address("10.1.0.1"),)
    assert lease.dns_servers == (IPv4Address("10.1.0.2"), IPv4Address("10.1.0.3"))
    assert (lease.domain, lease.search) == ("turret.example", ("turret.example", "example"))
    assert lease.ntp_servers == (IPv4Address("10.1.0.2"),)
    assert lease.tftp_servers == ("10.1.0.2", "tftp.example")
    assert lease.boot_file == "site.yaml"
    assert lease.remaining_s(1e12) == float("inf")


def test_an_address_alone_is_enough() -> None:
    lease = parse_static(b"network.address: 10.1.0.50/31", 0.0)
    assert (lease.address, lease.prefix, lease.routers) == (ADDRESS, 31, ())


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("network.adress: 10.1.0.50/24", "network.adress: is no key"),
        ("network.router: 10.1.0.1", "network.address: '' is no address"),
        ("network.address: 10.1.0.50", "no prefix"),
        ("network.address: 10.1.0.50/0", "no prefix"),
        ("network.address: 10.1.0.50/32", "no prefix"),
        ("network.address: 10.1.0.999/24", "'10.1.0.999/24' is no address"),
        ("network.address: 10.1.0.0/24", "no host's address"),
        ("network.address: 10.1.0.255/24", "no host's address"),
        ("network.address: 127.0.0.1/8", "no host's address"),
        ("network.address: 224.0.0.5/24", "no host's address"),
        ("network.address: 0.1.2.3/8", "no host's address"),
        ("network.address: 7", "network.address: 7 is not a text"),
        ("network.address: 10.1.0.50/24\nnetwork.router: 10.2.0.1", "not reached"),
        ("network.address: 10.1.0.50/24\nnetwork.router: 10.1.0.50", "not reached"),
        ("network.address: 10.1.0.50/24\nnetwork.dns: [tss]", "network.dns: 'tss' is no address"),
        ("network.address: 10.1.0.50/24\nnetwork.dns: {a: b}", "network.dns"),
        ("network.address: 10.1.0.50/24\nnetwork.tftp: [a b]", "network.tftp: 'a b' is no name"),
        ("network.address: 10.1.0.50/24\nnetwork.domain: 'a b'", "network.domain: 'a b'"),
        ("network.address: 10.1.0.50/24\nnetwork.file: 'a b'", "network.file: 'a b'"),
        (f"network.address: 10.1.0.50/24\nnetwork.ntp: {['10.1.0.2'] * 9}", "9 entries"),
        ("- 10.1.0.50/24", "not a mapping"),
        ("network.address: [", "not acceptable YAML"),
        ("a: &a [x]\nb: *a", "aliases"),
        ("#" * 20_000, "exceed"),
    ],
)
def test_what_is_wrong_is_said_with_key_value_and_remedy(text: str, words: str) -> None:
    with pytest.raises(DocumentError) as caught:
        parse_static(text.encode(), 0.0)
    assert words in str(caught.value)
    assert caught.value.remedy


def test_the_first_file_that_is_there_counts(tmp_path: Path) -> None:
    state, factory = tmp_path / "state.yaml", tmp_path / "factory.yaml"
    assert read_static([state, factory], 0.0) is None
    factory.write_bytes(WHOLE)
    lease = read_static([state, factory], 0.0)
    assert lease is not None
    assert lease.address == ADDRESS
    state.write_text("network.address: nonsense")
    with pytest.raises(DocumentError, match=r"state\.yaml"):
        read_static([state, factory], 0.0)


@dataclass
class Notes:
    states: list[str] = field(default_factory=list)
    troubles: list[BootError] = field(default_factory=list)
    leases: list[Lease] = field(default_factory=list)

    def count(self, round_trips: int) -> None:
        raise AssertionError("nobody is asked")

    def enter(self, state: DhcpState, address: IPv4Address | None, detail: str = "") -> None:
        self.states.append(f"{state.value} {address}; {detail}")

    def trouble(self, error: BootError, detail: str) -> None:
        self.troubles.append(error)

    async def lease(self, lease: Lease) -> None:
        self.leases.append(lease)


class Clock:
    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()

    def unix(self) -> float:
        return 0.0


def client(cable: Cable, notes: Notes) -> StaticClient:
    rng = random.Random(1)
    arp = ArpTiming(answer_s=0.02, defend_interval_s=0.01, rate_limit_s=0.03)
    timing = Timing(Backoff(first_s=0.02, cap_s=0.1, jitter=0, rng=rng), arp=arp)
    here = Situation(cable, Requester(MAC, "turret"), Clock(), rng, timing, notes)
    return StaticClient(here, parse_static(WHOLE, 0.0))


def usage() -> ArpPacket:
    return ArpPacket(ArpOperation.REPLY, RIVAL, ADDRESS, MAC, IPv4Address(0))


async def test_a_free_address_is_probed_announced_and_used() -> None:
    notes = Notes()
    async with Cable.laid(MAC) as cable:
        subject = client(cable, notes)
        binding = await subject.acquire(None)
        assert [(await cable.packet()).is_probe for _ in range(2)] == [True, False]
        await subject.release(binding.lease)
    assert binding.lease.address == ADDRESS
    assert binding.confirmed
    assert notes.states[-1] == "BOUND 10.1.0.50; configured"


async def test_an_address_that_is_taken_is_told_and_asked_about_until_it_is_free() -> None:
    notes = Notes()
    async with Cable.laid(MAC) as cable:
        subject = client(cable, notes)
        task = asyncio.create_task(subject.acquire(None))
        for _ in range(2):
            assert (await cable.packet()).is_probe
            await cable.claim(usage())
        async with asyncio.timeout(5):
            binding = await task
        await subject.release(binding.lease)
    assert [type(trouble) for trouble in notes.troubles] == [AddressConflictError] * 2
    assert RIVAL.hex(":") in str(notes.troubles[0])


async def test_a_rival_never_gets_the_address_and_is_told_while_it_is_heard() -> None:
    notes = Notes()

    async def until(wanted: Callable[[], bool]) -> None:
        async with asyncio.timeout(5):
            while not wanted():
                await asyncio.sleep(0.005)

    async with Cable.laid(MAC) as cable:
        subject = client(cable, notes)
        binding = await subject.acquire(None)
        task = asyncio.create_task(subject.keep(binding, notes.lease, notes.lease))
        for _ in range(3):
            await cable.claim(usage())
            await asyncio.sleep(0.015)
        await until(lambda: len(notes.leases) == 1)
        assert len(notes.troubles) == 1
        cable.replug()
        await until(lambda: len(notes.leases) == 2)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert notes.leases == [binding.lease] * 2
