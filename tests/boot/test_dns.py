import asyncio
import random
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from ipaddress import IPv4Address

import pytest

from openturret.boot.dns import MAX_CACHED, DnsClient
from openturret.boot.errors import DnsError, UnknownNameError
from openturret.boot.wire.dns import Answer, Record, decode_name

HOST = IPv4Address("127.0.0.1")
DEAD = IPv4Address("127.0.0.9")
NAME = "tss1.turret.example"
ADDRESS = IPv4Address("10.11.0.10")


@dataclass
class Clock:
    now: float = 1000.0

    def monotonic(self) -> float:
        return self.now

    def unix(self) -> float:
        return self.now


class Server:
    """Answers every question as it is told; remembers the questions."""

    def __init__(self, udp: socket.socket, reply: Callable[[Answer], list[bytes]]) -> None:
        self.udp = udp
        self.reply = reply
        self.asked: list[str] = []

    @property
    def port(self) -> int:
        return int(self.udp.getsockname()[1])

    async def serve(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            data, client = await loop.sock_recvfrom(self.udp, 2048)
            name = decode_name(data, 12)[0]
            self.asked.append(name)
            answer = Answer(int.from_bytes(data[:2], "big"), name, 0, truncated=False)
            for packet in self.reply(answer):
                await loop.sock_sendto(self.udp, packet, client)


def good(answer: Answer, ttl_s: int = 60) -> bytes:
    return bytes(replace(answer, records=(Record(answer.name, ttl_s, address=ADDRESS),)))


@asynccontextmanager
async def served(reply: Callable[[Answer], list[bytes]]) -> AsyncIterator[Server]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as udp:
        udp.bind((str(HOST), 0))
        server = Server(udp, reply)
        task = asyncio.create_task(server.serve())
        yield server
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def client(server: Server, clock: Clock, *servers: IPv4Address) -> DnsClient:
    return DnsClient(
        servers or (HOST,),
        clock=clock,
        rng=random.Random(1),
        count=lambda _: None,
        port=server.port,
        timeout_s=0.05,
        tries=2,
    )


async def test_an_answer_is_kept_until_it_runs_out() -> None:
    clock = Clock()
    async with served(lambda answer: [good(answer, ttl_s=60)]) as server:
        resolver = client(server, clock)
        assert await resolver.resolve(NAME) == (ADDRESS,)
        assert await resolver.resolve(NAME) == (ADDRESS,)
        clock.now += 61
        assert await resolver.resolve(NAME) == (ADDRESS,)
    assert server.asked == [NAME, NAME]


async def test_a_dotted_address_is_its_own_answer() -> None:
    async with served(lambda answer: []) as server:
        assert await client(server, Clock()).resolve("10.1.0.2") == (IPv4Address("10.1.0.2"),)
    assert server.asked == []


async def test_the_second_server_answers_when_the_first_is_dead() -> None:
    async with served(lambda answer: [good(answer)]) as server:
        assert await client(server, Clock(), DEAD, HOST).resolve(NAME) == (ADDRESS,)


async def test_a_lost_answer_is_asked_for_again() -> None:
    lost: list[Answer] = []

    def lossy(answer: Answer) -> list[bytes]:
        lost.append(answer)
        return [good(answer)] if len(lost) > 1 else []

    async with served(lossy) as server:
        assert await client(server, Clock()).resolve(NAME) == (ADDRESS,)


async def test_forged_answers_are_dropped() -> None:
    forged = Record("tss1.turret.example", 60, address=IPv4Address("192.0.2.66"))

    def with_forgeries(answer: Answer) -> list[bytes]:
        wrong_id = bytes(replace(answer, id=answer.id ^ 1, records=(forged,)))
        wrong_name = bytes(replace(answer, name="evil.example", records=(forged,)))
        return [wrong_id, wrong_name, b"garbage", b"", good(answer)]

    async with served(with_forgeries) as server:
        assert await client(server, Clock()).resolve(NAME) == (ADDRESS,)


async def test_a_name_that_does_not_exist_is_final() -> None:
    async with served(lambda answer: [bytes(replace(answer, code=3))]) as server:
        with pytest.raises(UnknownNameError, match="does not exist"):
            await client(server, Clock()).resolve(NAME)
    assert len(server.asked) == 1


@pytest.mark.parametrize("code", [1, 2, 4, 5])
async def test_a_server_in_trouble_is_an_error(code: int) -> None:
    async with served(lambda answer: [bytes(replace(answer, code=code))]) as server:
        with pytest.raises(DnsError, match=f"code {code}"):
            await client(server, Clock()).resolve(NAME)


async def test_silence_is_an_error_with_a_remedy() -> None:
    async with served(lambda answer: []) as server:
        with pytest.raises(DnsError, match="did not answer") as caught:
            await client(server, Clock()).resolve(NAME)
    assert "option 6" in caught.value.remedy


async def test_the_cache_is_bounded() -> None:
    async with served(lambda answer: [good(answer)]) as server:
        resolver = client(server, Clock())
        for number in range(MAX_CACHED + 1):
            await resolver.resolve(f"h{number}.example")
        before = len(server.asked)
        await resolver.resolve(f"h{MAX_CACHED}.example")
        await resolver.resolve("h0.example")
    assert len(server.asked) == before + 1, "only the oldest was forgotten"


@pytest.mark.parametrize("name", ["", "a b", "x" * 300])
async def test_what_is_no_name_is_not_asked_for(name: str) -> None:
    async with served(lambda answer: [good(answer)]) as server:
        with pytest.raises(UnknownNameError):
            await client(server, Clock()).resolve(name)
    assert server.asked == []
