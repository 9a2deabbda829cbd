"""The client against servers of our own, over a socket pair that carries real frames."""

import asyncio
import random
import socket
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address

import pytest

from openturret.boot.errors import (
    AddressConflictError,
    AddressRefusedError,
    BootError,
    InterfaceError,
)
from openturret.boot.lan.binding import Binding, DhcpState, Situation, Timing
from openturret.boot.lan.conflict import ArpTiming
from openturret.boot.lan.dhcp import DhcpClient
from openturret.boot.lan.dhcp_messages import Requester
from openturret.boot.lan.lease import Lease
from openturret.boot.lan.link import UnicastPort
from openturret.boot.wire.dhcp import BootpOp, DhcpMessage, MessageType, Option, Options
from openturret.boot.wire.frame import (
    ArpOperation,
    ArpPacket,
    UdpFrame,
)
from openturret.hal.backoff import Backoff
from openturret.lab.cable import SERVER, SERVER_MAC, Cable

MAC = bytes.fromhex("025450000001")
ADDRESS = IPv4Address("10.1.0.100")
MASK = IPv4Address("255.255.255.0")
FAST_ARP = ArpTiming(
    answer_s=0.02, known_answer_s=0.01, probe_min_s=0.01, probe_max_s=0.02, announce_wait_s=0.02,
    defend_interval_s=0.2, rate_limit_s=0.4,
)  # fmt: skip


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
    states: list[str] = field(default_factory=list)

    def count(self, round_trips: int) -> None:
        self.round_trips += round_trips

    def enter(self, state: DhcpState, address: IPv4Address | None, detail: str = "") -> None:
        self.states.append(state.value)

    def trouble(self, error: BootError, detail: str) -> None:
        self.troubles.append(error)


Server = Callable[[Cable], Coroutine[None, None, None]]


@asynccontextmanager
async def lan_with(*servers: Server) -> AsyncIterator[Cable]:
    async with Cable.laid(MAC) as cable:
        tasks = [asyncio.create_task(server(cable)) for server in servers]
        try:
            yield cable
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


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


def replace_server(server: IPv4Address) -> Callable[[DhcpMessage], DhcpMessage]:
    """Makes an answer that of another server."""

    def changed(message: DhcpMessage) -> DhcpMessage:
        items = [
            (code, server.packed if code == Option.SERVER_ID else value)
            for code, value in message.options.items
        ]
        return replace(message, options=Options(tuple(items)))

    return changed


async def honest(lan: Cable) -> None:
    async for request in lan.requests():
        offered = request.type is MessageType.DISCOVER
        await lan.reply(answer(request, MessageType.OFFER if offered else MessageType.ACK))


def client(
    lan: Cable, notes: Notes, clock: Clock | None = None, *, arp: ArpTiming = FAST_ARP
) -> DhcpClient:
    rng = random.Random(1)
    timing = Timing(
        Backoff(first_s=0.05, cap_s=0.2, jitter=0.1, rng=rng),
        arp=arp,
        offer_s=0.02,
        request_s=(0.02, 0.02),
        reboot_s=(0.05, 0.05),
        contradiction_s=0.05,
        decline_s=0.3,
        renew_floor_s=0.02,
        spread=0.0,
    )
    here = Situation(lan, Requester(MAC, "turret"), clock or Clock(), rng, timing, notes)
    return DhcpClient(here)


