"""Recording from the bus to both recorders, with real PJSIP, a real matrix and real recorders."""

from __future__ import annotations

import asyncio
import signal
import time
from typing import TYPE_CHECKING, Any

import pytest

from openturret.firmware.recording.ledger import verify
from openturret.firmware.wire.siprec import Metadata
from openturret.lab.recorder.compare import compare_files

if TYPE_CHECKING:
    from .conftest import Bench, Recorder

pytestmark = pytest.mark.slow
ALARM_S = 1.0


def states(report: dict[str, Any]) -> list[str]:
    return [recorder["state"] for recorder in report["snapshot"]["recorders"]]


def alarms(report: dict[str, Any]) -> list[tuple[str, str]]:
    return [(alarm["code"], alarm["subject"]) for alarm in report["alarms"]]


def _metadata(recorder: Recorder, number: int) -> Metadata:
    path = recorder.sessions()[-1] / f"metadata-{number:03d}.xml"
    return Metadata.parse(path.read_bytes())


async def _kept(recorder: Recorder, documents: int) -> None:
    async with asyncio.timeout(10):
        while not recorder.sessions() or len(recorder.session()["metadata"]) < documents:
            await asyncio.sleep(0.05)


async def test_both_recorders_keep_the_same_bytes(bench: Bench) -> None:
    await bench.recording()
    await asyncio.gather(bench.heard(bench.a, 100), bench.heard(bench.b, 100))
    await bench.runtime.leave()
    assert [each.session()["state"] for each in (bench.a, bench.b)] == ["complete"] * 2
    for label in ("handsets", "speakers-1"):
        found = compare_files(bench.a.sessions()[0], bench.b.sessions()[0], label)
        assert found.same, found
        assert found.common >= 90
    assert [stream["lost"] for stream in bench.a.session()["streams"]] == [0, 0]
    assert bench.a.session()["contact"].endswith(";transport=tcp>;+sip.src")
    assert await bench.matrix.recording_list() == ()


async def test_the_recorders_learn_who_speaks_with_whom(bench: Bench) -> None:
    await bench.recording()
    bench.runtime.tell("call")
    await asyncio.gather(_kept(bench.a, 2), _kept(bench.b, 2))
    for recorder, role in ((bench.a, "a"), (bench.b, "b")):
        (call,) = _metadata(recorder, 2).calls
        assert (call.user, call.unit, call.mix) == ("alice", "TP-0001", "handsets")
        assert (call.device, call.recorder, call.stop) == ("handset-left", role, None)
    bench.runtime.tell("end")
    await asyncio.gather(_kept(bench.a, 3), _kept(bench.b, 3))
    assert _metadata(bench.b, 3).calls[0].stop is not None
    await bench.runtime.leave()
    assert verify(bench.state / "calls.jsonl").entries == 4


@pytest.mark.parametrize("how", [signal.SIGSTOP, signal.SIGKILL])
async def test_a_lost_recorder_is_an_alarm_within_a_second(
    bench: Bench, how: signal.Signals
) -> None:
    await bench.recording()
    await bench.heard(bench.b, 50)
    begun = time.time()
    bench.a.send(how)
    await bench.runtime.shows(lambda r: alarms(r) == [("recording.lost", "a")])
    assert bench.runtime.report["time"] - begun <= ALARM_S
    before = bench.b.session()["streams"][0]["packets"]
    await bench.heard(bench.b, before + 100)
    stream = bench.b.session()["streams"][0]
    assert (stream["lost"], states(bench.runtime.report)) == (0, ["lost", "recording"])


async def test_a_recorder_that_paused_goes_on_in_its_session(bench: Bench) -> None:
    await bench.recording()
    bench.a.send(signal.SIGSTOP)
    await bench.runtime.shows(lambda r: states(r) == ["lost", "recording"])
    bench.a.send(signal.SIGCONT)
    await bench.runtime.shows(lambda r: states(r) == ["recording", "recording"])
    assert alarms(bench.runtime.report) == []
    assert len(bench.a.sessions()) == 1


async def test_a_recorder_that_came_back_gets_a_new_session(bench: Bench) -> None:
    await bench.recording()
    await bench.heard(bench.a, 25)
    await bench.a.end(signal.SIGKILL)
    await bench.runtime.shows(lambda r: states(r) == ["lost", "recording"])
    await bench.a.start()
    await bench.runtime.shows(lambda r: states(r) == ["recording", "recording"])
    assert len(bench.a.sessions()) == 2
    await bench.heard(bench.a, 50)


async def test_both_lost_is_said_in_so_many_words(bench: Bench) -> None:
    await bench.recording()
    await asyncio.gather(bench.a.end(signal.SIGKILL), bench.b.end(signal.SIGKILL))
    await bench.runtime.shows(lambda r: ("recording.none", "") in alarms(r))
    assert bench.runtime.report["snapshot"]["state"] == "lost"


async def test_a_killed_runtime_loses_no_packet_and_goes_on_with_both(bench: Bench) -> None:
    """A can be taken over (RFC 3891), B cannot: its dialog goes on by hand."""
    await bench.recording()
    await bench.heard(bench.a, 50)
    await bench.runtime.end(signal.SIGKILL)
    before = bench.a.session()["streams"][0]["packets"]
    await bench.heard(bench.a, before + 100)
    bench.runtime.report = {}
    await bench.recording()
    bench.runtime.tell("call")
    await asyncio.gather(_kept(bench.a, 3), _kept(bench.b, 3))
    assert _metadata(bench.b, 3).calls[0].user == "alice"
    bench.runtime.tell("end")
    await asyncio.gather(_kept(bench.a, 4), _kept(bench.b, 4))
    await bench.runtime.leave()
    for recorder, dialogs in ((bench.a, 2), (bench.b, 1)):
        (folder,) = recorder.sessions()
        session = recorder.session()
        assert session["state"] == "complete", folder
        assert len(session["call_ids"]) == dialogs
        assert [stream["lost"] for stream in session["streams"]] == [0, 0]
        assert max(stream["max_gap_ms"] for stream in session["streams"]) < 200
