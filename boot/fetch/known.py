"""The TSS that was good last time, and which servers failed lately."""

import json
import logging
from collections.abc import Sequence
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any, Final

from ...hal.clock import Clock
from ...hal.wire.json_lines import decode
from ..cache import read_bounded, write_atomically
from ..lan.lease import Lease
from .transport import Server

logger = logging.getLogger(__name__)

MAX_KNOWN: Final = 8
SHUNNED_S: Final = 300.0
_MAX_BYTES: Final = 16_384


class KnownServers:
    """The servers that last gave something verified, with their addresses.

    They spare a boot its questions to TFTP and DNS.  An address that is wrong by now costs one
    attempt: the certificate still has to carry the name.  They count only as long as DHCP gives
    the same hints, so that a site may move its units to another TSS.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def load(self, lease: Lease) -> tuple[Server, ...]:
        """Returns the servers, the good one first; empty when DHCP says something else by now."""
        try:
            kept: dict[str, Any] = decode(read_bounded(self._path, _MAX_BYTES) or b"{}")
            if kept.get("hints") != _hints(lease):
                return ()
            found = kept["servers"][:MAX_KNOWN]
            return tuple(_server(*fields) for fields in found)
        except (ValueError, TypeError, KeyError, AttributeError):
            logger.warning("%s is damaged: TFTP and DNS are asked again", self._path)
            return ()

    def save(self, servers: Sequence[Server], lease: Lease) -> None:
        """Keeps servers over a reboot.

        Raises:
            OSError: The medium refuses it.
        """
        found = [
            [server.name, str(server.address), server.ftpes_port, server.https_port]
            for server in servers[:MAX_KNOWN]
        ]
        data = json.dumps({"hints": _hints(lease), "servers": found}).encode()
        if read_bounded(self._path, _MAX_BYTES) != data:
            write_atomically(self._path, data)


def _server(name: str, address: str, ftpes_port: int, https_port: int) -> Server:
    return Server(str(name), IPv4Address(address), int(ftpes_port), int(https_port))


def _hints(lease: Lease) -> list[str]:
    """Returns what DHCP says about where the TSS is."""
    return [*lease.tftp_servers, lease.boot_file, lease.domain]


class Reputation:
    """Remembers for a while which servers failed: they are asked last."""

    def __init__(self, clock: Clock, shunned_s: float = SHUNNED_S) -> None:
        self._clock = clock
        self._shunned_s = shunned_s
        self._until: dict[Server, float] = {}

    def failed(self, server: Server) -> None:
        """Puts a server last."""
        self._until = {other: until for other, until in self._until.items() if self.bad(other)}
        self._until[server] = self._clock.monotonic() + self._shunned_s

    def good(self, server: Server) -> None:
        """Forgives a server."""
        self._until.pop(server, None)

    def bad(self, server: Server) -> bool:
        """Says whether a server failed lately."""
        return self._until.get(server, 0.0) > self._clock.monotonic()

    def sort(self, servers: Sequence[Server]) -> tuple[Server, ...]:
        """Returns the servers in their order, those that failed lately last."""
        return tuple(sorted(servers, key=self.bad))
