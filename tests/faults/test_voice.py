"""Packets that are not ours, and a runtime that dies: what is heard stays what was spoken."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest

from openturret.lab import plan, speech
from openturret.lab.bench import Bench
from openturret.lab.dealer import Dealer
from openturret.lab.listening import compare
from openturret.lab.waiting import until

pytestmark = [pytest.mark.bench, pytest.mark.slow]

PARTY = plan.PARTIES[0]
FORGE = """
import random, socket, struct, sys, time
target = (sys.argv[1], int(sys.argv[2]))
sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for n in range(200):
    header = struct.pack("!BBHII", 0x80, 0, n, n * 160, 0xBAD)
    sender.sendto((header + random.randbytes(160))[: random.randint(0, 172)], target)
    time.sleep(0.005)
"""


async def heard_for(dealer: Dealer, wav: Path, seconds: float) -> Path:
    """Keep what the left ear hears until the file is long enough."""
    await dealer.hand.listen("handset-left", wav)

    async def long_enough() -> bool:
        return wav.exists() and wav.stat().st_size > seconds * 16_000

    await until(long_enough, f"{seconds:g} s of sound", deadline_s=seconds + 10)
    await dealer.hand.stop_listening("handset-left")
    return wav


async def test_forged_and_truncated_rtp_is_counted_and_not_heard(
    bench: Bench, tmp_path: Path
) -> None:
    await bench.factory_reset("touchpro-1")
    async with Dealer(bench) as dealer:
        await dealer.start_day()
        await dealer.call("left", PARTY.number)
        leg = next(x for x in await dealer.panel.legs() if x["tag"]["device"] == "handset-left")
        address, port = str(dealer.unit.address()), str(leg["rtp_port"])
        bench.network.run_in("gateway", [sys.executable, "-c", FORGE, address, port])
        heard = await heard_for(dealer, tmp_path / "ear.wav", 9)
        stats = next(x for x in await dealer.panel.legs() if x["leg"] == leg["leg"])["stats"]
        refused = stats["packets_foreign"] + stats["packets_malformed"]
        assert refused >= 100, stats
        await dealer.hang_up("left")
    found = compare(speech.make_all()[PARTY.sentence], heard)
    assert found.correlation > 0.95
    assert found.snr_db > 20


async def test_a_killed_runtime_is_not_heard_at_all(bench: Bench, tmp_path: Path) -> None:
    await bench.factory_reset("touchpro-1")
    async with Dealer(bench) as dealer:
        await dealer.start_day()
        await dealer.call("left", PARTY.number)
        before = dealer.unit.pids()
        os.kill(before["runtime"], signal.SIGKILL)
        heard = await heard_for(dealer, tmp_path / "ear.wav", 9)
        await until(dealer.state, "the panel's return")
        assert dealer.unit.pids()["matrix"] == before["matrix"]
        assert await dealer.is_connected("handset-left")
        await dealer.hang_up("left")
    found = compare(speech.make_all()[PARTY.sentence], heard)
    assert found.correlation > 0.95
    assert found.snr_db > 20