def stored(*, age_s: float = 0, lease_s: int = 3600) -> Lease:
    return Lease(ADDRESS, 24, SERVER, Clock().date - age_s, lease_s, lease_s // 2, lease_s * 7 // 8)


async def test_a_lease_takes_two_round_trips() -> None:
    notes = Notes()
    async with lan_with(honest) as lan:
        binding = await client(lan, notes).acquire(None)
    assert binding.confirmed
    assert (binding.lease.address, binding.lease.prefix) == (ADDRESS, 24)
    assert binding.lease.renew_s == 1800
    assert (notes.round_trips, notes.troubles) == (2, [])
    assert notes.states == ["SELECTING", "REQUESTING", "BOUND"]


async def test_a_stored_lease_is_confirmed_in_one_round_trip() -> None:
    notes = Notes()
    async with lan_with(honest) as lan:
        binding = await client(lan, notes).acquire(stored())
    assert binding.confirmed
    assert notes.round_trips == 1


async def test_an_expired_lease_is_asked_for_anew() -> None:
    notes, wishes = Notes(), []

    async def server(lan: Cable) -> None:
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

    async def deaf_at_first(lan: Cable) -> None:
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
    assert len({request.xid for request in heard[:3]}) == 1, "a late answer is still an answer"
    assert [request.broadcast for request in heard[:3]] == [False, True, False]


async def test_silence_leaves_an_unexpired_lease_in_use_but_unconfirmed() -> None:
    async def deaf(lan: Cable) -> None:
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
    async def refusing(lan: Cable) -> None:
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
    async def lying_first(lan: Cable) -> None:
        async for request in lan.requests():
            if request.type is MessageType.REQUEST:
                nak = forge(answer(request, MessageType.NAK))
                frame = UdpFrame(
                    SERVER_MAC, MAC, SERVER, ADDRESS, 67, 68, bytes(nak)  # type: ignore[call-overload]
                )  # fmt: skip
                await lan.send(bytes(frame))
                await lan.reply(answer(request, MessageType.ACK))
            else:
                await lan.reply(answer(request, MessageType.OFFER))

    notes = Notes()
    async with lan_with(lying_first) as lan:
        binding = await client(lan, notes).acquire(None)
    assert binding.lease.address == ADDRESS
    assert notes.troubles == []


async def test_an_offer_without_a_usable_address_is_told_and_passed_over() -> None:
    async def careless_first(lan: Cable) -> None:
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


async def squatter(lan: Cable) -> None:
    """Uses the address, until the unit has probed for it once."""
    async for packet in lan.packets():
        if packet.is_probe:
            await lan.claim(usage(packet.target))
            return


def usage(address: IPv4Address, mac: bytes = SERVER_MAC) -> ArpPacket:
    """A rival that has an address says so."""
    return ArpPacket(ArpOperation.REPLY, mac, address, MAC, IPv4Address(0))


class Recording:
    """A server that grants everything, and what it was told."""

    def __init__(self) -> None:
        self.heard: list[DhcpMessage] = []
        self.times: list[float] = []

    async def __call__(self, lan: Cable) -> None:
        async for request in lan.requests():
            self.heard.append(request)
            self.times.append(asyncio.get_running_loop().time())
            if request.type is MessageType.DISCOVER:
                await lan.reply(answer(request, MessageType.OFFER))
            elif request.type is MessageType.REQUEST:
                await lan.reply(answer(request, MessageType.ACK))

    @property
    def types(self) -> list[str]:
        return [request.type.name for request in self.heard]


@pytest.mark.parametrize("lease", [None, stored()], ids=["new", "stored"])
async def test_an_address_that_somebody_uses_is_declined_and_another_asked_for_later(
    lease: Lease | None,
) -> None:
    notes, server = Notes(), Recording()
    async with lan_with(server, squatter) as lan:
        binding = await client(lan, notes).acquire(lease)
    assert binding.confirmed
    declined = server.types.index("DECLINE")
    assert server.heard[declined].options.address(Option.REQUESTED_ADDRESS) == ADDRESS
    assert server.heard[declined].options.address(Option.SERVER_ID) == SERVER
    assert Option.PARAMETER_REQUEST not in server.heard[declined].options
    assert Option.REQUESTED_ADDRESS not in server.heard[declined + 1].options
    assert server.times[declined + 1] - server.times[declined] >= 0.29
    assert isinstance(notes.troubles[0], AddressConflictError)
    assert SERVER_MAC.hex(":") in str(notes.troubles[0])


async def test_after_many_conflicts_addresses_are_asked_for_rarely() -> None:
    async def always_there(lan: Cable) -> None:
        async for packet in lan.packets():
            if packet.is_probe and server.types.count("DECLINE") < 2:
                await lan.claim(usage(packet.target))

    notes, server = Notes(), Recording()
    async with lan_with(server, always_there) as lan:
        subject = client(lan, notes, arp=replace(FAST_ARP, max_conflicts=2))
        await subject.acquire(None)
    first, second = (at for at, name in enumerate(server.types) if name == "DECLINE")
    assert server.times[first + 1] - server.times[first] < 0.4
    assert server.times[second + 1] - server.times[second] >= 0.39


async def test_a_rival_that_insists_gets_the_address_and_the_unit_another() -> None:
    async def insisting(lan: Cable) -> None:
        announced = 0
        async for packet in lan.packets():
            announced += not packet.is_probe
            if not packet.is_probe and 2 <= announced <= 3:  # the defended one is the third
                await lan.claim(usage(ADDRESS))

    notes, server = Notes(), Recording()
    async with lan_with(server, insisting) as lan:
        subject = client(lan, notes)
        binding = await subject.acquire(None)
        _, ended = await kept(lan, binding, notes, Clock(), subject)
    assert ended == [binding.lease]
    assert server.types == ["DISCOVER", "REQUEST", "DECLINE", "DISCOVER", "REQUEST"]
    assert [type(trouble) for trouble in notes.troubles] == [AddressConflictError] * 2


async def test_the_best_of_several_offers_is_taken_however_fast_the_others_are() -> None:
    other = replace_server(IPv4Address("10.1.0.66"))

    async def two_servers(lan: Cable) -> None:
        async for request in lan.requests():
            chosen = request.options.address(Option.SERVER_ID)
            if chosen is None:
                await lan.reply(other(answer(request, MessageType.OFFER)))
                hint = (int(Option.TFTP_SERVER), b"10.1.0.2")
                await lan.reply(answer(request, MessageType.OFFER, hint))
            elif chosen == SERVER:
                await lan.reply(answer(request, MessageType.ACK))

    async with lan_with(two_servers) as lan:
        binding = await client(lan, Notes()).acquire(None)
    assert binding.lease.server == SERVER


@pytest.mark.parametrize("verdict", [MessageType.NAK, None], ids=["refuses", "is silent"])
async def test_a_server_that_offers_and_then_does_not_grant_makes_room_for_the_next(
    verdict: MessageType | None,
) -> None:
    rogue = replace_server(IPv4Address("10.1.0.66"))

    async def two_servers(lan: Cable) -> None:
        async for request in lan.requests():
            chosen = request.options.address(Option.SERVER_ID)
            if chosen is None:
                hint = (int(Option.TFTP_SERVER), b"10.1.0.66")
                await lan.reply(rogue(answer(request, MessageType.OFFER, hint)))
            elif chosen != SERVER:
                await lan.reply(answer(request, MessageType.OFFER))
                if verdict is not None:
                    await lan.reply(rogue(answer(request, verdict)))
            else:
                await lan.reply(answer(request, MessageType.ACK))

    notes = Notes()
    async with lan_with(two_servers) as lan:
        binding = await client(lan, notes).acquire(None)
    assert binding.lease.server == SERVER
    assert notes.states.count("SELECTING") == 1, "the same DISCOVER had both offers"
    assert len(notes.troubles) == 1


async def test_a_refusal_by_another_server_than_the_one_that_granted_can_be_contradicted() -> None:
    other = replace_server(IPv4Address("10.1.0.66"))

    async def contradicting(lan: Cable) -> None:
        async for request in lan.requests():
            await lan.reply(other(answer(request, MessageType.NAK)))
            await lan.reply(answer(request, MessageType.ACK))

    notes = Notes()
    async with lan_with(contradicting) as lan:
        binding = await client(lan, notes).acquire(stored())
    assert (binding.lease.server, notes.troubles) == (SERVER, [])


async def test_a_useless_answer_does_not_hide_the_good_one() -> None:
    async def useless_first(lan: Cable) -> None:
        async for request in lan.requests():
            kind = MessageType.ACK if request.type is MessageType.REQUEST else MessageType.OFFER
            for _ in range(50):
                await lan.reply(replace(answer(request, kind), your_address=IPv4Address(0)))
            await lan.reply(answer(request, kind))

    for lease in (None, stored()):
        notes = Notes()
        async with lan_with(useless_first) as lan:
            binding = await client(lan, notes).acquire(lease)
        assert binding.lease.address == ADDRESS
        assert len(notes.troubles) <= 1, "a flood is told once"


async def test_a_cable_that_was_away_has_the_lease_confirmed_and_nothing_dropped() -> None:
    notes, server = Notes(), Recording()
    async with lan_with(server) as lan:
        subject = client(lan, notes)
        binding = await subject.acquire(None)
        lan.replug()
        leases, ended = await kept(lan, binding, notes, Clock(), subject)
    assert ([lease.address for lease in leases], ended) == ([ADDRESS], [])
    assert server.types == ["DISCOVER", "REQUEST", "REQUEST"]
    assert server.heard[-1].options.address(Option.REQUESTED_ADDRESS) == ADDRESS
    assert notes.states[-3:] == ["INIT-REBOOT", "REBOOTING", "BOUND"]


async def test_a_cable_in_another_lan_whose_server_is_silent_gets_an_address_there() -> None:
    elsewhere = IPv4Address("10.2.0.7")

    async def of_another_lan(lan: Cable) -> None:
        async for request in lan.requests():
            if request.options.address(Option.REQUESTED_ADDRESS) == ADDRESS:
                if request.type is MessageType.DISCOVER:
                    await lan.reply(
                        replace(answer(request, MessageType.OFFER), your_address=elsewhere)
                    )
            elif request.type is MessageType.REQUEST:
                await lan.reply(replace(answer(request, MessageType.ACK), your_address=elsewhere))

    notes = Notes()
    async with lan_with(of_another_lan) as lan:
        now = asyncio.get_running_loop().time()
        lan.replug()
        leases, ended = await kept(lan, Binding(stored(), now), notes, Clock())
    assert [lease.address for lease in leases] == [elsewhere]
    assert ended == [], "the new address replaces the old one"


async def test_a_lease_that_nobody_confirms_is_not_exchanged_for_a_neighbour() -> None:
    neighbour = IPv4Address("10.1.0.7")

    async def forgetful(lan: Cable) -> None:
        async for request in lan.requests():
            if request.type is MessageType.DISCOVER:
                offer = replace(answer(request, MessageType.OFFER), your_address=neighbour)
                await lan.reply(offer)
                if len(notes.troubles) > 1:
                    await lan.reply(answer(request, MessageType.OFFER))
            elif request.options.address(Option.SERVER_ID) is not None:
                await lan.reply(answer(request, MessageType.ACK))

    notes = Notes()
    async with lan_with(forgetful) as lan:
        now = asyncio.get_running_loop().time()
        binding = Binding(stored(), now, confirmed=False)
        leases, ended = await kept(lan, binding, notes, Clock())
    assert ([lease.address for lease in leases], ended) == ([ADDRESS], [])


async def test_an_unconfirmed_lease_ends_too() -> None:
    async def deaf(lan: Cable) -> None:
        async for request in lan.requests():
            if len(notes.troubles) > 2 and request.type is not MessageType.DECLINE:
                offered = request.type is MessageType.DISCOVER
                await lan.reply(answer(request, MessageType.OFFER if offered else MessageType.ACK))

    notes = Notes()
    async with lan_with(deaf) as lan:
        now = asyncio.get_running_loop().time()
        binding = Binding(stored(), now - 3599.9, confirmed=False)
        leases, ended = await kept(lan, binding, notes, Clock())
    assert ended in ([stored()], [])
    assert leases


async def test_a_server_that_leads_nowhere_is_left_for_another_while_one_is_sought() -> None:
    elsewhere, rogue = IPv4Address("10.1.0.7"), IPv4Address("10.1.0.66")
    as_rogue = replace_server(rogue)

    async def two_servers(lan: Cable) -> None:
        hint = (int(Option.TFTP_SERVER), b"10.1.0.66")
        async for request in lan.requests():
            chosen = request.options.address(Option.SERVER_ID)
            if chosen is None:
                await lan.reply(as_rogue(answer(request, MessageType.OFFER, hint)))
                offer = answer(request, MessageType.OFFER)
                await lan.reply(replace(offer, your_address=elsewhere))
            elif chosen == rogue:
                await lan.reply(as_rogue(answer(request, MessageType.ACK, hint)))
            else:
                await lan.reply(replace(answer(request, MessageType.ACK), your_address=elsewhere))

    notes = Notes()
    async with lan_with(two_servers) as lan:
        subject = client(lan, notes)
        binding = await subject.acquire(None)
        assert binding.lease.server == rogue
        with subject.seeking():
            leases, ended = await kept(lan, binding, notes, Clock(), subject)
    assert [(lease.server, lease.address) for lease in leases] == [(SERVER, elsewhere)]
    assert ended == [], "the new address replaces the old one"


async def test_the_only_server_is_kept_however_long_another_is_sought() -> None:
    server, notes = Recording(), Notes()
    async with lan_with(server) as lan:
        subject = client(lan, notes)
        binding = await subject.acquire(None)
        with subject.seeking(), pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5):
                await subject.keep(binding, fail, fail)
    assert server.types[:4] == ["DISCOVER", "REQUEST", "DISCOVER", "DISCOVER"]
    assert notes.states[-1] in ("BOUND", "SELECTING")


