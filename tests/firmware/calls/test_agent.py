"""The SIP agent: one thread of PJSIP behind asyncio, against real peers and bad ones."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import socket
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import pytest

from openturret.firmware.calls.agent import Agent, AgentSettings
from openturret.firmware.calls.errors import (
    AgentError,
    AgentStoppedError,
    CallFailedError,
    UnknownCallError,
)
from openturret.firmware.calls.events import (
    Account,
    BodyPart,
    CallConnected,
    CallEnded,
    Direction,
    Event,
    IncomingCall,
    LocalMedia,
    MediaChanged,
    NegotiatedMedia,
    RawRequest,
)

if TYPE_CHECKING:
    from tests.firmware.calls.conftest import Bench

pytestmark = pytest.mark.bench
DEADLINE_S = 15.0
E = TypeVar("E", bound=Event)


class Heard:
    """Every event of an agent, to wait for."""

    def __init__(self, agent: Agent) -> None:
        self.events: list[Event] = []
        self.threads: set[int] = set()
        self._changed = asyncio.Event()
        agent.subscribe(self._hear)

    def _hear(self, event: Event) -> None:
        self.events.append(event)
        self.threads.add(threading.get_ident())
        self._changed.set()

    async def first(self, kind: type[E], where: Callable[[E], bool] = lambda _: True) -> E:
        async with asyncio.timeout(DEADLINE_S):
            while True:
                for event in self.events:
                    if isinstance(event, kind) and where(event):
                        return event
                self._changed.clear()
                await self._changed.wait()


@contextlib.asynccontextmanager
async def running(address: str, **settings: object) -> AsyncIterator[Agent]:
    agent = Agent(AgentSettings(address=address, **settings))  # type: ignore[arg-type]
    await agent.start()
    await agent.add_account(Account("direct", "sip:1001@turret.example"))
    try:
        yield agent
    finally:
        await agent.stop()


def options(target: str) -> RawRequest:
    return RawRequest(
        "OPTIONS", target, from_header="<sip:1001@turret.example>", to_header=f"<{target}>"
    )


async def test_events_come_on_the_loop_and_errors_name_the_call(bench: Bench) -> None:
    async with running(bench.unit_address) as agent:
        heard = Heard(agent)
        media = [LocalMedia(bench.unit_address, 11_000)]
        call = await agent.invite(f"sip:x@{bench.unit_address}:5060", account="direct", media=media)
        incoming = await heard.first(IncomingCall)
        await agent.answer(incoming.call_id, media=[LocalMedia(bench.unit_address, 11_002)])
        await heard.first(CallConnected, lambda e: e.call_id == call)
        (theirs,) = (await heard.first(MediaChanged, lambda e: e.call_id == call)).media
        assert (theirs.remote_rtp_port, theirs.codec, theirs.ptime_ms) == (11_002, "PCMU", 20)
        dialog = await agent.dialog(call)
        assert dialog.sip_call_id == incoming.sip_call_id
        assert dialog.supports("replaces")
        await agent.hang_up(call)
        assert not (await heard.first(CallEnded, lambda e: e.call_id == call)).by_peer
        assert (await heard.first(CallEnded, lambda e: e.call_id != call)).by_peer
        assert heard.threads == {threading.get_ident()}
        with pytest.raises(UnknownCallError, match="no-such"):
            await agent.hang_up("no-such")
        with pytest.raises(CallFailedError, match="not a uri"):
            await agent.invite("not a uri", account="direct", media=media)
        with pytest.raises(AgentError, match="nobody"):
            await agent.invite("sip:a@127.0.0.1", account="nobody", media=media)


async def negotiated(bench: Bench, *codecs: str, offered: tuple[str, ...] = ()) -> NegotiatedMedia:
    """Returns what the caller's end of a call of the agent with itself comes to."""
    async with running(bench.unit_address, codecs=codecs) as agent:
        heard = Heard(agent)
        media = [LocalMedia(bench.unit_address, 11_000, codecs=offered)]
        target = f"sip:x@{bench.unit_address}:5060"
        call = await agent.invite(target, account="direct", media=media)
        incoming = await heard.first(IncomingCall)
        await agent.answer(incoming.call_id, media=[LocalMedia(bench.unit_address, 11_002)])
        await heard.first(CallConnected, lambda e: e.call_id == call)
        (theirs,) = (await heard.first(MediaChanged, lambda e: e.call_id == call)).media
        await agent.hang_up(call)
        return theirs


