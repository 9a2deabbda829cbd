"""A recorder process that is killed keeps what it received."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import random
import signal
import socket
import sys
from pathlib import Path

import pytest

from openturret.firmware.wire.rtp import RtpPacket
from openturret.firmware.wire.sdp import SessionDescription
from openturret.lab.recorder.session import recover
from openturret.lab.sip_caller import SipCaller, siprec_body
from openturret.lab.wav import read

SDP = (
    "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
    "m=audio {port} RTP/AVP 8\r\na=label:handsets\r\na=sendonly\r\n"
)
METADATA = b'<recording xmlns="urn:ietf:params:xml:ns:recording:1"/>'


@pytest.mark.slow
async def test_a_killed_recorder_loses_nothing_that_it_received(tmp_path: Path) -> None:
    recorder = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "openturret.lab.recorder", "--port", "0", "--name", "B"),
        *("--directory", str(tmp_path), "--rtp-low", "31400", "--rtp-high", "31500"),
        stdout=asyncio.subprocess.PIPE,
        env=dict(os.environ, PYTHONPATH=os.pathsep.join(sys.path)),
    )
    assert recorder.stdout is not None
    ready = (await recorder.stdout.readline()).decode()
    caller = await SipCaller.connect("127.0.0.1", int(ready.rsplit(":", 1)[1]), transport="TCP")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as rtp:
        rtp.bind(("127.0.0.1", 0))
        body = siprec_body(SDP.format(port=rtp.getsockname()[1]).encode(), METADATA)
        call = await caller.invite("recorder", body, headers=[("Require", "siprec")])
        port = SessionDescription.parse(call.answer.body).media[0].port
        payloads = _send(rtp, port)
        folder = next(tmp_path.iterdir())
        async with asyncio.timeout(5):
            while (folder / "handsets.g711").stat().st_size < 160 * len(payloads):
                await asyncio.sleep(0.01)
    recorder.send_signal(signal.SIGKILL)
    await recorder.communicate()
    await caller.close()
    assert len(read(folder / "handsets.wav")) == 160 * len(payloads)
    assert recover(tmp_path) == (folder,)
    session = json.loads((folder / "session.json").read_text())
    stream = session["streams"][0]
    assert session["state"] == "interrupted"
    assert stream["payload_sha256"] == hashlib.sha256(b"".join(payloads)).hexdigest()
    assert stream["packets"] == len(payloads)


def _send(rtp: socket.socket, port: int) -> list[bytes]:
    rng = random.Random(3)
    payloads = [rng.randbytes(160) for _ in range(75)]
    for n, payload in enumerate(payloads):
        rtp.sendto(bytes(RtpPacket(8, n, 160 * n, 5, payload)), ("127.0.0.1", port))
    return payloads
