"""The client against peers that are not a matrix; with the real one it is tested in firmware."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from openturret.drivers.oldcb import OldcbMatrix
from openturret.hal.errors import (
    HalError,
    MatrixError,
    MatrixGoneError,
    MatrixRequestError,
    PortsExhaustedError,
    UnknownPortError,
)
from openturret.hal.matrix import Topic
from openturret.hal.wire.json_lines import decode

Peer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def client_of(peer: Peer, *, timeout_s: float = 5.0) -> AsyncIterator[OldcbMatrix]:
    writers: list[asyncio.StreamWriter] = []
    served: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        task = asyncio.current_task()
        assert task is not None
        served.add(task)
        try:
            await peer(reader, writer)
        except OSError:
            return

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    client = OldcbMatrix(control_port=port, event_port=port, timeout_s=timeout_s)
    yield client
    await client.close()
    for writer in writers:
        writer.transport.abort()
    await asyncio.gather(*served, return_exceptions=True)
    server.close()


def saying(line: bytes) -> Peer:
    async def peer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.readline():
            writer.write(line + b"\n")

    return peer


@pytest.mark.parametrize(
    "line", [b"garbage", b"[]", b'{"id": "x"}', b'{"id": 1.5}', b"\xff" * 10, b"x" * 1_100_000]
)
async def test_a_peer_that_speaks_nonsense_is_given_up(line: bytes) -> None:
    async with client_of(saying(line)) as client:
        with pytest.raises(MatrixGoneError):
            await client.hello()


@pytest.mark.parametrize("line", [b'{"id": 1}', b'{"id": 1, "result": []}', b'{"id":1,"error":1}'])
async def test_an_answer_of_the_wrong_shape_is_a_typed_error(line: bytes) -> None:
    async with client_of(saying(line)) as client:
        with pytest.raises(HalError):
            await client.status()


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("unknown", UnknownPortError),
        ("exhausted", PortsExhaustedError),
        ("bad_request", MatrixRequestError),
        ("unsupported", MatrixRequestError),
        ("conflict", MatrixError),
        ("new in protocol 2", MatrixError),
    ],
)
async def test_an_error_code_becomes_its_class(code: str, kind: type[MatrixError]) -> None:
    line = f'{{"id": 1, "error": {{"code": "{code}", "message": "because"}}}}'.encode()
    async with client_of(saying(line)) as client:
        with pytest.raises(kind, match=r"leg\.open: because"):
            await client.leg_open()


async def test_a_peer_that_never_answers_is_given_up_in_time() -> None:
    async def deaf(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read()

    async with client_of(deaf, timeout_s=0.05) as client:
        with pytest.raises(MatrixGoneError, match=r"no answer in 0\.05 s"):
            await client.hello()


async def test_a_peer_that_hangs_up_wakes_every_waiting_request() -> None:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.close()

    async with client_of(hang_up) as client:
        results = await asyncio.gather(
            client.hello(), client.status(), client.leg_list(), return_exceptions=True
        )
    assert [type(result) for result in results] == [MatrixGoneError] * 3


async def test_answers_find_their_requests_in_any_order() -> None:
    async def backwards(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        numbers = [decode(await reader.readline())["id"] for _ in range(2)]
        for number in reversed(numbers):
            writer.write(f'{{"id": {number}, "result": {{"number": {number}}}}}\n'.encode())

    async with client_of(backwards) as client:
        first, second = await asyncio.gather(client.status(), client.status())
    assert (first["number"], second["number"]) == (1, 2)


async def test_a_peer_that_hangs_up_on_readers_of_events_is_asked_ever_less_often() -> None:
    loop = asyncio.get_running_loop()
    asked: list[float] = []
    enough = asyncio.Event()

    async def full(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(loop.time())
        if len(asked) == 5:
            enough.set()
        writer.transport.abort()

    async with client_of(full) as client:
        events = client.events([Topic.LEGS])
        reading = asyncio.ensure_future(anext(events))
        async with asyncio.timeout(20):
            await enough.wait()
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
    assert asked[4] - asked[3] >= 0.35


async def test_nobody_there_is_said_with_the_address() -> None:
    with pytest.raises(MatrixGoneError, match=r"no matrix at 127\.0\.0\.1:1"):
        await OldcbMatrix(control_port=1).hello()
