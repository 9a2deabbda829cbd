"""Who may ask us anything outside a dialog: the configured peers, and nobody else.

A source is an address; a peer may be configured by name.  Names are looked up again and again while
somebody is logged in, and until a name has an address nothing that bears it is let in.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import socket
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from typing import Final

from ..wire.errors import WireError
from ..wire.sip import SipUri
from .agent import Agent
from .errors import AgentError

logger = logging.getLogger(__name__)

LOOK_AGAIN_S: Final = 60.0
RETRY_S: Final = 5.0
"""How soon names are looked up again while one of them has no address."""

Lookup = Callable[[str], Awaitable[frozenset[str]]]


def host_of(text: str) -> str | None:
    """Returns the host of a SIP URI or of ``address:port``; None when there is none.

    >>> host_of('sip:hoot-1@10.12.0.50:5060')
    '10.12.0.50'
    """
    with suppress(WireError):
        return SipUri.parse(text if ":" in text.split(".")[0] else f"sip:{text}").host
    return None


def is_address(host: str) -> bool:
    """Whether a host is written as an address: a name cannot be compared with a source.

    >>> is_address('10.11.0.20'), is_address('pbx1.turret.example')
    (True, False)
    """
    try:
        ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return False
    return True


async def look_up(host: str) -> frozenset[str]:
    """Returns the addresses of a name as the system knows them; none when it does not."""
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(host, None, family=socket.AF_INET, type=socket.SOCK_DGRAM)
    except (OSError, UnicodeError) as error:
        logger.warning("%s has no address: %s", host, error)
        return frozenset()
    return frozenset(str(address[0]) for *_, address in found)


class Sources:
    """Keeps the agent's list of who may come in.

    Args:
        agent: Refuses the others.
        look_up: Finds the addresses of a name.
    """

    def __init__(self, agent: Agent, look_up: Lookup = look_up) -> None:
        self._agent = agent
        self._look_up = look_up
        self._known: dict[str, frozenset[str]] = {}
        self._task: asyncio.Task[None] | None = None

    async def admit(self, hosts: Iterable[str]) -> None:
        """Lets in only these from now on: addresses at once, names as soon as they have one.

        Raises:
            AgentError: The agent is not running.
        """
        await self.stop()
        hosts = frozenset(hosts)
        addresses = frozenset(filter(is_address, hosts))
        names = hosts - addresses
        self._known = {name: self._known.get(name, frozenset()) for name in names}
        await self._agent.allow_only(addresses.union(*self._known.values()))
        if names:
            self._task = asyncio.get_running_loop().create_task(self._follow(addresses))

    async def stop(self) -> None:
        """Looks no name up any more; who may come in stays as it is."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _follow(self, addresses: frozenset[str]) -> None:
        while True:
            for name, before in tuple(self._known.items()):
                self._known[name] = await self._look_up(name) or before
            with suppress(AgentError):
                await self._agent.allow_only(addresses.union(*self._known.values()))
            await asyncio.sleep(LOOK_AGAIN_S if all(self._known.values()) else RETRY_S)
