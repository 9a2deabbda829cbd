from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from openturret.lab.bench import Bench
from openturret.lab.forward import forward, listen


@pytest.fixture
async def echo_port() -> AsyncIterator[int]:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.read())
        writer.close()
        await writer.wait_closed()

    async with await asyncio.start_server(echo, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]


async def talk(port: int, data: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(data)
    writer.write_eof()
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return answer


async def test_both_directions_and_the_half_close_are_carried(echo_port: int) -> None:
    listening = listen()
    port = listening.getsockname()[1]
    server = await forward(listening, "127.0.0.1", echo_port)
    data = bytes(range(256)) * 2000
    assert await talk(port, data) == data
    server.close()


async def test_connections_are_carried_side_by_side(echo_port: int) -> None:
    listening = listen()
    port = listening.getsockname()[1]
    server = await forward(listening, "127.0.0.1", echo_port)
    answers = await asyncio.gather(*(talk(port, b"%d" % number) for number in range(20)))
    assert answers == [b"%d" % number for number in range(20)]
    server.close()


async def test_who_reaches_nobody_is_hung_up_on() -> None:
    nobody = listen()
    dead_port = nobody.getsockname()[1]
    nobody.close()
    listening = listen()
    port = listening.getsockname()[1]
    server = await forward(listening, "127.0.0.1", dead_port)
    assert await talk(port, b"hello") == b""
    server.close()


@pytest.mark.bench
async def test_a_host_of_the_bench_is_reached_through_it(bench: Bench) -> None:
    listening = listen()
    port = listening.getsockname()[1]
    server = await forward(listening, "10.11.0.10", 21)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    assert (await reader.readline()).startswith(b"220 ")
    writer.close()
    await writer.wait_closed()
    server.close()
