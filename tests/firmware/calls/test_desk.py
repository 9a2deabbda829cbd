"""The desk against real PBXs and peers: register, dial, ring, hold, move, fail over."""

from __future__ import annotations

import json
import signal
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.firmware.calls.conftest import Bench, Json, Unit

pytestmark = [pytest.mark.bench, pytest.mark.slow]


def registered(snapshot: Json) -> list[bool]:
    return [each["registered"] for each in snapshot["registrations"]]


async def at_both_pbxs(bench: Bench) -> Unit:
    await bench.kamailio(1)
    await bench.kamailio(2)
    unit, _ = await bench.unit(f"{bench.address(21)}:5060", f"{bench.address(22)}:5060")
    await unit.ask("open_profile", bench.profile())
    await unit.shows(lambda s: registered(s) == [True, True])
    return unit


async def ringing_call(unit: Unit) -> Json:
    def ringing(snapshot: Json) -> list[Json]:
        return [call for call in snapshot["calls"] if call["state"] == "incoming"]

    (call,) = await unit.shows(ringing)
    return call


async def refused(unit: Unit, *request: object) -> str:
    with pytest.raises(RuntimeError) as caught:
        await unit.ask(*request)  # type: ignore[arg-type]
    return str(caught.value)


async def test_the_unit_registers_at_both_pbxs_and_unregisters_at_log_out(bench: Bench) -> None:
    unit = await at_both_pbxs(bench)
    await unit.ask("close_profile")
    await unit.shows(lambda s: registered(s) == [False, False] and s["user"] is None)
    assert "nobody is logged in" in await _dialled_without_login(unit)


async def _dialled_without_login(unit: Unit) -> str:
    await unit.ask("set_hook", "left", True)
    return await refused(unit, "dial", "left", "2001")


async def test_a_wrong_password_is_shown_and_does_not_count_as_registered(bench: Bench) -> None:
    await bench.kamailio(1)
    unit, _ = await bench.unit(f"{bench.address(21)}:5060")
    await unit.ask("open_profile", bench.profile() | {"password": "wrong"})
    await unit.shows(lambda s: s["registrations"][0]["status"] in (401, 403))
    assert registered(unit.snapshot) == [False]


async def test_a_pbx_that_comes_back_is_registered_again(bench: Bench) -> None:
    first = await bench.kamailio(1)
    unit, _ = await bench.unit(f"{bench.address(21)}:5060", f"{bench.address(22)}:5060")
    await unit.ask("open_profile", bench.profile())
    await unit.shows(lambda s: registered(s) == [True, False])
    await bench.kamailio(2)
    await unit.shows(lambda s: registered(s) == [True, True], deadline_s=30)
    assert first.process.returncode is None


async def test_dialling_needs_a_handset_off_hook_a_number_and_no_other_call(bench: Bench) -> None:
    sipp = await bench.sipp("answer_then_bye_from_turret.xml", 54)
    unit, matrix = await bench.unit()
    target = f"sip:sipp@{bench.address(54)}:5060"
    await unit.ask("open_profile", bench.profile())
    assert "on-hook" in await refused(unit, "dial", "left", target)
    assert "no handset" in await refused(unit, "dial", "middle", target)
    await unit.ask("set_hook", "left", True)
    assert "no number" in await refused(unit, "dial", "left", "20 01;x=y")
    await unit.ask("dial", "left", target)
    await unit.connected()
    assert "busy" in await refused(unit, "dial", "left", target)
    await unit.ask("set_hook", "left", False)
    assert await sipp.ended() == 0
    assert await matrix.leg_list() == ()
    assert await matrix.bus_list() == ()


async def test_lifting_and_cradling_the_handset_by_hand(bench: Bench) -> None:
    sipp = await bench.sipp("answer_then_bye_from_turret.xml", 55)
    unit, _ = await bench.unit()
    await unit.ask("open_profile", bench.profile())
    hand = await bench.hand()
    await hand.lift("handset-left")
    await unit.shows(lambda s: s["handsets"]["left"]["off_hook"])
    await unit.ask("dial", "left", f"sip:sipp@{bench.address(55)}:5060")
    await unit.connected()
    await hand.cradle("handset-left")
    assert await sipp.ended() == 0
    await unit.shows(lambda s: not s["calls"] and not s["handsets"]["left"]["off_hook"])


async def test_a_handset_cradled_while_the_runtime_was_dead_hangs_up(bench: Bench) -> None:
    sipp = await bench.sipp("answer_then_bye_from_turret.xml", 56)
    unit, _ = await bench.unit()
    await unit.ask("open_profile", bench.profile())
    hand = await bench.hand()
    await hand.lift("handset-left")
    await unit.shows(lambda s: s["handsets"]["left"]["off_hook"])
    await unit.ask("dial", "left", f"sip:sipp@{bench.address(56)}:5060")
    await unit.connected()
    await unit.kill()
    await hand.cradle("handset-left")
    await unit.start()
    assert await sipp.ended() == 0
    await unit.shows(lambda s: not s["calls"])


