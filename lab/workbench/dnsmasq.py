"""DHCP, DNS and TFTP of a bench TSS by one dnsmasq."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from pathlib import Path
from typing import Final

from ..tools import tool
from . import hints
from .errors import WorkbenchError
from .place import Place

_LEASE_S: Final = 3600
_TRANSFERS_MAX: Final = 1000
"""TFTP transfers at a time; dnsmasq's own 50 is soon reached when power comes back to a floor."""

_GRACE_S: Final = 2.0
_READY: Final = "TFTP root is"
_START_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class Dhcp:
    """What DHCP hands out.

    Attributes:
        first: the first address.
        last: the last address.
        domain: the DNS domain; the TSS is ``tss`` in it.
        reserved: addresses that belong to units, by MAC.
    """

    first: IPv4Address
    last: IPv4Address
    domain: str
    reserved: Mapping[str, IPv4Address] = field(default_factory=dict)


def configuration(place: Place, tftp_root: Path, dhcp: Dhcp | None) -> str:
    """The text of a dnsmasq.conf.

    Args:
        place: where it listens.
        tftp_root: the hints.
        dhcp: None when the LAN has a DHCP server already; then there is no DNS either.
    """
    lines = [
        "bind-interfaces",
        f"interface={place.interface}",
        "except-interface=lo",
        f"listen-address={place.address}",
        "no-hosts",
        "log-facility=-",
        "enable-tftp",
        f"tftp-max={_TRANSFERS_MAX}",
        f"tftp-root={tftp_root}",
        *(_dhcp_lines(place, dhcp) if dhcp else ["port=0"]),
    ]
    return "\n".join(lines) + "\n"


def _dhcp_lines(place: Place, dhcp: Dhcp) -> Iterator[str]:
    # The file of leases is rewritten for every lease, which a storm of units waits for. Without it
    # a unit gets what is reserved for it, and others get what does not answer to a ping.
    yield from ("dhcp-authoritative", "leasefile-ro", "log-queries")
    yield f"dhcp-lease-max={int(dhcp.last) - int(dhcp.first) + 1}"
    yield f"dhcp-range={dhcp.first},{dhcp.last},{place.at.netmask},{_LEASE_S}s"
    yield f"dhcp-option=option:dns-server,{place.address}"
    yield f"dhcp-option=option:domain-name,{dhcp.domain}"
    yield f"host-record=tss.{dhcp.domain},{place.address}"
    yield f"local=/{dhcp.domain}/"
    yield from (f"dhcp-host={mac},{at}" for mac, at in dhcp.reserved.items())
    yield from hints.dnsmasq_lines(place.address)


class Dnsmasq:
    """One run of dnsmasq.

    Args:
        text: its configuration.
        folder: where the configuration is written.
        tell: told every line that it says.
    """

    def __init__(self, text: str, folder: Path, tell: Callable[[str], None]) -> None:
        self._text = text
        self._path = folder / "dnsmasq.conf"
        self._tell = tell
        self._said: list[str] = []
        self._ready = asyncio.Event()
        self._process: asyncio.subprocess.Process | None = None
        self._reader: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Start it, and wait until it serves.

        Raises:
            WorkbenchError: it ended instead; the message is its own.
            ToolMissingError: there is no dnsmasq.
        """
        self._path.write_text(self._text)
        program = tool("dnsmasq")
        # A session of its own: Ctrl-C is for us, and we end it in our turn.
        self._process = await asyncio.create_subprocess_exec(
            str(program.path), f"--conf-file={self._path}", "--no-daemon",
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE, env=program.environment(),
            start_new_session=True,
        )  # fmt: skip
        self._reader = asyncio.create_task(self._read(self._process))
        await self._until_it_serves(self._reader)

    async def ended(self) -> None:
        """Wait until it has ended, which it does not do by itself.

        Raises:
            WorkbenchError: always, with what it said last.
        """
        if self._reader is not None:
            await asyncio.shield(self._reader)
        raise WorkbenchError(f"dnsmasq ended: {' / '.join(self._said[-3:]) or 'without a word'}")

    async def close(self) -> None:
        """Stop it."""
        if self._process is not None and self._process.returncode is None:
            self._process.terminate()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_GRACE_S):
                    await self._process.wait()
            if self._process.returncode is None:
                self._process.kill()
        if self._reader is not None:
            await self._reader

    async def _until_it_serves(self, reader: asyncio.Task[None]) -> None:
        ready = asyncio.create_task(self._ready.wait())
        await asyncio.wait({ready, reader}, timeout=_START_S, return_when=asyncio.FIRST_COMPLETED)
        ready.cancel()
        if not self._ready.is_set():
            await self.close()
            await self.ended()

    async def _read(self, process: asyncio.subprocess.Process) -> None:
        if process.stderr is None:
            raise WorkbenchError("dnsmasq was started without a pipe")
        async for line in process.stderr:
            self._take(line.decode(errors="replace").strip())
        await process.wait()

    def _take(self, line: str) -> None:
        self._said = [*self._said[-9:], line]
        if _READY in line:
            self._ready.set()
        self._tell(line)
