"""Finds addresses and services of names: several servers, search domains, a bounded cache.

An answer counts when it comes from the asked server's address and port, to the port of this very
question, with its id, and repeats the question bit by bit, with letters that were made great or
small by chance ("0x20"): some 50 bits that somebody who cannot see the question must guess.
"""

import asyncio
import contextlib
import logging
import random
import socket
import struct
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from ipaddress import IPv4Address
from typing import Final, Protocol

from ...hal.clock import Clock
from ..errors import DnsError, UnknownNameError
from ..wire.dns import MAX_ALIASES, SRV, A, Answer, Query, ResponseCode, Service
from ..wire.errors import WireError
from .race import race

logger = logging.getLogger(__name__)

DNS_PORT: Final = 53
MAX_CACHED: Final = 128
MIN_TTL_S: Final = 5
MAX_TTL_S: Final = 3600
MAX_SERVERS: Final = 4
MAX_SEARCHED: Final = 6

_MAX_DATAGRAM = 4096
_MAX_WRONG = 1000
_LENGTH = struct.Struct("!H")
_REMEDY = "check the DNS servers that DHCP names (option 6) and the zone of the TSS"


class Resolver(Protocol):
    """Turns names into addresses."""

    async def resolve(self, name: str) -> tuple[IPv4Address, ...]:
        """Returns the addresses of a name, at least one.

        Raises:
            DnsError: No server has one.
        """


