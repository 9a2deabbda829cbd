"""What a DHCP server granted, and how it is kept over a reboot."""

import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any, Final, TypeVar

from ...hal.wire.json_lines import decode
from ..cache import read_bounded, remove, write_atomically
from ..errors import DhcpError
from ..wire.dhcp import INFINITE_S, DhcpMessage, Option, Options, Route
from ..wire.errors import OptionError, WireError

logger = logging.getLogger(__name__)
T = TypeVar("T")

MIN_LEASE_S: Final = 60
"""Shorter leases are treated as this long, so that no server makes a unit spin."""

TFTP_SUB_OPTION: Final = 1
"""Sub-option of options 43 and 125 that names the TFTP server (ours: OpenTurret)."""

SITE_SUB_OPTION: Final = 2
"""Sub-option of options 43 and 125 that names the site (ours: OpenTurret)."""

ENTERPRISE: Final = 32_473
"""The enterprise of options 124 and 125: of RFC 5612, as OpenTurret has none of its own yet."""

MAX_LISTED: Final = 8
"""Of a longer list of servers or routers the first ones count: each costs time when it is dead."""

MAX_ROUTES: Final = 64

_MAX_BYTES = 65_536
_NOBODY = IPv4Address(0)
_SHORTEST_PREFIX = 8


@dataclass(frozen=True, slots=True)
class Lease:
    """One granted address and what came with it; all of it only a hint, except the address.

    Attributes:
        server: The DHCP server; 0.0.0.0 when a person configured the address.
        acquired: Seconds since 1970 when the server granted it.
        lease_s, renew_s, rebind_s: Its length, T1 and T2 (RFC 2131 §4.4.5).
        search: Search domains of option 119.
        tftp_servers: Names or addresses in the order 43, 125, 150, 66, next server.
        site: Where the unit stands, sub-option 2 of option 43 or 125 (ours); may be empty.
        boot_file: Option 67 or the file field; may be empty.
        released: It was given back; its address is only a wish.
    """

    address: IPv4Address
    prefix: int
    server: IPv4Address
    acquired: float
    lease_s: int
    renew_s: int
    rebind_s: int
    routers: tuple[IPv4Address, ...] = ()
    routes: tuple[Route, ...] = ()
    dns_servers: tuple[IPv4Address, ...] = ()
    ntp_servers: tuple[IPv4Address, ...] = ()
    domain: str = ""
    search: tuple[str, ...] = ()
    host_name: str = ""
    tftp_servers: tuple[str, ...] = ()
    site: str = ""
    boot_file: str = ""
    released: bool = False

    @property
    def static(self) -> bool:
        """Whether a person configured it, so that no server knows of it."""
        return self.server == _NOBODY

    @property
    def endless(self) -> bool:
        """Whether the lease never ends (RFC 2131 §3.3)."""
        return self.lease_s == INFINITE_S

    def remaining_s(self, now: float) -> float:
        """Returns the seconds until it ends; 0 when it was given back.

        A wall clock before the time of the grant counts as no time passed: it was
        reset by a power cut, and only the server can tell.
        """
        if self.released:
            return 0.0
        return float("inf") if self.endless else self.lease_s - max(0.0, now - self.acquired)

    @classmethod
    def from_ack(cls, message: DhcpMessage, acquired: float) -> "Lease":
        """Returns the lease in an OFFER or ACK.

        Raises:
            DhcpError: It has no usable address or server identifier.
        """
        options, address = message.options, message.your_address
        server = _lenient(lambda: options.address(Option.SERVER_ID), None)
        if server is None or not is_usable(server) or not is_usable(address):
            raise DhcpError(
                f"the DHCP server granted {address} and calls itself {server}",
                "check the address range and the server identifier of the DHCP server",
            )
        lease_s = max(_lenient(lambda: options.seconds(Option.LEASE_TIME), None) or 0, MIN_LEASE_S)
        renew_s, rebind_s = _timers(message, lease_s)
        return cls(
            address=address,
            prefix=_prefix(message),
            server=server,
            acquired=acquired,
            lease_s=lease_s,
            renew_s=renew_s,
            rebind_s=rebind_s,
            routers=tuple(filter(is_usable, _address_list(options, Option.ROUTER))),
            routes=_lenient(lambda: options.routes()[:MAX_ROUTES], ()),
            dns_servers=_address_list(options, Option.DNS_SERVER),
            ntp_servers=_address_list(options, Option.NTP_SERVER),
            domain=_lenient(lambda: options.text(Option.DOMAIN_NAME), None) or "",
            search=_lenient(options.domain_search, ()),
            host_name=_lenient(lambda: options.text(Option.HOST_NAME), None) or "",
            tftp_servers=_tftp_servers(message),
            site=_site(options),
            boot_file=_lenient(lambda: options.text(Option.BOOT_FILE), None) or message.file,
        )

    def as_json(self) -> dict[str, object]:
        """Returns the lease as lease.json keeps it."""
        return {
            "address": str(self.address),
            "prefix": self.prefix,
            "server": str(self.server),
            "acquired": self.acquired,
            "lease_s": self.lease_s,
            "renew_s": self.renew_s,
            "rebind_s": self.rebind_s,
            "routers": [str(router) for router in self.routers],
            "routes": [[str(route.network), str(route.gateway)] for route in self.routes],
            "dns_servers": [str(server) for server in self.dns_servers],
            "ntp_servers": [str(server) for server in self.ntp_servers],
            "domain": self.domain,
            "search": list(self.search),
            "host_name": self.host_name,
            "tftp_servers": list(self.tftp_servers),
            "site": self.site,
            "boot_file": self.boot_file,
            "released": self.released,
        }

    @classmethod
    def from_json(cls, data: bytes) -> "Lease":
        """Returns the lease in the bytes of a lease.json.

        Raises:
            ValueError, TypeError, KeyError, OverflowError: The file is damaged.
        """
        values: dict[str, Any] = decode(data)
        return cls(
            address=IPv4Address(values["address"]),
            prefix=int(values["prefix"]),
            server=IPv4Address(values["server"]),
            acquired=float(values["acquired"]),
            lease_s=int(values["lease_s"]),
            renew_s=int(values["renew_s"]),
            rebind_s=int(values["rebind_s"]),
            routers=_addresses(values["routers"]),
            routes=tuple(Route(IPv4Network(n), IPv4Address(g)) for n, g in values["routes"]),
            dns_servers=_addresses(values["dns_servers"]),
            ntp_servers=_addresses(values["ntp_servers"]),
            domain=str(values["domain"]),
            search=tuple(map(str, values["search"])),
            host_name=str(values["host_name"]),
            tftp_servers=tuple(map(str, values["tftp_servers"])),
            site=str(values["site"]),
            boot_file=str(values["boot_file"]),
            released=bool(values["released"]),
        )


