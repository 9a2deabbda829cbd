"""Who is let in: addresses at once, names once they have an address, strangers never."""

from __future__ import annotations

import asyncio

import pytest

from openturret.firmware.calls.agent import Agent, AgentSettings
from openturret.firmware.calls.sources import Sources, host_of, look_up


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("sip:hoot-1@10.12.0.50:5060", "10.12.0.50"),
        ("10.11.0.20:5060", "10.11.0.20"),
        ("pbx1.turret.example:5060", "pbx1.turret.example"),
        ("sip:10.11.0.30;transport=tcp", "10.11.0.30"),
        ("not an address", None),
    ],
)
def test_the_host_of_a_configured_peer(text: str, host: str | None) -> None:
    assert host_of(text) == host


class Doorkeeper(Agent):
    """An agent that only notes whom it lets in."""

    def __init__(self) -> None:
        super().__init__(AgentSettings())
        self.allowed: asyncio.Queue[frozenset[str] | None] = asyncio.Queue()

    async def allow_only(self, sources: frozenset[str] | None) -> None:
        await self.allowed.put(sources)

    async def next(self) -> set[str]:
        async with asyncio.timeout(10):
            return set(await self.allowed.get() or ())


async def test_a_name_is_let_in_as_soon_as_it_has_an_address() -> None:
    async def names(host: str) -> frozenset[str]:
        return {"pbx1.turret.example": frozenset({"10.11.0.20", "10.11.0.21"})}[host]

    doorkeeper = Doorkeeper()
    sources = Sources(doorkeeper, names)
    await sources.admit({"10.12.0.20", "pbx1.turret.example"})
    assert await doorkeeper.next() == {"10.12.0.20"}
    assert await doorkeeper.next() == {"10.12.0.20", "10.11.0.20", "10.11.0.21"}
    await sources.stop()


async def test_a_name_without_an_address_lets_nobody_in() -> None:
    async def nothing(host: str) -> frozenset[str]:
        return frozenset()

    doorkeeper = Doorkeeper()
    sources = Sources(doorkeeper, nothing)
    await sources.admit({"pbx1.turret.example"})
    assert await doorkeeper.next() == set()
    assert await doorkeeper.next() == set()
    await sources.stop()


async def test_the_next_dealer_keeps_what_was_found_for_a_name() -> None:
    answers = [frozenset({"10.11.0.20"}), frozenset[str]()]

    async def once(host: str) -> frozenset[str]:
        return answers.pop(0)

    doorkeeper = Doorkeeper()
    sources = Sources(doorkeeper, once)
    for known in (set[str](), {"10.11.0.20"}):
        await sources.admit({"pbx1.turret.example"})
        assert await doorkeeper.next() == known
        assert await doorkeeper.next() == {"10.11.0.20"}
    await sources.stop()


async def test_names_are_looked_up_as_the_system_does() -> None:
    assert "127.0.0.1" in await look_up("localhost")
    assert await look_up("no.such.name.invalid") == frozenset()
    assert await look_up("a" * 300) == frozenset()
