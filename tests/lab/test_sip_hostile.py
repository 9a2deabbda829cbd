"""Recorder and turret proxy outlive RFC 4475, floods of connections and garbage."""

from __future__ import annotations

import asyncio
import random
from array import array
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from openturret.hal.clock import SystemClock
from openturret.lab.recorder.server import RecorderServer
from openturret.lab.recorder.session import Where
from openturret.lab.sip import MAX_CONNECTIONS
from openturret.lab.sip_caller import Body, SipCaller
from openturret.lab.tpo import call
from openturret.lab.tpo.hoot import Hoot
from openturret.lab.tpo.server import TurretProxy

TORTURE = Path(__file__).resolve().parents[3] / "shared" / "data" / "rfc4475"
SPEECH = array("h", range(800))


@pytest.fixture(params=["recorder", "tpo"])
async def port(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[int]:
    clock, address = SystemClock(), "127.0.0.1"
    server: RecorderServer | TurretProxy
    if request.param == "recorder":
        where = Where("A", address, range(32_000, 32_100), tmp_path)
        server = RecorderServer(where, port=0, clock=clock)
    else:
        place = call.Where(address, range(32_000, 32_100), tmp_path)
        server = TurretProxy([Hoot.of("hoot-1", SPEECH)], place, port=0, clock=clock)
    await server.start()
    yield server.sip.port
    await server.close()


async def _is_alive(port: int) -> bool:
    friend = await SipCaller.connect("127.0.0.1", port, transport="TCP")
    friend.send(bytes(friend.build("OPTIONS", "hoot-1")))
    answer = await friend.response("OPTIONS")
    await friend.close()
    return answer.status == 200


@pytest.mark.parametrize("transport", ["UDP", "TCP"])
async def test_every_torture_message_is_outlived(port: int, transport: str) -> None:
    paths = sorted(TORTURE.glob("*.dat"))
    if not paths:
        pytest.skip("RFC 4475's messages are not beside the repository (../shared/data/rfc4475)")
    for path in paths:
        hostile = await SipCaller.connect("127.0.0.1", port, transport=transport)
        hostile.send(path.read_bytes())
        assert await _is_alive(port), path.name
        await hostile.close()


async def test_an_invite_cut_at_every_length_is_outlived(port: int) -> None:
    hostile = await SipCaller.connect("127.0.0.1", port)
    offer = b"v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\nc=IN IP4 127.0.0.1\r\nm=audio 9 RTP/AVP 0\r\n"
    invite = bytes(hostile.build("INVITE", "hoot-1", body=Body(offer)))
    for length in range(0, len(invite), 5):
        hostile.send(invite[:length])
    assert await _is_alive(port)
    await hostile.close()


async def test_a_flood_of_connections_keeps_nobody_out(port: int) -> None:
    flood = [await asyncio.open_connection("127.0.0.1", port) for _ in range(MAX_CONNECTIONS + 20)]
    assert await _is_alive(port)
    for _, writer in flood:
        writer.close()
    await asyncio.gather(*(writer.wait_closed() for _, writer in flood), return_exceptions=True)


async def test_garbage_is_outlived(port: int) -> None:
    rng = random.Random(4)
    hostile = await SipCaller.connect("127.0.0.1", port)
    for _ in range(200):
        hostile.send(rng.randbytes(rng.randrange(1, 900)))
    assert await _is_alive(port)
    await hostile.close()