async def fail(lease: Lease) -> None:
    raise AssertionError(f"{lease} was dropped or changed")


async def test_a_released_lease_is_told_to_the_server_from_its_own_address() -> None:
    server = Recording()
    notes = Notes()
    async with lan_with(server) as lan:
        subject = client(lan, notes)
        binding = await subject.acquire(None)
        await subject.release(binding.lease)
        while "RELEASE" not in server.types:
            await asyncio.sleep(0)
    release = server.heard[-1]
    assert release.client_address == ADDRESS
    assert release.options.address(Option.SERVER_ID) == SERVER
    assert release.options.raw(Option.CLIENT_ID) == b"\x01" + MAC
    assert {code for code, _ in release.options.items} == {
        Option.MESSAGE_TYPE, Option.CLIENT_ID, Option.SERVER_ID,
    }  # fmt: skip
    assert notes.states[-1] == "INIT"


async def test_a_released_lease_is_only_a_wish() -> None:
    server = Recording()
    async with lan_with(server) as lan:
        await client(lan, Notes()).acquire(replace(stored(), released=True))
    assert server.types == ["DISCOVER", "REQUEST"]
    assert server.heard[0].options.address(Option.REQUESTED_ADDRESS) == ADDRESS


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
    async def wrong_first(lan: Cable) -> None:
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
    lan: Cable, binding: Binding, notes: Notes, clock: Clock, subject: DhcpClient | None = None
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

    subject = subject or client(lan, notes, clock)
    task = asyncio.create_task(subject.keep(binding, on_lease, on_expiry))
    async with asyncio.timeout(5):
        await confirmed.wait()
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    return leases, ended


async def test_a_lease_is_renewed_from_its_own_address_and_never_dropped() -> None:
    requests: list[DhcpMessage] = []

    async def server(lan: Cable) -> None:
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
    async def refusing_renewals(lan: Cable) -> None:
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
    async def only_new_ones(lan: Cable) -> None:
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
