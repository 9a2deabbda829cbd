"""Gets an address and keeps it: the DHCP client of RFC 2131.

It never gives up.  Silence, refusal and conflict are told to the listener and asked
again with a delay that doubles up to a cap, jittered.
"""

import asyncio
import contextlib
import logging
import random
from collections.abc import Awaitable, Callable, Collection, Iterator
from dataclasses import dataclass, replace
from ipaddress import IPv4Address
from typing import Final, NoReturn, Protocol, TypeAlias

from ..hal.backoff import Backoff
from ..hal.clock import Clock
from .errors import (
    AddressConflictError,
    AddressRefusedError,
    BootError,
    DhcpError,
    InterfaceError,
)
from .lease import Lease
from .link import BroadcastPort, MessagePort, Ports
from .wire.dhcp import BootpOp, DhcpMessage, MessageType, Option, Options
from .wire.errors import WireError
from .wire.frame import BROADCAST_ADDRESS

logger = logging.getLogger(__name__)

VENDOR_CLASS: Final = b"OpenTurret"

WANTED: Final = bytes(
    (
        Option.SUBNET_MASK, Option.ROUTER, Option.DNS_SERVER, Option.HOST_NAME,
        Option.DOMAIN_NAME, Option.NTP_SERVER, Option.VENDOR_SPECIFIC, Option.LEASE_TIME,
        Option.SERVER_ID, Option.RENEWAL_TIME, Option.REBINDING_TIME, Option.TFTP_SERVER,
        Option.BOOT_FILE, Option.CLASSLESS_ROUTES, Option.VENDOR_IDENTIFYING,
        Option.TFTP_SERVER_LIST,
    )
)  # fmt: skip
"""The parameter request list (option 55)."""

OnLease: TypeAlias = Callable[[Lease], Awaitable[None]]

_LONGEST_SLEEP_S = 86_400.0
_MAX_MESSAGE = (1472).to_bytes(2, "big")
_REMEDY = "check cable, VLAN, and that a DHCP server or relay answers on this LAN"


class Listener(Protocol):
    """Who is told how the client gets on."""

    def count(self, round_trips: int, /) -> None:
        """Takes note of answered requests."""

    def trouble(self, error: BootError, detail: str) -> None:
        """Takes note of a failure and of what happens next."""


@dataclass(frozen=True, slots=True)
class Timing:
    """How long the client waits.

    Attributes:
        backoff: Delays between DISCOVERs; RFC 2131 §4.1 asks for 4 to 64 s, ±1 s.
        conflict_s: How long after the ARP probe an answer still counts.
        decline_s: Least time between a DECLINE and the next DISCOVER (RFC 2131 §3.1.5).
        reboot_tries: Requests for the stored lease before it is used unconfirmed.
        renew_floor_s: Least time between two renewals (RFC 2131 §4.4.5 asks for 60 s).
    """

    backoff: Backoff
    conflict_s: float = 0.1
    decline_s: float = 10.0
    reboot_tries: int = 2
    renew_floor_s: float = 60.0

    @classmethod
    def standard(cls, rng: random.Random) -> "Timing":
        """Returns the timing of RFC 2131."""
        return cls(Backoff(first_s=4, cap_s=64, jitter=0.25, rng=rng))


@dataclass(frozen=True, slots=True)
class Binding:
    """A lease in use.

    Attributes:
        bound_at: When it began, on the monotonic clock.
        confirmed: False when no server has confirmed a stored lease yet.
    """

    lease: Lease
    bound_at: float
    confirmed: bool = True


