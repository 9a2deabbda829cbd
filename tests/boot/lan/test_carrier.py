"""The cable, over a socket pair that carries netlink messages, and over a real one."""

import asyncio
import socket
import struct
import subprocess
from collections.abc import Iterator
from contextlib import closing

import pytest

from openturret.boot.lan.carrier import Carrier

RUNNING = 0x40
INDEX = 7


class News:
    """The kernel's end."""

    def __init__(self, far: socket.socket) -> None:
        self._far = far

    def tell(self, *, carrier: bool, index: int = INDEX) -> None:
        flags = RUNNING if carrier else 0
        self._far.send(struct.pack("=IHHIIBxHiII", 32, 16, 0, 0, 0, 0, 1, index, flags, 0))

    def tell_nonsense(self) -> None:
        self._far.send(struct.pack("=I", 99) + bytes(28))


@pytest.fixture
def ends() -> Iterator[tuple[Carrier, News]]:
    near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    near.setblocking(False)
    with closing(Carrier(near, INDEX)) as carrier, far:
        yield carrier, News(far)


async def within(carrier: Carrier, seconds: float) -> bool:
    try:
        async with asyncio.timeout(seconds):
            await carrier.returned()
    except TimeoutError:
        return False
    return True


async def test_a_cable_that_was_away_returns(ends: tuple[Carrier, News]) -> None:
    carrier, news = ends
    news.tell(carrier=False)
    news.tell(carrier=True)
    assert await within(carrier, 5)


async def test_news_of_a_cable_that_was_never_away_are_no_return(
    ends: tuple[Carrier, News],
) -> None:
    carrier, news = ends
    news.tell(carrier=True)
    news.tell(carrier=False, index=INDEX + 1)
    news.tell(carrier=True)
    news.tell_nonsense()
    assert not await within(carrier, 0.02)


async def test_a_loss_that_was_seen_before_still_counts(ends: tuple[Carrier, News]) -> None:
    carrier, news = ends
    news.tell(carrier=False)
    assert not await within(carrier, 0.02)
    news.tell(carrier=True)
    assert await within(carrier, 5)
    news.tell(carrier=True)
    assert not await within(carrier, 0.02), "once"


@pytest.mark.bench
async def test_a_real_cable_is_pulled_and_plugged_in() -> None:
    for command in ("link add cable0 type veth peer name cable1", "link set cable0 up",
                    "link set cable1 up"):  # fmt: skip
        subprocess.run(["ip", *command.split()], check=True)
    with closing(Carrier.of("cable0")) as carrier:
        subprocess.run(["ip", "link", "set", "cable1", "down"], check=True)
        subprocess.run(["ip", "link", "set", "cable1", "up"], check=True)
        assert await within(carrier, 10)
        assert not await within(carrier, 0.02)
    subprocess.run(["ip", "link", "del", "cable0"], check=True)


def test_a_missing_interface_is_an_error() -> None:
    with pytest.raises(OSError, match="interface"):
        Carrier.of("nothere0")