class ServiceResolver(Resolver, Protocol):
    """Knows services too."""

    async def services(self, name: str) -> tuple[Service, ...]:
        """Returns where a service is, at least one place, in the order to be tried.

        Raises:
            DnsError: No server knows it.
        """


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a server may take.

    Attributes:
        timeout_s: For an answer; twice as long in each further round.
        head_start_s: Before the next server is asked too.
        tries: Rounds through all servers.
    """

    timeout_s: float = 1.0
    head_start_s: float = 0.3
    tries: int = 3


@dataclass(frozen=True, slots=True)
class _Entry:
    addresses: tuple[IPv4Address, ...]
    services: tuple[Service, ...]
    expires: float


class DnsClient:
    """A stub resolver over UDP, and over TCP for answers that do not fit.

    Args:
        servers: The first `MAX_SERVERS` are asked, first the one that answered last.
        clock: Tells when what is cached ends.
        rng: Ids, letters and the choice among services; not to be foreseen.
        count: Told of every round trip that had to be waited for; of those side by side, one.
        search: Domains for names without a dot, in order.
        port: Of the servers.
        patience: How long they may take.
    """

    def __init__(
        self,
        servers: Sequence[IPv4Address],
        *,
        clock: Clock,
        rng: random.Random,
        count: Callable[[int], None],
        search: Sequence[str] = (),
        port: int = DNS_PORT,
        patience: Patience | None = None,
    ) -> None:
        self._servers = list(dict.fromkeys(servers))[:MAX_SERVERS]
        self._clock = clock
        self._rng = rng
        self._count = count
        self._search = tuple(dict.fromkeys(filter(None, search)))[:MAX_SEARCHED]
        self._port = port
        self._patience = patience or Patience()
        self._spells = True
        self._counted = 0
        self._cache: OrderedDict[tuple[str, int], _Entry] = OrderedDict()

    async def resolve(self, name: str) -> tuple[IPv4Address, ...]:
        """Returns the addresses of a name; a dotted address is its own answer.

        Raises:
            UnknownNameError: A server says that there is none.
            DnsError: No server gave a usable answer.
        """
        literal = _literal(name)
        if literal is not None:
            return (literal,)
        return (await self._look_up(name, A)).addresses

    async def services(self, name: str) -> tuple[Service, ...]:
        """Returns where a service is, by priority and then by chance and weight (RFC 2782).

        Args:
            name: Such as ``_turret-tss._tcp.paris.example``.

        Raises:
            UnknownNameError: A server says that it is offered nowhere.
            DnsError: No server gave a usable answer.
        """
        entry = await self._look_up(name, SRV)
        return tuple(in_order(entry.services, self._rng))

    async def _look_up(self, name: str, kind: int) -> _Entry:
        """Asks for the name in each search domain where it has no dot, and as it is."""
        failure: UnknownNameError | None = None
        for candidate in self._candidates(name.lower()):
            try:
                return self._cached(candidate, kind) or await self._follow(candidate, kind)
            except UnknownNameError as error:
                failure = error
        raise failure or UnknownNameError(f"{name!r} is not a name", _REMEDY)

    def _candidates(self, name: str) -> Iterator[str]:
        if "." not in name:
            yield from (f"{name}.{domain}" for domain in self._search)
        yield name.removesuffix(".")

    def _cached(self, name: str, kind: int) -> _Entry | None:
        entry = self._cache.get((name, kind))
        if entry is None or entry.expires <= self._clock.monotonic():
            return None
        self._cache.move_to_end((name, kind))
        return entry

    async def _follow(self, name: str, kind: int) -> _Entry:
        """Asks until an alias has led to what was asked for; keeps it under the first name."""
        target, ttl_s = name, MAX_TTL_S
        for _ in range(MAX_ALIASES):
            answer = await self._ask_all(target, kind)
            ttl_s = min([ttl_s, *(record.ttl_s for record in answer.records)])
            if answer.addresses() if kind == A else answer.services():
                self._remember_extra(answer)
                return self._remember(name, kind, answer, ttl_s)
            if answer.target() == target:
                raise UnknownNameError(f"{target} has no record of type {kind} in DNS")
            target = answer.target()
        raise DnsError(f"{name} is an alias of an alias, more than {MAX_ALIASES} times", _REMEDY)

    async def _ask_all(self, name: str, kind: int) -> Answer:
        """Asks the servers, each after the head start of the one before, several times."""
        failure = DnsError(f"no DNS server is known to resolve {name}", _REMEDY)
        for attempt in range(self._patience.tries if self._servers else 0):
            asks = [partial(self._ask, server, name, kind, attempt) for server in self._servers]
            try:
                return await race(
                    asks, head_start_s=self._patience.head_start_s, is_final=_is_final
                )
            except UnknownNameError:
                raise
            except DnsError as error:
                failure = error
        raise failure

    async def _ask(self, server: IPv4Address, name: str, kind: int, attempt: int) -> Answer:
        counted = self._counted
        query = self._query(name, kind, plain=self._is_last(attempt))
        try:
            async with asyncio.timeout(self._patience.timeout_s * 2**attempt):
                answer = await self._exchange(server, query)
            answer.target()
        except (TimeoutError, EOFError, OSError, WireError) as error:
            failure = DnsError(
                f"DNS server {server}, {name}: {_reason(error)}", _REMEDY, server=str(server)
            )
            logger.warning("%s", failure)
            raise failure from error
        self._note_answer(server, counted, attempt)
        return _usable(answer, server)

    def _query(self, name: str, kind: int, *, plain: bool) -> Query:
        """Returns a question; the last round does without great letters, for old servers."""
        spelt = name if plain or not self._spells else self._spell(name)
        query = Query(self._rng.getrandbits(16), spelt, kind)
        try:
            bytes(query)
        except WireError as error:
            raise UnknownNameError(f"{name!r} is not a host name: {error}", _REMEDY) from error
        return query

    def _spell(self, name: str) -> str:
        return "".join(self._rng.choice((letter, letter.upper())) for letter in name)

    def _is_last(self, attempt: int) -> bool:
        return 0 < attempt == self._patience.tries - 1

    def _note_answer(self, server: IPv4Address, counted: int, attempt: int) -> None:
        """Prefers this server from now on; counts a round trip unless one ended since it began."""
        self._spells = self._spells and not self._is_last(attempt)
        self._servers.remove(server)
        self._servers.insert(0, server)
        if counted == self._counted:
            self._counted += 1
            self._count(1)

    async def _exchange(self, server: IPv4Address, query: Query) -> Answer:
        answer = await self._exchange_datagrams(server, query)
        return await self._exchange_stream(server, query) if answer.truncated else answer

    async def _exchange_datagrams(self, server: IPv4Address, query: Query) -> Answer:
        loop = asyncio.get_running_loop()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as udp:
            udp.connect((str(server), self._port))
            await loop.sock_sendall(udp, bytes(query))
            for _ in range(_MAX_WRONG):
                await asyncio.sleep(0)  # a flooded socket never suspends: no deadline would come
                answer = _parse(await loop.sock_recv(udp, _MAX_DATAGRAM), query)
                if answer is not None:
                    return answer
        raise DnsError(f"DNS server {server}: {_MAX_WRONG} answers to other questions", _REMEDY)

    async def _exchange_stream(self, server: IPv4Address, query: Query) -> Answer:
        """Asks over TCP, where an answer of up to 65,535 bytes fits (RFC 7766)."""
        reader, writer = await asyncio.open_connection(str(server), self._port)
        try:
            writer.write(_LENGTH.pack(len(bytes(query))) + bytes(query))
            (length,) = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))
            answer = _parse(await reader.readexactly(length), query)
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()
        if answer is None or answer.truncated:
            raise DnsError(f"DNS server {server}: no whole answer over TCP either", _REMEDY)
        self._count(2)
        return answer

    def _remember_extra(self, answer: Answer) -> None:
        """Keeps the addresses that a server sends along with a service: nobody asks for them."""
        for target in {service.target for service in answer.services()}:
            found = tuple(r for r in answer.extra if r.address and r.name == target)
            if found:
                along = Answer(0, target, 0, truncated=False, records=found)
                self._remember(target, A, along, min(record.ttl_s for record in found))

    def _remember(self, name: str, kind: int, answer: Answer, ttl_s: int) -> _Entry:
        expires = self._clock.monotonic() + min(max(ttl_s, MIN_TTL_S), MAX_TTL_S)
        entry = _Entry(answer.addresses(), answer.services(), expires)
        self._cache[name, kind] = entry
        self._cache.move_to_end((name, kind))
        while len(self._cache) > MAX_CACHED:
            self._cache.popitem(last=False)
        return entry


def in_order(services: Sequence[Service], rng: random.Random) -> Iterator[Service]:
    """Yields services as RFC 2782 wants them tried: by priority, then drawn by weight.

    A service whose target is the root is not offered, and left out.
    """
    left = sorted((s for s in services if s.target), key=lambda s: (s.priority, s.weight))
    while left:
        equal = [service for service in left if service.priority == left[0].priority]
        drawn = rng.randint(0, sum(service.weight for service in equal))
        for service in equal:
            drawn -= service.weight
            if drawn <= 0:
                break
        left.remove(service)
        yield service


def _is_final(failure: BaseException) -> bool:
    return isinstance(failure, UnknownNameError) or not isinstance(failure, DnsError)


def _usable(answer: Answer, server: IPv4Address) -> Answer:
    if answer.code == ResponseCode.NAME_ERROR:
        raise UnknownNameError(
            f"DNS server {server}: {answer.name} does not exist", server=str(server)
        )
    if answer.code != ResponseCode.NO_ERROR:
        message = f"DNS server {server}: code {answer.code} for {answer.name}"
        failure = DnsError(message, _REMEDY, server=str(server))
        logger.warning("%s", failure)
        raise failure
    if answer.services() and not any(service.target for service in answer.services()):
        raise UnknownNameError(
            f"DNS server {server}: {answer.name} is not offered", server=str(server)
        )
    return answer


def _parse(data: bytes, query: Query) -> Answer | None:
    """Returns the answer to this question; None for everything else."""
    try:
        answer = Answer.parse(data)
    except WireError as error:
        logger.debug("dropped a DNS answer: %s", error)
        return None
    question = data[12 : 12 + len(query.question)]
    return answer if answer.id == query.id and question == query.question else None


def _reason(error: Exception) -> str:
    return "no answer in time" if isinstance(error, TimeoutError) else str(error) or repr(error)


def _literal(name: str) -> IPv4Address | None:
    try:
        return IPv4Address(name)
    except ValueError:
        return None
