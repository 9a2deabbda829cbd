"""What TFTP hints at, and what is asked beside and after it; DNS is given."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from openturret.boot.errors import DnsError, TftpError, UnknownNameError
from openturret.boot.fetch.sources import Sources
from openturret.boot.fetch.transfer import TFTP_PORT, Settings
from openturret.boot.fetch.transport import Server
from openturret.boot.fetch.tss import Hint, HintStore, TftpHints
from openturret.boot.folder import StateFolder
from openturret.boot.identity import Identity
from openturret.boot.lan.lease import Lease
from openturret.boot.status import StatusBoard
from openturret.boot.wire.dns import Service
from openturret.boot.wire.tftp import Data, Failure, Packet, ReadRequest, parse
from openturret.hal.clock import SystemClock

HOST = IPv4Address("127.0.0.1")
FIRST, SECOND, DEAD = "127.0.0.2", "127.0.0.3", "127.0.0.4"
FOLDER = "02-54-50-00-00-01"
LEASE = Lease(HOST, 8, HOST, 0.0, 3600, 1800, 3150, domain="paris.example")


@dataclass
class Names:
    known: Mapping[str, str] = field(default_factory=dict)
    offered: Mapping[str, tuple[Service, ...]] = field(default_factory=dict)

    async def resolve(self, name: str) -> tuple[IPv4Address, ...]:
        try:
            return (IPv4Address(self.known.get(name, name)),)
        except ValueError:
            raise UnknownNameError(f"{name} does not exist", "") from None

    async def services(self, name: str) -> tuple[Service, ...]:
        if name not in self.offered:
            raise UnknownNameError(f"{name} does not exist", "")
        return self.offered[name]


class SmallFiles(asyncio.DatagramProtocol):
    """A TFTP server whose files fit one block; None is a file that it never answers for."""

    def __init__(self, files: Mapping[str, bytes | None]) -> None:
        self.files = files
        self.asked: list[str] = []
        self.options: dict[str, str] = {}

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override]
        self.transport = transport

    def datagram_received(self, data: bytes, sender: tuple[str, int]) -> None:
        request = parse(data)
        if isinstance(request, ReadRequest):
            self.asked.append(request.file)
            self.options.update(request.options)
            content = self.files.get(request.file, b"")
            answer: Packet = Data(1, content or b"") if content else Failure(1, "File not found")
            if content is not None:
                self.transport.sendto(bytes(answer), sender)


@asynccontextmanager
async def serving(
    files: Mapping[str, bytes | None], address: str = FIRST, port: int = TFTP_PORT
) -> AsyncIterator[SmallFiles]:
    transport, server = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: SmallFiles(files), local_addr=(address, port)
    )
    try:
        yield server
    finally:
        transport.close()


def hint(*names: str) -> bytes:
    return f"tss.servers: [{', '.join(names)}]\n".encode()


class Trips:
    total = 0

    def __call__(self, number: int) -> None:
        self.total += number


async def ask(server: SmallFiles, trips: Trips | None = None, **lease: str) -> Hint:
    port = server.transport.get_extra_info("sockname")[1]
    settings = Settings(port=port, timeout_s=0.05, resends=1)
    told = replace(LEASE, tftp_servers=(FIRST,), **lease)  # type: ignore[arg-type]
    return await TftpHints(FOLDER, "TouchPro", settings).ask(told, Names(), trips or Trips())


ALL = {
    "boot.yaml": hint("boot"),
    f"units/{FOLDER}.yaml": hint("unit"),
    "models/touchpro.yaml": hint("model"),
    "sites/london.yaml": hint("london"),
    "sites/paris.example.yaml": hint("paris"),
    "default.yaml": hint("default"),
}


@pytest.mark.parametrize("missing", range(6))
async def test_the_most_specific_file_counts_in_one_round_trip(missing: int) -> None:
    left = dict(list(ALL.items())[missing:])
    site = "" if missing == 4 else "london"
    trips = Trips()
    async with serving(left, port=0) as server:
        found = await ask(server, trips, boot_file="boot.yaml", site=site)
    assert hint(*found.names) == next(iter(left.values()))
    assert trips.total == 1
    assert not server.options, "they would cost a round trip"


@pytest.mark.parametrize("content", [b"- no hint\n", b"x: 1\n", b"\xff\xfe", None])
async def test_a_file_that_is_no_hint_is_as_good_as_none(content: bytes | None) -> None:
    files = {f"units/{FOLDER}.yaml": content, "default.yaml": hint("default")}
    async with serving(files, port=0) as server:
        assert (await ask(server)).names == ("default",)


async def test_a_server_without_a_hint_says_which_file_would_help() -> None:
    async with serving({}, port=0) as server:
        with pytest.raises(TftpError, match=r"default\.yaml") as caught:
            await ask(server)
    assert caught.value.server == FIRST


async def test_without_a_server_the_remedy_is_an_option() -> None:
    with pytest.raises(TftpError, match="no TFTP server") as caught:
        await TftpHints(FOLDER, "TouchPro").ask(LEASE, Names(), Trips())
    assert "150" in caught.value.remedy


Find = Callable[[Lease, Names], AsyncGenerator[Server, None]]


@pytest.fixture
def sources(tmp_path: Path, identity: Identity) -> Sources:
    folder = StateFolder(tmp_path / "state")
    HintStore(folder.hints).save(["kept"])
    return Sources(identity, folder, StatusBoard(folder.status, SystemClock(), {}), SystemClock())


@pytest.fixture
def find(sources: Sources) -> Callable[[Lease, Names], AsyncGenerator[Server, None]]:
    return sources.candidates


NAMES = Names(
    {name: f"10.0.0.{n}" for n, name in enumerate(
        ("first", "second", "kept", "offered", "tss1.paris.example"), start=1)},
    {"_turret-tss._tcp.paris.example": (Service(10, 0, 2121, "offered"),)},
)  # fmt: skip


@pytest.mark.bench
async def test_every_source_is_asked_in_turn_until_a_server_is_good(find: Find) -> None:
    async with AsyncExitStack() as servers:
        await servers.enter_async_context(serving({"default.yaml": hint("first")}, FIRST))
        await servers.enter_async_context(serving({"default.yaml": hint("second")}, SECOND))
        lease = replace(LEASE, tftp_servers=(FIRST, SECOND))
        found = [server async for server in find(lease, NAMES)]
    assert [server.name for server in found] == [
        "first", "second", "kept", "offered", "tss1.paris.example",
    ]  # fmt: skip
    assert [server.ftpes_port for server in found] == [21, 21, 21, 2121, 21]


@pytest.mark.bench
async def test_the_next_server_is_asked_while_the_first_is_silent(find: Find) -> None:
    async with (
        serving({"default.yaml": hint("second")}, SECOND) as second,
        serving(dict.fromkeys(ALL), DEAD) as silent,
        aclosing(find(replace(LEASE, tftp_servers=(DEAD, SECOND)), NAMES)) as found,
    ):
        assert (await anext(found)).name == "second"
    assert silent.asked
    assert second.asked


async def test_when_nobody_knows_a_server_that_is_said(find: Find) -> None:
    with pytest.raises(DnsError):
        [server async for server in find(replace(LEASE, domain=""), Names())]


async def test_the_first_good_server_spares_the_rest(find: Find) -> None:
    async with aclosing(find(LEASE, NAMES)) as found:
        assert (await anext(found)).name == "kept"


async def test_a_server_at_a_port_of_its_own_is_kept_with_its_port(sources: Sources) -> None:
    async with aclosing(sources.candidates(LEASE, NAMES)) as found:
        names = [server async for server in found]
    offered = next(server for server in names if server.ftpes_port == 2121)
    sources.good(offered, LEASE)
    async with aclosing(sources.candidates(LEASE, NAMES)) as found:
        assert (await anext(found)).ftpes_port == 2121
