"""The NTP client against servers of our own on loopback, true ones and liars."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from ipaddress import IPv4Address
from typing import Any, cast

import pytest

from openturret.boot.errors import NtpError, NtpRefusedError
from openturret.boot.lan.ntp import Sample, SntpClient, agreed
from openturret.boot.wire.ntp import NtpMode, NtpPacket, from_unix

HOST = IPv4Address("127.0.0.1")
HOSTS = tuple(IPv4Address(f"127.0.0.{number}") for number in range(1, 5))
NOW = 1_795_000_000.0

Answers = Callable[[NtpPacket], list[bytes]]


class Clock:
    """A clock that stands at a date, beside the loop's own seconds."""

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()

    def unix(self) -> float:
        return NOW


class Server(asyncio.DatagramProtocol):
    def __init__(self, answers: Answers) -> None:
        self._answers = answers
        self.asked = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, address: tuple[str, int]) -> None:
        self.asked += 1
        for answer in self._answers(NtpPacket.parse(data)):
            self.transport.sendto(answer, address)


@asynccontextmanager
async def serving(
    answers: Answers, host: IPv4Address = HOST, port: int = 0
) -> AsyncIterator[Server]:
    loop = asyncio.get_running_loop()
    transport, server = await loop.create_datagram_endpoint(
        lambda: Server(answers), local_addr=(str(host), port)
    )
    try:
        yield server
    finally:
        transport.close()


def port_of(server: Server) -> int:
    port: int = server.transport.get_extra_info("sockname")[1]
    return port


def client(port: int, *, tries: int = 1) -> SntpClient:
    return SntpClient(Clock(), random.Random(1), port=port, timeout_s=0.2, tries=tries)


def good(question: NtpPacket, offset_s: float = 30.0) -> NtpPacket:
    stamp = from_unix(NOW + offset_s)
    return NtpPacket(
        NtpMode.SERVER, stratum=2, root_dispersion_s=0.01, originate=question.transmit,
        receive=stamp, transmit=stamp,
    )  # fmt: skip


def honest(question: NtpPacket) -> list[bytes]:
    return [bytes(good(question))]


async def test_the_offset_of_an_honest_server_is_found() -> None:
    async with serving(honest) as server:
        sample = await client(port_of(server)).ask([HOST], NOW)
    assert sample.offset_s == pytest.approx(30, abs=sample.margin_s)
    assert 0.01 <= sample.margin_s < 1


async def test_a_lost_packet_is_sent_again() -> None:
    lost: list[int] = []

    def deaf_once(question: NtpPacket) -> list[bytes]:
        lost.append(1)
        return honest(question) if len(lost) > 1 else []

    async with serving(deaf_once) as server:
        await client(port_of(server), tries=2).ask([HOST], NOW)
    assert len(lost) == 2


async def test_a_question_says_nothing_about_the_unit() -> None:
    heard: list[NtpPacket] = []

    def noting(question: NtpPacket) -> list[bytes]:
        heard.append(question)
        return honest(question)

    async with serving(noting) as server:
        subject = client(port_of(server))
        for _ in range(2):
            await subject.ask([HOST], NOW)
    assert heard[0].transmit != heard[1].transmit
    assert replace(heard[0], transmit=0) == NtpPacket(NtpMode.CLIENT)


async def test_forged_answers_are_dropped_and_the_true_one_taken() -> None:
    def crowded(question: NtpPacket) -> list[bytes]:
        lie = good(question, offset_s=9999)
        forged = [replace(lie, originate=lie.originate ^ 2), replace(lie, mode=NtpMode.CLIENT)]
        return [b"", b"garbage", bytes(lie)[:40], *map(bytes, forged), *honest(question)]

    async with serving(crowded) as server:
        sample = await client(port_of(server)).ask([HOST], NOW)
    assert sample.offset_s == pytest.approx(30, abs=1)


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ({"leap": 3}, "not synchronised"),
        ({"stratum": 16}, "not synchronised"),
        ({"transmit": 0}, "not synchronised"),
        ({"stratum": 0, "reference_id": b"RATE"}, "RATE"),
        ({"root_dispersion_s": 2.0}, "may be wrong by"),
        ({"root_delay_s": 4.0}, "may be wrong by"),
        ({"receive": from_unix(NOW + 31)}, "may be wrong by"),
        ({"receive": from_unix(NOW + 20)}, "may be wrong by"),
    ],
)
async def test_a_server_that_cannot_know_the_time_is_not_believed(
    fault: dict[str, Any], words: str
) -> None:
    async with serving(lambda question: [bytes(replace(good(question), **fault))]) as server:
        with pytest.raises(NtpError, match=words) as caught:
            await client(port_of(server)).ask([HOST], NOW)
    assert caught.value.server == "127.0.0.1"
    assert caught.value.remedy


async def test_a_server_that_denies_is_never_asked_again() -> None:
    def denying(question: NtpPacket) -> list[bytes]:
        return [bytes(replace(good(question), stratum=0, reference_id=b"DENY"))]

    async with serving(denying) as server:
        subject = client(port_of(server))
        for _ in range(3):
            with pytest.raises(NtpRefusedError):
                await subject.ask([HOST], NOW)
    assert server.asked == 1


async def test_silence_is_an_error_with_a_remedy() -> None:
    async with serving(lambda _: []) as server:
        with pytest.raises(NtpError, match="no answer") as caught:
            await client(port_of(server)).ask([HOST], NOW)
    assert "option 42" in caught.value.remedy


async def test_a_dead_server_and_a_liar_are_outvoted() -> None:
    async with (
        serving(honest, HOSTS[0]) as first,
        serving(lambda question: [bytes(good(question, 500))], HOSTS[1], port_of(first)),
        serving(honest, HOSTS[2], port_of(first)),
    ):
        sample = await client(port_of(first)).ask(HOSTS, NOW)
    assert sample.offset_s == pytest.approx(30, abs=1)


def test_two_servers_that_contradict_each_other_give_no_time() -> None:
    with pytest.raises(NtpError, match=r"127\.0\.0\.1 \+5\.000 s, 127\.0\.0\.2 \+9\.000 s"):
        agreed([Sample(HOSTS[0], 5, 0.1), Sample(HOSTS[1], 9, 0.1)])


def test_of_those_that_agree_the_most_certain_counts() -> None:
    certain = Sample(HOSTS[1], 5.05, 0.01)
    assert agreed([Sample(HOSTS[0], 5, 0.1), certain, Sample(HOSTS[2], 9, 0.1)]) == certain


async def test_a_flood_ends_at_the_deadline() -> None:
    def flooding(question: NtpPacket) -> list[bytes]:
        return [bytes(NtpPacket(NtpMode.SERVER, stratum=2))] * 5000

    async with serving(flooding) as server, asyncio.timeout(10):
        with pytest.raises(NtpError, match="no answer"):
            await client(port_of(server)).ask([HOST], NOW)
