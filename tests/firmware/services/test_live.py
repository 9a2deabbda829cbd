"""Levels from the matrix's own event server, through its own client, to browsers."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass

import pytest

from openturret.drivers.oldcb import OldcbMatrix
from openturret.firmware.alarms import AlarmBoard
from openturret.firmware.matrix.broadcast import EventServer
from openturret.firmware.services.live import QUEUE_MAX, LiveFeed
from openturret.hal.clock import SystemClock


@dataclass(slots=True)
class Feed:
    live: LiveFeed
    alarms: AlarmBoard
    asked: int = 0

    def levels(self) -> dict[str, object]:
        self.asked += 1
        return {"levels": {"leg:1": [-20.0, -30.0]}, "active": []}


@pytest.fixture
async def feed() -> AsyncIterator[Feed]:
    clock = SystemClock()
    server = EventServer(clock, Counter())
    alarms = AlarmBoard(clock)
    found: Feed

    def levels() -> dict[str, object]:
        return found.levels()

    port = await server.open(["127.0.0.1"], 0, levels, list)
    found = Feed(LiveFeed(OldcbMatrix("127.0.0.1", event_port=port), alarms, clock), alarms)
    yield found
    await found.live.close()
    await server.close()


async def test_levels_reach_every_browser_over_one_subscription(feed: Feed) -> None:
    async with (
        asyncio.timeout(5),
        aclosing(feed.live.messages()) as one,
        aclosing(feed.live.messages()) as other,
    ):
        for reader in (one, other):
            message = await anext(reader)
            assert message["type"] == "levels"
            assert message["levels"] == {"leg:1": [-20.0, -30.0]}


async def test_the_matrix_measures_only_while_somebody_looks(feed: Feed) -> None:
    async with asyncio.timeout(5):
        async with aclosing(feed.live.messages()) as reader:
            await anext(reader)
        asked = -1
        while asked != feed.asked:
            asked = feed.asked
            await asyncio.sleep(0.1)


async def test_an_alarm_comes_at_once(feed: Feed) -> None:
    async with asyncio.timeout(5), aclosing(feed.live.messages()) as reader:
        await anext(reader)
        feed.alarms.raise_("recording.lost", "a", "recorder A is lost", "check it")
        while (message := await anext(reader))["type"] != "alarm":
            pass
    assert message["subject"] == "a"
    assert message["raised"] is True


async def test_a_browser_that_is_slow_misses_the_oldest_and_holds_up_nobody(feed: Feed) -> None:
    async with asyncio.timeout(5), aclosing(feed.live.messages()) as slow:
        await anext(slow)
        async with aclosing(feed.live.messages()) as quick:
            await anext(quick)
            for number in range(3 * QUEUE_MAX):
                feed.alarms.raise_("x", str(number), "happened", "nothing")
                while (await anext(quick))["type"] != "alarm":
                    pass
        kept = [await anext(slow) for _ in range(QUEUE_MAX)]
    assert all(message.get("subject") not in {"0", "1"} for message in kept)
