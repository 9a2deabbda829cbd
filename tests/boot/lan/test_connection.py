"""The unit's connection over a cable of socket pairs, with an interface that only takes notes."""

import asyncio
import json
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address
from pathlib import Path
from typing import cast

import pytest

from openturret.boot.document import Document
from openturret.boot.errors import InterfaceError
from openturret.boot.folder import StateFolder
from openturret.boot.identity import Identity
from openturret.boot.lan.binding import Timing
from openturret.boot.lan.conflict import ArpTiming
from openturret.boot.lan.connection import RELEASE_KEY, STATIC, UNCONFIRMED, Connection
from openturret.boot.lan.lease import Lease, LeaseStore
from openturret.boot.lan.ntp import NTP_PORT
from openturret.boot.lan.timekeeper import NOT_SET
from openturret.boot.status import StatusBoard
from openturret.boot.surroundings import surroundings
from openturret.boot.wire.dhcp import BootpOp, DhcpMessage, MessageType, Option, Options
from openturret.boot.wire.ntp import NtpMode, NtpPacket, from_unix
from openturret.hal.backoff import Backoff
from openturret.hal.clock import SystemClock
from openturret.hal.syslog import Redactor
from openturret.lab.cable import SERVER, Cable

MAC = bytes.fromhex("025450000001")
ADDRESS = IPv4Address("10.1.0.100")
RELEASING = Document({RELEASE_KEY: True})


@dataclass
class Interface:
    """Takes notes; refuses what a test says."""

    name: str = "eth0"
    done: list[str] = field(default_factory=list)
    refusals: int = 0

    def mac(self) -> bytes:
        return MAC

    async def wait_for_carrier(self) -> None:
        self.done.append("up")

    async def apply(self, lease: Lease, previous: Lease | None) -> None:
        if self.refusals:
            self.refusals -= 1
            raise InterfaceError("the kernel refuses")
        self.done.append(f"apply {lease.address}")

    async def clear(self, lease: Lease) -> None:
        self.done.append(f"clear {lease.address}")


class Server:
    """Grants the one address it has."""

    def __init__(self) -> None:
        self.heard: list[DhcpMessage] = []
        self.refusals = 0

    async def __call__(self, cable: Cable) -> None:
        async for request in cable.requests():
            self.heard.append(request)
            offered = request.type is MessageType.DISCOVER
            kind = MessageType.OFFER if offered else MessageType.ACK
            if self.refusals:
                self.refusals -= 1
                kind = MessageType.NAK
            if request.type in (MessageType.DISCOVER, MessageType.REQUEST):
                await cable.reply(self._granted(request, kind))

    @property
    def types(self) -> list[str]:
        return [request.type.name for request in self.heard]

    def _granted(self, request: DhcpMessage, kind: MessageType) -> DhcpMessage:
        items = (
            (int(Option.MESSAGE_TYPE), bytes([kind])),
            (int(Option.SERVER_ID), SERVER.packed),
            (int(Option.LEASE_TIME), (3600).to_bytes(4, "big")),
            (int(Option.TFTP_SERVER), b"10.1.0.2"),
        )
        return DhcpMessage(
            BootpOp.REPLY, request.xid, MAC, your_address=ADDRESS, options=Options(items)
        )


@dataclass
class Unit:
    connection: Connection
    interface: Interface
    folder: StateFolder
    status: StatusBoard
    cable: Cable
    server: Server

    @property
    def alarms(self) -> dict[str, str]:
        alarms = self.status.as_json()["alarms"]
        assert isinstance(alarms, list)
        return {alarm["code"]: alarm["message"] for alarm in alarms}

    @property
    def detail(self) -> str:
        return self.status.stage("dhcp").detail

    async def keep_until(self, word: str) -> None:
        """Keeps the connection until the interface has done something."""
        task = asyncio.create_task(self.connection.keep())
        async with asyncio.timeout(5):
            while word not in self.interface.done:
                await asyncio.sleep(0.005)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@asynccontextmanager
async def powered(folder: Path) -> AsyncIterator[Unit]:
    """A unit that has just been switched on."""
    async with Cable.laid(MAC) as cable:
        server = Server()
        serving = asyncio.create_task(server(cable))
        unit = built(folder, cable, server)
        try:
            yield unit
        finally:
            await unit.connection.close(None)
            serving.cancel()
            await asyncio.gather(serving, return_exceptions=True)


def built(root: Path, cable: Cable, server: Server) -> Unit:
    rng, folder, interface = random.Random(1), StateFolder(root / "state"), Interface()
    folder.root.mkdir(exist_ok=True)
    (root / "factory").mkdir(exist_ok=True)
    identity = Identity(
        model="TouchPro", serial="OT-0001", mac=MAC.hex(":"), firmware="touchpro", username="u",
        password="p", ca=root, root=b"", board=root / "factory" / "board.yaml",
    )  # fmt: skip
    patience = Backoff(first_s=0.05, cap_s=0.2, jitter=0, rng=rng)
    around = replace(
        surroundings(interface, cable, SystemClock(), rng),
        dhcp=Timing(patience, ArpTiming(answer_s=0.01), reboot_s=(0.05,)),
        retry=patience,
    )
    status = StatusBoard(folder.status, around.clock, {}, Redactor())
    connection = Connection(identity, folder, around, status)
    return Unit(connection, interface, folder, status, cable, server)


async def test_a_lease_is_applied_kept_and_written_down(tmp_path: Path) -> None:
    async with powered(tmp_path) as unit:
        unit.interface.refusals = 1
        async with asyncio.timeout(10):
            network = await unit.connection.open()
    assert network.lease.address == ADDRESS
    assert unit.interface.done == ["up", "apply 10.1.0.100"]
    assert unit.detail == "BOUND 10.1.0.100"
    assert json.loads(unit.folder.network.read_text())["address"] == "10.1.0.100"
    assert LeaseStore(unit.folder.lease).load() == network.lease
    assert unit.status.stage("dhcp").round_trips == 2


