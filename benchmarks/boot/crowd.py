"""Many units in one process: each plays the boot's exchanges with the boot's own client classes.

What differs from as many real units is told here, because figures without it would mislead:
all of them share one interface (each has a MAC of its own there) and, for TFTP and the TSS, one
address and one machine's processors; nothing is unpacked and nothing is started.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import shutil
import socket
import statistics
import struct
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from pathlib import Path
from typing import Final

from openturret.boot.errors import BootError
from openturret.boot.fetch.tftp import TftpClient
from openturret.boot.fetch.tls import client_context
from openturret.boot.fetch.transfer import Settings
from openturret.boot.fetch.transport import Account, Server, Terms
from openturret.boot.fetch.tss import parse_hint
from openturret.boot.fetch.visit import Visit
from openturret.boot.lan.binding import DhcpState, Situation, Timing
from openturret.boot.lan.carrier import Carrier
from openturret.boot.lan.dhcp import DhcpClient
from openturret.boot.lan.dhcp_messages import Requester
from openturret.boot.lan.lease import Lease
from openturret.boot.lan.link import ArpPort, BroadcastPort, MessagePort
from openturret.boot.trusted.trust import TrustStore
from openturret.hal.backoff import Backoff
from openturret.hal.clock import SystemClock

STAGES: Final = ("dhcp", "tftp", "tss")
_SOL_PACKET, _STATISTICS, _IGNORE_OUTGOING = 263, 6, 23
_ETH_P_IP: Final = 0x0800
_FRAME_BYTES: Final = 2048
_CHADDR: Final = 14 + 20 + 8 + 28
"""Where the client's MAC is in a DHCP frame: after Ethernet, IP and UDP headers (RFC 2131 §2)."""

CONFIGURATION: Final = "sites/default/config.yaml"
MANIFEST: Final = "firmware/touchpro/manifest.yaml"


