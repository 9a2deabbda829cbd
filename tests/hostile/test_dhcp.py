"""DHCP servers that lie, flood and forge, faster than the good one of the same LAN.

Each hostile server answers every message of the client before the good server does.  The unit
must get the good server's lease, in bounded time and memory, and say what was wrong in few words.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import struct
import tracemalloc
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address

import pytest

from openturret.boot.errors import BootError
from openturret.boot.lan.binding import Binding, DhcpState, Situation, Timing
from openturret.boot.lan.conflict import ArpTiming
from openturret.boot.lan.dhcp import DhcpClient
from openturret.boot.lan.dhcp_messages import Requester
from openturret.boot.lan.lease import MAX_LISTED, MAX_ROUTES, MIN_LEASE_S, Lease
from openturret.boot.wire.dhcp import BootpOp, DhcpMessage, MessageType, Option, Options
from openturret.boot.wire.errors import WireError
from openturret.boot.wire.frame import ArpOperation, ArpPacket
from openturret.hal.backoff import Backoff
from openturret.lab.cable import SERVER, SERVER_MAC, Cable

pytestmark = pytest.mark.slow

MAC = bytes.fromhex("025450000001")
ADDRESS = IPv4Address("10.1.0.100")
ROGUE = IPv4Address("10.1.0.66")
STORED = Lease(ADDRESS, 24, SERVER, 0.0, 3600, 1800, 3150)
LIMIT_S = 20
LIMIT_BYTES = 32 << 20

Answers = Callable[[DhcpMessage], Iterable[bytes]]


class Clock:
    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()

    def unix(self) -> float:
        return 0.0


@dataclass
class Notes:
    troubles: list[BootError] = field(default_factory=list)

    def count(self, round_trips: int) -> None: ...

    def enter(self, state: DhcpState, address: IPv4Address | None, detail: str = "") -> None: ...

    def trouble(self, error: BootError, detail: str) -> None:
        self.troubles.append(error)


def client(cable: Cable, notes: Notes, **waits: tuple[float, ...]) -> DhcpClient:
    """Waits long enough for a slow machine, except where a test wants it to wait in vain."""
    rng = random.Random(1)
    patient = Timing(
        Backoff(first_s=5, cap_s=5, jitter=0, rng=rng),
        ArpTiming(answer_s=0.01, known_answer_s=0.01),
        offer_s=0.05,
        request_s=(LIMIT_S,),
        reboot_s=(LIMIT_S,),
        contradiction_s=5,
        decline_s=0.2,
    )
    timing = replace(patient, **waits)  # type: ignore[arg-type]
    return DhcpClient(Situation(cable, Requester(MAC, "turret"), Clock(), rng, timing, notes))


def reply(
    request: DhcpMessage, server: IPv4Address = ROGUE, options: Iterable[tuple[int, bytes]] = ()
) -> DhcpMessage:
    """What a server in its right mind would say."""
    offered = request.type is MessageType.DISCOVER
    items: dict[int, bytes] = {
        Option.MESSAGE_TYPE: bytes([MessageType.OFFER if offered else MessageType.ACK]),
        Option.SERVER_ID: server.packed,
        Option.LEASE_TIME: (3600).to_bytes(4, "big"),
        Option.SUBNET_MASK: bytes([255, 255, 255, 0]),
        **dict(options),
    }
    return DhcpMessage(
        BootpOp.REPLY,
        request.xid,
        hardware_address=request.hardware_address,
        your_address=ADDRESS,
        options=Options(tuple(items.items())),
    )


def addressed(address: str) -> Answers:
    return lambda request: [bytes(replace(reply(request), your_address=IPv4Address(address)))]


def identified(server: str) -> Answers:
    return lambda request: [bytes(reply(request, IPv4Address(server)))]


def tail(data: bytes, *, sname: bytes = b"", file: bytes = b"") -> Answers:
    """The fixed part of a good answer, and any options behind it."""

    def answers(request: DhcpMessage) -> list[bytes]:
        fixed = bytearray(bytes(reply(request))[:240])
        fixed[44:108] = sname.ljust(64, b"\0")
        fixed[108:236] = file.ljust(128, b"\0")
        return [bytes(fixed) + data]

    return answers


def patched(at: int, data: bytes) -> Answers:
    def answers(request: DhcpMessage) -> list[bytes]:
        message = bytearray(bytes(reply(request)))
        message[at : at + len(data)] = data
        return [bytes(message)]

    return answers


def every_cut(request: DhcpMessage) -> list[bytes]:
    """Those that end between two options are whole messages, only shorter."""
    whole = bytes(reply(request)).rstrip(b"\0")
    return [cut for length in range(len(whole)) if not is_whole(cut := whole[:length])]


def is_whole(data: bytes) -> bool:
    try:
        DhcpMessage.parse(data)
    except WireError:
        return False
    return True


def noise(request: DhcpMessage) -> list[bytes]:
    rng = random.Random(7)
    return [rng.randbytes(rng.randrange(600)) for _ in range(100)]


def mutations(request: DhcpMessage) -> list[bytes]:
    """A wrong number, so that no mutation of the rest makes it a good answer."""
    rng, whole = random.Random(8), bytes(replace(reply(request), xid=request.xid ^ 1))
    mutants = []
    for _ in range(100):
        mutant = bytearray(whole)
        for _ in range(rng.randrange(1, 6)):
            mutant[rng.randrange(8, len(mutant))] = rng.randrange(256)
        mutants.append(bytes(mutant))
    return mutants


HOSTILE: dict[str, Answers] = {
    "nothing at all": lambda _: [b""] * 100,
    "noise": noise,
    "every cut of a good answer": every_cut,
    "mutations": mutations,
    "wrong number": lambda request: [bytes(replace(reply(request), xid=request.xid ^ 1))] * 200,
    "for another machine": lambda request: [
        bytes(replace(reply(request), hardware_address=bytes(6)))
    ],
    "a question": lambda request: [bytes(replace(reply(request), op=BootpOp.REQUEST))],
    "hardware address of 255 bytes": patched(2, b"\xff"),
    "hardware of another kind": patched(1, b"\x20"),
    "no cookie": patched(236, bytes(4)),
    "address 0.0.0.0": addressed("0.0.0.0"),
    "address 0.1.2.3": addressed("0.1.2.3"),
    "loopback": addressed("127.0.0.1"),
    "multicast": addressed("224.0.0.251"),
    "broadcast": addressed("255.255.255.255"),
    "reserved": addressed("240.0.0.1"),
    "server 0.0.0.0": identified("0.0.0.0"),
    "server everybody": identified("255.255.255.255"),
    "server multicast": identified("224.0.0.1"),
    "server loopback": identified("127.0.0.1"),
    "no options": tail(b""),
    "pads without an end": tail(bytes(50_000)),
    "a length past the end": tail(bytes([53, 1, 2, 51, 200])),
    "a code without a length": tail(bytes([53, 1, 2, 51])),
    "type of two bytes": tail(bytes([53, 2, 2, 2, 255])),
    "type given twice": tail(bytes([53, 1, 2, 53, 1, 2, 255])),
    "type unknown": tail(bytes([53, 1, 99, 255])),
    "overload of nothing": tail(bytes([53, 1, 2, 52, 0, 255])),
    "overload of more than there is": tail(bytes([53, 1, 2, 52, 1, 255, 255])),
    "overload that overloads again": tail(
        bytes([53, 1, 2, 52, 1, 3, 255]), sname=bytes([52, 1, 3] * 20), file=bytes([52, 1, 3] * 40)
    ),
    "overload that lies": tail(
        bytes([53, 1, 2, 52, 1, 3, 255]), sname=bytes([1, 255]), file=bytes([3, 126])
    ),
    "options without end": tail(bytes([53, 1, 2]) + bytes([3, 255]) + bytes(255) * 1
                                + bytes([6, 255]) * 200),
    "a thousand small options": tail(bytes([53, 1, 2]) + b"".join(
        bytes([code, 1, 0]) for _ in range(100) for code in range(60, 250)) + b"\xff"),
    "a NAK that somebody else forged": lambda request: [
        bytes(reply(request, SERVER, [(Option.MESSAGE_TYPE, bytes([MessageType.NAK]))]))
    ],
    "fifty NAKs": lambda request: [
        bytes(reply(request, ROGUE, [(Option.MESSAGE_TYPE, bytes([MessageType.NAK]))]))
    ] * 50,
    "offers that nobody keeps": lambda request: (
        [bytes(reply(request, IPv4Address(int(ROGUE) + number))) for number in range(2)]
        if request.type is MessageType.DISCOVER
        else []
    ),
}  # fmt: skip


@asynccontextmanager
async def lan(answers: Answers) -> AsyncIterator[Cable]:
    """A LAN where the hostile server is always the first to answer."""

    async def serve(cable: Cable) -> None:
        async for request in cable.requests():
            for answer in answers(request):
                await cable.reply(answer)
            chosen = request.options.address(Option.SERVER_ID)
            if request.type in WANTED and chosen in (None, SERVER):
                await cable.reply(reply(request, SERVER, [(Option.TFTP_SERVER, b"10.1.0.2")]))

    async with Cable.laid(MAC) as cable:
        task = asyncio.create_task(serve(cable))
        try:
            yield cable
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


WANTED = (MessageType.DISCOVER, MessageType.REQUEST)


@pytest.mark.parametrize("stored", [None, STORED], ids=["new", "stored"])
@pytest.mark.parametrize("name", HOSTILE)
async def test_the_lease_is_the_good_servers(name: str, stored: Lease | None) -> None:
    notes = Notes()
    tracemalloc.start()
    try:
        async with lan(HOSTILE[name]) as cable, asyncio.timeout(LIMIT_S):
            silent = name == "offers that nobody keeps"
            subject = client(cable, notes, **({"request_s": (0.2,)} if silent else {}))
            binding = await subject.acquire(stored)
            subject.close()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (binding.lease.server, binding.lease.address) == (SERVER, ADDRESS)
    assert binding.lease.tftp_servers == ("10.1.0.2",)
    assert peak < LIMIT_BYTES
    assert len(notes.troubles) <= 6, "few words"
    assert all(trouble.remedy for trouble in notes.troubles)


CONTENT: dict[str, tuple[int, bytes]] = {
    "three hundred routers": (Option.ROUTER, bytes([10, 1, 0, 1]) * 300),
    "a thousand DNS servers": (Option.DNS_SERVER, bytes([10, 1, 0, 2]) * 1000),
    "a thousand TFTP servers": (
        Option.TFTP_SERVER_LIST, b"".join(struct.pack("!I", 0x0A000000 + n) for n in range(1000)),
    ),
    "two thousand routes": (
        Option.CLASSLESS_ROUTES, bytes([24, 10, 1, 2, 10, 1, 0, 1]) * 2000,
    ),
    "a route of 33 bits": (Option.CLASSLESS_ROUTES, bytes([33, 1, 2, 3, 4, 5, 6, 7, 8, 9])),
    "routers of 5 bytes": (Option.ROUTER, bytes(5)),
    "a router that is everybody": (Option.ROUTER, bytes([255] * 4)),
    "a domain that clears the screen": (Option.DOMAIN_NAME, b"\x1b[2J"),
    "a search domain that points at itself": (Option.DOMAIN_SEARCH, b"\xc0\x00"),
    "search domains that point in circles": (Option.DOMAIN_SEARCH, b"\1a\xc0\4\1b\xc0\0"),
    "ten thousand search domains": (Option.DOMAIN_SEARCH, b"\1a\0" * 10_000),
    "a search domain without end": (Option.DOMAIN_SEARCH, b"\x3f" + b"a" * 63),
    "a boot file above the root": (Option.BOOT_FILE, b"\xff\xfe/etc/passwd"),
    "vendor options that lie": (Option.VENDOR_SPECIFIC, b"\1\xff"),
    "an enterprise that lies": (Option.VENDOR_IDENTIFYING, b"\0\0\x7e\xd9\xff\1"),
    "a mask with holes": (Option.SUBNET_MASK, bytes([255, 0, 255, 0])),
    "a mask of nothing": (Option.SUBNET_MASK, bytes(4)),
    "no time": (Option.LEASE_TIME, bytes(4)),
    "one second": (Option.LEASE_TIME, bytes([0, 0, 0, 1])),
    "renewal before it began": (Option.RENEWAL_TIME, bytes(4)),
    "renewal after the end": (Option.RENEWAL_TIME, b"\xff" * 4),
}  # fmt: skip


@pytest.mark.parametrize("name", CONTENT)
def test_a_bad_option_costs_only_itself_and_bounded_room(name: str) -> None:
    request = DhcpMessage(BootpOp.REQUEST, 1, MAC, options=Options(((Option.MESSAGE_TYPE, b"\3"),)))
    message = DhcpMessage.parse(bytes(reply(request, SERVER, [CONTENT[name]])))
    lease = Lease.from_ack(message, 0.0)
    assert lease.address == ADDRESS
    assert lease.prefix == 24
    assert len(lease.routers) <= MAX_LISTED
    assert len(lease.dns_servers) <= MAX_LISTED
    assert len(lease.tftp_servers) <= MAX_LISTED + 2
    assert len(lease.routes) <= MAX_ROUTES
    assert len(lease.search) <= MAX_LISTED
    assert lease.lease_s >= MIN_LEASE_S
    assert 0 < lease.renew_s < lease.rebind_s < lease.lease_s
    assert "\x1b" not in str(lease)


async def test_a_flood_of_any_frames_keeps_no_deadline_away() -> None:
    """The flood never pauses; the client still notices that nobody good answers."""
    garbage = bytes(14)

    async def flood(cable: Cable) -> None:
        while True:
            with contextlib.suppress(BlockingIOError):
                await cable.send(garbage)

    notes = Notes()
    async with Cable.laid(MAC) as cable:
        task = asyncio.create_task(flood(cable))
        asking = asyncio.create_task(client(cable, notes, reboot_s=(0.3, 0.3)).acquire(STORED))
        async with asyncio.timeout(LIMIT_S):
            binding = await asking
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert not binding.confirmed
    assert binding.lease == STORED


async def test_a_renewal_outlives_forged_refusals_and_shorter_leases() -> None:
    def forged(request: DhcpMessage) -> list[bytes]:
        nak = (Option.MESSAGE_TYPE, bytes([MessageType.NAK]))
        other = replace(reply(request), your_address=ROGUE)
        return [bytes(reply(request, ROGUE, [nak])), bytes(reply(request, SERVER, [nak])),
                bytes(other)]  # fmt: skip

    leases: list[Lease] = []
    got = asyncio.Event()

    async def on_lease(lease: Lease) -> None:
        leases.append(lease)
        got.set()

    async def on_expiry(lease: Lease) -> None:
        raise AssertionError("a working lease was dropped")

    async with lan(forged) as cable, asyncio.timeout(LIMIT_S):
        now = asyncio.get_running_loop().time()
        keeping = client(cable, Notes()).keep(Binding(STORED, now - 1800), on_lease, on_expiry)
        task = asyncio.create_task(keeping)
        await got.wait()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert leases[0].server == SERVER


async def test_a_rival_that_wants_every_address_makes_no_storm_of_requests() -> None:
    declined: list[float] = []

    async def claim_all(cable: Cable) -> None:
        async for packet in cable.packets():
            if packet.is_probe:
                nobody = IPv4Address(0)
                await cable.claim(
                    ArpPacket(ArpOperation.REPLY, SERVER_MAC, packet.target, MAC, nobody)
                )

    def watch(request: DhcpMessage) -> list[bytes]:
        if request.type is MessageType.DECLINE:
            declined.append(asyncio.get_running_loop().time())
        return []

    notes = Notes()
    async with lan(watch) as cable:
        claiming = asyncio.create_task(claim_all(cable))
        subject = client(cable, notes)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1):
                await subject.acquire(None)
        claiming.cancel()
        await asyncio.gather(claiming, return_exceptions=True)
    assert len(declined) == 1, "one for each DISCOVER of the back-off"
