"""New firmware is judged by what the unit does, on a clock that runs as the test likes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from openturret.boot.document import Document
from openturret.boot.errors import HealthError
from openturret.boot.slots.health import (
    Abilities,
    Demands,
    HealthGate,
    Pace,
    matrix_address,
    timeout_s,
    updates_when_idle,
)
from openturret.boot.slots.probes import MatrixStatus

ABLE = {"hal": True, "register": True}
PBXS = ["10.11.0.20:5060", "10.11.0.21:5060"]
LIMIT_S, HOLD_S = 60.0, 10.0


@dataclass
class Unit:
    """A unit whose clock goes one second per look; what it does is written by the test.

    Attributes:
        ticks: How many the engine has run at a second; None when it does not answer.
        says: What the runtime has reported at a second.
        pids: The processes at a second.
        pbx: Whether one answers.
    """

    ticks: Callable[[int], int | None] = lambda second: 100 * second
    says: dict[str, Callable[[int], tuple[str, str]]] = field(default_factory=dict)
    pids: Callable[[int], object] = lambda _: (1, 2)
    pbx: bool = True
    now: float = 0.0
    asked: list[Sequence[str]] = field(default_factory=list)

    def monotonic(self) -> float:
        return self.now

    def unix(self) -> float:
        return self.now

    async def ask(self, host: str, port: int) -> MatrixStatus | None:
        ticks = self.ticks(int(self.now))
        return None if ticks is None else MatrixStatus(ticks, 0)

    def report(self, name: str) -> tuple[str, str]:
        said = self.says.get(name)
        return said(int(self.now)) if said else ("done", "all well")

    def processes(self) -> object:
        self.now += 1  # the gate asks this first at each look
        return self.pids(int(self.now))

    async def answers(self, servers: Sequence[str]) -> bool:
        self.asked.append(servers)
        return self.pbx

    async def judged(self, demands: Demands) -> str:
        gate = HealthGate(
            demands,
            report=self.report,
            processes=self.processes,
            clock=self,
            limit_s=LIMIT_S,
            answers=self.answers,
            pace=Pace(look_s=0, hold_s=HOLD_S),
            ask=self.ask,
        )
        return await gate.passed()


ALL = Demands(("127.0.0.1", 4250), hal=True, pbxs=tuple(PBXS))
FEW = Demands(None, hal=False, pbxs=())


def from_second(second: int, before: str = "waiting") -> Callable[[int], tuple[str, str]]:
    return lambda now: ("done", "reached") if now >= second else (before, "not yet")


async def test_a_unit_that_does_everything_is_healthy_after_it_has_held() -> None:
    unit = Unit()
    assert "all well" in await unit.judged(ALL)
    assert HOLD_S < unit.now < HOLD_S + 5
    assert not unit.asked, "no PBX is asked where the registration is there"


async def test_late_is_early_enough_before_the_limit() -> None:
    unit = Unit(says={"register": from_second(55)})
    await unit.judged(ALL)
    assert unit.now > LIMIT_S, "the time for holding comes on top"


@pytest.mark.parametrize(
    ("unit", "words"),
    [
        (Unit(ticks=lambda _: 7), "stands at tick 7"),
        (Unit(ticks=lambda _: None), r"does not answer on 127\.0\.0\.1:4250"),
        (Unit(ticks=lambda second: 1000 - second), "stands at tick"),
        (Unit(says={"hal": lambda _: ("failed", "0 of 5 devices")}), "0 of 5 devices"),
        (Unit(says={"hal": lambda _: ("waiting", "")}), "the runtime says hal: waiting"),
        (Unit(says={"register": lambda _: ("running", "0 of 2 PBXs")}), "0 of 2 PBXs"),
        (Unit(pids=lambda second: second // 5), "stands|started again"),
    ],
)
async def test_what_is_missing_at_the_end_is_said(unit: Unit, words: str) -> None:
    with pytest.raises(HealthError, match=words) as error:
        await unit.judged(ALL)
    assert "after 60 s" in str(error.value)
    assert "matrix.log" in error.value.remedy


async def test_a_service_that_dies_while_it_is_looked_at_has_to_hold_from_then_on() -> None:
    unit = Unit(pids=lambda second: second >= 8)
    await unit.judged(ALL)
    assert unit.now >= 8 + HOLD_S


async def test_when_no_pbx_answers_no_registration_is_demanded() -> None:
    unit = Unit(says={"register": lambda _: ("failed", "0 of 2 PBXs")}, pbx=False)
    assert "no PBX answers" in await unit.judged(ALL)
    assert unit.asked == [tuple(PBXS)], "asked once, at the end"


async def test_a_silent_pbx_excuses_nothing_else() -> None:
    unit = Unit(ticks=lambda _: 7, says={"register": lambda _: ("failed", "")}, pbx=False)
    with pytest.raises(HealthError):
        await unit.judged(ALL)


async def test_what_is_not_demanded_is_not_looked_at() -> None:
    unit = Unit(ticks=lambda _: None, says={"hal": lambda _: ("failed", "0 of 5 devices")})
    assert await unit.judged(FEW) == ""


def demands(values: dict[str, object], *, logged_in: bool = True, **able: bool) -> Demands:
    return Demands.of(Document(values), {**ABLE, **able}, logged_in=logged_in)


def test_what_is_demanded_follows_from_configuration_and_good_firmware() -> None:
    configuration: dict[str, object] = {"application.sip.pbx.servers": PBXS}
    assert demands(configuration) == ALL
    assert demands(configuration).reports == ("hal", "register")
    assert demands(configuration, logged_in=False).pbxs == ()
    assert demands(configuration, register=False).pbxs == ()
    assert demands(configuration, hal=False).reports == ("register",)
    assert demands({}).pbxs == ()
    assert demands({"application.sip.pbx.servers": "x"}).pbxs == ()


@pytest.mark.parametrize(
    ("values", "address"),
    [
        ({}, ("127.0.0.1", 4250)),
        ({"application.oldcb.address": "0.0.0.0"}, ("127.0.0.1", 4250)),
        ({"application.oldcb.address": 7}, ("127.0.0.1", 4250)),
        ({"application.oldcb.address": "10.1.0.7"}, ("10.1.0.7", 4250)),
        ({"application.xma.enable": True}, None),
    ],
)
def test_the_matrix_is_asked_where_it_listens(
    values: dict[str, object], address: tuple[str, int] | None
) -> None:
    assert matrix_address(Document(values)) == address


@pytest.mark.parametrize(
    ("value", "seconds"), [(None, 120), (45, 45), (1, 20), (99_999, 3600), (True, 120), ("x", 120)]
)
def test_the_limit_is_a_key_within_bounds(value: object, seconds: int) -> None:
    assert timeout_s(Document({"application.boot.health.timeout": value})) == seconds


def test_updates_wait_for_a_restart_unless_a_key_says_idle() -> None:
    assert not updates_when_idle(Document({}))
    assert not updates_when_idle(Document({"application.boot.update": "restart"}))
    assert updates_when_idle(Document({"application.boot.update": "idle"}))


def test_what_good_firmware_could_do_is_kept(tmp_path: Path) -> None:
    abilities = Abilities(tmp_path / "health.json")
    assert abilities.known() == ABLE, "what is unknown is demanded"
    abilities.learn("register", able=False)
    assert Abilities(tmp_path / "health.json").known() == {"hal": True, "register": False}
    abilities.learn("register", able=True)
    assert abilities.known() == ABLE


@pytest.mark.parametrize("damage", [b"", b"{", b"7", b'{"hal": 0}', b"\xff", b"x" * 5000])
def test_a_damaged_memory_demands_everything(tmp_path: Path, damage: bytes) -> None:
    (tmp_path / "health.json").write_bytes(damage)
    assert Abilities(tmp_path / "health.json").known() == ABLE


def test_nothing_is_written_when_nothing_changes(tmp_path: Path) -> None:
    path = tmp_path / "health.json"
    abilities = Abilities(path)
    abilities.learn("hal", able=True)
    before = path.stat().st_ino
    abilities.learn("hal", able=True)
    assert path.stat().st_ino == before
