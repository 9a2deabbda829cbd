import contextlib
import itertools
import random
from collections.abc import Sequence
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from openturret.boot.errors import NtpError
from openturret.boot.lan.ntp import Sample, SntpClient
from openturret.boot.lan.timekeeper import (
    NOT_SET,
    UNSYNCHRONISED,
    CorrectedClock,
    LinuxTime,
    TimeKeeper,
    firmware_floor,
)
from openturret.boot.status import StatusBoard
from openturret.hal.syslog import Redactor

SERVER = IPv4Address("10.1.0.2")
FLOOR = 1_790_000_000.0


class System:
    """A clock that can be set, or not."""

    def __init__(self, *, allowed: bool = True) -> None:
        self.now = FLOOR + 1000
        self.allowed = allowed
        self.stepped: list[float] = []
        self.slewed: list[float] = []

    def monotonic(self) -> float:
        return 0.0

    def unix(self) -> float:
        return self.now

    def step(self, moment: float) -> None:
        self._check()
        self.stepped.append(moment)
        self.now = moment

    def slew(self, offset_s: float) -> None:
        self._check()
        self.slewed.append(offset_s)

    def _check(self) -> None:
        if not self.allowed:
            raise PermissionError(1, "Operation not permitted")


class Servers(SntpClient):
    """Says what a test wants, as if servers had said it."""

    def __init__(self, *says: float | NtpError) -> None:
        self._says = iter(says)

    async def ask(self, servers: Sequence[IPv4Address], not_before: float) -> Sample:
        assert not_before == FLOOR
        said = next(self._says)
        if isinstance(said, NtpError):
            raise said
        return Sample(servers[0], said, 0.01)


class Unit:
    def __init__(self, folder: Path, system: System, *says: float | NtpError) -> None:
        self.clock = CorrectedClock(system, system)
        self.status = StatusBoard(folder / "status.json", system, {}, Redactor())
        self.keeper = TimeKeeper(
            Servers(*says), self.clock, lambda: FLOOR, self.status, random.Random(1)
        )

    @property
    def alarms(self) -> dict[str, str]:
        alarms = self.status.as_json()["alarms"]
        assert isinstance(alarms, list)
        return {alarm["code"]: alarm["message"] for alarm in alarms}


async def test_a_clock_that_is_far_off_is_set_at_once(tmp_path: Path) -> None:
    system = System()
    unit = Unit(tmp_path, system, 5000.0)
    await unit.keeper.once([SERVER])
    assert system.stepped == [FLOOR + 6000]
    assert unit.clock.unix() == FLOOR + 6000
    assert unit.status.as_json()["clock_server"] == "10.1.0.2"
    assert unit.alarms == {}


async def test_a_clock_that_is_nearly_right_is_led_gently(tmp_path: Path) -> None:
    system = System()
    await Unit(tmp_path, system, -0.1).keeper.once([SERVER])
    assert (system.stepped, system.slewed) == ([], [-0.1])


async def test_without_the_right_to_set_it_the_agent_keeps_the_offset_and_says_so(
    tmp_path: Path,
) -> None:
    system = System(allowed=False)
    unit = Unit(tmp_path, system, 5000.0, 0.0, -4999.5)
    for _ in range(2):
        await unit.keeper.once([SERVER])
        assert unit.clock.unix() == FLOOR + 6000
        assert "-5000.0 s wrong" in unit.alarms[NOT_SET]
    await unit.keeper.once([SERVER])
    assert unit.clock.offset_s == 0.5
    assert unit.alarms == {}, "half a second is near enough to UTC"


async def test_a_right_that_comes_later_is_used(tmp_path: Path) -> None:
    system = System(allowed=False)
    unit = Unit(tmp_path, system, 5000.0, 0.0)
    await unit.keeper.once([SERVER])
    system.allowed = True
    await unit.keeper.once([SERVER])
    assert system.now == unit.clock.unix() == FLOOR + 6000


@pytest.mark.parametrize("offset_s", [-1001.0, -1e9, -1e300])
async def test_time_before_the_floor_is_forged_and_refused(tmp_path: Path, offset_s: float) -> None:
    system = System()
    unit = Unit(tmp_path, system, offset_s)
    await unit.keeper.once([SERVER])
    assert system.now == FLOOR + 1000
    assert "10.1.0.2" in unit.alarms[UNSYNCHRONISED]
    assert "forged" in str(unit.status.as_json()["alarms"])


async def test_failures_and_successes_are_each_spaced_out(tmp_path: Path) -> None:
    silent = NtpError("no answer")
    unit = Unit(tmp_path, System(), *[silent] * 8, *[0.0] * 8, silent)
    waits = [await unit.keeper.once([SERVER]) for _ in range(17)]
    failed, good = waits[:8], waits[8:16]
    assert 12 <= failed[0] <= 20
    assert 57 <= good[0] <= 71
    assert all(later > earlier for earlier, later in itertools.pairwise(good[:5]))
    assert max(waits) <= 1280
    assert waits[16] <= 20, "after a success the first retry is soon"
    assert UNSYNCHRONISED in unit.alarms


async def test_no_server_is_no_alarm(tmp_path: Path) -> None:
    unit = Unit(tmp_path, System(), NtpError("no answer"))
    await unit.keeper.once([SERVER])
    assert await unit.keeper.once([]) > 0
    assert unit.alarms == {}


def test_the_firmware_was_written_in_the_past() -> None:
    assert firmware_floor() > 1_700_000_000


def test_leading_the_real_clock_by_nothing_is_allowed_or_refused_with_an_error() -> None:
    with contextlib.suppress(PermissionError):
        LinuxTime().slew(0.0)
