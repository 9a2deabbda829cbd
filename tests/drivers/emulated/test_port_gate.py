"""Datagrams through the filter of an emulated XMA2, on real sockets."""

import asyncio
import socket
from collections.abc import Iterator

import pytest

from openturret.drivers.emulated.port_gate import PortGate
from openturret.hal.xma import RANGES, PortFilter

MODULE, MATRIX, PEER = "127.0.0.2", "127.0.0.1", "127.0.0.3"
DEFAULT = RANGES[0]


@pytest.fixture
def peer() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as found:
        found.setblocking(False)
        found.bind((PEER, 0))
        yield found


def bound(port: int) -> socket.socket:
    found = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    found.setblocking(False)
    found.bind((MATRIX, port))
    return found


async def heard(at: socket.socket) -> tuple[bytes, tuple[str, int]]:
    async with asyncio.timeout(10):
        data, source = await asyncio.get_running_loop().sock_recvfrom(at, 2048)
        return data, source


async def counted(gate: PortGate, name: str, count: int) -> None:
    async with asyncio.timeout(10):
        while gate.counters[name] < count:
            await asyncio.sleep(0)


async def test_only_ports_of_the_block_come_through(peer: socket.socket) -> None:
    gate = PortGate(MODULE, MATRIX, DEFAULT)
    edges = (0x27FF, 0x2800, 0x2FFE, 0x2FFF, 0x3000)
    matrix = {port: bound(port) for port in edges}
    for port in edges:
        gate.open(port)
        peer.sendto(b"%d" % port, (MODULE, port))
    for port in (0x2800, 0x2FFE, 0x2FFF):
        assert await heard(matrix[port]) == (b"%d" % port, (MODULE, port))
    await counted(gate, "filtered", 2)
    assert dict(gate.counters) == {"accepted": 3, "filtered": 2}
    for port in (0x27FF, 0x3000):
        with pytest.raises(BlockingIOError):
            matrix[port].recv(1)
    gate.close()
    for each in matrix.values():
        each.close()


async def test_another_filter_lets_other_ports_through(peer: socket.socket) -> None:
    gate = PortGate(MODULE, MATRIX, DEFAULT)
    gate.open(0x4000)
    peer.sendto(b"too early", (MODULE, 0x4000))
    await counted(gate, "filtered", 1)
    gate.ports = PortFilter(0x4000, 0xF000)
    with bound(0x4000) as matrix:
        peer.sendto(b"now", (MODULE, 0x4000))
        assert (await heard(matrix))[0] == b"now"
    gate.close()


async def test_the_matrix_answers_through_the_gate(peer: socket.socket) -> None:
    gate = PortGate(MODULE, MATRIX, DEFAULT)
    gate.open(0x2802)
    with bound(0x2802) as matrix:
        peer.sendto(b"question", (MODULE, 0x2802))
        _, source = await heard(matrix)
        matrix.sendto(b"answer", source)
        assert await heard(peer) == (b"answer", (MODULE, 0x2802))
    gate.close()
