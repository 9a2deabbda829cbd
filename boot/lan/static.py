"""An address that a person configured, in place of DHCP.

`network.yaml` in the state folder, or else in the factory folder::

    network.address: 10.1.0.50/24
    network.router: 10.1.0.1
    network.dns: [10.1.0.2, 10.1.0.3]
    network.domain: turret.example
    network.search: [turret.example, example]
    network.ntp: [10.1.0.2]
    network.tftp: [10.1.0.2]
    network.file: site.yaml

All but the first may be left out.
"""

import asyncio
import contextlib
import logging
import re
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Interface
from pathlib import Path
from typing import Final, NoReturn

from ..cache import read_bounded
from ..document import Document, parse_document
from ..errors import DhcpError, DocumentError
from ..wire.dhcp import INFINITE_S
from .binding import Binding, DhcpState, Situation
from .carrier import Carrier
from .conflict import AddressGuard
from .dhcp import OnLease
from .lease import MAX_LISTED, Lease, is_usable

logger = logging.getLogger(__name__)

MAX_BYTES: Final = 16_384

ADDRESS, ROUTER, DNS, DOMAIN, SEARCH, NTP, TFTP, FILE = KEYS = (
    "network.address", "network.router", "network.dns", "network.domain", "network.search",
    "network.ntp", "network.tftp", "network.file",
)  # fmt: skip

_NOBODY = IPv4Address(0)
_PREFIXES = range(8, 32)
_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?")
_FILE = re.compile(r"[!-~]{1,127}")


def read_static(paths: Iterable[Path], now: float) -> Lease | None:
    """Returns the configured address in the first of the files that is there; None without one.

    Args:
        paths: The files, in order.
        now: Seconds since 1970.

    Raises:
        DocumentError: The file is not acceptable; it names key, value and remedy.
        OSError: The medium fails.
    """
    for path in paths:
        data = read_bounded(path, MAX_BYTES)
        if data is None:
            continue
        try:
            return parse_static(data, now)
        except DocumentError as error:
            raise error.at(file=str(path)) from None
    return None


def parse_static(data: bytes, now: float) -> Lease:
    """Returns the address in a document as a lease that never ends.

    Raises:
        DocumentError: A key is unknown, missing or malformed.
    """
    document = parse_document(data, max_bytes=MAX_BYTES)
    for key in document.values:
        if key not in KEYS:
            raise _wrong(key, "is no key of this file", f"use some of {', '.join(KEYS)}")
    interface = _interface(document)
    return Lease(
        address=interface.ip,
        prefix=interface.network.prefixlen,
        server=_NOBODY,
        acquired=now,
        lease_s=INFINITE_S,
        renew_s=INFINITE_S,
        rebind_s=INFINITE_S,
        routers=_router(document, interface),
        dns_servers=_addresses(document, DNS),
        ntp_servers=_addresses(document, NTP),
        domain=_matching(_NAME, document, DOMAIN),
        search=_names(document, SEARCH),
        tftp_servers=_names(document, TFTP),
        boot_file=_matching(_FILE, document, FILE),
    )


