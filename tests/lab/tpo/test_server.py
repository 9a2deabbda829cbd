"""The turret proxy over real sockets: what a hoot says and hears, who takes a call over."""

from __future__ import annotations

import asyncio
import json
import socket
from array import array
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from openturret.firmware.wire.rtp import RtpPacket
from openturret.firmware.wire.sdp import SessionDescription
from openturret.hal.clock import SystemClock
from openturret.lab.g711 import Law, encode
from openturret.lab.sip_caller import Body, CallerError, PlacedCall, SipCaller
from openturret.lab.tpo.call import Where
from openturret.lab.tpo.errors import HootError
from openturret.lab.tpo.hoot import Hoot
from openturret.lab.tpo.server import TurretProxy
from openturret.lab.wav import read

SPEECH = array("h", [(n * 37) % 9_000 - 4_500 for n in range(160 * 7 - 30)])


@pytest.fixture
async def proxy(tmp_path: Path) -> AsyncIterator[TurretProxy]:
    proxy = TurretProxy(
        [Hoot.of("hoot-1", SPEECH)],
        Where("127.0.0.1", range(31_500, 31_600), tmp_path),
        port=0,
        clock=SystemClock(),
        status=tmp_path / "status.json",
    )
    await proxy.start()
    yield proxy
    await proxy.close()


@pytest.fixture
async def caller(proxy: TurretProxy) -> AsyncIterator[SipCaller]:
    caller = await SipCaller.connect("127.0.0.1", proxy.sip.port)
    yield caller
    await caller.close()


@pytest.fixture
def ear() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ear:
        ear.bind(("127.0.0.1", 0))
        ear.setblocking(False)
        yield ear


def _offer(ear: socket.socket, *, law: Law = Law.PCMU, direction: str = "sendrecv") -> Body:
    return Body(
        (
            "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
            f"m=audio {ear.getsockname()[1]} RTP/AVP {int(law)} 101\r\n"
            f"a=rtpmap:101 telephone-event/8000\r\na={direction}\r\n"
        ).encode()
    )


async def _hear(ear: socket.socket, packets: int) -> list[RtpPacket]:
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(5):
        return [RtpPacket.parse(await loop.sock_recv(ear, 2048)) for _ in range(packets)]


def _media_port(call: PlacedCall) -> int:
    return SessionDescription.parse(call.answer.body).media[0].port


@pytest.mark.parametrize("law", Law)
async def test_a_hoot_speaks_its_sentence_over_and_over(
    caller: SipCaller, ear: socket.socket, law: Law
) -> None:
    await caller.invite("hoot-1", _offer(ear, law=law))
    heard = await _hear(ear, 20)
    said = encode([*SPEECH, *[0] * 30], law)
    assert b"".join(packet.payload for packet in heard) in said * 5
    first = heard[0]
    for n, packet in enumerate(heard):
        assert (packet.sequence - first.sequence) % 65_536 == n
        assert (packet.timestamp - first.timestamp) % 2**32 == 160 * n
        assert (packet.ssrc, packet.payload_type) == (first.ssrc, int(law))


async def test_a_hoot_keeps_what_it_hears(
    proxy: TurretProxy, caller: SipCaller, ear: socket.socket, tmp_path: Path
) -> None:
    call = await caller.invite("hoot-1", _offer(ear))
    for n in range(10):
        packet = RtpPacket(0, n, 160 * n, 3, encode(SPEECH[:160], Law.PCMU))
        ear.sendto(bytes(packet), ("127.0.0.1", _media_port(call)))
    async with asyncio.timeout(5):
        while proxy.calls[0].port.reception.packets < 10:
            await asyncio.sleep(0.005)
    await call.bye()
    proxy.save()
    (ended,) = json.loads((tmp_path / "status.json").read_text())["ended"]
    assert (ended["packets_received"], ended["packets_lost"]) == (10, 0)
    assert len(read(tmp_path / ended["wav"])) == 1_600


async def test_a_call_that_replaces_another_hears_no_gap(
    proxy: TurretProxy, caller: SipCaller, ear: socket.socket
) -> None:
    old = await caller.invite("hoot-1", _offer(ear))
    before = await _hear(ear, 3)
    new = await caller.invite("hoot-1", _offer(ear), headers=[("Replaces", old.replaces)])
    assert (await caller.request("BYE")).call_id == old.call_id
    after = await _hear(ear, 5)
    assert _media_port(new) == _media_port(old)
    assert [p.sequence - before[0].sequence for p in (*before, *after)] == list(range(8))
    assert {p.ssrc for p in (*before, *after)} == {before[0].ssrc}
    (call,) = proxy.calls
    assert (call.call_id, call.replacements) == (new.call_id, 1)


async def test_a_held_call_hears_nothing(caller: SipCaller, ear: socket.socket) -> None:
    call = await caller.invite("hoot-1", _offer(ear))
    await _hear(ear, 1)
    answer = await call.reinvite(_offer(ear, direction="sendonly"))
    assert SessionDescription.parse(answer.body).media[0].direction == "recvonly"
    while True:
        try:
            ear.recv(2048)
        except BlockingIOError:
            break
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await asyncio.get_running_loop().sock_recv(ear, 2048)


async def test_nobody_lives_at_an_unknown_hoot(caller: SipCaller, ear: socket.socket) -> None:
    with pytest.raises(CallerError, match="404"):
        await caller.invite("hoot-9", _offer(ear))


async def test_video_alone_is_refused(caller: SipCaller) -> None:
    offer = b"v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\nc=IN IP4 127.0.0.1\r\nm=video 9 RTP/AVP 31\r\n"
    with pytest.raises(CallerError, match="488"):
        await caller.invite("hoot-1", Body(offer))


async def test_the_status_file_is_whole_json(proxy: TurretProxy, tmp_path: Path) -> None:
    proxy.save()
    assert json.loads((tmp_path / "status.json").read_text())["hoots"] == ["hoot-1"]


def test_a_hoot_needs_something_to_say() -> None:
    with pytest.raises(HootError):
        Hoot.of("hoot-1", array("h"))
