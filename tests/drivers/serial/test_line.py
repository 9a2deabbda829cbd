"""A line over the ports of the twin: pty, TCP and RFC 2217."""

import asyncio
import logging
import os
import threading
import tty
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from openturret.drivers.emulated.serial_ports import PtyPort, SerialPort
from openturret.drivers.serial.line import MAX_UNWRITTEN, SerialLine
from openturret.hal.errors import DeviceGoneError, MatchError

pytestmark = pytest.mark.slow


class Ear:
    """Notes what a line says; refuses what it is told to."""

    def __init__(self) -> None:
        self.notes: asyncio.Queue[str | bytes] = asyncio.Queue()
        self.refuses: bytes | None = None

    def opened(self) -> None:
        self.notes.put_nowait("opened")

    def heard(self, text: bytes) -> None:
        self.notes.put_nowait(text)
        if text == self.refuses:
            raise DeviceGoneError("refused")

    def lost(self, reason: str) -> None:
        self.notes.put_nowait(f"lost: {reason}")

    async def next(self) -> str | bytes:
        async with asyncio.timeout(10):
            return await self.notes.get()


@asynccontextmanager
async def line_at(port: SerialPort, ear: Ear) -> AsyncIterator[SerialLine]:
    line = SerialLine("test", lambda: port.url, ear, max_line_bytes=32)
    line.start()
    try:
        yield line
    finally:
        await line.close()


class Far:
    """The far end of the cable."""

    def __init__(self) -> None:
        self.received = bytearray()
        self._more = asyncio.Event()

    def take(self, data: bytes) -> None:
        self.received += data
        self._more.set()

    async def has(self, wanted: bytes) -> None:
        async with asyncio.timeout(10):
            while wanted not in self.received:
                self._more.clear()
                await self._more.wait()


EVERY_BYTE = bytes(octet for octet in range(256) if octet not in b"\r\n")


async def test_bytes_pass_both_ways_unchanged(port: SerialPort) -> None:
    ear, far = Ear(), Far()
    await port.plug(far.take)
    line = SerialLine("test", lambda: port.url, ear, max_line_bytes=300)
    line.start()
    assert await ear.next() == "opened"
    line.write(EVERY_BYTE)
    await far.has(EVERY_BYTE)
    port.write(EVERY_BYTE + b"\n")
    assert await ear.next() == EVERY_BYTE
    await line.close()
    assert await ear.next() == "lost: closed"
    await port.pull()


async def test_a_cable_that_is_pulled_and_put_back_is_found_again(port: SerialPort) -> None:
    ear, far = Ear(), Far()
    await port.plug(far.take)
    async with line_at(port, ear):
        assert await ear.next() == "opened"
        await port.pull()
        assert str(await ear.next()).startswith("lost: ")
        await port.plug(far.take)
        assert await ear.next() == "opened"
    await port.pull()


async def test_a_line_that_comes_late_is_opened_when_it_comes(port: SerialPort) -> None:
    await port.plug(Far().take)
    await port.pull()
    ear = Ear()
    async with line_at(port, ear):
        await port.plug(Far().take)
        assert await ear.next() == "opened"
    await port.pull()


async def test_a_listener_that_refuses_gives_the_connection_up(folder_port: PtyPort) -> None:
    ear = Ear()
    ear.refuses = b"nonsense"
    await folder_port.plug(Far().take)
    async with line_at(folder_port, ear):
        assert await ear.next() == "opened"
        folder_port.write(b"nonsense\n")
        assert await ear.next() == b"nonsense"
        assert await ear.next() == "lost: refused"
        assert await ear.next() == "opened"
    await folder_port.pull()


async def test_a_far_end_that_does_not_read_is_given_up() -> None:
    ours, theirs = os.openpty()
    tty.setraw(theirs)
    ear = Ear()
    line = SerialLine("test", lambda: os.ttyname(theirs), ear, max_line_bytes=32)
    line.start()
    assert await ear.next() == "opened"
    for _ in range(3 * MAX_UNWRITTEN):
        line.write(bytes(4096))
    assert await ear.next() == "lost: 64 writes wait: the far end does not read"
    await line.close()
    os.close(ours)
    os.close(theirs)


async def test_what_is_given_up_is_opened_again(folder_port: PtyPort) -> None:
    ear = Ear()
    await folder_port.plug(Far().take)
    async with line_at(folder_port, ear) as line:
        assert await ear.next() == "opened"
        line.give_up("it does not answer")
        line.give_up("a later reason")
        assert await ear.next() == "lost: it does not answer"
        assert await ear.next() == "opened"
    await folder_port.pull()


async def test_why_a_line_is_not_there_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    tried = asyncio.Event()
    loop = asyncio.get_running_loop()
    attempts: list[str] = []

    def nowhere() -> str:
        attempts.append("")
        if len(attempts) == 3:
            loop.call_soon_threadsafe(tried.set)
        raise MatchError("no box is plugged in", remedy="plug it in")

    line = SerialLine("gooseneck", nowhere, Ear(), max_line_bytes=32)
    line.start()
    async with asyncio.timeout(10):
        await tried.wait()
    await line.close()
    warnings = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert [record.getMessage() for record in warnings] == [
        "gooseneck: no box is plugged in; plug it in"
    ]


async def test_closing_a_line_that_was_never_started_is_nothing() -> None:
    await SerialLine("test", lambda: "/dev/null", Ear(), max_line_bytes=32).close()


async def test_a_tty_that_another_program_holds_is_not_shared(
    folder_port: PtyPort, caplog: pytest.LogCaptureFixture
) -> None:
    await folder_port.plug(Far().take)
    holder, second = Ear(), Ear()
    async with line_at(folder_port, holder):
        assert await holder.next() == "opened"
        async with line_at(folder_port, second):
            await said(caplog, "Could not exclusively lock port")
            assert second.notes.empty()
    await folder_port.pull()


async def said(caplog: pytest.LogCaptureFixture, words: str) -> None:
    async with asyncio.timeout(10):
        while words not in caplog.text:
            await asyncio.sleep(0.01)


async def test_a_line_whose_opening_hangs_is_closed_and_hands_nothing_on() -> None:
    hanging, go_on = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()
    ours, theirs = os.openpty()

    def slow() -> str:
        loop.call_soon_threadsafe(hanging.set)
        go_on.wait(10)
        return os.ttyname(theirs)

    ear = Ear()
    line = SerialLine("test", slow, ear, max_line_bytes=32)
    line.start()
    async with asyncio.timeout(10):
        await hanging.wait()
        closing = asyncio.create_task(line.close())
        await asyncio.sleep(0)
        go_on.set()
        await closing
    assert ear.notes.empty()
    os.close(ours)
    os.close(theirs)


async def test_a_far_end_that_was_confirmed_is_missed_anew(
    folder_port: PtyPort, caplog: pytest.LogCaptureFixture
) -> None:
    ear = Ear()
    await folder_port.plug(Far().take)
    async with line_at(folder_port, ear) as line:
        for _ in range(2):
            assert await ear.next() == "opened"
            line.confirm()
            line.give_up("it does not answer")
            assert await ear.next() == "lost: it does not answer"
        assert await ear.next() == "opened"
    await folder_port.pull()
    warnings = [item.getMessage() for item in caplog.records if item.levelno == logging.WARNING]
    assert warnings == ["test: it does not answer"] * 2
