"""One recorder is lost: voice goes on, the other keeps every word, an alarm comes at once."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from openturret.lab import plan
from openturret.lab.bench import Bench
from openturret.lab.dealer import Dealer
from openturret.lab.processes import ServiceProcess
from openturret.lab.waiting import until

pytestmark = [pytest.mark.bench, pytest.mark.slow]

ALARM = "recording.lost"
PROMISED_S = 1.0
NUMBER = plan.PARTIES[0].number


async def lose(bench: Bench, dealer: Dealer, recorder: ServiceProcess, fault: str) -> float:
    """Take recorder A away in mid-call; seconds until the panel's alarm says since when."""
    before = time.time()
    await recorder.kill() if fault == "killed" else recorder.freeze()
    alarm = await until(lambda: dealer.sees_alarm(ALARM, "A"), "the alarm for recorder A")
    return float(alarm["since"]) - before


def logged(dealer: Dealer) -> str:
    return (dealer.unit.state / "log" / "runtime.log").read_text()


def lost_at(folder: Path) -> int:
    """Packets that a recorder misses, over all of its sessions."""
    sessions = [json.loads(path.read_text()) for path in folder.glob("*/session.json")]
    return sum(stream["lost"] for session in sessions for stream in session["streams"])


@pytest.mark.parametrize("fault", ["killed", "frozen"])
async def test_one_recorder_is_lost_in_mid_call(bench: Bench, fault: str) -> None:
    recorder = bench.processes["recorder1"]
    await bench.factory_reset("touchpro-1")
    try:
        async with Dealer(bench) as dealer:
            await dealer.start_day()
            await dealer.call("left", NUMBER)
            assert await lose(bench, dealer, recorder, fault) <= PROMISED_S
            assert "ecorder A is lost" in logged(dealer)
            assert await dealer.is_connected("handset-left")
            legs = await dealer.panel.legs()
            assert [leg["stats"]["packets_lost"] for leg in legs] == [0] * len(legs)
            assert lost_at(bench.recorder("B")) == 0
            await dealer.hang_up("left")
    finally:
        recorder.thaw()
        await recorder.restart()


async def test_the_alarm_goes_when_the_recorder_is_back(bench: Bench) -> None:
    recorder = bench.processes["recorder1"]
    await bench.factory_reset("touchpro-1")
    async with Dealer(bench) as dealer:
        await dealer.start_day()
        await recorder.kill()
        await until(lambda: dealer.sees_alarm(ALARM, "A"), "the alarm")
        await recorder.restart()

        async def gone() -> bool:
            return await dealer.sees_alarm(ALARM) is None

        await until(gone, "the end of the alarm")
        state = await dealer.state() or {}
        assert [each["state"] for each in state["recording"]["recorders"]] == ["recording"] * 2
