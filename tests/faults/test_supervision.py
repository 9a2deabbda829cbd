"""The control plane dies or hangs: it is noticed, started again, and the voice goes on."""

from __future__ import annotations

import json
import os
import random
import signal
from pathlib import Path

import pytest

from openturret.lab import plan, speech
from openturret.lab.bench import Bench
from openturret.lab.dealer import Dealer
from openturret.lab.listening import compare
from openturret.lab.panel_client import PanelError
from openturret.lab.waiting import until

pytestmark = [pytest.mark.bench, pytest.mark.slow]

PARTY = plan.PARTIES[0]
NOTICED_S = 40.0
"""Ten seconds of patience, and a busy machine."""


def happened(dealer: Dealer, event: str) -> list[dict[str, str]]:
    lines = (dealer.unit.state / "log" / "events.jsonl").read_text().splitlines()
    return [found for found in map(json.loads, lines) if found["event"] == event]


async def until_restarted(dealer: Dealer, name: str, before: int) -> None:
    async def is_new() -> bool:
        return dealer.unit.pids().get(name, before) != before

    await until(is_new, f"a new {name}", deadline_s=NOTICED_S)


async def heard_while_waiting(dealer: Dealer, wav: Path, name: str, before: int) -> Path:
    await dealer.hand.listen("handset-left", wav)
    await until_restarted(dealer, name, before)
    await dealer.hand.stop_listening("handset-left")
    return wav


async def test_a_runtime_that_hangs_is_ended_and_not_heard(bench: Bench, tmp_path: Path) -> None:
    await bench.factory_reset("touchpro-1")
    async with Dealer(bench) as dealer:
        await dealer.start_day()
        await dealer.call("left", PARTY.number)
        before = dealer.unit.pids()
        os.kill(before["runtime"], signal.SIGSTOP)
        wav = tmp_path / "ear.wav"
        heard = await heard_while_waiting(dealer, wav, "runtime", before["runtime"])
        await until(dealer.state, "the panel's return")
        assert dealer.unit.pids()["matrix"] == before["matrix"]
        assert await dealer.is_connected("handset-left")
        (hung,) = happened(dealer, "hung")
        assert hung["stage"] == "runtime"
        assert "registered at" in hung["message"], "what it did last"
        log = (dealer.unit.state / "log" / "runtime.log").read_text()
        assert "Fatal Python error: Aborted" in log, "where it stood"
        await dealer.hang_up("left")
    found = compare(speech.make_all()[PARTY.sentence], heard)
    assert found.correlation > 0.95
    assert found.snr_db > 20


async def test_a_matrix_that_hangs_is_ended_and_the_dealer_calls_again(bench: Bench) -> None:
    await bench.factory_reset("touchpro-1")
    async with Dealer(bench) as dealer:
        await dealer.start_day()
        before = dealer.unit.pids()
        os.kill(before["matrix"], signal.SIGSTOP)
        await until_restarted(dealer, "matrix", before["matrix"])
        (hung,) = happened(dealer, "hung")
        assert hung["stage"] == "matrix"
        assert "legs" in hung["message"]

        async def answers() -> bool:
            try:
                return bool(await dealer.panel.legs())
            except PanelError:
                return False

        await until(answers, "the matrix's return, and a leg in it", deadline_s=30)
        await dealer.call("left", PARTY.number)
        assert dealer.unit.pids()["runtime"] == before["runtime"]
        await dealer.hang_up("left")


async def test_whatever_is_killed_whenever_the_unit_runs_in_the_end(bench: Bench) -> None:
    """Random victims at random moments of a boot, the agent among them; power stays on."""
    await bench.factory_reset("touchpro-1")
    rng = random.Random(5)
    async with Dealer(bench) as dealer:
        await dealer.power_on()
        for _ in range(4):
            stage = rng.choice(["dhcp", "trust", "matrix", "runtime"])
            await dealer.unit.reach(stage, deadline_s=60)
            victims = dealer.unit.pids()
            name = rng.choice(sorted(victims))
            with_agent = name == "boot"
            try:
                os.kill(victims[name], rng.choice([signal.SIGKILL, signal.SIGABRT]))
            except ProcessLookupError:
                continue
            if with_agent:
                await bench.processes["touchpro-1-boot"].kill()
                await dealer.power_on()
        await dealer.wait_for_panel()
        await dealer.log_in()
        await dealer.call("left", PARTY.number)
        await dealer.hang_up("left")
