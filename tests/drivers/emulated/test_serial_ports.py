"""The ports of emulated serial devices against hosts that do not behave."""

import asyncio
import os
import socket
from pathlib import Path

import pytest

from openturret.drivers.emulated.serial_ports import PtyPort, Rfc2217Port, TcpPort

IAC, SB, SE, COM_PORT = b"\xff", b"\xfa", b"\xf0", b"\x2c"


async def connect(port: TcpPort) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    host, _, number = port.url.partition("://")[2].rpartition(":")
    return await asyncio.open_connection(host, int(number))


async def ended(reader: asyncio.StreamReader) -> bool:
    try:
        async with asyncio.timeout(10):
            while await reader.read(4096):
                pass
    except ConnectionError:
        return True
    return True


async def test_the_newest_client_wins() -> None:
    port = TcpPort()
    await port.plug(lambda _: None)
    old, old_writer = await connect(port)
    new, new_writer = await connect(port)
    assert await ended(old)
    port.write(b"hello\n")
    assert await new.readline() == b"hello\n"
    for writer in (old_writer, new_writer):
        writer.close()
    await port.pull()


async def test_a_port_keeps_its_number_over_a_pull() -> None:
    port = TcpPort()
    await port.plug(lambda _: None)
    url = port.url
    await port.pull()
    await port.plug(lambda _: None)
    assert port.url == url
    await port.pull()


async def test_a_client_that_does_not_read_is_dropped() -> None:
    port = TcpPort()
    await port.plug(lambda _: None)
    reader, writer = await connect(port)
    assert isinstance(writer.transport, asyncio.ReadTransport)
    writer.transport.pause_reading()
    for _ in range(200):
        port.write(bytes(65_536))
        await asyncio.sleep(0)
    writer.transport.resume_reading()
    assert await ended(reader)
    writer.close()
    await port.pull()


@pytest.mark.parametrize(
    "nonsense",
    [
        IAC + SE,
        IAC + SB + COM_PORT + b"\x01" + b"\x00" + IAC + SE,
        IAC + SB + COM_PORT + b"\x03" + b"\x77" + IAC + SE,
        IAC + SB + COM_PORT + b"\x0a" + IAC + SE,
    ],
)
async def test_a_client_that_does_not_speak_rfc_2217_is_dropped(nonsense: bytes) -> None:
    port = Rfc2217Port()
    await port.plug(lambda _: None)
    reader, writer = await connect(port)
    writer.write(nonsense)
    assert await ended(reader)
    writer.close()
    await port.pull()


async def test_nothing_is_said_to_nobody(tmp_path: Path) -> None:
    for port in (TcpPort(), Rfc2217Port(), PtyPort(tmp_path / "tty")):
        port.write(b"lost\n")
        await port.plug(lambda _: None)
        port.write(b"lost\n")
        await port.pull()
        await port.pull()


async def test_a_terminal_that_nobody_reads_loses_what_is_too_much(tmp_path: Path) -> None:
    port = PtyPort(tmp_path / "tty")
    await port.plug(lambda _: None)
    for _ in range(100):
        port.write(bytes(65_536))
    await port.pull()


async def test_the_link_of_a_terminal_is_there_while_it_is_plugged(tmp_path: Path) -> None:
    port = PtyPort(tmp_path / "tty")
    heard: asyncio.Queue[bytes] = asyncio.Queue()
    await port.plug(heard.put_nowait)
    terminal = os.open(port.url, os.O_RDWR | os.O_NOCTTY)
    os.write(terminal, b"hello\n")
    assert await heard.get() == b"hello\n"
    os.close(terminal)
    await port.pull()
    assert not Path(port.url).is_symlink()


async def test_a_port_in_use_is_an_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = TcpPort(port=taken.getsockname()[1])
        with pytest.raises(OSError, match="in use"):
            await port.plug(lambda _: None)
