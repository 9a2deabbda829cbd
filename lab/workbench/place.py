"""Where a bench TSS stands: an interface and one of its addresses."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface
from typing import Any

from ..tools import tool
from .errors import PlaceError


@dataclass(frozen=True, slots=True)
class Place:
    """An interface and its address.

    Attributes:
        interface: its name.
        mac: its own, six octets.
        at: address and prefix.
    """

    interface: str
    mac: bytes
    at: IPv4Interface

    @property
    def address(self) -> str:
        """The address alone."""
        return str(self.at.ip)


def find(interface: str, address: str = "") -> Place:
    """The place on an interface.

    Args:
        interface: its name.
        address: which of its addresses; the first by default.

    Raises:
        PlaceError: there is no such interface or address; the message says the remedy.
    """
    for link in _links():
        if link["ifname"] == interface:
            return Place(interface, _mac(link), _address(link, address))
    known = ", ".join(link["ifname"] for link in _links())
    raise PlaceError(f"there is no interface {interface!r}: name one of {known}")


def serving_range(place: Place, text: str = "") -> tuple[IPv4Address, IPv4Address]:
    """The first and the last address that DHCP hands out.

    Args:
        place: where; its own address is never among them.
        text: ``first-last``; by default the upper half of the network, 200 at most.

    Raises:
        PlaceError: the range is none, or leads out of the network.
    """
    first, last = _parsed(text) if text else _upper_half(place)
    inside = first in place.at.network and last in place.at.network
    if not inside or first > last or first <= place.at.ip <= last:
        raise PlaceError(
            f"range {first}-{last}: it must lie in {place.at.network}, and {place.at.ip} is ours: "
            "say --range FIRST-LAST"
        )
    return first, last


def _parsed(text: str) -> tuple[IPv4Address, IPv4Address]:
    first, _, last = text.partition("-")
    try:
        return IPv4Address(first.strip()), IPv4Address(last.strip())
    except ValueError as error:
        raise PlaceError(f"{text!r} is no range: write it as 192.0.2.100-192.0.2.199") from error


def _upper_half(place: Place) -> tuple[IPv4Address, IPv4Address]:
    """Whichever side of our own address has more room in the upper half."""
    network = place.at.network
    if network.prefixlen > 29:
        raise PlaceError(f"{place.at} has no room for units: use a prefix of /29 or shorter")
    first = network.network_address + network.num_addresses // 2
    last = network.broadcast_address - 1
    if first <= place.at.ip <= last:
        below, above = int(place.at.ip) - int(first), int(last) - int(place.at.ip)
        first, last = (first, place.at.ip - 1) if below > above else (place.at.ip + 1, last)
    return first, min(last, first + 199)


def _links() -> list[dict[str, Any]]:
    command = [str(tool("ip").path), "-json", "-4", "address", "show"]
    links: list[dict[str, Any]] = json.loads(subprocess.check_output(command))
    every = [str(tool("ip").path), "-json", "link", "show"]
    macs = {link["ifname"]: link for link in json.loads(subprocess.check_output(every))}
    addresses = {link["ifname"]: link.get("addr_info", []) for link in links}
    return [{**link, "addr_info": addresses.get(name, [])} for name, link in macs.items()]


def _mac(link: dict[str, Any]) -> bytes:
    return bytes.fromhex(str(link.get("address", "")).replace(":", "")) or bytes(6)


def _address(link: dict[str, Any], wanted: str) -> IPv4Interface:
    name = link["ifname"]
    found = [IPv4Interface(f"{at['local']}/{at['prefixlen']}") for at in link["addr_info"]]
    if "UP" not in link.get("flags", ()):
        raise PlaceError(f"{name} is down: ip link set {name} up")
    if not found:
        raise PlaceError(f"{name} has no IPv4 address: ip address add 192.0.2.1/24 dev {name}")
    for at in found:
        if wanted in ("", str(at.ip)):
            return at
    raise PlaceError(f"{name} does not have {wanted}: it has {', '.join(map(str, found))}")
