"""A cable pulled in mid-call: the sound moves to the fallback and back, SIP never hears of it."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from openturret.lab import capture, plan, speech
from openturret.lab.bench import Bench
from openturret.lab.dealer import Dealer
from openturret.lab.listening import compare
from openturret.lab.waiting import until

pytestmark = [pytest.mark.bench, pytest.mark.slow]

PARTY = plan.PARTIES[0]
IN_A_DIALOG = (b"INVITE sip:", b"BYE sip:", b"UPDATE sip:", b"REFER sip:")


async def heard_at(dealer: Dealer, position: str, wav: Path) -> float:
    """Listens to the party's sentence; returns the correlation with what was spoken."""
    await dealer.hand.listen(position, wav)

    async def long_enough() -> bool:
        return wav.exists() and wav.stat().st_size > 9 * 16_000

    await until(long_enough, "9 s of sound", deadline_s=20)
    await dealer.hand.stop_listening(position)
    return compare(speech.make_all()[PARTY.sentence], wav).correlation


def requests_since(file: Path, began: float) -> list[bytes]:
    """Returns the first line of every request of a dialog that was captured since then."""
    data = [
        record.data
        for record in capture.records(file.read_bytes())
        if record.seconds + record.microseconds / 1e6 > began
    ]
    return [
        each[each.index(method) :].split(b"\r\n")[0]
        for each in data
        for method in IN_A_DIALOG
        if method in each
    ]


async def test_a_handset_unplugged_in_mid_call_moves_the_sound_and_no_dialog(
    bench: Bench, tmp_path: Path
) -> None:
    await bench.factory_reset("touchpro-1")
    async with Dealer(bench) as dealer:
        await dealer.start_day()
        captured = await bench.capture("touchpro-1")
        await dealer.call("left", PARTY.number)
        await until(lambda: dealer.is_connected("handset-left"), "an answer")
        began = time.time()
        await dealer.hand.unplug("handset-left")
        assert await heard_at(dealer, "handset-right", tmp_path / "right.wav") > 0.95
        await dealer.hand.plug("handset-left")
        assert await heard_at(dealer, "handset-left", tmp_path / "left.wav") > 0.95
        assert await dealer.is_connected("handset-left")
        await captured.stop()
        await dealer.hang_up("left")
    assert requests_since(bench.folders["captures"] / "touchpro-1-eth0.pcap", 0)
    assert requests_since(bench.folders["captures"] / "touchpro-1-eth0.pcap", began) == []
