import asyncio
from collections.abc import Awaitable, Callable

import pytest

from openturret.boot.fetch.race import race


class Course:
    """Attempts that are told how to end, and remember how they did."""

    def __init__(self) -> None:
        self.started: list[str] = []
        self.called_off: list[str] = []

    def wins(self, name: str) -> Callable[[], Awaitable[str]]:
        async def attempt() -> str:
            self.started.append(name)
            return name

        return attempt

    def fails(self, name: str, error: type[Exception]) -> Callable[[], Awaitable[str]]:
        async def attempt() -> str:
            self.started.append(name)
            raise error(name)

        return attempt

    def hangs(self, name: str) -> Callable[[], Awaitable[str]]:
        async def attempt() -> str:
            self.started.append(name)
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                self.called_off.append(name)
                raise
            return name

        return attempt


async def run(*attempts: Callable[[], Awaitable[str]], head_start_s: float = 60) -> str:
    return await race(
        attempts, head_start_s=head_start_s, is_final=lambda error: isinstance(error, KeyError)
    )


async def test_while_the_first_answers_nobody_else_is_asked() -> None:
    course = Course()
    assert await run(course.wins("a"), course.wins("b")) == "a"
    assert course.started == ["a"]


async def test_a_failure_starts_the_next_at_once() -> None:
    course = Course()
    assert await run(course.fails("a", ValueError), course.wins("b")) == "b"


async def test_silence_starts_the_next_after_the_head_start() -> None:
    course = Course()
    assert await run(course.hangs("a"), course.wins("b"), head_start_s=0.01) == "b"
    assert course.called_off == ["a"]


async def test_a_final_failure_ends_it() -> None:
    course = Course()
    with pytest.raises(KeyError, match="a"):
        await run(course.fails("a", KeyError), course.wins("b"))
    assert course.started == ["a"]


async def test_the_last_failure_is_raised_when_all_fail() -> None:
    course = Course()
    with pytest.raises(ValueError, match="b"):
        await run(course.fails("a", TypeError), course.fails("b", ValueError))


async def test_who_stops_waiting_calls_all_off() -> None:
    course = Course()
    waiting = asyncio.ensure_future(run(course.hangs("a"), course.hangs("b"), head_start_s=0.01))
    while len(course.started) < 2:
        await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert sorted(course.called_off) == ["a", "b"]


async def test_without_attempts_there_is_no_answer() -> None:
    with pytest.raises(ValueError, match="nobody"):
        await run()
