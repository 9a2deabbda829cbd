"""What a DHCP client says, and how it tells the answers to it from everything else."""

import asyncio
import logging
from collections.abc import Callable, Collection
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Final

from ...hal.clock import Clock
from ..errors import AddressRefusedError, DhcpError
from ..wire.dhcp import BootpOp, DhcpMessage, MessageType, Option, Options, vendor_identifying
from ..wire.errors import WireError
from .lease import ENTERPRISE, Lease
from .link import MessagePort

logger = logging.getLogger(__name__)

VENDOR_CLASS: Final = b"OpenTurret"

WANTED: Final = bytes(
    (
        Option.SUBNET_MASK, Option.CLASSLESS_ROUTES, Option.ROUTER, Option.DNS_SERVER,
        Option.HOST_NAME, Option.DOMAIN_NAME, Option.NTP_SERVER, Option.VENDOR_SPECIFIC,
        Option.LEASE_TIME, Option.SERVER_ID, Option.RENEWAL_TIME, Option.REBINDING_TIME,
        Option.TFTP_SERVER, Option.BOOT_FILE, Option.DOMAIN_SEARCH, Option.VENDOR_IDENTIFYING,
        Option.TFTP_SERVER_LIST,
    )
)  # fmt: skip
"""The parameter request list (option 55); 121 stands before 3, as RFC 3442 asks."""

_MAX_MESSAGE = (1472).to_bytes(2, "big")
_ETHERNET = b"\x01"
_ANY = IPv4Address(0)
_LONGEST_S = 0xFFFF
_SILENT = frozenset({MessageType.DECLINE, MessageType.RELEASE})
_ACK = frozenset({MessageType.ACK})
_VERDICT = _ACK | {MessageType.NAK}


@dataclass(frozen=True, slots=True)
class Requester:
    """Who asks: what every message of one unit has in common.

    Attributes:
        mac: Also its client identifier (option 61), so that it keeps its lease.
        host_name: Option 12.
    """

    mac: bytes
    host_name: str

    def message(
        self,
        kind: MessageType,
        xid: int,
        *,
        seconds: float = 0.0,
        broadcast: bool = False,
        own: IPv4Address = _ANY,
        requested: IPv4Address | None = None,
        server: IPv4Address | None = None,
    ) -> DhcpMessage:
        """Returns one message of table 5 in RFC 2131 §4.4.1.

        Args:
            kind: What is said.
            xid: Tells the answers to it from others.
            seconds: How long the unit has been asking; servers that share the work answer
                only those that wait.
            broadcast: Whether the answer must be broadcast.
            own: The address in use, for a renewal or a RELEASE.
            requested: The wanted or refused address (option 50).
            server: Whom it is for (option 54).
        """
        items = [
            (int(Option.MESSAGE_TYPE), bytes([kind])),
            (int(Option.CLIENT_ID), _ETHERNET + self.mac),
        ]
        if requested is not None:
            items.append((Option.REQUESTED_ADDRESS, requested.packed))
        if server is not None:
            items.append((Option.SERVER_ID, server.packed))
        if kind not in _SILENT:
            items += self._introduction()
        return DhcpMessage(
            op=BootpOp.REQUEST,
            xid=xid,
            hardware_address=self.mac,
            seconds=min(int(seconds), _LONGEST_S),
            broadcast=broadcast,
            client_address=own,
            options=Options(tuple(items)),
        )

    def _introduction(self) -> list[tuple[int, bytes]]:
        named = bytes([len(VENDOR_CLASS)]) + VENDOR_CLASS
        return [
            (Option.MAX_MESSAGE_SIZE, _MAX_MESSAGE),
            (Option.VENDOR_CLASS, VENDOR_CLASS),
            (Option.HOST_NAME, self.host_name.encode("ascii")),
            (Option.PARAMETER_REQUEST, WANTED),
            (Option.VENDOR_IDENTIFYING_CLASS, vendor_identifying(ENTERPRISE, named)),
        ]