class DhcpClient:
    """One client on one interface."""

    def __init__(
        self,
        ports: Ports,
        mac: bytes,
        *,
        host_name: str,
        clock: Clock,
        rng: random.Random,
        timing: Timing,
        listener: Listener,
    ) -> None:
        self._ports = ports
        self._mac = mac
        self._host_name = host_name
        self._clock = clock
        self._rng = rng
        self._timing = timing
        self._listener = listener

    async def acquire(self, stored: Lease | None) -> Binding:
        """Returns a lease: the stored one confirmed, a new one, or the stored one unconfirmed.

        Asks for ever when there is no unexpired lease to fall back to.
        """
        if stored is not None and stored.remaining_s(self._clock.unix()) > 0:
            try:
                return await self._reboot(stored)
            except AddressConflictError as error:
                return await self._select_later(error)
            except DhcpError as error:
                self._listener.trouble(error, "asking for a new address")
        return await self._select(stored.address if stored else None)

    async def _select_later(self, error: AddressConflictError) -> Binding:
        wait_s = self._timing.decline_s
        self._listener.trouble(error, f"asking for another address in {wait_s:.1f} s")
        await asyncio.sleep(wait_s)
        return await self._select(None)

    async def keep(self, binding: Binding, on_lease: OnLease, on_expiry: OnLease) -> NoReturn:
        """Renews before T2, rebinds after it, and starts again when the lease has ended.

        Args:
            binding: What ``acquire`` returned.
            on_lease: Called with every lease that a server confirms.
            on_expiry: Called with a lease that ended; its address may not be used any more.
        """
        while True:
            try:
                binding = await self._extend(binding)
            except DhcpError as error:
                self._listener.trouble(error, "the address is given up; asking for a new one")
                await on_expiry(binding.lease)
                binding = await self._select(None)
            await on_lease(binding.lease)

    async def _reboot(self, stored: Lease) -> Binding:
        """INIT-REBOOT: asks for the stored address without a DISCOVER (RFC 2131 §3.2).

        Raises:
            AddressRefusedError: The server said NAK.
            AddressConflictError: Somebody else uses the address.
        """
        delays = self._timing.backoff.delays()
        with self._broadcasting() as port:
            request = self._message(MessageType.REQUEST, requested=stored.address)
            for attempt in range(1, self._timing.reboot_tries + 1):
                binding = await self._confirm(port, request, stored.address, None, next(delays))
                if binding is not None:
                    return binding
                self._listener.trouble(_silence(), f"attempt {attempt} to confirm {stored.address}")
        logger.warning("no DHCP server confirms %s; its lease has not ended", stored.address)
        used_s = stored.lease_s - stored.remaining_s(self._clock.unix())
        bound_at = self._clock.monotonic() - (0.0 if stored.endless else used_s)
        return Binding(stored, bound_at, confirmed=False)

    async def _select(self, wish: IPv4Address | None) -> Binding:
        """INIT: DISCOVER and REQUEST until a server grants something usable."""
        for attempt, delay in enumerate(self._timing.backoff.delays(), start=1):
            due = self._clock.monotonic() + delay
            try:
                return await self._discover(wish, delay)
            except DhcpError as error:
                left = max(self._quiet_s(error), due - self._clock.monotonic())
                self._listener.trouble(error, f"attempt {attempt}; the next one in {left:.1f} s")
                wish = None
                await asyncio.sleep(left)
        raise DhcpError("the back-off has ended")  # pragma: no cover - it has no end

    def _quiet_s(self, error: DhcpError) -> float:
        return self._timing.decline_s if isinstance(error, AddressConflictError) else 0.0

    async def _discover(self, wish: IPv4Address | None, timeout_s: float) -> Binding:
        with self._broadcasting() as port:
            discover = self._message(MessageType.DISCOVER, requested=wish)
            offer = await self._ask(port, discover, {MessageType.OFFER}, timeout_s)
            if offer is None:
                raise _silence()
            lease = Lease.from_ack(offer, self._clock.unix())
            return await self._request(port, discover.xid, lease, timeout_s)

    @contextlib.contextmanager
    def _broadcasting(self) -> Iterator[BroadcastPort]:
        """Opens the broadcast port; an interface that fails meanwhile is asked again like silence.

        Raises:
            DhcpError: The interface is down or gone.
        """
        try:
            with contextlib.closing(self._ports.broadcast()) as port:
                yield port
        except (OSError, InterfaceError) as error:
            raise DhcpError(f"the interface fails: {error}", _REMEDY) from error

    async def _request(
        self, port: BroadcastPort, xid: int, offered: Lease, timeout_s: float
    ) -> Binding:
        """SELECTING: takes the offer.

        Raises:
            AddressRefusedError: The server changed its mind.
            AddressConflictError: Somebody else uses the address.
            DhcpError: The server fell silent.
        """
        request = self._message(
            MessageType.REQUEST, requested=offered.address, server=offered.server, xid=xid
        )
        for _ in range(3):
            binding = await self._confirm(
                port, request, offered.address, offered.server, timeout_s / 3
            )
            if binding is not None:
                return binding
        raise DhcpError(f"{offered.server} offered {offered.address} and then fell silent", _REMEDY)

    async def _confirm(
        self,
        port: BroadcastPort,
        request: DhcpMessage,
        address: IPv4Address,
        server: IPv4Address | None,
        timeout_s: float,
    ) -> Binding | None:
        """Sends a REQUEST with the ARP probe beside it; None when nobody answers."""
        await port.probe(address)
        probed_at = self._clock.monotonic()
        wanted = {MessageType.ACK, MessageType.NAK}
        reply = await self._ask(port, request, wanted, timeout_s, server=server)
        if reply is None:
            return None
        if reply.type is MessageType.NAK:
            raise _refusal(reply, address)
        lease = Lease.from_ack(reply, self._clock.unix())
        if lease.address != address:
            raise DhcpError(f"asked for {address}, the server granted {lease.address}", _REMEDY)
        await self._check_conflict(port, lease, probed_at + self._timing.conflict_s)
        return Binding(lease, probed_at)

    async def _check_conflict(self, port: BroadcastPort, lease: Lease, until: float) -> None:
        """Waits out the rest of the probe and declines an address that is taken (RFC 5227)."""
        await _before(until - self._clock.monotonic(), _drain(port, lease.address))
        if port.is_claimed(lease.address):
            decline = self._message(
                MessageType.DECLINE, requested=lease.address, server=lease.server
            )
            await port.send(decline)
            raise AddressConflictError(
                f"another machine uses {lease.address}",
                f"find it, or exclude {lease.address} from the range of the DHCP server",
            )
        await port.announce(lease.address)

    async def _extend(self, binding: Binding) -> Binding:
        """RENEWING by unicast until T2, then REBINDING by broadcast until the end.

        Raises:
            AddressRefusedError: The server said NAK.
            DhcpError: The lease has ended.
        """
        lease = binding.lease
        renew_at, rebind_at, end = _deadlines(binding)
        if binding.confirmed:
            await self._sleep_until(renew_at)
        delays = self._timing.backoff.delays()
        while (now := self._clock.monotonic()) < end:
            renewing = binding.confirmed and now < rebind_at
            wait_s = max(((rebind_at if renewing else end) - now) / 2, self._timing.renew_floor_s)
            wait_s = min(wait_s if binding.confirmed else next(delays), end - now)
            server = lease.server if renewing else BROADCAST_ADDRESS
            extended = await self._renew(lease, server, wait_s)
            if extended is not None:
                return extended
            self._listener.trouble(_silence(), f"{lease.address} is not renewed yet")
            await self._sleep_until(now + wait_s)
        raise DhcpError(f"the lease of {lease.address} has ended", _REMEDY)

    async def _sleep_until(self, due: float) -> None:
        """Sleeps in slices, because an endless lease has no due time that a timer accepts."""
        while (left := due - self._clock.monotonic()) > 0:
            await asyncio.sleep(min(left, _LONGEST_SLEEP_S))

    async def _renew(self, lease: Lease, server: IPv4Address, wait_s: float) -> Binding | None:
        """Sends one REQUEST from the address in use; None when nobody answers in time."""
        request = replace(
            self._message(MessageType.REQUEST), client_address=lease.address, broadcast=False
        )
        asked_at = self._clock.monotonic()
        wanted = {MessageType.ACK, MessageType.NAK}
        try:
            with contextlib.closing(self._ports.unicast(server)) as port:
                reply = await self._ask(port, request, wanted, wait_s)
        except OSError as error:
            logger.warning("renewal not sent: %s", error)
            return None
        if reply is None:
            return None
        if reply.type is MessageType.NAK:
            raise _refusal(reply, lease.address)
        return self._renewed(lease, reply, asked_at)

    def _renewed(self, lease: Lease, reply: DhcpMessage, asked_at: float) -> Binding | None:
        """Returns the longer lease; None when the ACK is for another address, or for none."""
        try:
            renewed = Lease.from_ack(reply, self._clock.unix())
        except DhcpError as error:
            logger.warning("renewal ignored: %s", error)
            return None
        if renewed.address != lease.address:
            logger.warning("renewal of %s ignored: it is for %s", lease.address, renewed.address)
            return None
        return Binding(renewed, asked_at)

    async def _ask(
        self,
        port: MessagePort,
        message: DhcpMessage,
        wanted: Collection[MessageType],
        timeout_s: float,
        *,
        server: IPv4Address | None = None,
    ) -> DhcpMessage | None:
        """Sends a message and returns the answer to it, or None when there is none in time."""
        await port.send(message)
        reply = await _before(timeout_s, self._answer(port, message.xid, wanted, server))
        if reply is not None:
            self._listener.count(1)
            logger.debug("%s for %s", reply.type.name, reply.your_address)
        return reply

    async def _answer(
        self,
        port: MessagePort,
        xid: int,
        wanted: Collection[MessageType],
        server: IPv4Address | None,
    ) -> DhcpMessage:
        """Reads until an answer to our question comes; everything else is dropped."""
        while True:
            message = await port.receive()
            if (
                message.op is BootpOp.REPLY
                and message.xid == xid
                and message.hardware_address == self._mac
                and _answers(message, wanted, server)
            ):
                return message

    def _message(
        self,
        kind: MessageType,
        *,
        requested: IPv4Address | None = None,
        server: IPv4Address | None = None,
        xid: int | None = None,
    ) -> DhcpMessage:
        items: list[tuple[int, bytes]] = [
            (Option.MESSAGE_TYPE, bytes([kind])),
            (Option.CLIENT_ID, b"\x01" + self._mac),
        ]
        if requested is not None:
            items.append((Option.REQUESTED_ADDRESS, requested.packed))
        if server is not None:
            items.append((Option.SERVER_ID, server.packed))
        if kind is not MessageType.DECLINE:
            items += [
                (Option.MAX_MESSAGE_SIZE, _MAX_MESSAGE),
                (Option.VENDOR_CLASS, VENDOR_CLASS),
                (Option.HOST_NAME, self._host_name.encode("ascii")),
                (Option.PARAMETER_REQUEST, WANTED),
            ]
        return DhcpMessage(
            op=BootpOp.REQUEST,
            xid=self._rng.getrandbits(32) if xid is None else xid,
            hardware_address=self._mac,
            options=Options(tuple(items)),
        )


