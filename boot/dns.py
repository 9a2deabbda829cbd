"""Finds addresses of names: A records, several servers, a bounded cache."""

import asyncio
import logging
import random
import socket
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Final, Protocol

from ..hal.clock import Clock
from .errors import DnsError, UnknownNameError
from .wire.dns import Answer, Query, ResponseCode
from .wire.errors import WireError

logger = logging.getLogger(__name__)

DNS_PORT: Final = 53
MAX_CACHED: Final = 128
MIN_TTL_S: Final = 5
MAX_TTL_S: Final = 3600

_MAX_DATAGRAM = 4096
_REMEDY = "check the DNS servers that DHCP names (option 6) and the zone of the TSS"


class Resolver(Protocol):
    """Turns names into addresses."""

    async def resolve(self, name: str) -> tuple[IPv4Address, ...]:
        """Returns the addresses of a name, at least one.

        Raises:
            DnsError: No server has one.
        """


@dataclass(frozen=True, slots=True)
class _Entry:
    addresses: tuple[IPv4Address, ...]
    expires: float


class DnsClient:
    """A stub resolver over UDP.

    The query id and the source port are unguessable, and only the asked server's
    answer to the asked question counts.
    """

    def __init__(
        self,
        servers: Sequence[IPv4Address],
        *,
        clock: Clock,
        rng: random.Random,
        count: Callable[[int], None],
        port: int = DNS_PORT,
        timeout_s: float = 1.0,
        tries: int = 3,
    ) -> None:
        self._servers = tuple(servers)
        self._clock = clock
        self._rng = rng
        self._count = count
        self._port = port
        self._timeout_s = timeout_s
        self._tries = tries
        self._cache: OrderedDict[str, _Entry] = OrderedDict()

    async def resolve(self, name: str) -> tuple[IPv4Address, ...]:
        """Returns the addresses of a name; a dotted address is its own answer.

        Raises:
            UnknownNameError: A server says that there is none.
            DnsError: No server gave a usable answer.
        """
        literal = _literal(name)
        if literal is not None:
            return (literal,)
        entry = self._cache.get(name)
        if entry is not None and entry.expires > self._clock.monotonic():
            self._cache.move_to_end(name)
            return entry.addresses
        return self._remember(name, await self._ask_all(name))

    async def _ask_all(self, name: str) -> Answer:
        """Asks every server in turn, several times, with growing patience."""
        last: DnsError = DnsError(f"no DNS server is known to resolve {name}", _REMEDY)
        for attempt in range(self._tries):
            for server in self._servers:
                try:
                    return await self._ask(server, name, self._timeout_s * 2**attempt)
                except UnknownNameError:
                    raise
                except DnsError as error:
                    logger.warning("%s", error)
                    last = error
        raise last

    async def _ask(self, server: IPv4Address, name: str, timeout_s: float) -> Answer:
        try:
            query = bytes(Query(self._rng.getrandbits(16), name))
        except WireError as error:
            raise UnknownNameError(f"{name!r} is not a host name: {error}", _REMEDY) from error
        try:
            async with asyncio.timeout(timeout_s):
                answer = await self._exchange(server, query, name.lower())
        except TimeoutError as error:
            raise DnsError(f"DNS server {server} did not answer for {name}", _REMEDY) from error
        except OSError as error:
            raise DnsError(f"DNS server {server}: {error}", _REMEDY) from error
        self._count(1)
        return _usable(answer, server)

    async def _exchange(self, server: IPv4Address, query: bytes, name: str) -> Answer:
        loop = asyncio.get_running_loop()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as udp:
            udp.connect((str(server), self._port))
            await loop.sock_sendall(udp, query)
            while True:
                await asyncio.sleep(
                    0
                )  # a flooded socket never suspends, and no deadline would come
                answer = _parse(await loop.sock_recv(udp, _MAX_DATAGRAM))
                if answer and answer.id == int.from_bytes(query[:2], "big") and answer.name == name:
                    return answer

    def _remember(self, name: str, answer: Answer) -> tuple[IPv4Address, ...]:
        addresses = answer.addresses()
        ttl_s = min(max(min(r.ttl_s for r in answer.records), MIN_TTL_S), MAX_TTL_S)
        self._cache[name] = _Entry(addresses, self._clock.monotonic() + ttl_s)
        self._cache.move_to_end(name)
        while len(self._cache) > MAX_CACHED:
            self._cache.popitem(last=False)
        return addresses


def _usable(answer: Answer, server: IPv4Address) -> Answer:
    if answer.code == ResponseCode.NAME_ERROR:
        raise UnknownNameError(f"DNS server {server}: {answer.name} does not exist", _REMEDY)
    if answer.code != ResponseCode.NO_ERROR or answer.truncated:
        raise DnsError(f"DNS server {server}: code {answer.code} for {answer.name}", _REMEDY)
    if not answer.addresses():
        raise UnknownNameError(f"DNS server {server}: {answer.name} has no address", _REMEDY)
    return answer


def _parse(data: bytes) -> Answer | None:
    try:
        return Answer.parse(data)
    except WireError as error:
        logger.warning("dropped a DNS answer: %s", error)
        return None


def _literal(name: str) -> IPv4Address | None:
    try:
        return IPv4Address(name)
    except ValueError:
        return None