async def test_a_call_finds_the_second_pbx_when_the_first_is_frozen(bench: Bench) -> None:
    first = await bench.kamailio(1)
    await bench.kamailio(2)
    await bench.baresip("2001", 1, 2)
    unit, _ = await bench.unit(f"{bench.address(21)}:5060", f"{bench.address(22)}:5060")
    await unit.ask("open_profile", bench.profile())
    await unit.shows(lambda s: registered(s) == [True, True])
    first.tell(signal.SIGSTOP)
    try:
        await unit.ask("set_hook", "left", True)
        await unit.ask("dial", "left", "2001")
        (call,) = await unit.shows(
            lambda s: [c for c in s["calls"] if c["state"] == "connected"], deadline_s=5
        )
        assert call["account"] == "pbx-2"
    finally:
        first.tell(signal.SIGCONT)


async def test_a_number_that_nobody_has_is_a_failure_that_is_shown(bench: Bench) -> None:
    unit = await at_both_pbxs(bench)
    await unit.ask("set_hook", "left", True)
    await unit.ask("dial", "left", "999")
    await unit.shows(lambda s: s["last_failure"])
    assert unit.snapshot["last_failure"]["status"] == 404
    assert unit.snapshot["calls"] == []


async def test_an_incoming_call_rings_is_answered_held_resumed_and_moved(bench: Bench) -> None:
    await bench.kamailio(1)
    unit, matrix = await bench.unit(f"{bench.address(21)}:5060")
    await unit.ask("open_profile", bench.profile())
    await unit.shows(lambda s: registered(s) == [True])
    caller = await bench.caller(57, f"sip:1001@{bench.address(21)}:5060")
    call = await ringing_call(unit)
    assert call["remote"] == "2001"
    await bench.until(lambda: '"CallProgress", "status": 180' in caller.said())
    assert "off-hook" in await refused(unit, "answer", call["id"])
    await unit.ask("set_hook", "right", True)
    await unit.ask("answer", call["id"])
    (answered,) = await unit.connected()
    assert answered["position"] == "handset-right"
    leg = await bench.only_leg(matrix)
    assert leg.target is not None
    assert (leg.target.address, leg.target.rtp_port) == (bench.address(57), 23_000)
    await bench.until(lambda: f'"{bench.unit_address}", {leg.rtp_port}' in caller.said())

    await unit.ask("hold", call["id"])
    await bench.until(lambda: caller.said().count("MediaChanged") == 2)
    assert json.loads(caller.said().splitlines()[-1])["receive"] is True
    assert json.loads(caller.said().splitlines()[-1])["send"] is False
    await unit.ask("resume", call["id"])
    await bench.until(lambda: caller.said().count("MediaChanged") == 3)

    await bench.until(lambda: bench.live(matrix))
    before = await bench.only_leg(matrix)
    await unit.ask("set_hook", "left", True)
    await unit.ask("move", call["id"], "left")
    await unit.shows(lambda s: s["handsets"]["left"]["call"] == call["id"])
    (moved,) = await unit.connected()
    assert moved["sip_call_id"] == answered["sip_call_id"]
    buses = {bus.bus: [member.port for member in bus.members] for bus in await matrix.bus_list()}
    assert f"leg:{leg.leg}" in buses["handset-left"]
    assert f"leg:{leg.leg}" not in buses.get("handset-right", [])
    assert (await bench.only_leg(matrix)).target == before.target

    await unit.ask("hang_up_call", call["id"])
    await bench.until(lambda: "CallEnded" in caller.said())


async def test_a_call_from_a_stranger_is_refused(bench: Bench) -> None:
    unit, _ = await bench.unit()
    await unit.ask("open_profile", bench.profile())
    caller = await bench.caller(58, f"sip:1001@{bench.unit_address}:5060")
    await bench.until(lambda: "CallEnded" in caller.said())
    assert '"status": 403' in caller.said()


async def test_a_stranger_is_refused_also_when_a_peer_is_configured_by_name(bench: Bench) -> None:
    unit, _ = await bench.unit("localhost:5060")
    await unit.ask("open_profile", bench.profile())
    caller = await bench.caller(59, f"sip:1001@{bench.unit_address}:5060")
    await bench.until(lambda: "CallEnded" in caller.said())
    assert '"status": 403' in caller.said()


async def test_a_call_that_ends_as_it_is_answered_is_reported_both_times(bench: Bench) -> None:
    sipp = await bench.sipp("answer_then_bye_at_once.xml", 60)
    unit, _ = await bench.unit()
    await unit.ask("open_profile", bench.profile())
    await unit.ask("set_hook", "left", True)
    line = await unit.ask("dial", "left", f"sip:sipp@{bench.address(60)}:5060")
    assert await sipp.ended() == 0
    await bench.until(lambda: len(unit.calls) == 2)
    assert unit.calls == [["started", line], ["ended", line]]


async def test_a_matrix_that_is_gone_keeps_nobody_logged_in(bench: Bench) -> None:
    await bench.kamailio(1)
    unit, _ = await bench.unit(f"{bench.address(21)}:5060")
    channel = f"sip:hoot-1@{bench.address(61)}:5060"
    await unit.ask("open_profile", bench.profile(channel))
    await unit.shows(lambda s: registered(s) == [True])
    (matrix,) = [each for each in bench.programs if each.log.name == "matrix.log"]
    await matrix.end(signal.SIGKILL)
    await unit.ask("close_profile")
    await unit.shows(lambda s: registered(s) == [False] and s["user"] is None)
