"""Where a TSS may be: where one was last time, then where TFTP and DNS say."""

import logging
from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from dataclasses import replace
from typing import Final

from ...hal.clock import Clock
from ..errors import BootError, DnsError
from ..folder import StateFolder
from ..identity import Identity
from ..lan.lease import Lease
from ..status import StatusBoard
from .dns import Resolver, ServiceResolver
from .known import KnownServers, Reputation
from .transport import Server
from .tss import FALLBACK_NAMES, MAX_SERVERS, SERVERS_KEY, SERVICE, HintStore, TftpHints

logger = logging.getLogger(__name__)

_SPARED: Final = "not asked: the TSS of last time is still the one"


class Sources:
    """Finds TSS servers, asking no more of the network than it takes until one is good."""

    def __init__(
        self, identity: Identity, folder: StateFolder, status: StatusBoard, clock: Clock
    ) -> None:
        self._identity = identity
        self._status = status
        self._names = HintStore(folder.hints)
        self._known = KnownServers(folder.servers)
        self._reputation = Reputation(clock)
        self._found: list[Server] = []
        self._hints: tuple[str, ...] | None = None
        self._missing = DnsError("nobody says where the TSS is", option=SERVERS_KEY)

    async def candidates(
        self, lease: Lease, resolver: ServiceResolver
    ) -> AsyncGenerator[Server, None]:
        """Yields servers to try, until one is good; those that failed lately come last.

        Raises:
            DnsError: Nobody knows a server that has an address.
        """
        self._hints = None
        self._found = list(self._known.load(lease))
        for server in self._reputation.sort(self._found):
            yield server
        tried = list(self._found)
        self._found = []
        async for server in self._asked(lease, resolver):
            if server not in tried:
                tried.append(server)
                yield server
        if not tried:
            raise self._missing

    async def recent(self, resolver: Resolver) -> AsyncIterator[Server]:
        """Yields the servers that were found last, and then those whose names are kept.

        Raises:
            DnsError: None ever was found, and the names have no address.
        """
        found = tuple(self._found)
        for server in self._reputation.sort(found):
            yield server
        async for server in self._resolved(self._names.load(), resolver):
            if server not in found:
                yield server
        if not self._found:
            raise self._missing

    def good(self, server: Server, lease: Lease) -> None:
        """Keeps a server for the next boot.

        Raises:
            OSError: The medium refuses it.
        """
        self._reputation.good(server)
        if self._hints is None:
            for stage in ("dns", "tftp"):
                self._status.done(stage, _SPARED)
        elif self._hints:
            self._names.save(self._hints)
        others = [other for other in self._found if other != server]
        self._known.save([server, *others], lease)

    def failed(self, server: Server) -> None:
        """Puts a server last for a while."""
        self._reputation.failed(server)

    async def _asked(self, lease: Lease, resolver: ServiceResolver) -> AsyncIterator[Server]:
        """Yields what TFTP hints at, what was good last time, and what DNS says, in this order."""
        async for names in self._hinted(lease, resolver):
            self._hints = names
            async for server in self._resolved(names, resolver):
                yield server
        self._hints = self._names.load()
        async for server in self._resolved(self._hints, resolver):
            yield server
        if lease.domain:
            async for server in self._in_domain(lease.domain, resolver):
                yield server

    async def _hinted(self, lease: Lease, resolver: Resolver) -> AsyncIterator[tuple[str, ...]]:
        """Yields the names of each TFTP server in turn; a missing hint is no reason to stop."""
        hints = TftpHints(self._identity.folder, self._identity.model)
        used: set[str] = set()
        for _ in range(max(1, len(lease.tftp_servers[:MAX_SERVERS]))):
            try:
                with self._status.step("tftp") as step:
                    hint = await hints.ask(lease, resolver, step.count, without=used)
                    step.detail = f"{hint.file} from {hint.host}: {', '.join(hint.names)}"
            except BootError:
                return
            used.add(hint.host)
            yield hint.names

    async def _in_domain(self, domain: str, resolver: ServiceResolver) -> AsyncIterator[Server]:
        """Yields the servers of the domain's service, and then those with the usual names."""
        self._hints = ()
        async for server in self._offered(f"{SERVICE}.{domain}", resolver):
            yield server
        self._hints = tuple(f"{name}.{domain}" for name in FALLBACK_NAMES)
        async for server in self._resolved(self._hints, resolver):
            yield server

    async def _offered(self, service: str, resolver: ServiceResolver) -> AsyncIterator[Server]:
        try:
            with self._status.step("dns") as step:
                places = await resolver.services(service)
                step.detail = ", ".join(f"{place.target}:{place.port}" for place in places)
        except DnsError as error:
            self._missing = error
            return
        for place in places[:MAX_SERVERS]:
            async for server in self._resolved((place.target,), resolver):
                yield replace(server, ftpes_port=place.port)

    async def _resolved(self, names: Iterable[str], resolver: Resolver) -> AsyncIterator[Server]:
        """Yields the servers of names, each resolved only when those before were no good."""
        late: list[Server] = []
        for name in names:
            try:
                servers = await self._resolve(name, resolver)
            except DnsError as error:
                self._missing = error
                continue
            self._found += servers
            for server in servers:
                if self._reputation.bad(server):
                    late.append(server)
                else:
                    yield server
        for server in late:
            yield server

    async def _resolve(self, name: str, resolver: Resolver) -> list[Server]:
        with self._status.step("dns") as step:
            servers = [Server(name, address) for address in await resolver.resolve(name)]
            step.detail = ", ".join(f"{server.name} {server.address}" for server in servers)
            return servers
