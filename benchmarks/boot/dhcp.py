"""From no address to a usable one: the unit's DHCP client beside busybox's udhcpc.

    python benchmarks/boot/lan/dhcp.py [--runs 20] [--server dnsmasq] [--quick] [--json]

Both ask the same server over the same cable (`openturret.lab.dhcp_servers`); the server has granted
this machine its address before, so neither waits for a search of the pool.

- ``openturret, new``: DISCOVER, OFFER, REQUEST, ACK, and the wait for an answer to the first ARP
  probe; the other probes go out while the address is in use.
- ``openturret, stored``: INIT-REBOOT, as after a power cut.
- ``udhcpc``: the four messages, no conflict detection.
- ``udhcpc -a``: with its conflict detection, a single probe.

The unit's client is timed inside a running process, as the boot agent has it, and once more as a
whole process from start to end, as udhcpc is.  Neither configures the interface.

Figures are medians with the range, in milliseconds: less is better.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path
from typing import Final

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from benchmarks.figures import Figure, Missing, Row, note, tell
from openturret.boot.errors import BootError
from openturret.boot.lan.binding import DhcpState, Situation, Timing
from openturret.boot.lan.dhcp import DhcpClient
from openturret.boot.lan.dhcp_messages import Requester
from openturret.boot.lan.interface import IpInterface, run_ip
from openturret.boot.lan.lease import Lease, LeaseStore
from openturret.boot.lan.link import InterfacePorts
from openturret.hal.clock import SystemClock
from openturret.lab import namespace
from openturret.lab.dhcp_servers import SERVERS, UNIT, Pool, lan, serving
from openturret.lab.errors import LabError, ToolMissingError
from openturret.lab.tools import tool

BENCHMARK: Final = "dhcp"
LIMIT_S: Final = 30


class FailedError(Exception):
    """A client got no lease; says why."""


class Quiet:
    """A listener that wants to hear of nothing."""

    def count(self, round_trips: int, /) -> None:
        """Ignores it."""

    def enter(self, state: DhcpState, address: IPv4Address | None, detail: str = "") -> None:
        """Ignores it."""

    def trouble(self, error: BootError, detail: str) -> None:
        """Ignores it: what it costs is in the time."""


async def acquire(stored: Lease | None) -> Lease:
    """Gets a lease as the boot agent does."""
    rng, interface = random.SystemRandom(), IpInterface(UNIT, run_ip)
    ports = InterfacePorts(UNIT, interface.mac)
    requester = Requester(interface.mac(), "turret-1")
    timing = Timing.standard(rng)
    client = DhcpClient(Situation(ports, requester, SystemClock(), rng, timing, Quiet()))
    async with asyncio.timeout(LIMIT_S):
        binding = await client.acquire(stored)
    client.close()
    return binding.lease


@dataclass(frozen=True, slots=True)
class Inside:
    """The unit's client in this process."""

    store: LeaseStore
    rebooting: bool

    def run(self) -> None:
        """Gets a lease and keeps it for the next run."""
        self.store.save(asyncio.run(acquire(self.store.load() if self.rebooting else None)))


@dataclass(frozen=True, slots=True)
class Process:
    """A client as a process of its own."""

    command: Callable[[], list[str]]

    def run(self) -> None:
        """Runs it to its end.

        Raises:
            FailedError: it says so.
            ToolMissingError: it is not installed.
        """
        done = subprocess.run(self.command(), capture_output=True, text=True, timeout=LIMIT_S)
        if done.returncode:
            raise FailedError((done.stderr or done.stdout).strip()[-200:])


def udhcpc(*options: str) -> list[str]:
    """The command line of busybox's client, which hands its lease to a script: none here."""
    return [str(tool("busybox").path), "udhcpc", "--interface", UNIT, "--foreground", "--quit",
            "--now", "--script", "/bin/true", *options]  # fmt: skip


def clients(folder: Path) -> dict[str, Inside | Process]:
    """Everybody who is measured."""
    store = folder / "lease.json"
    one = [sys.executable, __file__, "--one", str(store)]
    return {
        "openturret, new": Inside(LeaseStore(store), rebooting=False),
        "openturret, stored": Inside(LeaseStore(store), rebooting=True),
        "openturret, new, whole process": Process(lambda: one),
        "openturret, stored, whole process": Process(lambda: [*one, "--stored"]),
        "udhcpc": Process(udhcpc),
        "udhcpc -a": Process(lambda: udhcpc("-a")),
    }


def measure(name: str, client: Inside | Process, runs: int) -> Row:
    """The row of one client; its first run is not counted."""
    times = []
    try:
        for _ in range(runs + 1):
            began = time.perf_counter()
            client.run()
            times.append(1000 * (time.perf_counter() - began))
    except (FailedError, ToolMissingError, TimeoutError, subprocess.TimeoutExpired) as error:
        return Missing(BENCHMARK, name, str(error))
    return Figure.of(BENCHMARK, name, runs, times[1:], "ms")


def rows(options: argparse.Namespace, folder: Path) -> Iterator[Row]:
    """Measures everybody."""
    with lan() as here, serving(options.server, folder, Pool(), here):
        for name, client in clients(folder).items():
            row = measure(name, client, options.runs)
            note(f"{row.subject}: {row.text if isinstance(row, Figure) else row.missing}")
            yield row


def parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=20, help="leases for each row")
    parser.add_argument("--server", choices=sorted(SERVERS), default="dnsmasq")
    parser.add_argument("--quick", action="store_true", help="two leases: proves that it runs")
    parser.add_argument("--json", action="store_true", help="rows as JSON")
    parser.add_argument("--one", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--stored", action="store_true", help=argparse.SUPPRESS)
    return parser


def main() -> int:
    """Run it."""
    options = parser().parse_args()
    options.runs = 2 if options.quick else options.runs
    if options.one:
        Inside(LeaseStore(options.one), rebooting=options.stored).run()
        return 0
    try:
        if not namespace.inside():
            return namespace.enter([sys.executable, __file__, *sys.argv[1:]])
        with tempfile.TemporaryDirectory(prefix="ot-dhcp-") as folder:
            found = list(rows(options, Path(folder)))
    except LabError as error:
        note(str(error))
        return 1
    tell(found, as_json=options.json)
    return 0


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        sys.exit(main())
