"""TFTP servers that lie, flood and stall: each ends in a clear error, then the next is asked."""

from __future__ import annotations

import asyncio
import itertools
import random
import socket
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, replace
from ipaddress import IPv4Address

import pytest

from openturret.boot.errors import TftpError
from openturret.boot.fetch.tftp import TftpClient
from openturret.boot.fetch.transfer import Settings
from openturret.boot.fetch.tss import TftpHints
from openturret.boot.lan.lease import Lease
from openturret.boot.wire.errors import WireError
from openturret.boot.wire.tftp import (
    Acknowledgement,
    Data,
    Failure,
    OptionAcknowledgement,
    Packet,
    ReadRequest,
    WriteRequest,
    parse,
)

HOSTILE, GOOD = "127.0.0.2", "127.0.0.3"
LEASE = Lease(IPv4Address("10.0.0.9"), 8, IPv4Address("10.0.0.1"), 0.0, 3600, 1800, 3150,
              tftp_servers=(HOSTILE, GOOD))  # fmt: skip
MEMORY_BYTES = 32 << 20


@dataclass
class Wire:
    """The hostile server's end: a socket for requests and one for the transfer."""

    listener: socket.socket
    transfer: socket.socket
    client: tuple[str, int] = ("", 0)
    told: int = 0

    async def request(self) -> ReadRequest:
        data, self.client = await asyncio.get_running_loop().sock_recvfrom(self.listener, 2048)
        request = parse(data)
        assert isinstance(request, ReadRequest)
        return request

    async def send(self, packet: Packet | bytes) -> None:
        """Sends, and counts what the client has said so far."""
        with suppress(BlockingIOError):
            self.transfer.sendto(bytes(packet), self.client)
        await asyncio.sleep(0)
        with suppress(BlockingIOError):
            while self.transfer.recv(2048):
                self.told += 1

    async def agree(self, **options: str) -> None:
        await self.request()
        await self.send(OptionAcknowledgement(options))


Script = Callable[[Wire], Awaitable[None]]
SCRIPTS: dict[str, tuple[Script, str]] = {}


def hostile(error: str) -> Callable[[Script], Script]:
    """Registers a server and what is said about it."""

    def register(script: Script) -> Script:
        SCRIPTS[script.__name__] = script, error
        return script

    return register


@hostile("longer than 16384 bytes")
async def endless_blocks(wire: Wire) -> None:
    await wire.agree(windowsize="64")
    for block in itertools.count(1):
        await wire.send(Data(block % 65_536, bytes(512)))


@hostile("too slow|longer than")
async def endless_tiny_blocks(wire: Wire) -> None:
    await wire.agree(blksize="8")
    for block in itertools.count(1):
        await wire.send(Data(block % 65_536, bytes(8)))


@hostile("longer than 10 bytes")
async def more_than_announced(wire: Wire) -> None:
    await wire.agree(tsize="10")
    await wire.send(Data(1, bytes(512)))


@hostile("ends after 5 of 4000 announced bytes")
async def less_than_announced(wire: Wire) -> None:
    await wire.agree(tsize="4000")
    await wire.send(Data(1, b"short"))


@hostile("99999999 bytes, allowed are 16384")
async def a_huge_announcement(wire: Wire) -> None:
    await wire.agree(tsize="99999999")


@hostile("blksize=65464 is not acceptable")
async def larger_blocks_than_asked(wire: Wire) -> None:
    await wire.agree(blksize="65464")


@hostile("windowsize=65535 is not acceptable")
async def a_larger_window_than_asked(wire: Wire) -> None:
    await wire.agree(windowsize="65535")


@hostile("multicast=1 is not acceptable: not asked for")
async def an_option_that_nobody_asked_for(wire: Wire) -> None:
    await wire.agree(multicast="1")


@hostile("blksize=-8 is not acceptable")
async def a_negative_option(wire: Wire) -> None:
    await wire.agree(blksize="-8")


@hostile("too slow|answer")
async def a_storm_of_options(wire: Wire) -> None:
    await wire.request()
    while True:
        await wire.send(OptionAcknowledgement({"windowsize": "64"}))


@hostile("longer than negotiated")
async def a_huge_block(wire: Wire) -> None:
    await wire.agree(blksize="1428")
    await wire.send(Data(1, bytes(60_000)))


@hostile("too slow|stopped answering")
async def a_storm_of_repetitions(wire: Wire) -> None:
    await wire.agree(blksize="512")
    sent = 0
    try:
        while True:
            await wire.send(Data(1, bytes(512)))
            sent += 1
    finally:
        assert wire.told < 20 + sent / 10, "the sorcerer's apprentice"


@hostile("too slow|stopped answering|answer")
async def blocks_from_anywhere(wire: Wire) -> None:
    await wire.agree(windowsize="64", blksize="1428")
    rng = random.Random(1)
    while True:
        await wire.send(Data(rng.randrange(2, 65_536), bytes(1428)))


@hostile("strangers|answer")
async def strangers(wire: Wire) -> None:
    await wire.agree(blksize="512")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as stranger:
        stranger.bind((HOSTILE, 0))
        while True:
            for _ in range(100):
                stranger.sendto(bytes(Data(1, b"forged")), wire.client)
            await asyncio.sleep(0)


