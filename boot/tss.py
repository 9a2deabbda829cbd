"""Where the TSS is: what TFTP hints, what was good last time, what DNS usually says."""

import json
import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from .cache import read_bounded, write_atomically
from .dns import Resolver
from .document import parse_document
from .errors import BootError, DnsError, DocumentError, TftpError, TftpRefusedError
from .lease import Lease
from .tftp import TftpClient, waterfall
from .transfer import Settings
from .transport import Server

logger = logging.getLogger(__name__)

SERVERS_KEY: Final = "tss.servers"
FALLBACK_NAMES: Final = ("tss1", "tss2", "tss")
"""Tried in the domain that DHCP names when nobody says where the TSS is."""

MAX_SERVERS: Final = 8
_MAX_HINT_BYTES: Final = 16_384
_REMEDY = f"put '{SERVERS_KEY}: [name]' into default.yaml on the TFTP server"


class HintStore:
    """The names of the servers that last gave something verified."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def load(self) -> tuple[str, ...]:
        """Returns the names; empty when there are none."""
        try:
            names = json.loads(read_bounded(self._path, _MAX_HINT_BYTES) or b"[]")
        except ValueError:
            return ()
        return tuple(str(name) for name in names) if isinstance(names, list) else ()

    def save(self, names: Sequence[str]) -> None:
        """Keeps the names over a reboot."""
        if tuple(names) != self.load():
            write_atomically(self._path, json.dumps(list(names)).encode())


@dataclass(frozen=True, slots=True)
class TftpHints:
    """Asks TFTP servers where the TSS is."""

    folder: str
    model: str
    settings: Settings = field(default_factory=Settings)

    async def ask(
        self, lease: Lease, resolver: Resolver, count: Callable[[int], None]
    ) -> tuple[str, ...]:
        """Returns the names of TSS servers from the first file that has any.

        Raises:
            BootError: No server that DHCP names has a usable file.
        """
        last: BootError = TftpError("DHCP names no TFTP server", "set option 43, 150 or 66")
        client = TftpClient(self.settings, count)
        for host in lease.tftp_servers[:MAX_SERVERS]:
            try:
                return await self._ask_server(client, host, lease.boot_file, resolver)
            except (TftpError, DnsError, DocumentError) as error:
                logger.warning("%s", error)
                last = error
        raise last

    async def _ask_server(
        self, client: TftpClient, host: str, boot_file: str, resolver: Resolver
    ) -> tuple[str, ...]:
        address = (await resolver.resolve(host))[0]
        last: BootError = TftpError(f"TFTP server {host} has no hint", _REMEDY)
        for file in waterfall(boot_file, self.folder, self.model):
            try:
                names = parse_hint(await client.fetch(address, file))
            except (TftpRefusedError, DocumentError) as error:
                last = error
                continue
            logger.info("%s from %s: %s", file, host, ", ".join(names))
            return names
        raise last


def parse_hint(data: bytes) -> tuple[str, ...]:
    """Returns the server names in a hint file.

    Raises:
        DocumentError: The file is no flat YAML, or names no server.
    """
    names = parse_document(data, max_bytes=_MAX_HINT_BYTES).texts(SERVERS_KEY)
    if not names:
        raise DocumentError(f"the hint has no {SERVERS_KEY}", _REMEDY)
    return names[:MAX_SERVERS]


async def locate(names: Iterable[str], resolver: Resolver) -> tuple[Server, ...]:
    """Returns the servers whose names resolve, in order.

    Raises:
        DnsError: None of them does.
    """
    servers: list[Server] = []
    last = DnsError("nobody says where the TSS is", _REMEDY)
    for name in names:
        try:
            servers += [Server(name, address) for address in await resolver.resolve(name)]
        except DnsError as error:
            logger.warning("%s", error)
            last = error
    if not servers:
        raise last
    return tuple(servers[:MAX_SERVERS])