class Hub:
    """Joins the DHCP ports of a crowd to one interface.

    A port is one end of a pair of Unix sockets that carries frames, as an AF_PACKET socket
    does. Thousands of packet sockets would each be handed every frame of the interface.
    """

    def __init__(self, interface: str) -> None:
        self._interface = interface
        self._link = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_NONBLOCK)
        self._link.setsockopt(_SOL_PACKET, _IGNORE_OUTGOING, 1)
        self._link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 24)
        self._link.bind((interface, _ETH_P_IP))
        self._ends: dict[bytes, socket.socket] = {}

    def start(self) -> None:
        """Carry frames from now on."""
        asyncio.get_running_loop().add_reader(self._link, self._take_in)

    def close(self) -> int:
        """Carry nothing any more; returns how many frames found the crowd's own queue full."""
        asyncio.get_running_loop().remove_reader(self._link)
        statistics_of_link = self._link.getsockopt(_SOL_PACKET, _STATISTICS, 8)
        self._link.close()
        return int(struct.unpack("II", statistics_of_link)[1])

    def open(self, mac: bytes) -> socket.socket:
        """The port of a unit without an address; DHCP messages for its MAC come to it."""
        ours, port = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK)
        self._ends[mac] = ours
        asyncio.get_running_loop().add_reader(ours, self._send_out, mac, ours)
        return port

    def open_outward(self) -> socket.socket:
        """A port that sends only: it is bound to no protocol."""
        port = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_NONBLOCK)
        port.bind((self._interface, 0))
        return port

    def _take_in(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while frame := self._link.recv(_FRAME_BYTES):
                end = self._ends.get(frame[_CHADDR : _CHADDR + 6])
                if end is not None:
                    with contextlib.suppress(OSError):  # its queue is full, or it has just gone
                        end.send(frame)

    def _send_out(self, mac: bytes, ours: socket.socket) -> None:
        frame = b""
        with contextlib.suppress(ConnectionResetError):  # it went with answers unread
            frame = ours.recv(_FRAME_BYTES)
        if frame:
            with contextlib.suppress(BlockingIOError):
                self._link.send(frame)
            return
        asyncio.get_running_loop().remove_reader(ours)
        ours.close()
        if self._ends.get(mac) is ours:
            del self._ends[mac]


@dataclass(frozen=True, slots=True)
class CrowdPorts:
    """What one unit of a crowd talks DHCP through."""

    hub: Hub
    mac: bytes

    def broadcast(self) -> BroadcastPort:
        """The port of a unit without an address."""
        return BroadcastPort(self.hub.open(self.mac), self.mac)

    def arp(self, address: IPv4Address) -> ArpPort:
        """A port whose probes go out; nobody in a crowd claims another one's address."""
        return ArpPort(self.hub.open_outward(), self.mac, address)

    def unicast(self, server: IPv4Address) -> MessagePort:
        """Nobody in a crowd stays long enough to renew."""
        raise NotImplementedError

    def carrier(self) -> Carrier:
        """Nobody in a crowd pulls a cable."""
        raise NotImplementedError


@dataclass(slots=True)
class Tally:
    """What a crowd went through.

    Attributes:
        seconds: of each unit that came to the end of a stage, by stage and ``all``.
        resends: what had to be asked again, by stage.
        failures: units that were not done in time.
        overflowed: frames that were lost because the crowd itself was too slow.
    """

    seconds: dict[str, list[float]] = field(
        default_factory=lambda: {name: [] for name in (*STAGES, "all")}
    )
    resends: dict[str, int] = field(default_factory=lambda: dict.fromkeys(STAGES, 0))
    failures: int = 0
    overflowed: int = 0

    @contextlib.asynccontextmanager
    async def timed(self, stage: str) -> AsyncIterator[None]:
        """Times a stage that comes to its end."""
        began = time.monotonic()
        yield
        self.seconds[stage].append(time.monotonic() - began)


@dataclass(frozen=True, slots=True)
class _Listener:
    """Counts what a DHCP client has to ask again."""

    tally: Tally

    def count(self, _round_trips: int, /) -> None:
        """Is not asked about."""

    def enter(self, _state: DhcpState, _address: IPv4Address | None, _detail: str = "") -> None:
        """Is not asked about."""

    def trouble(self, _error: BootError, _detail: str) -> None:
        """One more."""
        self.tally.resends["dhcp"] += 1


@dataclass(frozen=True, slots=True)
class Scene:
    """Where a crowd boots.

    Attributes:
        interface: which they share.
        folder: for what each of them keeps; emptied as they are done.
        factory: a factory folder with CA and root of trust.
        password: of all of them.
        image: whether they fetch the firmware too.
        at_a_time: how many may be at the TSS together: each takes a thread here.
        limit_s: how long a unit may take.
    """

    interface: str
    folder: Path
    factory: Path
    password: str
    image: bool
    at_a_time: int
    limit_s: float


class Crowd:
    """Units that are powered on together."""

    def __init__(self, scene: Scene, macs: list[bytes], seed: int = 1) -> None:
        self._scene = scene
        self._macs = macs
        self._clock = SystemClock()
        self._rng = random.Random(seed)
        self._tally = Tally()
        self._hub = Hub(scene.interface)
        self._threads = ThreadPoolExecutor(scene.at_a_time)
        self._terms = Terms(client_context(scene.factory / "ca.pem"), self._clock)
        self._root = (scene.factory / "root.json").read_bytes()

    async def boot(self) -> Tally:
        """Everybody's boot; returns when all are done or have run out of time."""
        self._hub.start()
        try:
            async with asyncio.TaskGroup() as group:
                for mac in self._macs:
                    group.create_task(self._one(mac))
        finally:
            self._tally.overflowed = self._hub.close()
            self._threads.shutdown(wait=False, cancel_futures=True)
        return self._tally

    async def _one(self, mac: bytes) -> None:
        try:
            async with asyncio.timeout(self._scene.limit_s), self._tally.timed("all"):
                async with self._tally.timed("dhcp"):
                    lease = await self._lease(mac)
                async with self._tally.timed("tftp"):
                    servers = await self._again("tftp", lambda: self._hint(lease))
                async with self._tally.timed("tss"):
                    await self._again("tss", lambda: self._fetch(mac, servers[0]))
        except TimeoutError:
            self._tally.failures += 1

    async def _lease(self, mac: bytes) -> Lease:
        situation = Situation(
            ports=CrowdPorts(self._hub, mac),
            requester=Requester(mac, f"turret-{mac.hex('-')}"),
            clock=self._clock,
            rng=self._rng,
            timing=Timing.standard(self._rng),
            listener=_Listener(self._tally),
        )
        return (await DhcpClient(situation).acquire(None)).lease

    async def _hint(self, lease: Lease) -> tuple[str, ...]:
        client = TftpClient(Settings(), lambda _trips: None)
        server = IPv4Address(lease.tftp_servers[0])
        return parse_hint(await client.fetch(server, lease.boot_file, small=True))

    async def _fetch(self, mac: bytes, server: str) -> None:
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._threads, self._visit, mac, server)

    def _visit(self, mac: bytes, server: str) -> None:
        """What a unit without anything asks a TSS, verified."""
        folder = self._scene.folder / mac.hex()
        account = Account(mac.hex(":"), self._scene.password)
        visit = Visit(
            Server(server, IPv4Address(server)), account, self._terms,
            count=lambda _trips: None, trouble=lambda _error: None,
        )  # fmt: skip
        try:
            tree = TrustStore(folder, self._root, self._clock).refresh(visit)
            tree.must_fetch(CONFIGURATION)
            manifest = tree.must_fetch(MANIFEST)
            if self._scene.image:
                tree.must_fetch(f"firmware/touchpro/{_image_of(manifest)}")
        finally:
            visit.close()
            shutil.rmtree(folder, ignore_errors=True)

    async def _again(self, stage: str, attempt: Callable[[], object]) -> tuple[str, ...]:
        """Tries until it works, as the agent does."""
        for delay_s in Backoff(first_s=2, cap_s=300, jitter=0.25, rng=self._rng).delays():
            try:
                found = attempt()
                result = await found if asyncio.iscoroutine(found) else found
            except BootError:
                self._tally.resends[stage] += 1
                await asyncio.sleep(delay_s)
            else:
                return result if isinstance(result, tuple) else ()
        raise BootError("the back-off has ended")  # pragma: no cover - it has no end


def _image_of(manifest: Path) -> str:
    lines = dict(line.split(": ", 1) for line in manifest.read_text().splitlines())
    return lines["file"]


def percentiles(values: list[float]) -> dict[str, float]:
    """Median, 95th and 99th percentile and the most of at least one value."""
    ordered = sorted(values)

    def at(share: float) -> float:
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]

    return {"median": statistics.median(ordered), "p95": at(0.95), "p99": at(0.99),
            "max": ordered[-1]}  # fmt: skip