@hostile("too slow")
async def a_slow_drip(wire: Wire) -> None:
    await wire.agree(blksize="8")
    for block in itertools.count(1):
        await wire.send(Data(block, bytes(8)))
        await asyncio.sleep(0.02)


@hostile("too slow|malformed packets")
async def a_storm_of_garbage(wire: Wire) -> None:
    await wire.request()
    rng = random.Random(2)
    while True:
        await wire.send(b"\0\x09" + rng.randbytes(rng.randrange(1000)))


@hostile("does not answer|stopped answering")
async def packets_of_a_client(wire: Wire) -> None:
    await wire.request()
    for packet in (Acknowledgement(0), Acknowledgement(1), ReadRequest("x"), WriteRequest("x")):
        await wire.send(packet)
    await asyncio.Event().wait()


@hostile(r"error 2: \?\[2Jgo away")
async def a_reason_without_an_end(wire: Wire) -> None:
    await wire.request()
    await wire.send(b"\0\5\0\2\x1b[2Jgo away")


@hostile("error 65535")
async def an_endless_reason(wire: Wire) -> None:
    await wire.request()
    await wire.send(b"\0\5\xff\xff" + b"A" * 60_000)


@hostile("not asked for")
async def consent_and_then_silence(wire: Wire) -> None:
    while True:
        await wire.agree(blksize="1428")


@hostile("does not answer")
async def silence(wire: Wire) -> None:
    await wire.request()
    await asyncio.Event().wait()


async def good(wire: Wire) -> None:
    while True:
        request = await wire.request()
        hint = request.file == "default.yaml"
        await wire.send(Data(1, b"tss.servers: [tss1]") if hint else Failure(1, "not here"))


@asynccontextmanager
async def serving(script: Script, address: str, port: int = 0) -> AsyncIterator[int]:
    """Runs a script again and again, so that every file and attempt meets it."""
    sockets = [
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) for _ in "12"
    ]
    sockets[0].bind((address, port))
    sockets[1].bind((address, 0))

    async def serve() -> None:
        while True:
            with suppress(WireError):
                await script(Wire(sockets[0], sockets[1]))
            await asyncio.sleep(0)

    task = asyncio.ensure_future(serve())
    try:
        yield sockets[0].getsockname()[1]
    finally:
        failed = task.exception() if task.done() and not task.cancelled() else None
        task.cancel()
        with suppress(asyncio.CancelledError, Exception):
            await task
        for each in sockets:
            each.close()
        assert failed is None


@contextmanager
def bounded_memory() -> Iterator[None]:
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < MEMORY_BYTES
    finally:
        tracemalloc.stop()


def settings(port: int) -> Settings:
    return Settings(port=port, timeout_s=0.05, longest_s=0.05, resends=2, deadline_s=0.5,
                    max_bytes=16_384)  # fmt: skip


@pytest.mark.parametrize("name", SCRIPTS)
async def test_a_hostile_server_is_given_up_and_named(name: str) -> None:
    script, expected = SCRIPTS[name]
    async with serving(script, HOSTILE) as port, asyncio.timeout(20):
        client = TftpClient(settings(port), lambda _: None)
        with bounded_memory(), pytest.raises(TftpError, match=expected) as caught:
            await client.fetch(IPv4Address(HOSTILE), "default.yaml")
    assert caught.value.server == HOSTILE
    assert caught.value.file == "default.yaml"
    assert caught.value.remedy
    assert str(caught.value).isprintable()


class Names:
    async def resolve(self, name: str) -> tuple[IPv4Address, ...]:
        return (IPv4Address(name),)


@pytest.mark.parametrize("name", SCRIPTS)
async def test_the_next_good_server_is_used(name: str) -> None:
    async with (
        serving(SCRIPTS[name][0], HOSTILE) as port,
        serving(good, GOOD, port),
        asyncio.timeout(20),
    ):
        hints = TftpHints("02-54-50-00-00-01", "TouchPro", settings(port))
        with bounded_memory():
            hint = await hints.ask(LEASE, Names(), lambda _: None)
    assert (hint.host, hint.names) == (GOOD, ("tss1",))


@pytest.mark.parametrize("file", ["../../etc/passwd", "/etc/shadow", "a\0b", "x" * 500, "%2e%2e/x"])
async def test_a_path_from_dhcp_is_never_asked_for(file: str) -> None:
    asked: list[str] = []

    async def curious(wire: Wire) -> None:
        asked.append((await wire.request()).file)
        await wire.send(Failure(1, "not here"))

    async with serving(curious, HOSTILE) as port:
        hints = TftpHints("02-54-50-00-00-01", "TouchPro", settings(port))
        lease = replace(LEASE, tftp_servers=(HOSTILE,), boot_file=file, site=f"../{file}")
        with pytest.raises(TftpError):
            await hints.ask(lease, Names(), lambda _: None)
    expected = {"units/02-54-50-00-00-01.yaml", "models/touchpro.yaml", "default.yaml"}
    assert set(asked) == expected
