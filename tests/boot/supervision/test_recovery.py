import asyncio
import random
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import pytest

from openturret.boot.bell import Bell
from openturret.boot.errors import SlotError
from openturret.boot.provision import Provision
from openturret.boot.status import StatusBoard
from openturret.boot.supervision.recovery import SAFE_MODE, Means, Recovery
from openturret.boot.supervision.safe_mode import DEATHS_MAX
from openturret.boot.supervision.supervisor import Death, Service
from openturret.hal.backoff import Backoff
from openturret.hal.clock import SystemClock

NEWER = cast("Provision", object())


@dataclass
class Unit:
    """A recovery and what it did."""

    status: StatusBoard
    bell: Bell = field(default_factory=Bell)
    did: list[object] = field(default_factory=list)
    newer: "asyncio.Future[Provision]" = field(default_factory=asyncio.Future)
    judged: bool = False
    broken: bool = False
    delay_s: float = 600
    settled_s: float = 0.01
    recovery: Recovery = field(init=False)

    def __post_init__(self) -> None:
        patience = Backoff(self.delay_s, self.delay_s, 0, random.Random(1))
        means = Means(self._show, self._other, self._start, lambda: self.judged)
        self.recovery = Recovery(
            self.status, SystemClock(), patience, self.bell, means, self.settled_s
        )

    async def _show(self) -> None:
        self.did.append("page")

    async def _other(self) -> Provision:
        return await asyncio.shield(self.newer)

    async def _start(self, provision: Provision | None) -> None:
        self.did.append("start" if provision is None else "start something else")
        if self.broken:
            raise SlotError("no slot holds whole firmware", "reach a TSS")
        self.recovery.begin()

    def kill(self, name: str, times: int = 1) -> list[bool]:
        death = Death(Service(name, name), 1, hung=False, doing="", lived_s=0, delay_s=0)
        return [self.recovery.died(death) for _ in range(times)]

    def alarms(self) -> list[str]:
        return [str(alarm["code"]) for alarm in self.status.as_json()["alarms"]]  # type: ignore[attr-defined]

    async def until(self, stage: str) -> None:
        async with asyncio.timeout(10):
            while self.status.current != stage:
                await asyncio.sleep(0)

    async def ask_until(self, done: Callable[[], bool]) -> None:
        """Rings the bell, which only those hear who wait already."""
        async with asyncio.timeout(10):
            while not done():
                self.bell.ring()
                await asyncio.sleep(0)

    async def until_did(self, number: int) -> None:
        async with asyncio.timeout(10):
            while len(self.did) < number:
                await asyncio.sleep(0)


@pytest.fixture
async def unit(tmp_path: Path) -> AsyncIterator[Unit]:
    unit = Unit(StatusBoard(tmp_path / "status.json", SystemClock(), {}))
    running = asyncio.create_task(unit.recovery.run())
    unit.status.running()
    yield unit
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_a_service_is_started_again_until_it_has_died_too_often(unit: Unit) -> None:
    assert unit.kill("runtime", DEATHS_MAX) == [True] * (DEATHS_MAX - 1) + [False]
    assert unit.status.current == "safe mode"
    assert unit.alarms() == [SAFE_MODE]
    assert unit.recovery.is_safe_mode


async def test_safe_mode_shows_the_page_and_ends_when_somebody_asks(unit: Unit) -> None:
    unit.kill("runtime", DEATHS_MAX)
    await unit.until_did(1)
    assert unit.did == ["page"]
    await unit.ask_until(lambda: unit.status.current == "running")
    assert unit.did == ["page", "start"]
    assert not unit.alarms()
    assert not unit.recovery.is_safe_mode


async def test_safe_mode_ends_when_the_tss_has_something_else(unit: Unit) -> None:
    unit.kill("runtime", DEATHS_MAX)
    await unit.until_did(1)
    unit.newer.set_result(NEWER)
    await unit.until("running")
    assert unit.did == ["page", "start something else"]


async def test_safe_mode_tries_again_by_itself_and_never_gives_up(tmp_path: Path) -> None:
    board = StatusBoard(tmp_path / "status.json", SystemClock(), {})
    unit = Unit(board, delay_s=0.001, settled_s=600)
    running = asyncio.create_task(unit.recovery.run())
    for number in range(1, 5):
        unit.kill("runtime", DEATHS_MAX)
        await unit.until_did(2 * number)
    assert unit.did == ["page", "start"] * 4
    assert unit.status.current == "safe mode"
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_the_panel_keeps_its_port_while_only_the_matrix_is_held_back(unit: Unit) -> None:
    assert unit.kill("matrix", DEATHS_MAX)[-1] is False
    await asyncio.sleep(0)
    await unit.ask_until(lambda: unit.status.current == "running")
    assert unit.did == ["start"]


async def test_what_somebody_else_started_is_not_started_again(unit: Unit) -> None:
    unit.kill("runtime", DEATHS_MAX)
    await unit.until_did(1)
    unit.recovery.begin()
    await unit.until("running")
    assert unit.did == ["page"]


async def test_nothing_to_start_is_shown_and_waited_for(unit: Unit) -> None:
    unit.broken = True
    unit.kill("runtime", DEATHS_MAX)
    await unit.until_did(1)
    await unit.ask_until(lambda: len(unit.did) >= 3)
    assert unit.status.current == "safe mode"
    assert "no slot holds" in str(unit.status.as_json()["alarms"])
    unit.broken = False
    await asyncio.sleep(0)
    await unit.ask_until(lambda: unit.status.current == "running")


async def test_the_deaths_of_firmware_on_trial_are_left_to_its_judge(unit: Unit) -> None:
    unit.judged = True
    assert all(unit.kill("runtime", 3 * DEATHS_MAX))
    unit.judged = False
    assert unit.kill("runtime") == [True]


async def test_an_alarm_of_silence_goes_when_the_service_answers(unit: Unit) -> None:
    unit.status.raise_alarm("runtime.silent", "x", "y")
    unit.recovery.serves(Service("runtime", "runtime"))
    assert not unit.alarms()
