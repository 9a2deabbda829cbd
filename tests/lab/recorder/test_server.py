"""The recorder over real sockets: sessions, streams, metadata, faults."""

from __future__ import annotations

import asyncio
import hashlib
import json
import random
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from openturret.firmware.wire.rtp import ReceiverReport, RtpPacket, SenderReport, parse_rtcp
from openturret.firmware.wire.sdp import SessionDescription
from openturret.firmware.wire.siprec import Call, Metadata, Stream
from openturret.hal.clock import SystemClock
from openturret.lab.g711 import Law, decode
from openturret.lab.recorder.server import RecorderServer
from openturret.lab.recorder.session import Where
from openturret.lab.sip_caller import Body, CallerError, PlacedCall, SipCaller, siprec_body
from openturret.lab.wav import read

METADATA = bytes(Metadata(calls=(Call("c2Vzc2lvbg=="),), streams=(Stream("c3RyZWFt", "handsets"),)))
SIPREC = [("Require", "siprec")]


class Source:
    """Sends a stream from its own port pair."""

    def __init__(self, label: str, seed: int = 1) -> None:
        self.label, self.rng = label, random.Random(seed)
        self.rtp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.rtcp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.rtp.bind(("127.0.0.1", 0))
        self.rtcp.bind(("127.0.0.1", 0))
        self.rtcp.setblocking(False)
        self.payloads: list[bytes] = []

    @property
    def media(self) -> str:
        rtp, rtcp = self.rtp.getsockname()[1], self.rtcp.getsockname()[1]
        return f"m=audio {rtp} RTP/AVP 0\r\na=rtcp:{rtcp}\r\na=label:{self.label}\r\na=sendonly\r\n"

    def send(self, port: int, numbers: list[int], *, ssrc: int = 7) -> None:
        for n in numbers:
            payload = self.rng.randbytes(160)
            self.payloads.append(payload)
            packet = RtpPacket(0, (65_500 + n) % 65_536, 160 * n, ssrc, payload)
            self.rtp.sendto(bytes(packet), ("127.0.0.1", port))

    def close(self) -> None:
        self.rtp.close()
        self.rtcp.close()


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[RecorderServer]:
    where = Where("A", "127.0.0.1", range(31_000, 31_400), tmp_path / "kept", 0.05)
    server = RecorderServer(where, port=0, clock=SystemClock())
    await server.start()
    yield server
    await server.close()


@pytest.fixture(params=["UDP", "TCP"])
async def caller(
    server: RecorderServer, request: pytest.FixtureRequest
) -> AsyncIterator[SipCaller]:
    caller = await SipCaller.connect("127.0.0.1", server.sip.port, transport=request.param)
    yield caller
    await caller.close()


@pytest.fixture
def sources() -> list[Source]:
    return [Source("handsets", 1), Source("speakers-1", 2)]


@pytest.fixture(autouse=True)
def closing(sources: list[Source]) -> object:
    yield
    for source in sources:
        source.close()


def _offer(sources: list[Source], metadata: bytes = METADATA) -> Body:
    sdp = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
    return siprec_body((sdp + "".join(s.media for s in sources)).encode(), metadata)


def _ports(call: PlacedCall) -> list[int]:
    return [media.port for media in SessionDescription.parse(call.answer.body).media]


def _sidecar(server: RecorderServer, tmp_path: Path) -> tuple[Path, Any]:
    (folder,) = (tmp_path / "kept").iterdir()
    return folder, json.loads((folder / "session.json").read_text())


async def _until_received(server: RecorderServer, packets: int) -> None:
    async with asyncio.timeout(5):
        while (
            sum(s.port.reception.packets for each in server.sessions for s in each.streams)
            < packets
        ):
            await asyncio.sleep(0.005)


async def test_every_byte_of_both_streams_is_kept(
    server: RecorderServer, caller: SipCaller, sources: list[Source], tmp_path: Path
) -> None:
    call = await caller.invite("recorder", _offer(sources), headers=SIPREC)
    for source, port in zip(sources, _ports(call), strict=True):
        source.send(port, list(range(100)))
    await _until_received(server, 200)
    assert (await call.bye()).status == 200
    folder, sidecar = _sidecar(server, tmp_path)
    assert sidecar["state"] == "complete"
    assert (folder / "metadata-001.xml").read_bytes() == METADATA
    for source, stream in zip(sources, sidecar["streams"], strict=True):
        sent = b"".join(source.payloads)
        assert stream["label"] == source.label
        assert stream["payload_sha256"] == hashlib.sha256(sent).hexdigest()
        assert (stream["packets"], stream["lost"], stream["samples"]) == (100, 0, 16_000)
        assert (stream["first_sequence"], stream["last_sequence"]) == (65_500, 63)
        assert read(folder / f"{source.label}.wav").tobytes() == decode(sent, Law.PCMU)


async def test_late_and_lost_packets_leave_the_rest_in_place(
    server: RecorderServer, caller: SipCaller, sources: list[Source], tmp_path: Path
) -> None:
    call = await caller.invite("recorder", _offer(sources[:1]), headers=SIPREC)
    sources[0].send(_ports(call)[0], [0, 2, 1, 4])
    await _until_received(server, 4)
    await call.bye()
    folder, sidecar = _sidecar(server, tmp_path)
    stream = sidecar["streams"][0]
    assert (stream["packets"], stream["lost"], stream["reordered"]) == (4, 1, 1)
    zero, two, one, four = sources[0].payloads
    assert stream["payload_sha256"] == hashlib.sha256(zero + one + two + four).hexdigest()
    silence = bytes([Law.PCMU.silence]) * 160
    heard = read(folder / "handsets.wav").tobytes()
    assert heard == decode(zero + one + two + silence + four, Law.PCMU)


