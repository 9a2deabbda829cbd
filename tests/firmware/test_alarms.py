"""The board of what is wrong."""

from __future__ import annotations

import asyncio
import logging

import pytest

from openturret.firmware.alarms import QUEUE_LIMIT, AlarmBoard, AlarmChange
from openturret.hal.clock import SystemClock

REMEDY = "look at its network"


@pytest.fixture
def board() -> AlarmBoard:
    return AlarmBoard(SystemClock())


def test_an_alarm_stands_until_it_is_cleared(board: AlarmBoard) -> None:
    assert board.raise_("recording.lost", "a", "recorder A is lost", REMEDY)
    assert not board.raise_("recording.lost", "a", "recorder A is lost", REMEDY)
    assert board.has("recording.lost", "a")
    assert not board.has("recording.lost", "b")
    assert board.clear("recording.lost", "a")
    assert not board.clear("recording.lost", "a")
    assert board.active == ()


def test_new_words_keep_the_old_start(board: AlarmBoard) -> None:
    board.raise_("recording.lost", "a", "refused", REMEDY)
    since = board.active[0].since
    assert not board.raise_("recording.lost", "a", "silent", REMEDY)
    assert [(alarm.message, alarm.since) for alarm in board.active] == [("silent", since)]


def test_the_log_says_so(board: AlarmBoard, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        board.raise_("recording.lost", "a", "recorder A is lost", REMEDY)
        board.clear("recording.lost", "a")
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]
    assert REMEDY in caplog.text


async def _read(board: AlarmBoard, count: int) -> list[AlarmChange]:
    found: list[AlarmChange] = []
    async for change in board.changes():
        found.append(change)
        if len(found) == count:
            break
    return found


async def test_every_reader_hears_every_change(board: AlarmBoard) -> None:
    readers = [asyncio.create_task(_read(board, 2)) for _ in range(2)]
    await asyncio.sleep(0)
    board.raise_("recording.lost", "a", "recorder A is lost", REMEDY)
    board.clear("recording.lost", "a")
    for heard in await asyncio.gather(*readers):
        assert [change.raised for change in heard] == [True, False]
        assert heard[0].as_json()["type"] == "alarm"


async def test_a_slow_reader_misses_the_oldest(board: AlarmBoard) -> None:
    reader = asyncio.create_task(_read(board, QUEUE_LIMIT))
    await asyncio.sleep(0)
    for number in range(QUEUE_LIMIT + 5):
        board.raise_("test", str(number), "", "")
    assert (await reader)[0].alarm.subject == "5"