def _answers(
    message: DhcpMessage, wanted: Collection[MessageType], server: IPv4Address | None
) -> bool:
    try:
        if message.type not in wanted:
            return False
        return server is None or message.options.address(Option.SERVER_ID) == server
    except WireError:
        return False


def _deadlines(binding: Binding) -> tuple[float, float, float]:
    """T1, T2 and the end of a lease on the monotonic clock."""
    lease, start = binding.lease, binding.bound_at
    if lease.endless:
        return float("inf"), float("inf"), float("inf")
    return start + lease.renew_s, start + lease.rebind_s, start + lease.lease_s


async def _before(timeout_s: float, answer: Awaitable[DhcpMessage]) -> DhcpMessage | None:
    try:
        async with asyncio.timeout(max(0.0, timeout_s)):
            return await answer
    except TimeoutError:
        return None


async def _drain(port: BroadcastPort, address: IPv4Address) -> DhcpMessage:
    """Lets the port note ARP claims until the time is up or the address is claimed."""
    while True:
        message = await port.receive()
        if port.is_claimed(address):
            return message


def _silence() -> DhcpError:
    return DhcpError("no DHCP server answered", _REMEDY)


def _refusal(reply: DhcpMessage, address: IPv4Address) -> AddressRefusedError:
    try:
        reason = reply.options.text(Option.MESSAGE) or "no reason given"
    except WireError:
        reason = "no readable reason"
    return AddressRefusedError(
        f"the DHCP server refused {address}: {reason}",
        "check the range and reservations of the DHCP server",
    )
