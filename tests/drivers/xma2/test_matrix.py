"""The matrix of an XMA2: a real one, behind the filter that the console administers."""

import asyncio
import contextlib
import socket
import struct
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from openturret.drivers.emulated.port_gate import PortGate
from openturret.drivers.emulated.serial_ports import TcpPort
from openturret.drivers.emulated.xma2 import Xma2Twin
from openturret.drivers.oldcb import OldcbMatrix
from openturret.drivers.xma2.matrix import matrix_at
from openturret.drivers.xma2.module import Xma2
from openturret.hal import AttachedEvent, SystemClock
from openturret.hal.board import DeviceSpec, DeviceType
from openturret.hal.errors import BoardError, MatrixGoneError
from openturret.hal.matrix import LegTarget
from openturret.hal.xma import RANGES

MODULE, MATRIX, PEER = "127.0.0.2", "127.0.0.1", "127.0.0.3"
SECRET = b"5e71a0c4d2b94f0f8d3e6c1b7a925a44"


def free_pair() -> int:
    """The first of two TCP ports that are free and follow each other."""
    while True:
        with socket.socket() as first, socket.socket() as second, contextlib.suppress(OSError):
            first.bind((MATRIX, 0))
            port = int(first.getsockname()[1])
            second.bind((MATRIX, port + 1))
            return port


@pytest.fixture
async def matrix(folder: Path) -> AsyncIterator[OldcbMatrix]:
    """The process that mixes in the module, with RTP ports at the start of its default block."""
    (folder / "config").mkdir()
    lower = RANGES[0].rtp_lower_port
    ports = f"application.mm.rtplowerport: {lower}\napplication.mm.rtpupperport: {lower + 20}\n"
    (folder / "config" / "unit.yaml").write_text(ports)
    port = free_pair()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "openturret.firmware.matrix", "--state", str(folder)),
        *("--control-port", str(port), "--event-port", str(port + 1)),
        stderr=asyncio.subprocess.DEVNULL,
    )
    client = matrix_at(f"{MATRIX}:{port}")
    assert isinstance(client, OldcbMatrix)
    async with asyncio.timeout(20):
        while not await answers(client):
            await asyncio.sleep(0.05)
    yield client
    await client.close()
    process.terminate()
    await process.wait()


async def answers(client: OldcbMatrix) -> bool:
    try:
        await client.hello()
    except MatrixGoneError:
        return False
    return True


@pytest.fixture
async def module(folder: Path) -> AsyncIterator[tuple[Xma2, Xma2Twin]]:
    """The module's console on TCP, and the driver in session there."""
    secret = folder / "secret"
    secret.write_bytes(SECRET)
    secret.chmod(0o600)
    twin = Xma2Twin("XM-0007", SECRET, TcpPort(), PortGate(MODULE, MATRIX, RANGES[0]))
    await twin.plug()
    match: dict[str, str | int] = {"url": twin.url, "secret": str(secret)}
    driver = Xma2(DeviceSpec("xma-1", DeviceType.XMA2, "xma2", match, frozenset()), SystemClock())
    events = driver.events()
    await driver.open()
    async with asyncio.timeout(10):
        assert isinstance(await anext(events), AttachedEvent)
    yield driver, twin
    await driver.close()
    await twin.pull()
    twin.gate.close()


@pytest.fixture
def peer() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as found:
        found.setblocking(False)
        found.bind((PEER, 0))
        yield found


def packet(sequence: int) -> bytes:
    """A packet of PCMU (RFC 3550 section 5.1), 20 ms of silence."""
    return struct.pack("!BBHII", 0x80, 0, sequence, 160 * sequence, 7) + b"\xff" * 160


async def received(matrix: OldcbMatrix) -> int:
    (leg,) = await matrix.leg_list()
    return leg.stats.packets_received


@pytest.mark.slow
async def test_voice_passes_both_ways_until_the_console_closes_the_filter(
    matrix: OldcbMatrix, module: tuple[Xma2, Xma2Twin], peer: socket.socket
) -> None:
    driver, twin = module
    leg = await matrix.leg_open()
    assert RANGES[0].accepts(leg.rtp_port)
    twin.gate.open(leg.rtp_port)
    await matrix.leg_connect(leg.leg, LegTarget(MODULE, leg.rtp_port))
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(20):
        sequence = 0
        while await received(matrix) < 5:
            sequence += 1
            peer.sendto(packet(sequence), (MODULE, leg.rtp_port))
        heard, source = await loop.sock_recvfrom(peer, 2048)
    assert source == (MODULE, leg.rtp_port)
    assert (heard[0], heard[1] & 0x7F, len(heard)) == (0x80, 0, 172)
    await driver.set_port_filter(RANGES[2])
    before = await driver.counters()
    for more in range(1, 11):
        peer.sendto(packet(sequence + more), (MODULE, leg.rtp_port))
    async with asyncio.timeout(10):
        while (await driver.counters())["filtered"] < before["filtered"] + 10:
            await asyncio.sleep(0)
    assert (await driver.counters())["accepted"] == before["accepted"]


@pytest.mark.parametrize(
    "address", ["", "10.0.0.7", ":4250", "10.0.0.7:0", "10.0.0.7:65535", "10.0.0.7:4250/x", "a b:1"]
)
def test_what_is_no_address_is_refused_with_a_remedy(address: str) -> None:
    with pytest.raises(BoardError, match=r"is no address; write 'matrix: "):
        matrix_at(address)


async def test_an_address_in_brackets_is_one_of_ipv6() -> None:
    with pytest.raises(MatrixGoneError, match="no matrix at ::1:1:"):
        await matrix_at("[::1]:1").hello()
