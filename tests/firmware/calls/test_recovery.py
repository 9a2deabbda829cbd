"""SIGKILL in mid-call: the voice goes on, the calls come back and end as they should."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest

from openturret.firmware.calls.events import Dialog
from openturret.firmware.calls.journal import Entry
from openturret.firmware.calls.recovery import plan
from openturret.firmware.wire.sip import NameAddress
from openturret.hal.matrix import Leg, LegStats

if TYPE_CHECKING:
    from openturret.drivers.oldcb import OldcbMatrix
    from tests.firmware.calls.conftest import Bench, Json, Unit


def entry(call_id: str, line: str, *, kind: str = "call", started: float = 1.0) -> Entry:
    dialog = Dialog("x", "<sip:a@h>", "1", "<sip:b@h>", "2", "sip:b@h")
    return Entry(call_id, "direct", dialog, {"kind": kind, "call_id": line}, started)


def leg(number: int, line: str, *, kind: str = "call") -> Leg:
    return Leg(number, 11000, 11001, 1, "127.0.0.1", tag={"kind": kind, "call_id": line})


def test_a_dialog_and_a_leg_of_the_same_line_belong_together() -> None:
    found = plan([entry("c1", "line-1")], [leg(7, "line-1")])
    assert [(each.call_id, leg.leg) for each, leg in found.calls] == [("c1", 7)]
    assert found.lost_dialogs == ()
    assert found.lost_legs == ()


def test_what_has_no_counterpart_is_lost() -> None:
    found = plan([entry("c1", "line-1")], [leg(7, "line-2")])
    assert found.calls == ()
    assert [each.call_id for each in found.lost_dialogs] == ["c1"]
    assert [each.leg for each in found.lost_legs] == [7]


def test_what_is_not_the_desks_is_left_alone() -> None:
    assert plan([entry("r1", "", kind="siprec")], [leg(7, "x", kind="test")]) == plan([], [])


def test_of_two_dialogs_of_one_line_the_newer_has_the_leg() -> None:
    found = plan([entry("old", "line-1"), entry("new", "line-1", started=2.0)], [leg(7, "line-1")])
    assert [each.call_id for each, _ in found.calls] == ["new"]
    assert [each.call_id for each in found.lost_dialogs] == ["old"]


# ---------------------------------------------------------------- with real peers


def requests(text: str, method: str) -> list[str]:
    """Cuts the requests of a method out of sipp's message log."""
    return re.findall(rf"^{method} sip:.*?(?=\n-{{20}})", text.replace("\r", ""), re.M | re.S)


def header(message: str, name: str) -> list[str]:
    return re.findall(rf"^{name}: *(.*)$", message, re.M | re.I)


def party_of(message: str, name: str) -> tuple[str, str | None]:
    address = NameAddress.parse(header(message, name)[0])
    return address.uri, address.tag


async def call_direct(unit: Unit, bench: Bench, host: int) -> object:
    await unit.ask("open_profile", bench.profile())
    await unit.ask("set_hook", "left", True)
    line = await unit.ask("dial", "left", f"sip:sipp@{bench.address(host)}:5060")
    await unit.connected()
    return line


async def kill_and_restart(unit: Unit, bench: Bench, matrix: OldcbMatrix) -> LegStats:
    """Kills and restarts; returns the counters of the one leg over that time."""
    await bench.until(lambda: bench.flowing(matrix, packets=20))
    before = await bench.only_leg(matrix)
    await matrix.leg_reset_gaps(before.leg)
    await unit.kill()
    await unit.start()
    after = await bench.only_leg(matrix)
    assert (after.leg, after.ssrc, after.rtp_port) == (before.leg, before.ssrc, before.rtp_port)
    received = after.stats.packets_received
    await bench.until(lambda: bench.flowing(matrix, packets=received + 20))
    after = await bench.only_leg(matrix)
    assert after.stats.packets_lost == before.stats.packets_lost
    return after.stats


@pytest.mark.bench
@pytest.mark.slow
async def test_the_voice_goes_on_and_hang_up_ends_the_old_dialog(bench: Bench) -> None:
    sipp = await bench.sipp("answer_then_bye_from_turret.xml", 50)
    unit, matrix = await bench.unit()
    line = await call_direct(unit, bench, 50)

    stats = await kill_and_restart(unit, bench, matrix)
    assert stats.receive_gap_max_ms < 100
    assert stats.send_gap_max_ms < 100

    (call,) = await unit.connected()
    assert (call["id"], call["adopted"], call["position"]) == (line, True, "handset-left")
    await unit.ask("hang_up", "left")
    assert await sipp.ended() == 0
    assert await matrix.leg_list() == ()

    (invite,), (bye,) = requests(sipp.said(), "INVITE"), requests(sipp.said(), "BYE")
    (ok,) = re.findall(r"^SIP/2.0 200 OK.*?CSeq:[^\n]*INVITE.*?(?=\n-{20})",
                       sipp.said().replace("\r", ""), re.M | re.S)  # fmt: skip
    assert bye.startswith(f"BYE sip:target@{bench.address(50)}:5060;ob=yes SIP/2.0")
    assert header(bye, "Call-ID") == header(invite, "Call-ID")
    assert party_of(bye, "From") == party_of(invite, "From")
    assert party_of(bye, "To") == party_of(ok, "To")
    assert int(header(bye, "CSeq")[0].split()[0]) == int(header(invite, "CSeq")[0].split()[0]) + 1
    routes = [re.findall(r"hop=(\d)", value) for value in header(bye, "Route")]
    assert routes == [["1"], ["2"]]


