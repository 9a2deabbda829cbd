"""DNS servers that lie, flood and stall: each costs bounded time, then the next is believed."""

from __future__ import annotations

import asyncio
import itertools
import random
import socket
import struct
import tracemalloc
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from ipaddress import IPv4Address

import pytest

from openturret.boot.errors import DnsError
from openturret.boot.fetch.dns import MAX_CACHED, DnsClient, Patience
from openturret.boot.wire.dns import SRV, Answer, Record, Service, decode_name, encode_name
from openturret.hal.clock import SystemClock

HOSTILE, GOOD = IPv4Address("127.0.0.2"), IPv4Address("127.0.0.3")
NAME = "tss1.turret.example"
ADDRESS, FORGED = IPv4Address("10.11.0.10"), IPv4Address("192.0.2.66")
MEMORY_BYTES = 32 << 20

Reply = Callable[[bytes], Iterator[bytes]]
"""From a query to what is sent back, for ever if it likes."""

REPLIES: dict[str, Reply] = {}


def hostile(reply: Reply) -> Reply:
    """Registers a server."""
    REPLIES[reply.__name__] = reply
    return reply


def question_of(query: bytes) -> bytes:
    return query[12 : decode_name(query, 12)[1] + 4]


def response(query: bytes, body: bytes, *, count: int = 1, flags: int = 0x8180) -> bytes:
    """The head and question that a client must believe, and whatever comes behind them."""
    return query[:2] + struct.pack("!5H", flags, 1, count, 0, 0) + question_of(query) + body


def address(name: bytes, value: IPv4Address = FORGED) -> bytes:
    return name + struct.pack("!HHIH", 1, 1, 60, 4) + value.packed


def alias(name: bytes, target: bytes) -> bytes:
    return name + struct.pack("!HHIH", 5, 1, 60, len(target)) + target


ASKED = b"\xc0\x0c"
"""A pointer to the name of the question."""


@hostile
def silence(_query: bytes) -> Iterator[bytes]:
    yield from ()


@hostile
def every_wrong_id(query: bytes) -> Iterator[bytes]:
    right = int.from_bytes(query[:2], "big")
    for wrong in range(right + 1, right + 65_536):
        yield (wrong % 65_536).to_bytes(2, "big") + response(query, address(ASKED))[2:]


@hostile
def another_question(query: bytes) -> Iterator[bytes]:
    name = encode_name("evil.example")
    head = query[:2] + struct.pack("!5H", 0x8180, 1, 1, 0, 0)
    yield head + name + b"\0\1\0\1" + address(ASKED)


@hostile
def letters_that_were_not_asked_for(query: bytes) -> Iterator[bytes]:
    while True:
        yield response(query, address(ASKED)).swapcase()


@hostile
def garbage(_query: bytes) -> Iterator[bytes]:
    rng = random.Random(1)
    while True:
        yield rng.randbytes(rng.randrange(600))


@hostile
def a_name_that_points_to_itself(query: bytes) -> Iterator[bytes]:
    at = 12 + len(question_of(query))
    yield response(query, address(struct.pack("!H", 0xC000 | at)))


@hostile
def a_name_that_points_forwards(query: bytes) -> Iterator[bytes]:
    yield response(query, address(b"\xff\xff"))


@hostile
def names_that_point_at_each_other(query: bytes) -> Iterator[bytes]:
    at = 12 + len(question_of(query))
    yield response(query, address(b"\1a" + struct.pack("!H", 0xC000 | at + 4)) + b"\xc0\x0c")


@hostile
def aliases_in_a_circle(query: bytes) -> Iterator[bytes]:
    other = encode_name("other.example")
    yield response(query, alias(ASKED, other) + alias(other, ASKED), count=2)


@hostile
def an_alias_of_itself(query: bytes) -> Iterator[bytes]:
    yield response(query, alias(ASKED, ASKED))


@hostile
def aliases_without_end(query: bytes) -> Iterator[bytes]:
    names = [ASKED, *(encode_name(f"a{n}.example") for n in range(40))]
    links = [alias(name, target) for name, target in itertools.pairwise(names)]
    yield response(query, b"".join(links), count=len(links))


@hostile
def more_records_than_it_sends(query: bytes) -> Iterator[bytes]:
    yield response(query, address(ASKED), count=60)


@hostile
def sixty_thousand_records(query: bytes) -> Iterator[bytes]:
    yield response(query, address(ASKED), count=60_000)


@hostile
def a_record_longer_than_the_packet(query: bytes) -> Iterator[bytes]:
    yield response(query, ASKED + struct.pack("!HHIH", 1, 1, 60, 60_000) + ADDRESS.packed)


@hostile
def an_address_of_three_bytes(query: bytes) -> Iterator[bytes]:
    yield response(query, ASKED + struct.pack("!HHIH", 1, 1, 60, 3) + b"abc")


@hostile
def an_answer_cut_anywhere(query: bytes) -> Iterator[bytes]:
    whole = response(query, address(ASKED))
    for length in range(len(whole)):
        yield whole[:length]