async def test_a_stranger_is_counted_and_not_kept(
    server: RecorderServer, caller: SipCaller, sources: list[Source], tmp_path: Path
) -> None:
    call = await caller.invite("recorder", _offer(sources[:1]), headers=SIPREC)
    (port,) = _ports(call)
    sources[1].send(port, [0, 1, 2])
    sources[0].rtp.sendto(b"\x80\x00", ("127.0.0.1", port))
    sources[0].send(port, [0])
    await _until_received(server, 1)
    await call.bye()
    stream = _sidecar(server, tmp_path)[1]["streams"][0]
    assert (stream["foreign"], stream["malformed"], stream["packets"]) == (3, 1, 1)


async def test_new_metadata_is_kept_beside_the_old(
    server: RecorderServer, caller: SipCaller, sources: list[Source], tmp_path: Path
) -> None:
    call = await caller.invite("recorder", _offer(sources), headers=SIPREC)
    ports = _ports(call)
    answer = await call.reinvite(_offer(sources, METADATA.replace(b"handsets", b"handset2")))
    assert [m.port for m in SessionDescription.parse(answer.body).media] == ports
    only = await call.request("UPDATE", Body(METADATA, "application/rs-metadata+xml"))
    assert only.status == 200
    await call.bye()
    folder, sidecar = _sidecar(server, tmp_path)
    assert sidecar["metadata"] == [f"metadata-00{n}.xml" for n in (1, 2, 3)]
    assert b"handset2" in (folder / "metadata-002.xml").read_bytes()


async def test_a_restarted_caller_takes_its_recording_over(
    server: RecorderServer, caller: SipCaller, sources: list[Source], tmp_path: Path
) -> None:
    old = await caller.invite("recorder", _offer(sources), headers=SIPREC)
    sources[0].send(_ports(old)[0], [0, 1])
    new = await caller.invite(
        "recorder", _offer(sources), headers=[*SIPREC, ("Replaces", old.replaces)]
    )
    assert (await caller.request("BYE")).call_id == old.call_id
    assert _ports(new) == _ports(old)
    sources[0].send(_ports(new)[0], [2, 3])
    await _until_received(server, 4)
    await new.bye()
    sidecar = _sidecar(server, tmp_path)[1]
    assert sidecar["call_ids"] == [old.call_id, new.call_id]
    assert sidecar["streams"][0]["samples"] == 640


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (_offer([]), [], "421"),
        (_offer([]), SIPREC, "488"),
        (Body(), SIPREC, "488"),
        (siprec_body(b"v=1\r\n", METADATA), SIPREC, "400"),
    ],
)
async def test_what_cannot_be_recorded_is_refused(
    server: RecorderServer,
    caller: SipCaller,
    body: Body,
    headers: list[tuple[str, str]],
    status: str,
) -> None:
    with pytest.raises(CallerError, match=status):
        await caller.invite("recorder", body, headers=headers)
    assert server.sessions == ()


@pytest.mark.parametrize(
    "metadata",
    [b"<recording/>", b"", b"no xml", b'<!DOCTYPE r [<!ENTITY a "b">]><recording>&a;</recording>'],
)
async def test_broken_metadata_is_refused(
    server: RecorderServer, caller: SipCaller, sources: list[Source], metadata: bytes
) -> None:
    with pytest.raises(CallerError, match="400"):
        await caller.invite("recorder", _offer(sources, metadata), headers=SIPREC)
    assert server.sessions == ()


async def test_a_hostile_label_stays_inside_the_folder(
    server: RecorderServer, caller: SipCaller, sources: list[Source], tmp_path: Path
) -> None:
    sources[0].label = "../../escaped"
    call = await caller.invite(
        "recorder", _offer(sources[:1]), headers=SIPREC, call_id="../../call"
    )
    await call.bye()
    folder, sidecar = _sidecar(server, tmp_path)
    assert {path.parent for path in tmp_path.rglob("*escaped*")} == {folder}
    assert sidecar["streams"][0]["label"] == "../../escaped"


async def test_the_sender_hears_what_was_lost(
    server: RecorderServer, caller: SipCaller, sources: list[Source]
) -> None:
    call = await caller.invite("recorder", _offer(sources[:1]), headers=SIPREC)
    sources[0].send(_ports(call)[0], [0, 1, 3])
    sender = SenderReport(7, 0x1122334455667788, 0, 3, 480)
    sources[0].rtcp.sendto(bytes(sender), ("127.0.0.1", _ports(call)[0] + 1))
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(5):
        while True:
            report, *_ = parse_rtcp(await loop.sock_recv(sources[0].rtcp, 2048))
            if isinstance(report, ReceiverReport) and report.reports:
                block = report.reports[0]
                if block.lost == 1 and block.last_sender_report:
                    break
    assert (block.ssrc, block.last_sender_report) == (7, 0x33445566)
    assert block.highest_sequence & 0xFFFF == 65_503