@pytest.mark.bench
@pytest.mark.slow
async def test_the_far_ends_requests_find_the_adopted_dialog_and_its_bye_frees_it(
    bench: Bench,
) -> None:
    sipp = await bench.sipp("answer_then_bye_from_us.xml", 51, pause_ms=2500)
    unit, matrix = await bench.unit()
    await call_direct(unit, bench, 51)
    await kill_and_restart(unit, bench, matrix)
    await unit.shows(lambda s: not s["calls"])
    assert await sipp.ended() == 0
    assert await matrix.leg_list() == ()
    assert list((bench.folder / "state" / "journal").iterdir()) == []


@pytest.mark.bench
@pytest.mark.slow
async def test_a_peer_with_replaces_is_taken_over_on_the_same_leg(bench: Bench) -> None:
    peer = await bench.peer(52)
    unit, matrix = await bench.unit()
    await unit.ask("open_profile", bench.profile())
    await unit.ask("set_hook", "left", True)
    await unit.ask("dial", "left", f"sip:peer@{bench.address(52)}:5060")
    (before,) = await unit.connected()
    leg = await bench.only_leg(matrix)
    await matrix.leg_reset_gaps(leg.leg)

    await unit.kill()
    await unit.start()
    await unit.ask("open_profile", bench.profile())

    def taken_over(snapshot: Json) -> bool:
        return [call["adopted"] for call in snapshot["calls"]] == [False]

    await unit.shows(taken_over)
    (after,) = await unit.connected()
    assert after["id"] == before["id"]
    assert after["sip_call_id"] != before["sip_call_id"]
    await bench.until(lambda: "CallEnded" in peer.said())
    events = [json.loads(line)["event"] for line in peer.said().splitlines()]
    assert events.index("CallReplaced") < events.index("CallEnded")
    kept = await bench.only_leg(matrix)
    assert (kept.leg, kept.ssrc) == (leg.leg, leg.ssrc)
    assert kept.target == leg.target
    assert kept.stats.send_gap_max_ms < 100

    await unit.ask("hang_up", "left")
    await bench.until(lambda: peer.said().count("CallEnded") == 2)
    await bench.until(lambda: not list((bench.folder / "state" / "journal").iterdir()))


@pytest.mark.bench
@pytest.mark.slow
async def test_a_speaker_channel_is_taken_over_without_a_gap(bench: Bench) -> None:
    await bench.hoot(53)
    unit, matrix = await bench.unit()
    channel = f"sip:hoot-1@{bench.address(53)}:5060"
    await unit.ask("open_profile", bench.profile(channel))
    (before,) = await unit.connected()
    await unit.ask("set_volume", 1, -6)
    stats = await kill_and_restart(unit, bench, matrix)
    assert stats.receive_gap_max_ms < 100
    await unit.ask("open_profile", bench.profile(channel))
    await unit.shows(lambda s: [call["adopted"] for call in s["calls"]] == [False])
    (after,) = await unit.connected()
    assert after["sip_call_id"] != before["sip_call_id"]
    assert (await bench.only_leg(matrix)).stats.receive_gap_max_ms < 100
    await unit.shows(lambda s: s["speakers"][0]["volume_db"] == -6)


@pytest.mark.bench
@pytest.mark.slow
async def test_a_call_with_baresip_through_a_pbx_is_adopted_and_ended(bench: Bench) -> None:
    await bench.kamailio(1)
    party = await bench.baresip("2001", 1)
    unit, matrix = await bench.unit(f"{bench.address(21)}:5060")
    await unit.ask("open_profile", bench.profile())
    await unit.shows(lambda s: s["registrations"][0]["registered"])
    await unit.ask("set_hook", "right", True)
    await unit.ask("dial", "right", "2001")
    await unit.connected()
    # baresip names an interface of the machine in its SDP but sends from loopback, so the
    # matrix rightly plays none of it: what goes out is watched here.
    leg = await bench.only_leg(matrix)
    await matrix.leg_reset_gaps(leg.leg)
    await unit.kill()
    await unit.start()
    (call,) = await unit.connected()
    assert call["adopted"]
    kept = await bench.only_leg(matrix)
    assert (kept.leg, kept.target) == (leg.leg, leg.target)
    assert kept.stats.packets_sent > leg.stats.packets_sent
    assert kept.stats.send_gap_max_ms < 100
    await unit.ask("hang_up", "right")
    await bench.until(lambda: "session closed" in party.said() or "terminated" in party.said())
    assert await matrix.leg_list() == ()
