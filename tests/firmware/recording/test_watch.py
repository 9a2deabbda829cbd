"""Asking a recorder whether it is there: real servers, silent ones, garbage and nobody."""

from __future__ import annotations

import asyncio
import contextlib
import random
import select
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from openturret.firmware.recording.errors import SessionLostError
from openturret.firmware.recording.watch import Probe, RecorderAddress
from openturret.hal.clock import SystemClock
from openturret.lab.recorder.server import RecorderServer
from openturret.lab.recorder.session import Where

TRANSPORTS = ("udp", "tcp")


@pytest.fixture
async def recorder(tmp_path: Path) -> AsyncIterator[RecorderServer]:
    where = Where("A", "127.0.0.1", range(31_600, 31_700), tmp_path)
    server = RecorderServer(where, port=0, clock=SystemClock())
    await server.start()
    yield server
    await server.close()


def _probe(port: int, transport: str) -> Probe:
    uri = f"sip:recorder@127.0.0.1:{port};transport={transport}"
    return Probe(RecorderAddress.parse("a", uri), random.Random(1))


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_recorder_answers(recorder: RecorderServer, transport: str) -> None:
    probe = _probe(recorder.sip.port, transport)
    assert [await probe.ask() for _ in range(3)] == [200, 200, 200]
    probe.close()
    await asyncio.sleep(0)


async def test_an_answer_that_we_read_too_late_is_an_answer() -> None:
    """The loop is busy past the deadline; the answer waits in the socket all the while."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as recorder:
        recorder.bind(("127.0.0.1", 0))
        recorder.settimeout(0)
        probe = _probe(recorder.getsockname()[1], "udp")
        question = asyncio.create_task(probe.ask(answer_s=0.05))
        while not select.select([recorder], [], [], 0)[0]:
            await asyncio.sleep(0)
        options, source = recorder.recvfrom(4096)
        head, _, tail = options.partition(b"\r\n")
        assert head.startswith(b"OPTIONS")
        recorder.sendto(b"SIP/2.0 200 OK\r\n" + tail, source)
        select.select([], [], [], 0.1)
        assert await question == 200
        probe.close()


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_nobody_there_is_known_at_once(transport: str) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    probe = _probe(port, transport)
    with pytest.raises(SessionLostError, match=r"refused|failed"):
        await probe.ask(answer_s=5)
    probe.close()


async def test_a_recorder_that_hangs_up_is_asked_again(recorder: RecorderServer) -> None:
    probe = _probe(recorder.sip.port, "tcp")
    await probe.ask()
    await recorder.close()
    with pytest.raises(SessionLostError):
        await probe.ask(answer_s=5)
    await recorder.sip.start()
    assert await probe.ask(answer_s=5) == 200
    probe.close()


@pytest.mark.parametrize("answer", [b"", b"\0" * 100, b"SIP/2.0 200 OK\r\n\r\n", b"x\r\n\r\n" * 9])
async def test_silence_and_garbage_are_no_answer(answer: bytes) -> None:
    over = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(answer)
        with contextlib.suppress(OSError):
            while await reader.read(4096):
                continue
        writer.close()
        over.set()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    probe = _probe(server.sockets[0].getsockname()[1], "tcp")
    with pytest.raises(SessionLostError):
        await probe.ask(answer_s=0.2)
    probe.close()
    await over.wait()
    server.close()
    await server.wait_closed()
