"""Lines over a real agent and a real matrix: routes that run out, hands that are too quick."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import pytest

from openturret.firmware.calls.agent import Agent, AgentSettings
from openturret.firmware.calls.errors import CallFailedError, LineError
from openturret.firmware.calls.events import Account
from openturret.firmware.calls.line import CallKind, Line, LineState, Route
from openturret.firmware.calls.lines import Lines, Watchers
from openturret.firmware.calls.voice import Voice
from openturret.hal.clock import SystemClock

if TYPE_CHECKING:
    from openturret.drivers.oldcb import OldcbMatrix
    from tests.firmware.calls.conftest import Bench

pytestmark = pytest.mark.bench
NO_WAY = "sip:["


class Table:
    """Lines with an agent that can call itself, and what they report."""

    def __init__(self, agent: Agent, matrix: OldcbMatrix, address: str) -> None:
        self.matrix = matrix
        self.address = address
        self.incoming: asyncio.Queue[Line] = asyncio.Queue()
        self.ended: asyncio.Queue[tuple[str, int]] = asyncio.Queue()
        watchers = Watchers(lambda: None, self._ring, lambda _: None, self._end)
        self.lines = Lines(agent, Voice(matrix), SystemClock(), watchers)

    def _ring(self, line: Line) -> bool:
        self.incoming.put_nowait(line)
        return True

    def _end(self, line: Line, status: int, reason: str) -> None:
        self.ended.put_nowait((line.line_id, status))

    def to_itself(self) -> Route:
        return Route("direct", f"sip:x@{self.address}:5060")

    def to_nobody(self) -> Route:
        return Route("direct", f"sip:x@{self.address}:5999;transport=tcp")


@contextlib.asynccontextmanager
async def table_of(bench: Bench) -> AsyncIterator[Table]:
    matrix = await bench.matrix(await bench.hardware())
    agent = Agent(AgentSettings(address=bench.unit_address))
    await agent.start()
    await agent.add_account(Account("direct", "sip:1001@turret.example"))
    table = Table(agent, matrix, bench.unit_address)
    table.lines.start()
    try:
        yield table
    finally:
        await table.lines.stop()
        await agent.stop()


def line(name: str = "line-1") -> Line:
    return Line(name, CallKind.CALL, "handset-left", "2001")


async def test_a_line_whose_last_route_cannot_be_sent_is_over(bench: Bench) -> None:
    async with table_of(bench) as table:
        await table.lines.call(line(), [table.to_nobody(), Route("direct", NO_WAY)])
        async with asyncio.timeout(15):
            assert await table.ended.get() == ("line-1", 503)
        assert list(table.lines) == []
        assert await table.matrix.leg_list() == ()


async def test_a_line_that_no_route_takes_is_refused_at_once(bench: Bench) -> None:
    async with table_of(bench) as table:
        with pytest.raises(CallFailedError):
            await table.lines.call(line(), [Route("direct", NO_WAY)])
        assert await table.matrix.leg_list() == ()


async def test_a_line_hung_up_while_its_invite_is_on_its_way_leaves_nothing(bench: Bench) -> None:
    async with table_of(bench) as table:
        quick = line()
        calling = asyncio.create_task(table.lines.call(quick, [table.to_itself()]))
        while not quick.call_id:
            await asyncio.sleep(0)
        await table.lines.hang_up(quick)
        await asyncio.gather(calling, return_exceptions=True)
        await bench.until(lambda: _is_quiet(table))


async def _is_quiet(table: Table) -> bool:
    return not list(table.lines) and await table.matrix.leg_list() == ()


async def test_of_two_hands_that_answer_one_call_the_second_is_refused(bench: Bench) -> None:
    async with table_of(bench) as table:
        outgoing = line()
        await table.lines.call(outgoing, [table.to_itself()])
        async with asyncio.timeout(15):
            ringing = await table.incoming.get()
        first, second = await asyncio.gather(
            table.lines.answer(ringing, "handset-left"),
            table.lines.answer(ringing, "handset-right"),
            return_exceptions=True,
        )
        assert first is None
        assert isinstance(second, LineError)
        await bench.until(lambda: outgoing.state is LineState.CONNECTED)
        await bench.until(lambda: ringing.state is LineState.CONNECTED)
        assert ringing.bus == "handset-left"
        assert ringing.leg is not None