@pytest.mark.parametrize(
    ("codecs", "payload_type"),
    [(("PCMU", "OPUS"), 0), (("PCMA", "PCMU"), 8), (("G722", "PCMU"), 9), (("OPUS", "G722"), None)],
)
async def test_the_codec_that_is_configured_first_is_agreed_on(
    bench: Bench, codecs: tuple[str, ...], payload_type: int | None
) -> None:
    media = await negotiated(bench, *codecs)
    assert (media.codec, media.ptime_ms) == (codecs[0], 20)
    assert media.payload_type == payload_type or (payload_type is None and media.payload_type > 95)
    assert media.fec == (media.codec == "OPUS")
    assert media.event_payload_type is not None
    assert media.event_payload_type > 95


async def test_a_far_end_is_offered_only_what_it_may_choose_from(bench: Bench) -> None:
    media = await negotiated(bench, "OPUS", "G722", "PCMU", offered=("PCMU",))
    assert (media.codec, media.payload_type) == ("PCMU", 0)


async def test_an_agent_that_cannot_start_says_so() -> None:
    agent = Agent(AgentSettings(log_level="loud"))  # type: ignore[arg-type]
    async with asyncio.timeout(DEADLINE_S):
        with pytest.raises(AgentError):
            await agent.start()


async def test_an_account_that_is_removed_outlives_its_last_call(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    """A logout hangs up and removes the account before the far ends have answered."""
    async with running(bench.unit_address) as agent:
        heard = Heard(agent)
        media = [LocalMedia(bench.unit_address, 11_000)]
        target = f"sip:x@{bench.unit_address}:5060"
        call = await agent.invite(target, account="direct", media=media)
        incoming = await heard.first(IncomingCall)
        await agent.answer(incoming.call_id, media=[LocalMedia(bench.unit_address, 11_002)])
        await heard.first(CallConnected, lambda e: e.call_id == call)
        removed = asyncio.gather(agent.hang_up(call), agent.remove_account("direct"))
        await heard.first(CallEnded, lambda e: e.call_id == call)
        await removed
        with pytest.raises(AgentError, match="no account"):
            await agent.invite(target, account="direct", media=media)
        await agent.add_account(Account("direct", "sip:1001@turret.example"))
        await agent.invite(target, account="direct", media=media)
    assert "still active" not in caplog.text


async def test_a_stopped_agent_says_so_and_a_taken_port_is_an_error(bench: Bench) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind((bench.unit_address, 5060))
        agent = Agent(AgentSettings(address=bench.unit_address))
        with pytest.raises(AgentError, match=r"5060.*in use"):
            await agent.start()
    async with running(bench.unit_address) as working:
        assert (await working.request(options(f"sip:x@{bench.unit_address}:5060"))).status == 200
    with pytest.raises(AgentStoppedError):
        await working.register("direct")


@pytest.mark.slow
async def test_only_a_thread_that_lives_has_a_pulse(bench: Bench) -> None:
    async with running(bench.unit_address) as agent:
        async with asyncio.timeout(DEADLINE_S):
            await agent.pulse()
    with pytest.raises(AgentStoppedError):
        await agent.pulse()


async def test_a_raw_request_that_nobody_answers_ends_with_408(bench: Bench) -> None:
    async with running(bench.unit_address) as agent:
        answer = await agent.request(options(f"sip:x@{bench.address(2)}:5999"))
        assert answer.status == 408
        answer = await agent.request(options(f"sip:x@{bench.address(2)}:5999;transport=tcp"))
        assert answer.status == 503
        with pytest.raises(AgentError, match="OPTIONS"):
            await agent.request(options("no uri at all"))


@pytest.mark.slow
async def test_a_recorder_gets_two_labelled_streams_and_metadata(bench: Bench) -> None:
    recorder = bench.address(30)
    argv = [sys.executable, "-m", "openturret.lab.recorder", "--address", recorder]
    argv += ["--directory", str(bench.folder / "recorder"), "--verbose"]
    program = await bench.run("recorder", argv)
    await bench.until(lambda: "ready" in program.said())
    async with running(bench.unit_address) as agent:
        heard = Heard(agent)
        media = [
            LocalMedia(bench.unit_address, port, direction=Direction.SENDONLY, label=str(label))
            for label, port in enumerate((11_010, 11_012), 1)
        ]
        call = await agent.invite(
            f"sip:recorder@{recorder}:5060;transport=tcp",
            account="direct",
            media=media,
            headers=[("Require", "siprec")],
            parts=[BodyPart("application/rs-metadata+xml", METADATA)],
            contact_parameters=";+sip.src",
        )
        await heard.first(CallConnected)
        negotiated = (await heard.first(MediaChanged)).media
        assert [each.index for each in negotiated] == [0, 1]
        assert [(each.send, each.receive) for each in negotiated] == [(True, False)] * 2
        assert {each.remote_address for each in negotiated} == {recorder}
        assert len({each.remote_rtp_port for each in negotiated}) == 2
        dialog = await agent.dialog(call)
        assert f"{bench.unit_address}:5060" in dialog.local_contact
        assert "transport=tcp" in dialog.local_contact.lower()
        await agent.hang_up(call)
        await heard.first(CallEnded)


METADATA = (
    '<?xml version="1.0" encoding="UTF-8"?>\n'
    '<recording xmlns="urn:ietf:params:xml:ns:recording:1"><datamode>complete</datamode>'
    '<session session_id="hVpd7YQgRW2nD22h7q60JQ=="></session></recording>\n'
)


# ---------------------------------------------------------------- bad input

INVITE = (
    "INVITE sip:1001@{us} SIP/2.0\r\nVia: SIP/2.0/UDP {them};branch=z9hG4bK{n}\r\n"
    "Max-Forwards: 70\r\nFrom: <sip:x@{them}>;tag={n}\r\nTo: <sip:1001@{us}>\r\n"
    "Call-ID: {n}@{them}\r\nCSeq: 1 INVITE\r\nContact: <sip:x@{them}>\r\n"
    "Content-Type: application/sdp\r\nContent-Length: {length}\r\n\r\n{body}"
)
OFFER = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
BODIES = [
    "",
    "v=0\r\n",
    "m=audio 1 RTP/AVP 0\r\n" * 40,
    OFFER + "m=audio 99999999 RTP/AVP 0\r\n",
    OFFER + "m=audio 4000 RTP/AVP 0\r\n" * 40,
    OFFER + "m=audio 4000 RTP/AVP " + " ".join(map(str, range(300))) + "\r\n",
    OFFER + "m=video 4000 RTP/AVP 96\r\n",
    OFFER + "m=audio 4000 RTP/AVP 0\r\na=rtpmap:0 \xff\xfe/0\r\n",
]
LINES = [
    "Content-Length: -1\r\n",
    "Content-Length: 99999999999\r\n",
    "CSeq: 99999999999 INVITE\r\n",
    "Via: SIP/2.0/UDP\r\n",
    'From: "unterminated <sip:x@y>;tag=1\r\n',
    "To: <sip:" + "a" * 4000 + "@b>\r\n",
    "Contact: *\r\n",
    "Replaces: a;to-tag=b;from-tag=c\r\n",
    "Require: nothing-that-we-know\r\n",
    "Subject: \xff\x00\xfe\r\n",
]


def bad_messages(us: str, them: str, rng: random.Random) -> list[bytes]:
    numbers = iter(range(10_000))
    good = INVITE.format(us=us, them=them, n="{n}", length=0, body="")
    made = [
        INVITE.format(us=us, them=them, n=next(numbers), length=len(body), body=body).encode(
            "latin-1"
        )
        for body in BODIES
    ]
    head, tail = good.split("Max-Forwards", 1)
    made += [
        (head + line + "Max-Forwards" + tail).replace("{n}", str(next(numbers))).encode("latin-1")
        for line in LINES
    ]
    whole = good.replace("{n}", str(next(numbers))).encode()
    made += [whole[:cut] for cut in range(0, len(whole), 7)]
    for _ in range(300):
        spoiled = bytearray(good.replace("{n}", str(next(numbers))).encode())
        for _ in range(rng.randrange(1, 6)):
            spoiled[rng.randrange(len(spoiled))] = rng.randrange(256)
        made.append(bytes(spoiled))
    return [*made, b"", b"\r\n", b"\0" * 100, os.urandom(1400)]


@pytest.mark.slow
async def test_nothing_that_a_peer_sends_stops_the_agent(bench: Bench) -> None:
    them = f"{bench.address(3)}:5060"
    async with running(bench.unit_address) as agent:
        heard = Heard(agent)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
            peer.bind((bench.address(3), 5060))
            for message in bad_messages(bench.unit_address, them, random.Random(7)):
                peer.sendto(message, (bench.unit_address, 5060))
                await asyncio.sleep(0)
            for event in tuple(heard.events):
                if isinstance(event, IncomingCall):
                    with contextlib.suppress(AgentError, UnknownCallError):
                        await agent.answer(
                            event.call_id, media=[LocalMedia(bench.unit_address, 11_000)]
                        )
        answer = await agent.request(options(f"sip:1001@{bench.unit_address}:5060"))
        assert answer.status == 200


@pytest.mark.slow
async def test_a_flood_of_calls_that_are_cancelled_leaves_the_agent_well(bench: Bench) -> None:
    them = f"{bench.address(3)}:5060"
    async with running(bench.unit_address) as agent:
        heard = Heard(agent)
        body = OFFER + "m=audio 4000 RTP/AVP 0\r\n"
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
            peer.bind((bench.address(3), 5060))
            for n in range(400):
                text = INVITE.format(
                    us=bench.unit_address, them=them, n=f"f{n}", length=len(body), body=body
                )
                peer.sendto(text.encode(), (bench.unit_address, 5060))
                cancel = text.replace("INVITE", "CANCEL").split("Contact")[0]
                peer.sendto(
                    f"{cancel}Content-Length: 0\r\n\r\n".encode(), (bench.unit_address, 5060)
                )
                await asyncio.sleep(0.001)
            await heard.first(CallEnded)
        answer = await agent.request(options(f"sip:1001@{bench.unit_address}:5060"))
        assert answer.status == 200


# ---------------------------------------------------------------- what it costs

IDLE = """
import asyncio, json, sys, time
from openturret.firmware.calls.agent import Agent, AgentSettings
from openturret.firmware.calls.events import Account

def resident_kb():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))

async def main(address):
    before = resident_kb()
    agent = Agent(AgentSettings(address=address))
    await agent.start()
    await agent.add_account(Account("direct", "sip:1001@turret.example"))
    cpu, started = time.process_time(), time.monotonic()
    await asyncio.sleep(3)
    share = (time.process_time() - cpu) / (time.monotonic() - started)
    print(json.dumps({"cpu_percent": 100 * share, "rss_kb": resident_kb(), "before_kb": before}))
    await agent.stop()

asyncio.run(main(sys.argv[1]))
"""


@pytest.mark.slow
async def test_an_idle_agent_costs_next_to_nothing(bench: Bench, tmp_path: Path) -> None:
    script = tmp_path / "idle.py"
    script.write_text(IDLE)
    argv = [sys.executable, str(script), bench.unit_address]
    program = await bench.run("idle", argv)
    assert await program.ended() == 0
    cost = json.loads(program.said().splitlines()[-1])
    assert cost["cpu_percent"] < 0.5
    assert cost["rss_kb"] - cost["before_kb"] < 16 * 1024


async def test_a_request_to_the_thread_does_not_wait_for_the_network(bench: Bench) -> None:
    async with running(bench.unit_address) as agent:
        started = time.monotonic()
        for _ in range(50):
            await agent.allow_only(None)
        assert time.monotonic() - started < 0.5