class Conversation:
    """The answers to questions of one number, on one port."""

    def __init__(
        self,
        port: MessagePort,
        mac: bytes,
        xid: int,
        clock: Clock,
        aside: Callable[[DhcpMessage], None] = lambda _: None,
    ) -> None:
        """Uses a port.

        Args:
            port: Carries the messages.
            mac: Ours.
            xid: The number.
            clock: Says when a lease begins and a wait ends.
            aside: Told of answers of another kind than the one that is waited for.
        """
        self._port = port
        self._mac = mac
        self._xid = xid
        self._clock = clock
        self._aside = aside

    async def send(self, message: DhcpMessage) -> None:
        """Sends one message.

        Raises:
            OSError: The interface fails.
        """
        await self._port.send(message)

    async def answer(
        self,
        wanted: Collection[MessageType],
        timeout_s: float,
        server: IPv4Address | None = None,
    ) -> DhcpMessage | None:
        """Returns the next answer of a kind, or None when none came in time.

        Args:
            wanted: The kinds.
            timeout_s: How long to wait.
            server: Whose answer it must be; None for anybody's.

        Raises:
            OSError: The interface fails.
        """
        try:
            async with asyncio.timeout(max(0.0, timeout_s)):
                return await self._next(wanted, server)
        except TimeoutError:
            return None

    async def lease(
        self,
        address: IPv4Address,
        timeout_s: float,
        contradiction_s: float,
        *,
        server: IPv4Address | None = None,
    ) -> Lease | None:
        """Returns the lease that a REQUEST for an address got, or None when nobody answers.

        What is no lease of that address is passed over, as a better answer may follow; so
        may one that contradicts a NAK, which anybody on the LAN can send.

        Args:
            address: What was asked for.
            timeout_s: How long to wait.
            contradiction_s: How long after a NAK an ACK still counts.
            server: Whose answer alone counts; None for anybody's.

        Raises:
            AddressRefusedError: The answer is a NAK.
            DhcpError: Nobody answered but with something unusable.
            OSError: The interface fails.
        """
        due = self._clock.monotonic() + timeout_s
        failure: DhcpError | None = None
        wanted = _VERDICT
        while (reply := await self._by(due, wanted, server)) is not None:
            try:
                return _granted(reply, address, self._clock.unix())
            except AddressRefusedError as error:
                failure, wanted = error, _ACK
                due = self._clock.monotonic() + contradiction_s
            except DhcpError as error:
                logger.debug("passed over: %s", error)
                failure = failure or error
        if failure is not None:
            raise failure
        return None

    async def _by(
        self, due: float, wanted: Collection[MessageType], server: IPv4Address | None
    ) -> DhcpMessage | None:
        return await self.answer(wanted, due - self._clock.monotonic(), server)

    async def _next(
        self, wanted: Collection[MessageType], server: IPv4Address | None
    ) -> DhcpMessage:
        while True:
            message = await self._port.receive()
            if not self._is_for_us(message):
                continue
            if message.type in wanted and server in (None, server_of(message)):
                return message
            self._aside(message)

    def _is_for_us(self, message: DhcpMessage) -> bool:
        try:
            return (
                message.op is BootpOp.REPLY
                and message.xid == self._xid
                and message.hardware_address == self._mac
                and message.type in MessageType
            )
        except WireError:
            return False


def server_of(message: DhcpMessage) -> IPv4Address | None:
    """Returns the server identifier; None when it is missing or malformed."""
    try:
        return message.options.address(Option.SERVER_ID)
    except WireError:
        return None


def refusal(reply: DhcpMessage, address: IPv4Address) -> AddressRefusedError:
    """Returns what a NAK means, with the reason that the server gave (option 56)."""
    try:
        reason = reply.options.text(Option.MESSAGE) or "no reason given"
    except WireError:
        reason = "no readable reason"
    return AddressRefusedError(
        f"the DHCP server {server_of(reply)} refused {address}: {reason}",
        "check the range and reservations of the DHCP server",
    )


def _granted(reply: DhcpMessage, address: IPv4Address, now: float) -> Lease:
    if reply.type is MessageType.NAK:
        raise refusal(reply, address)
    lease = Lease.from_ack(reply, now)
    if lease.address != address:
        raise DhcpError(
            f"{lease.server} was asked for {address} and granted {lease.address}",
            "check that only one DHCP server is responsible for this LAN",
        )
    return lease
