"""The guard of an address, over a socket pair that carries ARP."""

import asyncio
import random
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address

import pytest

from openturret.boot.errors import AddressConflictError
from openturret.boot.lan.conflict import AddressGuard, ArpTiming, Watch
from openturret.boot.lan.link import ArpPort
from openturret.boot.wire.frame import ArpOperation, ArpPacket

MAC = bytes.fromhex("025450000001")
RIVAL = bytes.fromhex("0200000000fe")
ADDRESS = IPv4Address("10.1.0.100")
OTHER = IPv4Address("10.1.0.101")
NOBODY = IPv4Address(0)
TIMING = ArpTiming(
    answer_s=0.02, probe_min_s=0.01, probe_max_s=0.02, announce_wait_s=0.02, defend_interval_s=0.1
)
USE = ArpPacket(ArpOperation.REPLY, RIVAL, ADDRESS, MAC, NOBODY)


class Clock:
    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()

    def unix(self) -> float:
        return 0.0


@dataclass
class Lan:
    guard: AddressGuard
    far: socket.socket
    defended: list[AddressConflictError] = field(default_factory=list)

    async def next(self) -> ArpPacket:
        async with asyncio.timeout(5):
            return ArpPacket.parse(await asyncio.get_running_loop().sock_recv(self.far, 100))

    def send(self, packet: ArpPacket) -> None:
        self.far.send(bytes(packet))

    async def established(self) -> "asyncio.Task[object]":
        """Returns the watch over an address that nobody disputed."""
        task: asyncio.Task[object] = asyncio.create_task(self.guard.watch(self.defended.append))
        kinds = [(await self.next()).is_probe for _ in range(3)]
        assert kinds == [True, True, False]
        return task


@asynccontextmanager
async def lan(timing: ArpTiming = TIMING) -> AsyncIterator[Lan]:
    near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    near.setblocking(False)
    far.setblocking(False)
    port = ArpPort(near, MAC, ADDRESS)
    guard = AddressGuard(port, clock=Clock(), rng=random.Random(1), timing=timing)
    with far:
        yield Lan(guard, far)
        guard.close()


async def test_an_address_is_probed_then_announced_then_defended() -> None:
    async with lan() as here:
        await here.guard.probe()
        assert await here.next() == ArpPacket.probe(MAC, ADDRESS)
        await here.guard.settle(0.01)
        assert await here.next() == ArpPacket.announcement(MAC, ADDRESS)
        task = await here.established()
        here.send(USE)
        assert await here.next() == ArpPacket.announcement(MAC, ADDRESS)
        here.send(USE)
        with pytest.raises(AddressConflictError, match=RIVAL.hex(":")):
            await task
        assert len(here.defended) == 1


@pytest.mark.parametrize("packet", [USE, ArpPacket.probe(RIVAL, ADDRESS)], ids=["uses", "probes"])
async def test_a_rival_has_precedence_while_the_address_is_not_in_use(packet: ArpPacket) -> None:
    async with lan() as here:
        await here.guard.probe()
        here.send(packet)
        with pytest.raises(AddressConflictError, match=str(ADDRESS)):
            await here.guard.settle(5)


async def test_what_concerns_others_is_no_conflict() -> None:
    async with lan() as here:
        await here.guard.probe()
        here.send(ArpPacket.probe(RIVAL, OTHER))
        here.send(ArpPacket.announcement(RIVAL, OTHER))
        here.send(ArpPacket(ArpOperation.REQUEST, RIVAL, OTHER, bytes(6), ADDRESS))
        here.send(ArpPacket.announcement(MAC, ADDRESS))
        here.far.send(b"garbage")
        await here.guard.settle(0.02)


async def test_a_rival_that_answers_a_later_probe_gets_the_address_without_a_defence() -> None:
    async with lan() as here:
        task = asyncio.create_task(here.guard.watch(here.defended.append))
        await here.next()
        here.send(USE)
        with pytest.raises(AddressConflictError):
            await task
        assert here.defended == []


async def test_until_the_last_announcement_a_rival_gets_the_address_without_a_defence() -> None:
    async with lan(replace(TIMING, announce_wait_s=5)) as here:
        task = asyncio.create_task(here.guard.watch(here.defended.append))
        for _ in range(TIMING.probes - 1):
            assert (await here.next()).is_probe
        here.send(USE)
        async with asyncio.timeout(4):
            with pytest.raises(AddressConflictError):
                await task
        assert here.defended == []


async def test_conflicts_far_apart_are_each_answered_and_probes_are_left_to_the_kernel() -> None:
    async with lan() as here:
        task = await here.established()
        for _ in range(2):
            here.send(ArpPacket.probe(RIVAL, ADDRESS))
            here.send(USE)
            assert not (await here.next()).is_probe
            await asyncio.sleep(TIMING.defend_interval_s * 1.5)
        assert not task.done()
        assert len(here.defended) == 2
        task.cancel()


async def test_a_watch_tells_that_the_address_is_lost_and_closes_its_guard() -> None:
    async with lan() as here:
        watch = Watch(here.defended.append)
        watch.start(here.guard)
        assert watch.has(here.guard)
        assert watch.address == ADDRESS
        await here.next()
        here.send(USE)
        async with asyncio.timeout(5):
            assert isinstance(await watch.lost(), AddressConflictError)
        with pytest.raises(OSError, match="descriptor"):
            await here.guard.probe()


async def test_a_watch_that_is_stopped_loses_nothing() -> None:
    async with lan() as here:
        watch = Watch(here.defended.append)
        watch.start(here.guard)
        watch.stop()
        assert watch.address is None
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await watch.lost()
