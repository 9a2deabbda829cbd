"""The client against servers of our own, over a socket pair that carries real frames."""

import asyncio
import random
import socket
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address

import pytest

from openturret.boot.dhcp import Binding, DhcpClient, Timing
from openturret.boot.errors import (
    AddressConflictError,
    AddressRefusedError,
    BootError,
    InterfaceError,
)
from openturret.boot.lease import Lease
from openturret.boot.link import BroadcastPort, MessagePort, UnicastPort
from openturret.boot.wire.dhcp import BootpOp, DhcpMessage, MessageType, Option, Options
from openturret.boot.wire.frame import (
    ARP,
    BROADCAST_MAC,
    ArpOperation,
    ArpPacket,
    UdpFrame,
    ethertype,
)
from openturret.hal.backoff import Backoff

MAC = bytes.fromhex("025450000001")
SERVER_MAC = bytes.fromhex("0200000000fe")
SERVER = IPv4Address("10.1.0.2")
ADDRESS = IPv4Address("10.1.0.100")
MASK = IPv4Address("255.255.255.0")


@dataclass
class Clock:
    """Real seconds for waiting, a date of the test's own."""

    date: float = 1_000_000.0

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()

    def unix(self) -> float:
        return self.date


@dataclass
class Notes:
    """What the client tells its listener."""

    round_trips: int = 0
    troubles: list[BootError] = field(default_factory=list)

    def count(self, round_trips: int) -> None:
        self.round_trips += round_trips

    def trouble(self, error: BootError, detail: str) -> None:
        self.troubles.append(error)


@dataclass
class Lan:
    """Both ends of one cable; the client's end is opened anew for each exchange."""

    far: socket.socket
    near: socket.socket
    failures: list[Exception] = field(default_factory=list)

    def broadcast(self) -> BroadcastPort:
        if self.failures:
            raise self.failures.pop()
        return BroadcastPort(self.near.dup(), MAC)

    def unicast(self, server: IPv4Address) -> MessagePort:
        return self.broadcast()

    async def send(self, frame: object) -> None:
        await asyncio.get_running_loop().sock_sendall(self.far, bytes(frame))  # type: ignore[call-overload]

    async def frames(self) -> AsyncIterator[bytes]:
        while True:
            yield await asyncio.get_running_loop().sock_recv(self.far, 65_535)

    async def requests(self) -> AsyncIterator[DhcpMessage]:
        async for frame in self.frames():
            if ethertype(frame) != ARP:
                yield DhcpMessage.parse(UdpFrame.parse(frame).payload)

    async def reply(self, message: DhcpMessage) -> None:
        frame = UdpFrame(
            SERVER_MAC,
            BROADCAST_MAC,
            SERVER,
            IPv4Address("255.255.255.255"),
            67,
            68,
            bytes(message),
        )
        await self.send(frame)


Server = Callable[[Lan], Coroutine[None, None, None]]


@asynccontextmanager
async def lan_with(server: Server) -> AsyncIterator[Lan]:
    far, near = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    far.setblocking(False)
    near.setblocking(False)
    lan = Lan(far, near)
    task = asyncio.create_task(server(lan))
    try:
        yield lan
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        far.close()
        near.close()


def answer(request: DhcpMessage, kind: MessageType, *more: tuple[int, bytes]) -> DhcpMessage:
    items = [
        (int(Option.MESSAGE_TYPE), bytes([kind])),
        (int(Option.SERVER_ID), SERVER.packed),
        (int(Option.LEASE_TIME), (3600).to_bytes(4, "big")),
        (int(Option.SUBNET_MASK), MASK.packed),
        (int(Option.ROUTER), IPv4Address("10.1.0.1").packed),
        *more,
    ]
    return DhcpMessage(
        BootpOp.REPLY,
        xid=request.xid,
        hardware_address=request.hardware_address,
        your_address=ADDRESS,
        options=Options(tuple(items)),
    )


async def honest(lan: Lan) -> None:
    async for request in lan.requests():
        offered = request.type is MessageType.DISCOVER
        await lan.reply(answer(request, MessageType.OFFER if offered else MessageType.ACK))


