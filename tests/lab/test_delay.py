"""A delayed link delays, loses the same frames for the same seed, and carries the rest unharmed."""

from __future__ import annotations

import hashlib
import random
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from openturret.lab.delay import FAR_ADDRESS, Counts, DelayedLink, Limits, Relay, Way, delayed_link
from openturret.lab.errors import NetworkError

pytestmark = pytest.mark.bench

PORT = 7777
PATIENCE_S = 10.0
ECHO = f"""
import socket
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
udp.bind(("{FAR_ADDRESS}", {PORT}))
print("ready", flush=True)
while True:
    data, sender = udp.recvfrom(65535)
    udp.sendto(data, sender)
"""
DIGEST = f"""
import hashlib, socket
listener = socket.create_server(("{FAR_ADDRESS}", {PORT}))
print("ready", flush=True)
client, _ = listener.accept()
digest = hashlib.sha256()
while data := client.recv(65536):
    digest.update(data)
client.sendall(digest.digest())
"""


@contextmanager
def running(link: DelayedLink, program: str) -> Iterator[None]:
    command = link.command([sys.executable, "-c", program])
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield
        process.kill()


def echoed(datagrams: list[bytes], *, enough: int | None = None) -> list[bytes]:
    """What comes back of datagrams that are sent at once, until it is enough."""
    enough = len(datagrams) if enough is None else enough
    heard: list[bytes] = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.connect((FAR_ADDRESS, PORT))
        udp.settimeout(PATIENCE_S)
        for datagram in datagrams:
            udp.send(datagram)
        while len(heard) < enough:
            heard.append(udp.recv(65535))
    return heard


NUMBERED = [bytes([number]) * 100 for number in range(200)]


def test_everything_arrives_in_order_and_not_too_early() -> None:
    with delayed_link(Way(delay_ms=15), Way(delay_ms=5)) as link, running(link, ECHO):
        before = time.monotonic()
        assert echoed(NUMBERED[:1]) == NUMBERED[:1]
        assert time.monotonic() - before >= 0.020
        assert echoed(NUMBERED) == NUMBERED
    assert link.counts is not None
    assert all((way.lost, way.overflowed) == (0, 0) for way in link.counts)


END = b"end"


def survivors(seed: int) -> list[bytes]:
    """What comes through; nothing is reordered, so the end is the end."""
    heard: list[bytes] = []
    with (
        delayed_link(Way(loss=0.2), Way(), seed=seed) as link,
        running(link, ECHO),
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp,
    ):
        udp.connect((FAR_ADDRESS, PORT))
        udp.settimeout(PATIENCE_S)
        for datagram in [*NUMBERED, *[END] * 50]:
            udp.send(datagram)
        while not heard or heard[-1] != END:
            heard.append(udp.recv(65535))
    assert link.counts is not None
    assert link.counts[0].lost >= len(NUMBERED) - len(heard) + 1
    assert link.counts[1].lost == 0
    return heard


def test_a_seed_decides_which_frames_are_lost() -> None:
    first = survivors(seed=1)
    assert 120 < len(first) < 190
    assert survivors(seed=1) == first
    assert survivors(seed=2) != first


def test_a_full_queue_drops_what_comes_last() -> None:
    limits = Limits(queue_bytes=10_000)
    datagrams = [bytes([number]) * 958 for number in range(20)]
    with delayed_link(Way(delay_ms=500), Way(), limits=limits) as link, running(link, ECHO):
        heard = echoed(datagrams, enough=10)
    assert [datagram[0] for datagram in heard] == list(range(10)), "1000 bytes each with headers"
    assert link.counts is not None
    assert link.counts[0] == Counts(carried=10, lost=0, overflowed=10)


def test_a_jumbo_frame_is_carried_whole() -> None:
    limits = Limits(mtu_bytes=9000)
    datagram = random.Random(1).randbytes(8972)
    with delayed_link(Way(), limits=limits) as link, running(link, ECHO):
        assert echoed([datagram]) == [datagram]
    assert link.counts is not None
    assert link.counts[0].carried < 4, "one frame, not seven fragments"


def digest_from_there(data: bytes) -> bytes:
    with socket.create_connection((FAR_ADDRESS, PORT), timeout=60) as tcp:
        tcp.sendall(data)
        tcp.shutdown(socket.SHUT_WR)
        return tcp.recv(32)


def test_tcp_repairs_what_the_link_loses() -> None:
    data = random.Random(2).randbytes(2_000_000)
    with delayed_link(Way(delay_ms=1, loss=0.02)) as link, running(link, DIGEST):
        assert digest_from_there(data) == hashlib.sha256(data).digest()
    assert link.counts is not None
    there = link.counts[0]
    assert there.lost > 5
    assert there.carried > len(data) / 1500, "frames have the size of a wire's"


def test_what_cannot_be_joined_is_an_error() -> None:
    with pytest.raises(NetworkError, match="nowhere-1"):
        Relay("nowhere-1", "nowhere-2", Way())


@pytest.mark.parametrize("values", [(-1, 0), (0, -0.1), (0, 1.1), (60_001, 0)])
def test_a_way_has_bounds(values: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="delay_ms is 0 to 60000"):
        Way(*values)


def test_the_link_leaves_nothing_behind() -> None:
    names = socket.if_nameindex()
    with delayed_link(Way()) as link:
        assert link.counts is None
    assert socket.if_nameindex() == names
    assert link.counts is not None
    assert all(isinstance(way, Counts) for way in link.counts)
