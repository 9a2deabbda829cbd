"""The NTP client against chronyd, which is right, not synchronised, or refuses."""

from __future__ import annotations

import random
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from openturret.boot.errors import NtpError
from openturret.boot.lan.ntp import SntpClient
from openturret.hal.clock import SystemClock
from openturret.lab.errors import ToolMissingError
from openturret.lab.tools import tool

pytestmark = [pytest.mark.bench, pytest.mark.slow]

PORT = 11_123
HOST = IPv4Address("127.0.0.1")
OTHER = IPv4Address("127.0.0.2")
RIGHT = "local stratum 3"

Start = Callable[..., None]


class LateClock(SystemClock):
    """A clock that is an hour late."""

    def unix(self) -> float:
        return super().unix() - 3600


@contextmanager
def chronyd(folder: Path, host: IPv4Address, *lines: str) -> Iterator[None]:
    """Runs chronyd without the right, or the wish, to set any clock."""
    program = tool("chronyd")
    configuration = folder / f"{host}.conf"
    configuration.write_text(
        "\n".join([f"port {PORT}", f"bindaddress {host}", "cmdport 0", "bindcmdaddress /",
                   f"pidfile {folder}/{host}.pid", *lines])
    )  # fmt: skip
    command = [str(program.path), "-x", "-d", "-u", "root", "-f", str(configuration)]
    with subprocess.Popen(
        command, env=program.environment(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    ) as process:
        try:
            yield
        finally:
            process.kill()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    with ExitStack() as stack:

        def run(host: IPv4Address, *lines: str) -> None:
            try:
                stack.enter_context(chronyd(tmp_path, host, *lines))
            except ToolMissingError as error:
                pytest.skip(str(error))

        yield run


def client(clock: SystemClock | None = None) -> SntpClient:
    """Asks until chronyd has started."""
    rng = random.SystemRandom()
    return SntpClient(clock or SystemClock(), rng, port=PORT, timeout_s=0.1, tries=100)


async def test_a_right_clock_is_found_right_and_a_late_one_late(start: Start) -> None:
    start(HOST, RIGHT, "allow")
    now = SystemClock().unix()
    sample = await client().ask([HOST], now)
    assert abs(sample.offset_s) <= sample.margin_s
    late = await client(LateClock()).ask([HOST], now)
    assert late.offset_s == pytest.approx(3600, abs=late.margin_s)


async def test_a_server_that_is_not_synchronised_is_not_believed(start: Start) -> None:
    start(HOST, "allow")
    with pytest.raises(NtpError, match="not synchronised"):
        await client().ask([HOST], SystemClock().unix())


async def test_the_good_server_outlives_the_bad_one(start: Start) -> None:
    start(HOST, "allow")
    start(OTHER, RIGHT, "allow")
    sample = await client().ask([HOST, OTHER], SystemClock().unix())
    assert sample.server == OTHER