async def test_without_the_key_a_clean_stop_keeps_the_lease_for_the_next_boot(
    tmp_path: Path,
) -> None:
    async with powered(tmp_path) as unit:
        await unit.connection.open()
        await unit.connection.close(Document({}))
        assert unit.server.types == ["DISCOVER", "REQUEST"]
        assert "clear 10.1.0.100" not in unit.interface.done
    async with powered(tmp_path) as unit:
        await unit.connection.open()
        assert unit.server.types == ["REQUEST"]


async def test_with_the_key_a_clean_stop_releases_the_address_and_the_next_boot_wishes_for_it(
    tmp_path: Path,
) -> None:
    async with powered(tmp_path) as unit:
        await unit.connection.open()
        await unit.connection.close(RELEASING)
        await unit.connection.close(RELEASING)
        async with asyncio.timeout(5):
            while "RELEASE" not in unit.server.types:
                await asyncio.sleep(0.001)
        assert unit.server.types == ["DISCOVER", "REQUEST", "RELEASE"]
        assert unit.server.heard[-1].client_address == ADDRESS
        assert unit.interface.done[-1] == "clear 10.1.0.100"
    async with powered(tmp_path) as unit:
        await unit.connection.open()
        assert unit.server.types == ["DISCOVER", "REQUEST"]
        assert unit.server.heard[0].options.address(Option.REQUESTED_ADDRESS) == ADDRESS


@pytest.mark.parametrize("folder", ["state", "factory"])
async def test_an_address_that_a_person_configured_asks_no_server(
    tmp_path: Path, folder: str
) -> None:
    (tmp_path / folder).mkdir()
    (tmp_path / folder / "network.yaml").write_text("network.address: 10.1.0.50/24")
    async with powered(tmp_path) as unit:
        network = await unit.connection.open()
        await unit.connection.close(RELEASING)
        assert unit.server.heard == []
    assert network.lease.static
    assert unit.interface.done == ["up", "apply 10.1.0.50"]
    assert unit.detail == "BOUND 10.1.0.50; configured"
    assert not unit.folder.lease.exists(), "it is no lease to ask a server about later"


async def test_a_damaged_file_is_told_with_its_key_and_dhcp_is_asked(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "network.yaml").write_text("network.address: 10.1.0.50")
    async with powered(tmp_path) as unit:
        network = await unit.connection.open()
    assert network.lease.address == ADDRESS
    assert "network.address" in unit.alarms[STATIC]
    assert "network.yaml" in unit.alarms[STATIC]


async def test_a_lease_that_nobody_confirms_is_used_with_an_alarm_until_somebody_does(
    tmp_path: Path,
) -> None:
    async with powered(tmp_path) as unit:
        await unit.connection.open()
    kept = LeaseStore(unit.folder.lease).load()
    assert kept is not None
    async with Cable.laid(MAC) as cable:
        unit = built(tmp_path, cable, Server())
        await unit.connection.open()
        assert UNCONFIRMED in unit.alarms
        serving = asyncio.create_task(unit.server(cable))
        unit.interface.done.clear()
        await unit.keep_until("apply 10.1.0.100")
        assert unit.alarms == {}
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)


async def test_a_route_that_is_refused_at_a_renewal_costs_no_address(tmp_path: Path) -> None:
    async with powered(tmp_path) as unit:
        await unit.connection.open()
        unit.interface.refusals = 1
        unit.cable.replug()
        task = asyncio.create_task(unit.connection.keep())
        async with asyncio.timeout(5):
            while UNCONFIRMED not in unit.alarms:
                await asyncio.sleep(0.005)
        assert unit.connection.network.lease.address == ADDRESS
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_a_lease_that_is_refused_is_cleared_and_another_one_taken(tmp_path: Path) -> None:
    async with powered(tmp_path) as unit:
        await unit.connection.open()
        unit.server.refusals = 1
        unit.interface.done.clear()
        unit.cable.replug()
        await unit.keep_until("apply 10.1.0.100")
        assert unit.interface.done == ["clear 10.1.0.100", "apply 10.1.0.100"]
        assert unit.server.types == ["DISCOVER", "REQUEST", "REQUEST", "DISCOVER", "REQUEST"]


class LateServer(asyncio.DatagramProtocol):
    """An NTP server that is a thousand seconds ahead of us."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, address: tuple[str, int]) -> None:
        stamp = from_unix(SystemClock().unix() + 1000)
        nonce = NtpPacket.parse(data).transmit
        answer = NtpPacket(
            NtpMode.SERVER, stratum=2, originate=nonce, receive=stamp, transmit=stamp
        )
        self._transport.sendto(bytes(answer), address)


@pytest.mark.bench
async def test_the_time_is_asked_for_beside_the_lease(tmp_path: Path) -> None:
    """In a namespace nobody may set the clock, so the agent reckons for itself and says so."""
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "network.yaml").write_text(
        "network.address: 10.1.0.50/24\nnetwork.ntp: 127.0.0.1"
    )
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
        LateServer, local_addr=("127.0.0.1", NTP_PORT)
    )
    async with powered(tmp_path) as unit:
        await unit.connection.open()
        task = asyncio.create_task(unit.connection.keep())
        async with asyncio.timeout(10):
            while NOT_SET not in unit.alarms:
                await asyncio.sleep(0.005)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    transport.close()
    assert unit.status.as_json()["clock_server"] == "127.0.0.1"
    assert unit.status.as_json()["clock_offset_s"] == pytest.approx(1000, abs=1)
