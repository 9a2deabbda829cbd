"""A signal lets the work leave through its context managers."""

import asyncio
import os
import signal

import pytest

from openturret.lab.stopping import SIGNALS, stoppable


@pytest.mark.parametrize("number", SIGNALS)
async def test_a_signal_cancels_the_work_and_waits_for_its_end(number: signal.Signals) -> None:
    ended: list[str] = []

    async def work() -> int:
        try:
            os.kill(os.getpid(), number)
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            ended.append("in order")
        return 1

    assert await stoppable(work()) is None
    assert ended == ["in order"]


async def test_the_result_of_undisturbed_work_comes_back() -> None:
    async def work() -> int:
        return 7

    assert await stoppable(work()) == 7


async def test_an_error_of_the_work_comes_out() -> None:
    async def work() -> int:
        raise ValueError("no dial tone")

    with pytest.raises(ValueError, match="no dial tone"):
        await stoppable(work())
