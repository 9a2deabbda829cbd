"""Where the TSS is: what TFTP hints, what was good last time, what DNS usually says."""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from ..cache import read_bounded, write_atomically
from ..document import parse_document
from ..errors import BootError, DnsError, DocumentError, TftpError
from ..lan.lease import Lease
from .dns import Resolver
from .race import race
from .tftp import TftpClient, waterfall
from .transfer import Settings

logger = logging.getLogger(__name__)

SERVERS_KEY: Final = "tss.servers"
SERVICE: Final = "_turret-tss._tcp"
"""Asked for as SRV in the domain that DHCP names; its port is that of FTPES."""
FALLBACK_NAMES: Final = ("tss1", "tss2", "tss")
"""Tried in the domain that DHCP names when nobody says where the TSS is."""

MAX_SERVERS: Final = 8
_MAX_HINT_BYTES: Final = 16_384
_HEAD_START_S: Final = 1.0
_SETTINGS = Settings(deadline_s=10.0, max_bytes=_MAX_HINT_BYTES)
_REMEDY = f"put '{SERVERS_KEY}: [name]' into default.yaml on the TFTP server"


class HintStore:
    """The names of the servers that last gave something verified."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def load(self) -> tuple[str, ...]:
        """Returns the names; empty when there are none."""
        try:
            names = json.loads(read_bounded(self._path, _MAX_HINT_BYTES) or b"[]")
        except (ValueError, RecursionError):
            return ()
        return tuple(str(name) for name in names) if isinstance(names, list) else ()

    def save(self, names: Sequence[str]) -> None:
        """Keeps the names over a reboot."""
        if tuple(names) != self.load():
            write_atomically(self._path, json.dumps(list(names)).encode())


@dataclass(frozen=True, slots=True)
class Hint:
    """What a TFTP server said.

    Attributes:
        host: The server, as DHCP names it.
        file: The file that named them.
        names: Names of TSS servers.
    """

    host: str
    file: str
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TftpHints:
    """Asks TFTP servers where the TSS is.

    All files of the waterfall are asked for at once, and each in the hope that it fits one
    block: what a server knows takes one round trip.
    """

    folder: str
    model: str
    settings: Settings = _SETTINGS

    async def ask(
        self,
        lease: Lease,
        resolver: Resolver,
        count: Callable[[int], None],
        *,
        without: Collection[str] = (),
    ) -> Hint:
        """Returns the first hint in the order in which DHCP names the servers.

        Args:
            lease: Names servers, boot file and site.
            resolver: Finds the servers that are named.
            count: Told of the round trips that had to be waited for.
            without: Servers that are not asked again: what they said led nowhere.

        Raises:
            BootError: No server that DHCP names has a usable file.
        """
        hosts = [host for host in lease.tftp_servers[:MAX_SERVERS] if host not in without]
        if not hosts:
            raise TftpError("DHCP names no TFTP server", "set option 43, 150 or 66")
        site = lease.site or lease.domain
        files = tuple(waterfall(lease.boot_file, self.folder, self.model, site))
        asks = [partial(self._ask_server, host, files, resolver, count) for host in hosts]
        return await race(asks, head_start_s=_HEAD_START_S, is_final=_is_unexpected)

    async def _ask_server(
        self, host: str, files: Sequence[str], resolver: Resolver, count: Callable[[int], None]
    ) -> Hint:
        """Returns the most specific hint of one server, however the other files fare.

        Raises:
            BootError: It has none.
        """
        address = (await resolver.resolve(host))[0]
        trips = [_Trips() for _ in files]
        fetches = [
            asyncio.ensure_future(TftpClient(self.settings, each).fetch(address, file, small=True))
            for file, each in zip(files, trips, strict=True)
        ]
        try:
            return await _most_specific(host, files, fetches)
        finally:
            count(max(each.total for each in trips))
            for fetch in fetches:
                fetch.cancel()
            await asyncio.gather(*fetches, return_exceptions=True)


@dataclass(slots=True)
class _Trips:
    """Counts the round trips of one file; files side by side are waited for together."""

    total: int = 0

    def __call__(self, number: int) -> None:
        self.total += number


async def _most_specific(
    host: str, files: Sequence[str], fetches: Sequence[Awaitable[bytes]]
) -> Hint:
    failure: BootError = TftpError("it has no hint", _REMEDY, server=host)
    for file, fetch in zip(files, fetches, strict=True):
        try:
            names = parse_hint(await fetch)
        except (TftpError, DocumentError) as error:
            failure = error.at(server=host, file=file)
            logger.info("no hint: %s", failure)
            continue
        logger.info("%s from %s: %s", file, host, ", ".join(names))
        return Hint(host, file, names)
    raise failure


def _is_unexpected(error: BaseException) -> bool:
    return not isinstance(error, (TftpError, DnsError, DocumentError))


def parse_hint(data: bytes) -> tuple[str, ...]:
    """Returns the server names in a hint file.

    Raises:
        DocumentError: The file is no flat YAML, or names no server.
    """
    names = parse_document(data, max_bytes=_MAX_HINT_BYTES).texts(SERVERS_KEY)
    if not names:
        raise DocumentError(f"the hint has no {SERVERS_KEY}", _REMEDY)
    return names[:MAX_SERVERS]
