"""Firmware is started, judged and taken back, on real slots; the services are a list of words."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from openturret.boot.document import Document
from openturret.boot.errors import HealthError, SlotError
from openturret.boot.slots.firmware import (
    DAMAGED,
    IDLE_LOOKS,
    TAKEN_BACK,
    UNCONFIRMED,
    UNHEALTHY,
    Firmware,
    Hands,
    running_from,
)
from openturret.boot.slots.health import Abilities, HealthGate
from openturret.boot.slots.manager import Slot, SlotManager
from openturret.boot.slots.probes import MatrixStatus
from openturret.boot.status import StatusBoard
from openturret.hal.clock import SystemClock
from tests.boot.slots.rigs import FilesRig

NOTHING = Document({})


class Verdict(HealthGate):
    """A gate that has made up its mind."""

    def __init__(self, error: HealthError | None) -> None:
        self._error = error

    async def passed(self) -> str:
        if self._error is not None:
            raise self._error
        return "all well"


@dataclass
class Unit:
    """A unit whose services are words.

    Attributes:
        ill: Versions that fail the gate.
        did: What was started, stopped and restarted, in order.
    """

    folder: Path
    ill: set[str] = field(default_factory=set)
    did: list[str] = field(default_factory=list)
    known: list[Mapping[str, bool]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.rig = FilesRig(self.folder)
        self.status = StatusBoard(self.folder / "status.json", SystemClock(), {})
        self.abilities = Abilities(self.folder / "health.json")

    async def power_on(self) -> tuple[SlotManager, Firmware]:
        slots = await self.rig.power_on()
        hands = Hands(self.start, self.stop, self.restart, self.gate, look_s=0)
        return slots, Firmware(slots, hands, self.status, self.abilities)

    async def start(self, slot: Slot) -> None:
        self.running = slot
        self.did.append(f"start {slot.version}")

    async def stop(self) -> None:
        self.did.append("stop")

    async def restart(self) -> None:
        self.did.append("restart")

    def gate(self, configuration: Document, known: Mapping[str, bool]) -> HealthGate:
        self.known.append(known)
        is_ill = self.running.version in self.ill
        return Verdict(HealthError("no ticks", "read the log") if is_ill else None)

    async def with_good(self, version: str) -> tuple[SlotManager, Firmware]:
        slots, firmware = await self.power_on()
        await slots.install(*self.rig.image(version))
        await firmware.run()
        await firmware.judge(NOTHING)
        return slots, firmware

    def alarms(self) -> dict[str, str]:
        shown = self.status.as_json()["alarms"]
        assert isinstance(shown, list)
        return {alarm["code"]: alarm["message"] for alarm in shown}


@pytest.fixture
def unit(tmp_path: Path) -> Unit:
    return Unit(tmp_path)


async def test_healthy_firmware_is_committed(unit: Unit) -> None:
    _, firmware = await unit.with_good("1.0")
    assert firmware.slot is not None
    assert not firmware.slot.on_trial
    assert unit.did == ["start 1.0"]
    assert unit.status.said("health") == ("done", "all well")
    assert not unit.alarms()


async def test_unhealthy_firmware_gives_way_to_the_old_at_once(unit: Unit) -> None:
    slots, _ = await unit.with_good("1.0")
    await slots.install(*unit.rig.image("2.0"))
    unit.ill.add("2.0")
    _, firmware = await unit.power_on()
    await firmware.run()
    await firmware.judge(NOTHING)
    assert unit.did == ["start 1.0", "start 2.0", "stop", "start 1.0"]
    assert "2.0 is taken back, 1.0 is used: no ticks" in unit.alarms()[TAKEN_BACK]
    assert unit.status.said("health")[0] == "failed"


async def test_where_rauc_switches_the_unit_is_restarted_instead(unit: Unit) -> None:
    slots, _ = await unit.with_good("1.0")
    await slots.install(*unit.rig.image("2.0"))
    unit.ill.add("2.0")
    slots, firmware = await unit.power_on()
    slots.switch_restarts_unit = True
    await firmware.run()
    await firmware.judge(NOTHING)
    assert unit.did == ["start 1.0", "start 2.0", "restart"]


async def test_the_only_firmware_goes_on_with_an_alarm(unit: Unit) -> None:
    unit.ill.add("1.0")
    await unit.with_good("1.0")
    assert unit.did == ["start 1.0"]
    assert "there is no other to go back to" in unit.alarms()[UNHEALTHY]
    unit.ill.clear()
    _, firmware = await unit.power_on()
    await firmware.run()
    await firmware.judge(NOTHING)
    assert UNHEALTHY not in unit.alarms()


async def test_a_start_without_a_verdict_is_said_until_there_is_one(unit: Unit) -> None:
    slots, _ = await unit.with_good("1.0")
    await slots.install(*unit.rig.image("2.0"))
    slots, firmware = await unit.power_on()
    await firmware.run()
    folder = unit.folder / "slots" / "a"
    firmware = Firmware(
        slots, Hands(unit.start, unit.stop, unit.restart, unit.gate, 0), unit.status, unit.abilities
    )
    await firmware.settle(None)
    assert "start 1 of firmware 2.0" in unit.alarms()[UNCONFIRMED]
    await firmware.run()
    assert unit.running.path == folder
    await firmware.settle(None)
    await firmware.run()
    await firmware.judge(NOTHING)
    assert unit.running.version == "2.0"
    assert not unit.alarms()


async def test_a_damaged_slot_is_said_and_the_other_one_used(unit: Unit) -> None:
    slots, _ = await unit.with_good("1.0")
    await slots.install(*unit.rig.image("2.0"))
    (unit.folder / "slots" / "b" / "openturret" / "firmware" / "__init__.py").write_text("2.1")
    _, firmware = await unit.power_on()
    await firmware.run()
    assert unit.running.version == "1.0"
    assert "slot b with firmware 2.0 is damaged; 1.0 is used" in unit.alarms()[DAMAGED]


async def test_without_whole_firmware_nothing_starts(unit: Unit) -> None:
    _, firmware = await unit.power_on()
    with pytest.raises(SlotError, match="no slot"):
        await firmware.run()
    assert unit.did == []


async def test_slots_that_cannot_be_written_leave_the_good_one_running(
    unit: Unit, monkeypatch: pytest.MonkeyPatch
) -> None:
    slots, _ = await unit.with_good("1.0")
    await slots.install(*unit.rig.image("2.0"))
    _, firmware = await unit.power_on()

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("openturret.boot.slots.record.write_atomically", full)
    await firmware.settle(None)
    await firmware.run()
    assert unit.running.version == "1.0", "a trial that cannot be counted is none"
    assert not unit.running.on_trial


async def test_what_waits_is_told_from_what_runs(unit: Unit) -> None:
    slots, firmware = await unit.with_good("1.0")
    assert await firmware.waiting() is None
    await slots.install(*unit.rig.image("2.0"))
    waiting = await firmware.waiting()
    assert waiting is not None
    assert waiting.version == "2.0"
    await firmware.switch()
    await firmware.judge(NOTHING)
    assert unit.did == ["start 1.0", "stop", "start 2.0"]
    assert await firmware.waiting() is None


async def test_a_unit_is_idle_when_it_has_had_no_leg_for_a_while(
    unit: Unit, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, firmware = await unit.power_on()
    legs = iter([1, 0, 0, 2, None, *[0] * IDLE_LOOKS])
    looks = []

    async def ask(host: str, port: int) -> MatrixStatus | None:
        count = next(legs)
        looks.append((host, port))
        return None if count is None else MatrixStatus(1, count)

    monkeypatch.setattr("openturret.boot.slots.firmware.matrix_status", ask)
    await firmware.until_idle(NOTHING)
    assert looks == [("127.0.0.1", 4250)] * (5 + IDLE_LOOKS)


async def test_what_good_firmware_reports_is_what_the_next_has_to_reach(unit: Unit) -> None:
    slots, firmware = await unit.with_good("1.0")
    firmware.heard("register", "failed")
    firmware.heard("hal", "running")
    firmware.heard("matrix", "failed")
    assert unit.abilities.known() == {"hal": True, "register": False}
    await slots.install(*unit.rig.image("2.0"))
    _, firmware = await unit.power_on()
    await firmware.run()
    firmware.heard("hal", "failed")
    assert unit.abilities.known()["hal"], "firmware on trial says nothing about what is good"
    await firmware.judge(NOTHING)
    assert unit.known[-1] == {"hal": True, "register": False}


def test_where_a_service_runs_from_is_found(tmp_path: Path) -> None:
    pid_file = tmp_path / "matrix.pid"
    assert running_from(pid_file) is None
    pid_file.write_text("x\n")
    assert running_from(pid_file) is None
    environment = {**os.environ, "PYTHONPATH": f"/state/slots/b{os.pathsep}/other"}
    command = [sys.executable, "-S", "-c", "print(flush=True); input()"]
    with subprocess.Popen(
        command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        pid_file.write_text(f"{process.pid}\n")
        assert running_from(pid_file) == Path("/state/slots/b")
        process.communicate(b"\n")
    assert running_from(pid_file) is None
