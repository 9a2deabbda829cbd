"""Where a TSS may be: where one was last time, then where TFTP and DNS say."""

import logging
from collections.abc import AsyncIterator, Iterable
from typing import Final

from ..hal.clock import Clock
from .dns import Resolver
from .errors import BootError, DnsError
from .folder import StateFolder
from .identity import Identity
from .known import KnownServers, Reputation
from .lease import Lease
from .status import StatusBoard
from .transport import Server
from .tss import FALLBACK_NAMES, HintStore, TftpHints

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

    async def candidates(self, lease: Lease, resolver: Resolver) -> AsyncIterator[Server]:
        """Yields servers to try, until one is good; those that failed lately come last.

        Raises:
            DnsError: None of the servers that TFTP hints at has an address.
        """
        self._hints = None
        self._found = list(self._known.load(lease))
        for server in self._reputation.sort(self._found):
            yield server
        tried = tuple(self._found)
        self._hints = await self._ask_hints(lease, resolver)
        self._found = []
        async for server in self._resolved(self._hints, resolver):
            if server not in tried:
                yield server

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

    def good(self, server: Server, lease: Lease) -> None:
        """Keeps a server for the next boot.

        Raises:
            OSError: The medium refuses it.
        """
        self._reputation.good(server)
        if self._hints is None:
            for stage in ("dns", "tftp"):
                self._status.done(stage, _SPARED)
        else:
            self._names.save(self._hints)
        others = [other for other in self._found if other != server]
        self._known.save([server, *others], lease)

    def failed(self, server: Server) -> None:
        """Puts a server last for a while."""
        self._reputation.failed(server)

    async def _ask_hints(self, lease: Lease, resolver: Resolver) -> tuple[str, ...]:
        """Asks TFTP; a missing hint is no reason to stop."""
        hints = TftpHints(self._identity.folder, self._identity.model)
        try:
            with self._status.step("tftp") as step:
                names = await hints.ask(lease, resolver, step.count)
                step.detail = ", ".join(names)
                return names
        except BootError:
            usual = [f"{name}.{lease.domain}" for name in FALLBACK_NAMES if lease.domain]
            return self._names.load() or tuple(usual)

    async def _resolved(self, names: Iterable[str], resolver: Resolver) -> AsyncIterator[Server]:
        """Yields the servers of names, each resolved only when those before were no good."""
        missing = DnsError("nobody says where the TSS is", option="tss.servers")
        late: list[Server] = []
        for name in names:
            try:
                servers = await self._resolve(name, resolver)
            except DnsError as error:
                missing = error
                continue
            self._found += servers
            for server in servers:
                if self._reputation.bad(server):
                    late.append(server)
                else:
                    yield server
        for server in late:
            yield server
        if not self._found:
            raise missing

    async def _resolve(self, name: str, resolver: Resolver) -> list[Server]:
        with self._status.step("dns") as step:
            servers = [Server(name, address) for address in await resolver.resolve(name)]
            step.detail = ", ".join(f"{server.name} {server.address}" for server in servers)
            return servers
