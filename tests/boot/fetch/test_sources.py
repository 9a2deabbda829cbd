from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from openturret.boot.errors import UnknownNameError
from openturret.boot.fetch.sources import Sources
from openturret.boot.fetch.transport import Server
from openturret.boot.folder import StateFolder
from openturret.boot.identity import Identity
from openturret.boot.lan.lease import Lease
from openturret.boot.status import StatusBoard
from openturret.boot.wire.dns import Service
from openturret.hal.clock import SystemClock

HOST = IPv4Address("127.0.0.1")
LEASE = Lease(HOST, 8, HOST, 0.0, 3600, 1800, 3150, domain="turret.example")


def address(number: int) -> IPv4Address:
    return IPv4Address(f"10.12.0.{number}")


@dataclass
class Names:
    """A resolver that knows some names."""

    known: dict[str, IPv4Address] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    async def resolve(self, name: str) -> tuple[IPv4Address, ...]:
        self.asked.append(name)
        if name not in self.known:
            raise UnknownNameError(f"{name} does not exist")
        return (self.known[name],)

    async def services(self, name: str) -> tuple[Service, ...]:
        raise UnknownNameError(f"{name} does not exist")


TSS = {f"tss{number}.turret.example": address(number) for number in (1, 2)}
ONE, TWO = (Server(name, where) for name, where in TSS.items())


@pytest.fixture
def power_on(tmp_path: Path, identity: Identity) -> Callable[[], Sources]:
    """Returns the sources of a unit that has just been switched on."""
    folder = StateFolder(tmp_path / "state")

    def start() -> Sources:
        status = StatusBoard(folder.status, SystemClock(), {})
        return Sources(identity, folder, status, SystemClock())

    return start


async def first(sources: Sources, names: Names, good: Callable[[Server], bool]) -> list[Server]:
    """Tries servers until one is good; returns those that were tried."""
    tried = []
    async for server in sources.candidates(LEASE, names):
        tried.append(server)
        if good(server):
            sources.good(server, LEASE)
            break
        sources.failed(server)
    return tried


async def test_a_name_is_resolved_only_when_the_one_before_was_no_good(
    power_on: Callable[[], Sources],
) -> None:
    names = Names(TSS)
    assert await first(power_on(), names, lambda _: True) == [ONE]
    assert names.asked == ["tss1.turret.example"]
    assert await first(power_on(), Names(TSS), lambda server: server == TWO) == [ONE, TWO]


async def test_the_server_of_last_time_is_asked_without_a_word_to_dns(
    power_on: Callable[[], Sources],
) -> None:
    await first(power_on(), Names(TSS), lambda server: server == TWO)
    names = Names()
    assert await first(power_on(), names, lambda _: True) == [TWO]
    assert names.asked == []


async def test_a_server_of_last_time_that_moved_is_found_again(
    power_on: Callable[[], Sources],
) -> None:
    await first(power_on(), Names(TSS), lambda _: True)
    moved = Server(ONE.name, address(9))
    names = Names({ONE.name: moved.address})
    assert await first(power_on(), names, lambda server: server == moved) == [ONE, moved]
    assert await first(power_on(), Names(), lambda _: True) == [moved]


async def test_nobody_is_tried_twice(power_on: Callable[[], Sources]) -> None:
    await first(power_on(), Names(TSS), lambda _: True)
    assert await first(power_on(), Names(TSS), lambda _: False) == [ONE, TWO]


async def test_who_failed_lately_is_asked_last(power_on: Callable[[], Sources]) -> None:
    sources = power_on()
    await first(sources, Names(TSS), lambda server: server == TWO)
    assert await first(sources, Names(TSS), lambda _: True) == [TWO]


async def test_recent_servers_come_first_and_then_names_that_are_kept(
    power_on: Callable[[], Sources],
) -> None:
    sources = power_on()
    await first(sources, Names(TSS), lambda _: True)
    names = Names(TSS)
    assert [server async for server in sources.recent(names)] == [ONE, TWO]
    with pytest.raises(UnknownNameError):
        _ = [server async for server in power_on().recent(Names())]
