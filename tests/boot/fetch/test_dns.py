import asyncio
import random
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from ipaddress import IPv4Address

import pytest

from openturret.boot.errors import DnsError, UnknownNameError
from openturret.boot.fetch.dns import MAX_CACHED, DnsClient, Patience, in_order
from openturret.boot.wire.dns import Answer, Record, Service, decode_name

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


Reply = Callable[[Answer], list[bytes]]


class Server:
    """Answers every question as it is told, over UDP and TCP; remembers the questions."""

    def __init__(self, udp: socket.socket, tcp: socket.socket, reply: Reply) -> None:
        self.udp = udp
        self.tcp = tcp
        self.reply = reply
        self.asked: list[str] = []
        self.spelt: list[bytes] = []
        self.over_tcp = 0
        self.spells = True

    @property
    def port(self) -> int:
        return int(self.udp.getsockname()[1])

    def answers(self, data: bytes) -> list[bytes]:
        """The answers, with the question spelt as it was asked."""
        name, end = decode_name(data, 12)
        self.asked.append(name)
        self.spelt.append(data[12:end])
        kind = int.from_bytes(data[end : end + 2], "big")
        answer = Answer(int.from_bytes(data[:2], "big"), name, 0, truncated=False, kind=kind)
        return [self.spell(packet, data[:end]) for packet in self.reply(answer)]

    def spell(self, packet: bytes, asked: bytes) -> bytes:
        """Repeats the question as it was asked where it is the same."""
        at = slice(12, len(asked))
        same = self.spells and packet[at].lower() == asked[at].lower()
        return packet[:12] + asked[at] + packet[len(asked) :] if same else packet

    async def serve(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            data, client = await loop.sock_recvfrom(self.udp, 2048)
            for packet in self.answers(data):
                await loop.sock_sendto(self.udp, packet, client)

    async def serve_stream(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            client, _ = await loop.sock_accept(self.tcp)
            with client:
                self.over_tcp += 1
                for packet in self.answers((await loop.sock_recv(client, 2048))[2:]):
                    await loop.sock_sendall(client, len(packet).to_bytes(2, "big") + packet)


def good(answer: Answer, ttl_s: int = 60) -> bytes:
    return bytes(replace(answer, records=(Record(answer.name, ttl_s, address=ADDRESS),)))


@asynccontextmanager
async def served(reply: Reply) -> AsyncIterator[Server]:
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as udp,
        socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as tcp,
    ):
        udp.bind((str(HOST), 0))
        tcp.bind(udp.getsockname())
        tcp.listen()
        server = Server(udp, tcp, reply)
        tasks = [asyncio.create_task(work) for work in (server.serve(), server.serve_stream())]
        yield server
        for task in tasks:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


def client(
    server: Server,
    clock: Clock,
    *servers: IPv4Address,
    search: tuple[str, ...] = (),
    count: Callable[[int], None] = lambda _: None,
) -> DnsClient:
    return DnsClient(
        servers or (HOST,),
        clock=clock,
        rng=random.Random(1),
        count=count,
        search=search,
        port=server.port,
        patience=Patience(timeout_s=0.05, head_start_s=0.02, tries=2),
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
        with pytest.raises(DnsError, match="no answer in time") as caught:
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


async def test_the_server_that_answered_is_asked_first_from_then_on() -> None:
    async with served(lambda answer: [good(answer)]) as server:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as silent:
            silent.bind((str(DEAD), server.port))
            resolver = client(server, Clock(), DEAD, HOST)
            await resolver.resolve("a.example")
            assert silent.recv(2048)
            await resolver.resolve("b.example")
            with pytest.raises(BlockingIOError):
                silent.recv(2048)


async def test_letters_are_great_or_small_by_chance() -> None:
    async with served(lambda answer: [good(answer)]) as server:
        assert await client(server, Clock()).resolve(NAME) == (ADDRESS,)
    (spelt,) = server.spelt
    assert spelt != spelt.lower()


async def test_a_server_that_spells_otherwise_is_believed_in_the_last_round_only() -> None:
    async with served(lambda answer: [good(answer)]) as server:
        server.spells = False
        resolver = client(server, Clock())
        assert await resolver.resolve(NAME) == (ADDRESS,)
        await resolver.resolve("tss2.turret.example")
    assert server.asked == [NAME, NAME, "tss2.turret.example"], "and asked in its way from then on"


async def test_an_answer_that_does_not_fit_comes_over_tcp() -> None:
    trips: list[int] = []
    server: Server

    def long(answer: Answer) -> list[bytes]:
        return [good(answer) if server.over_tcp else bytes(replace(answer, truncated=True))]

    async with served(long) as server:
        assert await client(server, Clock(), count=trips.append).resolve(NAME) == (ADDRESS,)
    assert server.over_tcp == 1
    assert sum(trips) == 3


async def test_names_without_a_dot_are_looked_for_in_the_search_domains() -> None:
    def only_there(answer: Answer) -> list[bytes]:
        known = answer.name == "tss1.paris.example"
        return [good(answer) if known else bytes(replace(answer, code=3))]

    async with served(only_there) as server:
        resolver = client(server, Clock(), search=("london.example", "paris.example"))
        assert await resolver.resolve("tss1") == (ADDRESS,)
        with pytest.raises(UnknownNameError, match="tss2 does not exist"):
            await resolver.resolve("tss2")
        with pytest.raises(UnknownNameError):
            await resolver.resolve("tss1.berlin.example")
    assert server.asked == [
        "tss1.london.example", "tss1.paris.example",
        "tss2.london.example", "tss2.paris.example", "tss2",
        "tss1.berlin.example",
    ]  # fmt: skip


async def test_an_alias_without_its_address_is_followed() -> None:
    def by_steps(answer: Answer) -> list[bytes]:
        if answer.name == "real.example":
            return [good(answer)]
        return [bytes(replace(answer, records=(Record(answer.name, 60, alias="real.example"),)))]

    async with served(by_steps) as server:
        assert await client(server, Clock()).resolve(NAME) == (ADDRESS,)
    assert server.asked == [NAME, "real.example"]


async def test_questions_side_by_side_are_one_round_trip() -> None:
    trips: list[int] = []
    async with served(lambda answer: [good(answer)]) as server:
        resolver = client(server, Clock(), count=trips.append)
        await asyncio.gather(*(resolver.resolve(f"tss{n}.example") for n in range(5)))
        assert sum(trips) == 1


SERVICE = "_turret-tss._tcp.turret.example"


async def test_a_service_comes_with_the_addresses_of_its_hosts() -> None:
    def service(answer: Answer) -> list[bytes]:
        records = tuple(
            Record(answer.name, 60, service=s)
            for s in (Service(20, 0, 21, "tss2.example"), Service(10, 0, 2121, "tss1.example"))
        )
        extra = (Record("tss1.example", 60, address=ADDRESS),
                 Record("evil.example", 60, address=IPv4Address("192.0.2.66")))  # fmt: skip
        return [bytes(replace(answer, records=records, extra=extra))]

    async with served(service) as server:
        resolver = client(server, Clock())
        first, second = await resolver.services(SERVICE)
        assert (first.target, first.port, second.target) == ("tss1.example", 2121, "tss2.example")
        assert await resolver.resolve("tss1.example") == (ADDRESS,)
        assert server.asked == [SERVICE]
        with pytest.raises(UnknownNameError):
            await resolver.resolve("evil.example")


async def test_a_service_that_is_not_offered_is_unknown() -> None:
    def nowhere(answer: Answer) -> list[bytes]:
        none = Record(answer.name, 60, service=Service(0, 0, 0, ""))
        return [bytes(replace(answer, records=(none,)))]

    async with served(nowhere) as server:
        with pytest.raises(UnknownNameError, match="not offered"):
            await client(server, Clock()).services(SERVICE)


def test_services_are_drawn_by_their_weight_within_a_priority() -> None:
    rng = random.Random(1)
    services = [
        Service(1, 90, 1, "often"), Service(1, 10, 1, "seldom"), Service(1, 0, 1, "hardly"),
        Service(0, 0, 1, "first"), Service(2, 0, 1, ""),
    ]  # fmt: skip
    drawn = [[s.target for s in in_order(services, rng)] for _ in range(1000)]
    assert all(order[0] == "first" and sorted(order[1:]) == ["hardly", "often", "seldom"]
               for order in drawn)  # fmt: skip
    second = [order[1] for order in drawn]
    assert second.count("often") > 800
    assert 40 < second.count("seldom") < 180
    assert second.count("hardly") > 0
