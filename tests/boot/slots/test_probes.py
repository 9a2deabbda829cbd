"""Matrix and PBX are asked over real sockets; what answers nonsense does not answer."""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from ipaddress import IPv4Address
from typing import cast

import pytest

from openturret.boot.errors import UnknownNameError
from openturret.boot.slots.probes import MatrixStatus, any_pbx_answers, matrix_status

LOOPBACK = "127.0.0.1"


@asynccontextmanager
async def matrix(answer: bytes, *, hangs: bool = False) -> AsyncIterator[int]:
    """A port that answers every line alike."""

    served: list[asyncio.Task[object] | None] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        served.append(asyncio.current_task())
        with contextlib.closing(writer), contextlib.suppress(ConnectionError):
            await reader.readline()
            writer.write(answer)
            if hangs:
                await reader.read()

    async with await asyncio.start_server(serve, LOOPBACK) as server:
        yield server.sockets[0].getsockname()[1]
        await asyncio.gather(*filter(None, served))


async def test_a_matrix_says_how_far_it_is() -> None:
    async with matrix(b'{"id":1,"result":{"ticks":{"ticks":7},"legs":2}}\n') as port:
        assert await matrix_status(LOOPBACK, port) == MatrixStatus(7, 2)


@pytest.mark.parametrize(
    "answer",
    [
        b"", b"\n", b"{", b"[]\n", b"{}\n", b'{"error":{}}\n', b'{"result":{}}\n',
        b'{"result":{"ticks":{"ticks":"7"},"legs":0}}\n', b"x" * 70_000,
    ],
)  # fmt: skip
async def test_an_answer_that_makes_no_sense_is_none(answer: bytes) -> None:
    async with matrix(answer) as port:
        assert await matrix_status(LOOPBACK, port) is None


async def test_a_matrix_that_hangs_is_not_waited_for() -> None:
    async with matrix(b'{"id":1', hangs=True) as port:
        assert await matrix_status(LOOPBACK, port, timeout_s=0.05) is None


async def test_a_port_that_nobody_serves_is_none() -> None:
    async with matrix(b"") as port:
        pass
    assert await matrix_status(LOOPBACK, port) is None


class Names:
    """A resolver that knows one name."""

    async def resolve(self, name: str) -> tuple[IPv4Address, ...]:
        if name not in ("pbx", LOOPBACK):
            raise UnknownNameError(f"{name} does not exist", "")
        return (IPv4Address(LOOPBACK),)


class Pbx(asyncio.DatagramProtocol):
    """Answers every datagram alike."""

    def __init__(self, answer: bytes) -> None:
        self._answer = answer

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, address: tuple[str, int]) -> None:
        assert data.startswith(b"OPTIONS ")
        self._transport.sendto(self._answer, address)


@asynccontextmanager
async def pbx(answer: bytes) -> AsyncIterator[int]:
    loop = asyncio.get_running_loop()
    make: Callable[[], Pbx] = lambda: Pbx(answer)  # noqa: E731
    transport, _ = await loop.create_datagram_endpoint(make, (LOOPBACK, 0))
    try:
        yield transport.get_extra_info("sockname")[1]
    finally:
        transport.close()


async def answers(*servers: str) -> bool:
    return await any_pbx_answers(servers, Names(), random.Random(), timeout_s=0.2)


async def test_one_pbx_that_answers_is_enough_whatever_it_says() -> None:
    async with pbx(b"SIP/2.0 403 Forbidden\r\n") as port:
        assert await answers("nowhere:5060", f"pbx:{port}")
        assert await answers(f"{LOOPBACK}:{port}")


async def test_nonsense_is_no_answer() -> None:
    async with pbx(b"OPTIONS sip:you SIP/2.0\r\n") as port:
        assert not await answers(f"pbx:{port}")


async def test_nobody_answers_where_nobody_is() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind((LOOPBACK, 0))
        assert not await answers(f"pbx:{silent.getsockname()[1]}")
    assert not await answers("pbx", "pbx:", "pbx:x", "pbx:0", "pbx:99999", ":5060", "")
    assert not await answers()