class StaticClient:
    """Takes a configured address into use and never gives it up (RFC 5227 §2.4 (c)).

    There is no other address to go to, so a rival is told of as long as it is heard.
    """

    def __init__(self, situation: Situation, lease: Lease) -> None:
        self._here = situation
        self._lease = lease
        self._guard: AddressGuard | None = None

    async def acquire(self, stored: Lease | None) -> Binding:
        """Returns the address once nobody else uses it, however long that takes.

        Args:
            stored: What DHCP once granted; it does not matter here.
        """
        address = self._lease.address
        for delay_s in self._here.timing.backoff.delays():
            self._here.listener.enter(DhcpState.INIT, address, "configured; asking who uses it")
            try:
                self._guard = await self._settled()
                break
            except DhcpError as error:
                self._here.listener.trouble(error, f"asking again in {delay_s:.1f} s")
            await asyncio.sleep(delay_s)
        self._here.listener.enter(DhcpState.BOUND, address, "configured")
        return Binding(self._lease, self._here.clock.monotonic())

    async def keep(self, binding: Binding, on_lease: OnLease, on_expiry: OnLease) -> NoReturn:
        """Defends the address, and announces it when the cable is back.

        Args:
            binding: What ``acquire`` returned.
            on_lease: Called when the address is undisputed again, or the cable is back.
            on_expiry: Never called.
        """
        if self._guard is None:
            raise DhcpError("the configured address is not in use yet", "acquire it first")
        with (
            contextlib.closing(self._guard),
            contextlib.closing(self._here.ports.carrier()) as cable,
        ):
            async with asyncio.TaskGroup() as both:
                both.create_task(self._defend(self._guard, on_lease))
                both.create_task(self._follow(cable, self._guard, on_lease))
        raise DhcpError("nobody keeps the configured address")  # pragma: no cover - no end

    async def release(self, lease: Lease) -> None:
        """Lets the address go; no server knows of it.

        Args:
            lease: What was configured.
        """
        self.close()

    def seeking(self) -> contextlib.AbstractContextManager[None]:
        """Does nothing meanwhile: there is no other address to go to."""
        return contextlib.nullcontext()

    def close(self) -> None:
        """Lets the address go unwatched."""
        if self._guard is not None:
            self._guard.close()

    async def _settled(self) -> AddressGuard:
        """Probes, and returns the guard of an address that nobody else uses.

        Raises:
            AddressConflictError: Somebody uses it.
            DhcpError: The interface fails.
        """
        here = self._here
        try:
            port = here.ports.arp(self._lease.address)
            guard = AddressGuard(port, clock=here.clock, rng=here.rng, timing=here.timing.arp)
            with contextlib.ExitStack() as unless_settled:
                unless_settled.callback(guard.close)
                await guard.probe()
                await guard.settle(here.timing.arp.answer_s)
                unless_settled.pop_all()
        except OSError as error:
            raise DhcpError(f"the interface fails: {error}") from error
        return guard

    async def _defend(self, guard: AddressGuard, on_lease: OnLease) -> None:
        """Tells of a rival until it has been silent for a minute."""
        while True:
            error = await guard.defend()
            self._here.listener.trouble(error, "the address is configured, so it is kept")
            while await self._is_disputed(guard):
                continue
            await on_lease(self._lease)

    async def _is_disputed(self, guard: AddressGuard) -> bool:
        arp = self._here.timing.arp
        await asyncio.sleep(arp.defend_interval_s)
        try:
            async with asyncio.timeout(arp.rate_limit_s):
                await guard.defend()
        except TimeoutError:
            return False
        return True

    async def _follow(self, cable: Carrier, guard: AddressGuard, on_lease: OnLease) -> None:
        while True:
            await cable.returned()
            await guard.announce()
            await on_lease(self._lease)


def _interface(document: Document) -> IPv4Interface:
    text = document.text(ADDRESS)
    try:
        interface = IPv4Interface(text)
    except ValueError as error:
        raise _wrong(
            ADDRESS, f"{text!r} is no address", f"write {ADDRESS}: 10.1.0.50/24"
        ) from error
    network = interface.network
    if "/" not in text or network.prefixlen not in _PREFIXES:
        raise _wrong(ADDRESS, f"{text!r} has no prefix from /8 to /31", "write it as 10.1.0.50/24")
    ends = (network.network_address, network.broadcast_address)
    if not is_usable(interface.ip) or (network.prefixlen < 31 and interface.ip in ends):
        raise _wrong(ADDRESS, f"{text!r} is no host's address", "take one inside the subnet")
    return interface


def _router(document: Document, interface: IPv4Interface) -> tuple[IPv4Address, ...]:
    routers = _addresses(document, ROUTER)
    for router in routers:
        if router not in interface.network or router == interface.ip:
            raise _wrong(ROUTER, f"{router} is not reached from {interface}", "take one on the LAN")
    return routers


def _addresses(document: Document, key: str) -> tuple[IPv4Address, ...]:
    addresses = []
    for text in _listed(document, key):
        try:
            addresses.append(IPv4Address(text))
        except ValueError as error:
            raise _wrong(key, f"{text!r} is no address", f"write {key}: [10.1.0.2]") from error
    return tuple(addresses)


def _names(document: Document, key: str) -> tuple[str, ...]:
    names = _listed(document, key)
    for name in names:
        if not _NAME.fullmatch(name):
            raise _wrong(key, f"{name!r} is no name", f"write {key}: [turret.example]")
    return names


def _listed(document: Document, key: str) -> tuple[str, ...]:
    texts = document.texts(key)
    if len(texts) > MAX_LISTED:
        raise _wrong(key, f"{len(texts)} entries", f"list at most {MAX_LISTED}")
    return texts


def _matching(pattern: re.Pattern[str], document: Document, key: str) -> str:
    text = document.text(key)
    if text and not pattern.fullmatch(text):
        raise _wrong(
            key, f"{text!r} has characters that it must not have", "use letters and digits"
        )
    return text


def _wrong(key: str, what: str, remedy: str) -> DocumentError:
    return DocumentError(f"{key}: {what}", remedy, option=key)