@hostile
def the_query_itself(query: bytes) -> Iterator[bytes]:
    yield query


@hostile
def trouble(query: bytes) -> Iterator[bytes]:
    yield response(query, b"", count=0, flags=0x8182)


@hostile
def cut_short_and_nothing_over_tcp(query: bytes) -> Iterator[bytes]:
    yield response(query, b"", count=0, flags=0x8380)


@asynccontextmanager
async def serving(reply: Reply, at: IPv4Address, port: int = 0) -> AsyncIterator[int]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as udp:
        udp.bind((str(at), port))

        async def serve() -> None:
            loop = asyncio.get_running_loop()
            while True:
                query, client = await loop.sock_recvfrom(udp, 2048)
                for packet in reply(query):
                    with suppress(BlockingIOError):
                        udp.sendto(packet, client)
                    await asyncio.sleep(0)
                    if is_readable(udp):
                        break

        task = asyncio.ensure_future(serve())
        yield udp.getsockname()[1]
        failed = task.exception() if task.done() else None
        task.cancel()
        with suppress(asyncio.CancelledError, Exception):
            await task
        assert failed is None


def is_readable(udp: socket.socket) -> bool:
    """Whether somebody asks again, so that the flood for the one before may end."""
    try:
        udp.recv(1, socket.MSG_PEEK)
    except BlockingIOError:
        return False
    return True


def good(query: bytes) -> Iterator[bytes]:
    yield response(query, address(ASKED, ADDRESS))


def client(port: int, *servers: IPv4Address) -> DnsClient:
    return DnsClient(
        servers,
        clock=SystemClock(),
        rng=random.Random(1),
        count=lambda _: None,
        port=port,
        patience=Patience(timeout_s=0.2, head_start_s=0.02, tries=1),
    )


@contextmanager
def bounded_memory() -> Iterator[None]:
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < MEMORY_BYTES
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("name", REPLIES)
async def test_the_next_good_server_is_believed(name: str) -> None:
    async with (
        serving(REPLIES[name], HOSTILE) as port,
        serving(good, GOOD, port),
        asyncio.timeout(20),
    ):
        with bounded_memory():
            assert await client(port, HOSTILE, GOOD).resolve(NAME) == (ADDRESS,)


@pytest.mark.parametrize("name", REPLIES)
async def test_alone_it_is_an_error_that_names_the_server(name: str) -> None:
    async with serving(REPLIES[name], HOSTILE) as port, asyncio.timeout(20):
        with bounded_memory(), pytest.raises(DnsError) as caught:
            await client(port, HOSTILE).resolve(NAME)
    assert str(HOSTILE) in str(caught.value)
    assert caught.value.remedy
    assert str(caught.value).isprintable()


async def test_aliases_over_many_answers_end() -> None:
    asked: list[str] = []

    def one_more(query: bytes) -> Iterator[bytes]:
        asked.append(decode_name(query, 12)[0])
        yield response(query, alias(ASKED, encode_name(f"a{len(asked)}.example")))

    async with serving(one_more, HOSTILE) as port:
        with pytest.raises(DnsError, match="more than 8 times"):
            await client(port, HOSTILE).resolve(NAME)
    assert len(asked) == 8


@pytest.mark.parametrize(
    "body", [b"", b"\0", b"\xff\xff", b"\0\x20" + bytes(32), b"\xff\xff" + bytes(9000)]
)
async def test_a_hostile_answer_over_tcp_ends(body: bytes) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(2048)
        writer.write(body)
        with suppress(OSError):
            await writer.drain()
            await reader.read()  # until the client has had enough
        writer.close()

    async with (
        serving(cut_short_and_nothing_over_tcp, HOSTILE) as port,
        await asyncio.start_server(answer, str(HOSTILE), port),
    ):
        with bounded_memory(), pytest.raises(DnsError):
            await client(port, HOSTILE).resolve(NAME)


async def test_what_comes_along_uninvited_is_not_kept() -> None:
    service = "_turret-tss._tcp.turret.example"

    def poisonous(query: bytes) -> Iterator[bytes]:
        name, end = decode_name(query, 12)
        if int.from_bytes(query[end : end + 2], "big") != SRV:
            yield response(query, address(ASKED, ADDRESS))
            return
        offered = (Record(name, 60, service=Service(0, 0, 21, "tss1.example")),)
        extra = tuple(Record(f"h{n}.example", 60, address=FORGED) for n in range(60))
        whole = bytes(Answer(0, name, 0, truncated=False, records=offered, kind=SRV, extra=extra))
        yield query[:2] + whole[2:12] + question_of(query) + whole[12 + len(question_of(query)) :]

    async with serving(poisonous, HOSTILE) as port:
        resolver = client(port, HOSTILE)
        assert [place.target for place in await resolver.services(service)] == ["tss1.example"]
        assert await resolver.resolve("h1.example") == (ADDRESS,)
        for number in range(2 * MAX_CACHED):
            await resolver.resolve(f"n{number}.example")
        assert len(resolver._cache) == MAX_CACHED
