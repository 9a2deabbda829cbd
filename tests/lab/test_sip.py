"""The bench's SIP server: transactions, dialogs, refusals, and RFC 4475 over UDP and TCP."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from openturret.firmware.wire.sip import Request
from openturret.lab.sip import Answer, Dialog, SipServer
from openturret.lab.sip_caller import Body, CallerError, PlacedCall, SipCaller

TORTURE = Path(__file__).resolve().parents[3] / "shared" / "data" / "rfc4475"


class Listener:
    """Answers every call with an empty 200 and keeps what happened."""

    def __init__(self) -> None:
        self.happened: list[str] = []
        self.over = asyncio.Event()

    def invited(self, dialog: Dialog, invite: Request, replaced: Dialog | None) -> Answer:
        self.happened.append("invited" if replaced is None else f"replaced {replaced.call_id}")
        return Answer()

    def updated(self, dialog: Dialog, request: Request) -> Answer:
        self.happened.append(f"updated by {request.method}")
        return Answer()

    def ended(self, dialog: Dialog) -> None:
        self.happened.append("ended")
        self.over.set()


@pytest.fixture
def listener() -> Listener:
    return Listener()


@pytest.fixture
async def server(listener: Listener) -> AsyncIterator[SipServer]:
    server = SipServer(listener, address="127.0.0.1", port=0)
    await server.start()
    yield server
    await server.close()


@pytest.fixture(params=["UDP", "TCP"])
async def caller(server: SipServer, request: pytest.FixtureRequest) -> AsyncIterator[SipCaller]:
    caller = await SipCaller.connect("127.0.0.1", server.port, transport=request.param)
    yield caller
    await caller.close()


async def test_a_call_is_answered_changed_and_ended(
    server: SipServer, caller: SipCaller, listener: Listener
) -> None:
    call = await caller.invite("hoot", Body(b"v=0\r\n"))
    assert (await call.reinvite(Body(b"v=0\r\n"))).status == 200
    assert (await call.request("UPDATE")).status == 200
    assert (await call.request("OPTIONS")).status == 200
    assert (await call.bye()).status == 200
    assert listener.happened == ["invited", "updated by INVITE", "updated by UPDATE", "ended"]
    assert server.dialogs == ()


async def test_a_retransmitted_invite_is_one_call(caller: SipCaller, listener: Listener) -> None:
    invite = caller.build("INVITE", "hoot")
    caller.send(bytes(invite) * 1)
    first = await caller.response("INVITE")
    caller.send(bytes(invite))
    assert await caller.response("INVITE") == first
    assert listener.happened == ["invited"]


async def test_an_answer_is_sent_again_until_its_ack_comes(
    server: SipServer, listener: Listener
) -> None:
    caller = await SipCaller.connect("127.0.0.1", server.port)
    invite = caller.build("INVITE", "hoot")
    caller.send(bytes(invite))
    first = await caller.response("INVITE")
    assert await caller.response("INVITE") == first
    PlacedCall(caller, "hoot", invite, first).acknowledge()
    with pytest.raises(CallerError):
        await caller.receive(1.2)
    await caller.close()


async def test_a_new_call_replaces_an_old_one(
    server: SipServer, caller: SipCaller, listener: Listener
) -> None:
    old = await caller.invite("hoot", Body())
    await caller.invite("hoot", Body(), headers=[("Replaces", old.replaces)])
    bye = await caller.request("BYE")
    assert bye.call_id == old.call_id
    assert listener.happened == ["invited", f"replaced {old.call_id}", "ended"]
    assert len(server.dialogs) == 1


async def test_a_stranger_may_not_replace_a_call(server: SipServer) -> None:
    owner = await SipCaller.connect("127.0.0.1", server.port)
    call = await owner.invite("hoot", Body())
    stranger = await SipCaller.connect("127.0.0.1", server.port, source="127.0.0.2")
    stranger.uri = "sip:stranger@bench.invalid"
    with pytest.raises(CallerError, match="403"):
        await stranger.invite("hoot", Body(), headers=[("Replaces", call.replaces)])
    await owner.close()
    await stranger.close()


async def test_replaces_of_an_unknown_dialog_is_refused(caller: SipCaller) -> None:
    with pytest.raises(CallerError, match="481"):
        await caller.invite("hoot", Body(), headers=[("Replaces", "x;to-tag=1;from-tag=2")])


async def test_a_dialog_is_known_by_both_tags(caller: SipCaller, listener: Listener) -> None:
    call = await caller.invite("hoot", Body())
    forged = caller.build(
        "BYE", "hoot", call_id=call.call_id, to_tag=call.to_tag, from_tag="guess", cseq=2
    )
    caller.send(bytes(forged))
    assert (await caller.response("BYE")).status == 481
    assert listener.happened == ["invited"]


async def test_a_sequence_number_may_not_go_back(caller: SipCaller, listener: Listener) -> None:
    call = await caller.invite("hoot", Body())
    await call.request("UPDATE")
    old = caller.build(
        "BYE", "hoot", call_id=call.call_id, to_tag=call.to_tag, from_tag="caller", cseq=1
    )
    caller.send(bytes(old))
    assert (await caller.response("BYE")).status == 500


@pytest.mark.parametrize(
    ("header", "status"),
    [(("Require", "nothingSupportsThis"), 420), (("Content-Encoding", "gzip"), 415)],
)
async def test_what_is_not_supported_is_refused(
    caller: SipCaller, header: tuple[str, str], status: int
) -> None:
    with pytest.raises(CallerError, match=str(status)):
        await caller.invite("hoot", Body(b"v=0\r\n"), headers=[header])


# What RFC 4475 asks of a user agent server that takes calls for anybody.  None: no answer at all
# (a response, or a request that cannot be answered).  A set: the RFC leaves the choice.
OUTCOMES: dict[str, int | set[int] | None] = {
    "badaspec": 400, "badbranch": {200, 400}, "baddate": 200, "baddn": {200, 400},
    "badinv01": 400, "badvers": 505, "bcast": None, "bext01": 420, "bigcode": None,
    "clerr": 400, "cparam01": 405, "cparam02": 405, "dblreq": 405, "esc01": 200,
    "esc02": {405, 501}, "escnull": 405, "escruri": 200, "insuf": 400, "intmeth": 501,
    "inv2543": 200, "invut": 415, "longreq": 200, "ltgtruri": 400, "lwsdisp": 200,
    "lwsruri": 400, "lwsstart": 400, "mcl01": 400, "mismatch01": 400, "mismatch02": {400, 501},
    "mpart01": 405, "multi01": 400, "ncl": 400, "noreason": None, "novelsc": 416,
    "quotbal": 400, "regaut01": 405, "regbadct": {400, 405}, "regescrt": 405, "scalar02": 400,
    "scalarlg": None, "sdp01": {200, 406}, "semiuri": 200, "transports": 200, "trws": 400,
    "unkscm": 416, "unksm2": {400, 405, 416}, "unreason": None, "wsinv": 481, "zeromf": 200,
}  # fmt: skip


def _torture() -> list[Path]:
    paths = sorted(TORTURE.glob("*.dat"))
    if not paths:
        pytest.skip("RFC 4475's messages are not beside the repository (../shared/data/rfc4475)")
    return paths


async def test_every_torture_message_gets_its_answer_over_udp() -> None:
    """The answers go where the Via says, so they are read from what the server counts."""
    outcomes = {path.stem: await _outcome(path.read_bytes()) for path in _torture()}
    wrong = {name: got for name, got in outcomes.items() if not _right(OUTCOMES[name], got)}
    assert wrong == {}


def _right(wanted: int | set[int] | None, got: int | None) -> bool:
    return got in wanted if isinstance(wanted, set) else got == wanted


async def _outcome(data: bytes) -> int | None:
    server = SipServer(Listener(), address="127.0.0.1", port=0)
    await server.start()
    caller = await SipCaller.connect("127.0.0.1", server.port)
    before = server.counters.statuses.copy()
    caller.send(data)
    await _alive(caller)
    await caller.close()
    await server.close()
    answered = server.counters.statuses - before - Counter({200: 1})
    return next(iter(answered), None)


async def _alive(caller: SipCaller) -> None:
    caller.send(bytes(caller.build("OPTIONS", "hoot", call_id="still there?")))
    while (answer := await caller.response("OPTIONS")).call_id != "still there?":
        continue
    assert answer.status == 200


async def test_the_server_outlives_every_torture_message_over_tcp(server: SipServer) -> None:
    for path in _torture():
        hostile = await SipCaller.connect("127.0.0.1", server.port, transport="TCP")
        hostile.send(path.read_bytes())
        friend = await SipCaller.connect("127.0.0.1", server.port, transport="TCP")
        await _alive(friend)
        await hostile.close()
        await friend.close()
