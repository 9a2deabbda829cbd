"""The network interface of a unit: its carrier, its address, its routes."""

import asyncio
import contextlib
import fcntl
import json
import logging
import socket
import struct
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path
from typing import Protocol, TypeAlias

from ..cache import write_atomically
from ..errors import InterfaceError
from .lease import Lease

logger = logging.getLogger(__name__)

_SIOCGIFFLAGS, _SIOCGIFHWADDR = 0x8913, 0x8927
_IFF_RUNNING = 0x40
_RTMGRP_LINK = 1

RunIp: TypeAlias = Callable[[Sequence[str]], Awaitable[None]]
"""Runs a batch of commands of iproute2, each without the leading ``ip``."""


class Interface(Protocol):
    """What the boot needs from a network interface."""

    @property
    def name(self) -> str:
        """Its name, such as ``eth0``."""

    def mac(self) -> bytes:
        """Returns its hardware address."""

    async def wait_for_carrier(self) -> None:
        """Brings it up and returns when the cable has a signal."""

    async def apply(self, lease: Lease, previous: Lease | None) -> None:
        """Gives it the address and routes of a lease without dropping what stays."""

    async def clear(self, lease: Lease) -> None:
        """Takes the address of a lease away."""


@dataclass(frozen=True, slots=True)
class IpInterface:
    """A Linux interface, driven through iproute2; needs CAP_NET_ADMIN."""

    name: str
    run: RunIp

    def mac(self) -> bytes:
        """Returns its hardware address.

        Raises:
            InterfaceError: There is no such interface.
        """
        return _ioctl(self.name, _SIOCGIFHWADDR)[18:24]

    async def wait_for_carrier(self) -> None:
        """Brings the interface up and waits for the kernel to report a carrier.

        Raises:
            InterfaceError: There is no such interface, or no right to bring it up.
        """
        self.mac()
        with socket.socket(
            socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_NONBLOCK, socket.NETLINK_ROUTE
        ) as changes:
            changes.bind((0, _RTMGRP_LINK))
            await self.run([f"link set dev {self.name} up"])
            while not self._has_carrier():
                with contextlib.suppress(OSError):  # more news than the socket holds: look again
                    await asyncio.get_running_loop().sock_recv(changes, 65_536)

    async def apply(self, lease: Lease, previous: Lease | None) -> None:
        """Replaces address and routes; a lease that only got longer changes nothing on the way.

        A route that the kernel refuses costs only itself: the DHCP server may be careless.

        Raises:
            InterfaceError: The kernel refuses the address.
        """
        await self.run([f"addr replace {lease.address}/{lease.prefix} brd + dev {self.name}"])
        routes = [f"route replace {route}" for route in self._routes(lease)]
        if previous is not None:
            routes += self._leftovers(lease, previous)
        try:
            await self.run(routes)
        except InterfaceError as error:
            logger.warning("of the routes that the DHCP server names: %s", error)

    async def clear(self, lease: Lease) -> None:
        """Takes the address away; its routes go with it.

        Raises:
            InterfaceError: The kernel refuses.
        """
        await self.run([f"addr del {lease.address}/{lease.prefix} dev {self.name}"])

    def _leftovers(self, lease: Lease, previous: Lease) -> list[str]:
        if (previous.address, previous.prefix) == (lease.address, lease.prefix):
            gone = set(self._routes(previous)) - set(self._routes(lease))
            return [f"route del {route}" for route in sorted(gone)]
        return [f"addr del {previous.address}/{previous.prefix} dev {self.name}"]

    def _routes(self, lease: Lease) -> list[str]:
        """Routes as iproute2 spells them; option 121 overrides option 3 (RFC 3442)."""
        if lease.routes:
            return [self._route(str(route.network), route.gateway) for route in lease.routes]
        return [self._route("default", router) for router in lease.routers[:1]]

    def _route(self, network: str, gateway: IPv4Address) -> str:
        via = "" if gateway.is_unspecified else f" via {gateway}"
        return f"{network}{via} dev {self.name}"

    def _has_carrier(self) -> bool:
        flags: int = struct.unpack_from("H", _ioctl(self.name, _SIOCGIFFLAGS), 16)[0]
        return bool(flags & _IFF_RUNNING)


async def run_ip(commands: Sequence[str]) -> None:
    """Runs a batch of iproute2 commands in one process.

    Raises:
        InterfaceError: Some of them were refused; all others are done.
    """
    if not commands:
        return
    process = await asyncio.create_subprocess_exec(
        "ip", "-force", "-batch", "-",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    _, complaint = await process.communicate("\n".join(commands).encode())
    if process.returncode:
        text = complaint.decode("utf-8", "replace").strip()
        raise InterfaceError(
            f"ip refused: {text}", "run as root or with CAP_NET_ADMIN, and check --interface"
        )


def write_network(path: Path, interface: str, lease: Lease) -> None:
    """Writes network.json: where the unit is, for the processes that boot starts."""
    router = str(lease.routers[0]) if lease.routers else None
    facts = {
        "interface": interface,
        "address": str(lease.address),
        "prefix": lease.prefix,
        "router": router,
        "dns": [str(server) for server in lease.dns_servers],
        "domain": lease.domain,
        "search": list(lease.search),
        "ntp": [str(server) for server in lease.ntp_servers],
    }
    write_atomically(path, json.dumps(facts, indent=1).encode(), durable=False)


def _ioctl(name: str, request: int) -> bytes:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as handle:
        try:
            return fcntl.ioctl(handle, request, struct.pack("256s", name.encode()[:15]))
        except OSError as error:
            raise InterfaceError(
                f"there is no network interface {name!r}", "list them with: ip link"
            ) from error