class LeaseStore:
    """The lease on the medium: ``lease.json``."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def load(self) -> Lease | None:
        """Returns the stored lease; None when there is none or it is damaged."""
        data = read_bounded(self._path, _MAX_BYTES)
        if data is None:
            return None
        try:
            return Lease.from_json(data)
        except (ValueError, TypeError, KeyError, OverflowError):
            logger.warning("%s is damaged and is ignored", self._path.name)
            return None

    def save(self, lease: Lease) -> None:
        """Keeps a lease over a power cut."""
        write_atomically(self._path, json.dumps(lease.as_json(), indent=1).encode())

    def forget(self) -> None:
        """Removes the lease: the server does not want it any more."""
        remove(self._path)


def _lenient(read: Callable[[], T], default: T) -> T:
    """Reads a hint; a malformed one is as good as none."""
    try:
        return read()
    except WireError as error:
        logger.warning("ignored: %s", error)
        return default


def _address_list(options: Options, code: Option) -> tuple[IPv4Address, ...]:
    return _lenient(lambda: options.addresses(code)[:MAX_LISTED], ())


def is_usable(address: IPv4Address) -> bool:
    """Returns whether a host may have an address: not 0.0.0.0/8, 127.0.0.0/8, 224.0.0.0/3."""
    return not (
        address.packed[0] == 0 or address.is_multicast or address.is_loopback or address.is_reserved
    )


def _prefix(message: DhcpMessage) -> int:
    mask = _lenient(lambda: message.options.address(Option.SUBNET_MASK), None)
    if mask is None:
        return 24
    prefix = int(mask).bit_count()
    if prefix < _SHORTEST_PREFIX or int(mask) != 0xFFFFFFFF << (32 - prefix) & 0xFFFFFFFF:
        logger.warning("ignored: subnet mask %s has holes or is too short; /24 is used", mask)
        return 24
    return prefix


def _timers(message: DhcpMessage, lease_s: int) -> tuple[int, int]:
    """Returns T1 and T2, with the defaults of RFC 2131 §4.4.5 where they make no sense."""
    options = message.options
    renew_s = _lenient(lambda: options.seconds(Option.RENEWAL_TIME), None)
    rebind_s = _lenient(lambda: options.seconds(Option.REBINDING_TIME), None)
    if renew_s is None or rebind_s is None or not 0 < renew_s < rebind_s < lease_s:
        return lease_s // 2, lease_s * 7 // 8
    return renew_s, rebind_s


def _tftp_servers(message: DhcpMessage) -> tuple[str, ...]:
    options = message.options
    listed = _address_list(options, Option.TFTP_SERVER_LIST)
    named = _lenient(lambda: options.text(Option.TFTP_SERVER), None) or message.server_name
    following = "" if message.next_server.is_unspecified else str(message.next_server)
    vendor = _lenient(lambda: _host(options.vendor_specific()), "")
    identified = _lenient(lambda: _host(options.vendor_identifying().get(ENTERPRISE, {})), "")
    servers = [vendor, identified, *map(str, listed), named, following]
    return tuple(dict.fromkeys(filter(None, servers)))


def _host(sub_options: Mapping[int, bytes]) -> str:
    """Reads an address in 4 bytes, as dnsmasq writes it, or a name in text."""
    value = sub_options.get(TFTP_SUB_OPTION, b"")
    return str(IPv4Address(value)) if len(value) == 4 else _text(value, "the TFTP server")


def _site(options: Options) -> str:
    vendor = _lenient(lambda: options.vendor_specific().get(SITE_SUB_OPTION), None)
    named = vendor or _lenient(
        lambda: options.vendor_identifying().get(ENTERPRISE, {}).get(SITE_SUB_OPTION), None
    )
    return _lenient(lambda: _text(named or b"", "the site"), "")


def _text(value: bytes, what: str) -> str:
    text = value.rstrip(b"\0").decode("latin-1")
    if not all("!" <= character <= "~" for character in text):
        raise OptionError(f"option 43 or 125: {what} is not printable ASCII")
    return text


def _addresses(texts: list[str]) -> tuple[IPv4Address, ...]:
    return tuple(IPv4Address(text) for text in texts)
