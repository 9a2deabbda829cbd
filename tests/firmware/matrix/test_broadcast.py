"""The event port: nobody is waited for, and nobody is left in the dark about it."""

import asyncio
import socket
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from openturret.c_ext import EngineStalledError
from openturret.firmware.matrix.broadcast import MAX_SUBSCRIBERS, EventServer
from openturret.hal import SystemClock
from openturret.hal.matrix import Topic
from openturret.hal.wire.json_lines import JsonObject, decode

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
BULK = {"filler": "x" * 10_000}


class Published:
    """An event server, its port and its counters."""

    def __init__(self) -> None:
        self.counters: Counter[str] = Counter()
        self.server = EventServer(SystemClock(), self.counters)
        self.measured = 0
        self.stalls = 0
        self.port = 0

    def levels(self) -> dict[str, object]:
        self.measured += 1
        if self.measured <= self.stalls:
            raise EngineStalledError
        return {"leg:1": [-20.0, -30.0]}


@pytest.fixture
async def published() -> AsyncIterator[Published]:
    found = Published()
    alarm = {"code": "recording.refused"}
    found.port = await found.server.open(["127.0.0.1"], 0, found.levels, lambda: [alarm])
    yield found
    await found.server.close()


@asynccontextmanager
async def subscriber(published: Published, *topics: str) -> AsyncIterator[Streams]:
    small = socket.socket()
    small.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    small.setblocking(False)
    await asyncio.get_running_loop().sock_connect(small, ("127.0.0.1", published.port))
    reader, writer = await asyncio.open_connection(sock=small, limit=1 << 20)
    names = ", ".join(f'"{topic}"' for topic in topics)
    writer.write(f'{{"subscribe": [{names}]}}\n'.encode())
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


async def next_event(streams: Streams) -> JsonObject:
    async with asyncio.timeout(5):
        return decode(await streams[0].readline())


async def test_only_what_was_asked_for_comes(published: Published) -> None:
    async with subscriber(published, "legs") as legs:
        assert (await next_event(legs))["topics"] == ["legs"]
        published.server.publish(Topic.RECORDINGS, "recording.opened", {})
        published.server.publish(Topic.LEGS, "leg.opened", {"leg": 1})
        event = await next_event(legs)
        assert (event["event"], event["leg"]) == ("leg.opened", 1)
    assert published.measured == 0


async def test_levels_are_measured_only_while_somebody_wants_them(published: Published) -> None:
    async with subscriber(published, "levels") as levels:
        assert (await next_event(levels))["event"] == "subscribed"
        times = [(await next_event(levels))["time"] for _ in range(4)]
        assert times == sorted(times)  # type: ignore[type-var]
    async with asyncio.timeout(5):
        while published.counters["subscribers"]:
            await asyncio.sleep(0)
    measured = published.measured
    await asyncio.sleep(0.1)
    assert published.measured == measured


async def test_levels_go_on_after_the_engine_stalled(published: Published) -> None:
    published.stalls = 2
    async with subscriber(published, "levels") as levels:
        assert (await next_event(levels))["event"] == "subscribed"
        assert (await next_event(levels))["event"] == "levels"
    assert published.measured > published.stalls


async def test_standing_alarms_are_told_to_a_newcomer(published: Published) -> None:
    async with subscriber(published, "alarms") as alarms:
        assert (await next_event(alarms))["event"] == "subscribed"
        assert (await next_event(alarms))["code"] == "recording.refused"


async def test_a_slow_subscriber_is_dropped_from_and_told_how_much(published: Published) -> None:
    async with subscriber(published, "legs") as slow, subscriber(published, "legs") as quick:
        assert (await next_event(slow))["event"] == "subscribed"
        assert (await next_event(quick))["event"] == "subscribed"
        slow[1].transport.pause_reading()  # type: ignore[attr-defined]
        while not published.counters["events_dropped"]:
            published.server.publish(Topic.LEGS, "leg.opened", BULK)
            assert (await next_event(quick))["event"] == "leg.opened"
        slow[1].transport.resume_reading()  # type: ignore[attr-defined]
        assert await told_lost(published, slow) == published.counters["events_dropped"]


async def told_lost(published: Published, slow: Streams) -> object:
    while (event := await next_event(slow))["event"] != "dropped":
        published.server.publish(Topic.LEGS, "leg.closed", {})
    return event["count"]


@pytest.mark.parametrize("line", [b"garbage\n", b'{"subscribe": ["x"]}\n', b'{"subscribe": 1}\n'])
async def test_nonsense_gets_an_error_and_the_connection_ends(
    published: Published, line: bytes
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", published.port)
    writer.write(line)
    assert "error" in decode(await reader.readline())
    assert await reader.read() == b""
    writer.close()


async def test_a_flood_of_subscribers_does_not_keep_one_out(published: Published) -> None:
    flood = [
        await asyncio.open_connection("127.0.0.1", published.port)
        for _ in range(3 * MAX_SUBSCRIBERS)
    ]
    async with subscriber(published, "legs") as newcomer:
        assert (await next_event(newcomer))["event"] == "subscribed"
    for _, writer in flood:
        writer.transport.abort()


async def test_a_burst_of_subscribers_does_not_pass_the_bound(published: Published) -> None:
    async def is_served() -> bool:
        reader, writer = await asyncio.open_connection("127.0.0.1", published.port)
        crowd.append(writer)
        writer.write(b'{"subscribe": ["legs"]}\n')
        try:
            return b"subscribed" in await reader.readline()
        except ConnectionError:
            return False

    crowd: list[asyncio.StreamWriter] = []
    async with asyncio.timeout(10):
        served = await asyncio.gather(*(is_served() for _ in range(4 * MAX_SUBSCRIBERS)))
    assert 0 < sum(served) <= MAX_SUBSCRIBERS
    for writer in crowd:
        writer.transport.abort()