def client(lan: Lan, notes: Notes, clock: Clock | None = None) -> DhcpClient:
    rng = random.Random(1)
    return DhcpClient(
        lan,
        MAC,
        host_name="turret",
        clock=clock or Clock(),
        rng=rng,
        timing=Timing(
            Backoff(first_s=0.05, cap_s=0.2, jitter=0.1, rng=rng),
            conflict_s=0.01,
            decline_s=0.3,
            renew_floor_s=0.02,
        ),
        listener=notes,
    )


def stored(*, age_s: float = 0, lease_s: int = 3600) -> Lease:
    return Lease(ADDRESS, 24, SERVER, Clock().date - age_s, lease_s, lease_s // 2, lease_s * 7 // 8)


async def test_a_lease_takes_two_round_trips() -> None:
    notes = Notes()
    async with lan_with(honest) as lan:
        binding = await client(lan, notes).acquire(None)
    assert binding.confirmed
    assert (binding.lease.address, binding.lease.prefix) == (ADDRESS, 24)
    assert binding.lease.renew_s == 1800
    assert notes == Notes(round_trips=2)


async def test_a_stored_lease_is_confirmed_in_one_round_trip() -> None:
    notes = Notes()
    async with lan_with(honest) as lan:
        binding = await client(lan, notes).acquire(stored())
    assert binding.confirmed
    assert notes.round_trips == 1


async def test_an_expired_lease_is_asked_for_anew() -> None:
    notes, wishes = Notes(), []

    async def server(lan: Lan) -> None:
        async for request in lan.requests():
            wishes.append(request.options.address(Option.REQUESTED_ADDRESS))
            offered = request.type is MessageType.DISCOVER
            await lan.reply(answer(request, MessageType.OFFER if offered else MessageType.ACK))

    async with lan_with(server) as lan:
        await client(lan, notes).acquire(stored(age_s=4000))
    assert notes.round_trips == 2
    assert wishes == [ADDRESS, ADDRESS], "the old address is the wish"


async def test_silence_is_told_and_asked_again_without_end() -> None:
    notes = Notes()
    heard: list[DhcpMessage] = []

    async def deaf_at_first(lan: Lan) -> None:
        async for request in lan.requests():
            heard.append(request)
            if len(heard) > 3:
                offered = request.type is MessageType.DISCOVER
                await lan.reply(answer(request, MessageType.OFFER if offered else MessageType.ACK))

    async with lan_with(deaf_at_first) as lan:
        binding = await client(lan, notes).acquire(None)
    assert binding.lease.address == ADDRESS
    assert len(notes.troubles) == 3
    assert "no DHCP server answered" in str(notes.troubles[0])
    assert notes.troubles[0].remedy
    assert len({request.xid for request in heard[:3]}) == 3


async def test_silence_leaves_an_unexpired_lease_in_use_but_unconfirmed() -> None:
    async def deaf(lan: Lan) -> None:
        async for _ in lan.requests():
            continue

    notes = Notes()
    async with lan_with(deaf) as lan:
        binding = await client(lan, notes).acquire(stored(age_s=600))
        used_s = asyncio.get_running_loop().time() - binding.bound_at
    assert not binding.confirmed
    assert binding.lease == stored(age_s=600)
    assert 600 <= used_s < 601
    assert len(notes.troubles) == 2


async def test_a_refused_stored_lease_makes_room_for_a_new_one() -> None:
    async def refusing(lan: Lan) -> None:
        refused = False
        async for request in lan.requests():
            if not refused:
                refused = True
                reason = (int(Option.MESSAGE), b"wrong network")
                await lan.reply(answer(request, MessageType.NAK, reason))
                continue
            offered = request.type is MessageType.DISCOVER
            await lan.reply(answer(request, MessageType.OFFER if offered else MessageType.ACK))

    notes = Notes()
    async with lan_with(refusing) as lan:
        binding = await client(lan, notes).acquire(stored())
    assert binding.confirmed
    assert isinstance(notes.troubles[0], AddressRefusedError)
    assert "wrong network" in str(notes.troubles[0])


@pytest.mark.parametrize(
    "forge",
    [
        lambda message: replace(message, xid=message.xid ^ 1),
        lambda message: replace(message, hardware_address=bytes(6)),
        lambda message: replace(message, op=BootpOp.REQUEST),
        lambda message: replace(message, options=Options()),
        lambda message: replace(message, options=Options(message.options.items[:1])),
        lambda message: bytes(message)[:200],
        lambda message: b"",
    ],
    ids=["xid", "hardware", "direction", "untyped", "no server id", "truncated", "empty"],
)
async def test_forged_answers_are_dropped(forge: Callable[[DhcpMessage], object]) -> None:
    async def lying_first(lan: Lan) -> None:
        async for request in lan.requests():
            if request.type is MessageType.REQUEST:
                nak = forge(answer(request, MessageType.NAK))
                frame = UdpFrame(
                    SERVER_MAC, MAC, SERVER, ADDRESS, 67, 68, bytes(nak)  # type: ignore[call-overload]
                )  # fmt: skip
                await lan.send(frame)
                await lan.reply(answer(request, MessageType.ACK))
            else:
                await lan.reply(answer(request, MessageType.OFFER))

    notes = Notes()
    async with lan_with(lying_first) as lan:
        binding = await client(lan, notes).acquire(None)
    assert binding.lease.address == ADDRESS
    assert notes.troubles == []


async def test_an_offer_without_a_usable_address_is_told_and_passed_over() -> None:
    async def careless_first(lan: Lan) -> None:
        careless = True
        async for request in lan.requests():
            offered = request.type is MessageType.DISCOVER
            reply = answer(request, MessageType.OFFER if offered else MessageType.ACK)
            if careless:
                reply = replace(reply, your_address=IPv4Address("127.0.0.1"))
            careless = False
            await lan.reply(reply)

    notes = Notes()
    async with lan_with(careless_first) as lan:
        assert (await client(lan, notes).acquire(None)).lease.address == ADDRESS
    assert "127.0.0.1" in str(notes.troubles[0])


async def test_an_address_that_somebody_uses_is_declined() -> None:
    declined: list[IPv4Address | None] = []

    async def with_a_squatter(lan: Lan) -> None:
        async for frame in lan.frames():
            if ethertype(frame) == ARP:
                probe = ArpPacket.parse(frame)
                if not declined and probe.sender.is_unspecified:
                    claim = ArpPacket(
                        ArpOperation.REPLY, SERVER_MAC, probe.target, MAC, probe.sender
                    )
                    await lan.send(claim)
                continue
            request = DhcpMessage.parse(UdpFrame.parse(frame).payload)
            if request.type is MessageType.DECLINE:
                declined.append(request.options.address(Option.REQUESTED_ADDRESS))
                continue
            offered = request.type is MessageType.DISCOVER
            await lan.reply(answer(request, MessageType.OFFER if offered else MessageType.ACK))

    notes = Notes()
    async with lan_with(with_a_squatter) as lan:
        await client(lan, notes).acquire(None)
    assert declined == [ADDRESS]
    assert isinstance(notes.troubles[0], AddressConflictError)


@pytest.mark.parametrize("lease", [None, stored()], ids=["new", "stored"])
async def test_after_a_decline_the_server_gets_time_to_find_another_address(
    lease: Lease | None,
) -> None:
    times: list[float] = []

    async def with_a_squatter(lan: Lan) -> None:
        async for frame in lan.frames():
            now = asyncio.get_running_loop().time()
            if ethertype(frame) == ARP:
                probe = ArpPacket.parse(frame)
                if not times:
                    await lan.send(replace(probe, sender_mac=SERVER_MAC, sender=probe.target))
                continue
            request = DhcpMessage.parse(UdpFrame.parse(frame).payload)
            if request.type is MessageType.DECLINE or times:
                times.append(now)
            offered = request.type is MessageType.DISCOVER
            await lan.reply(answer(request, MessageType.OFFER if offered else MessageType.ACK))

    async with lan_with(with_a_squatter) as lan:
        await client(lan, Notes()).acquire(lease)
    assert times[1] - times[0] >= 0.29


@pytest.mark.parametrize("error", [OSError(100, "network is down"), InterfaceError("no eth0")])
async def test_an_interface_that_fails_is_told_and_asked_again(error: Exception) -> None:
    for lease in (None, stored()):
        notes = Notes()
        async with lan_with(honest) as lan:
            lan.failures.append(error)
            binding = await client(lan, notes).acquire(lease)
        assert binding.confirmed
        assert "interface fails" in str(notes.troubles[0])


@pytest.mark.parametrize("address", [IPv4Address("10.1.0.7"), IPv4Address(0)])
async def test_a_renewal_for_another_address_is_ignored(address: IPv4Address) -> None:
    async def wrong_first(lan: Lan) -> None:
        number = 0
        async for request in lan.requests():
            number += 1
            reply = answer(request, MessageType.ACK)
            await lan.reply(replace(reply, your_address=address) if number == 1 else reply)

    async with lan_with(wrong_first) as lan:
        now = asyncio.get_running_loop().time()
        leases, ended = await kept(lan, Binding(stored(), now - 3599), Notes(), Clock())
    assert [lease.address for lease in leases] == [ADDRESS]
    assert ended == []


async def kept(
    lan: Lan, binding: Binding, notes: Notes, clock: Clock
) -> tuple[list[Lease], list[Lease]]:
    """Keeps a lease until a server has confirmed one; what was confirmed and what ended."""
    leases: list[Lease] = []
    ended: list[Lease] = []
    confirmed = asyncio.Event()

    async def on_lease(lease: Lease) -> None:
        leases.append(lease)
        confirmed.set()

    async def on_expiry(lease: Lease) -> None:
        ended.append(lease)

    task = asyncio.create_task(client(lan, notes, clock).keep(binding, on_lease, on_expiry))
    async with asyncio.timeout(5):
        await confirmed.wait()
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    return leases, ended


async def test_a_lease_is_renewed_from_its_own_address_and_never_dropped() -> None:
    requests: list[DhcpMessage] = []

    async def server(lan: Lan) -> None:
        async for request in lan.requests():
            requests.append(request)
            await lan.reply(answer(request, MessageType.ACK))

    async with lan_with(server) as lan:
        now = asyncio.get_running_loop().time()
        leases, ended = await kept(lan, Binding(stored(), now - 1800), Notes(), Clock())
    assert (len(leases), ended) == (1, [])
    assert requests[0].client_address == ADDRESS
    assert Option.REQUESTED_ADDRESS not in requests[0].options
    assert Option.SERVER_ID not in requests[0].options


async def test_an_unconfirmed_lease_is_asked_about_at_once() -> None:
    async with lan_with(honest) as lan:
        now = asyncio.get_running_loop().time()
        leases, ended = await kept(lan, Binding(stored(), now, confirmed=False), Notes(), Clock())
    assert (len(leases), ended) == (1, [])


async def test_a_refused_renewal_gives_the_address_up_and_gets_another() -> None:
    async def refusing_renewals(lan: Lan) -> None:
        async for request in lan.requests():
            if not request.client_address.is_unspecified:
                await lan.reply(answer(request, MessageType.NAK))
            else:
                offered = request.type is MessageType.DISCOVER
                await lan.reply(answer(request, MessageType.OFFER if offered else MessageType.ACK))

    notes = Notes()
    async with lan_with(refusing_renewals) as lan:
        now = asyncio.get_running_loop().time()
        leases, ended = await kept(lan, Binding(stored(), now - 1800), notes, Clock())
    assert ended == [stored()]
    assert leases[0].address == ADDRESS


async def test_a_lease_that_nobody_renews_ends_and_is_asked_for_again() -> None:
    async def only_new_ones(lan: Lan) -> None:
        async for request in lan.requests():
            if request.client_address.is_unspecified:
                offered = request.type is MessageType.DISCOVER
                await lan.reply(answer(request, MessageType.OFFER if offered else MessageType.ACK))

    notes = Notes()
    async with lan_with(only_new_ones) as lan:
        now = asyncio.get_running_loop().time()
        leases, ended = await kept(lan, Binding(stored(), now - 3599.9), notes, Clock())
    assert ended == [stored()]
    assert leases
    assert any("has ended" in str(trouble) for trouble in notes.troubles)


async def test_a_unicast_port_drops_what_is_no_dhcp() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as far:
        far.bind(("127.0.0.1", 0))
        near = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        near.bind(("127.0.0.1", 0))
        port = UnicastPort(near, SERVER)
        message = DhcpMessage(BootpOp.REPLY, xid=7, hardware_address=MAC)
        for data in (b"", b"garbage", bytes(message)[:100], bytes(message)):
            far.sendto(data, near.getsockname())
        async with asyncio.timeout(2):
            assert await port.receive() == message
        port.close()
