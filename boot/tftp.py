"""Fetches small files over TFTP (RFC 1350, 2347, 2348, 2349, 7440).

What comes over TFTP is a hint: it may say where the TSS is, it never configures.
"""

import asyncio
import logging
import re
import socket
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from typing import Final

from .errors import TftpError, TftpRefusedError
from .wire.errors import WireError
from .wire.tftp import (
    BLOCK_BYTES,
    Acknowledgement,
    Data,
    ErrorCode,
    Failure,
    OptionAcknowledgement,
    Packet,
    ReadRequest,
    parse,
)

logger = logging.getLogger(__name__)

TFTP_PORT: Final = 69
_SEGMENT = r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}"
_FILE = re.compile(rf"{_SEGMENT}(/{_SEGMENT})?")
_MAX_DATAGRAM = 65_535
_MAX_BLOCK = 65_464
_MAX_FOREIGN = 1000
_REMEDY = "check the TFTP server that DHCP names (options 43, 150, 66) and its files"


@dataclass(frozen=True, slots=True)
class Settings:
    """What the client asks for, and how patient it is.

    Attributes:
        block_bytes: Fits an Ethernet frame with IPv4 and UDP headers (RFC 2348).
        window: Blocks per acknowledgement (RFC 7440).
        resends: How often the last packet is sent again before giving up.
        deadline_s: For the whole file, against servers that drip.
    """

    block_bytes: int = 1428
    window: int = 16
    timeout_s: float = 1.0
    resends: int = 4
    deadline_s: float = 30.0
    max_bytes: int = 65_536
    port: int = TFTP_PORT


@dataclass(slots=True)
class _Transfer:
    """What has arrived of one file."""

    block_bytes: int = BLOCK_BYTES
    window: int = 1
    size: int | None = None
    last: int = 0
    unacknowledged: int = 0
    data: bytearray = field(default_factory=bytearray)
    finished: bool = False


def is_acceptable(file: str) -> bool:
    """Returns whether a file name may be asked for.

    At most one folder; no segment begins with a dot, so nothing leads upwards.

        >>> is_acceptable("units/02-54-50-00-00-01.yaml"), is_acceptable("../etc/passwd")
        (True, False)
    """
    return _FILE.fullmatch(file) is not None


def waterfall(boot_file: str, folder: str, model: str) -> Iterator[str]:
    """Yields file names from specific to generic; the one that DHCP names comes first.

    Args:
        boot_file: Option 67; left out when empty or not acceptable.
        folder: The unit's MAC with dashes.
        model: The unit's model.
    """
    if boot_file and is_acceptable(boot_file):
        yield boot_file
    elif boot_file:
        logger.warning("boot file %r from DHCP is not acceptable", boot_file)
    for name in (f"units/{folder}.yaml", f"models/{model.lower()}.yaml", "default.yaml"):
        if name != boot_file:
            yield name


class TftpClient:
    """Reads files from one server at a time."""

    def __init__(self, settings: Settings, count: Callable[[int], None]) -> None:
        self._settings = settings
        self._count = count

    async def fetch(self, server: IPv4Address, file: str) -> bytes:
        """Returns the content of a file.

        Raises:
            TftpRefusedError: The server does not have it, it is too large, or its
                answers break the protocol.
            TftpError: The server does not answer.
        """
        if not is_acceptable(file):
            raise TftpRefusedError(f"{file!r} is not an acceptable file name", _REMEDY)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as udp:
            udp.bind(("", 0))
            session = _Session(udp, server, file, self._settings, self._count)
            try:
                async with asyncio.timeout(self._settings.deadline_s):
                    return await session.run()
            except TimeoutError as error:
                raise TftpError(f"TFTP server {server} is too slow", _REMEDY) from error
            except OSError as error:
                raise TftpError(f"TFTP server {server}: {error}", _REMEDY) from error


class _Session:
    """One transfer over one socket."""

    def __init__(
        self,
        udp: socket.socket,
        server: IPv4Address,
        file: str,
        settings: Settings,
        count: Callable[[int], None],
    ) -> None:
        self._udp = udp
        self._server = str(server)
        self._file = file
        self._settings = settings
        self._count = count
        self._peer: tuple[str, int] | None = None
        self._transfer = _Transfer()
        self._last_sent = b""
        self._foreign = 0

    async def run(self) -> bytes:
        """Asks for the file and takes its blocks until the last one."""
        await self._send(bytes(ReadRequest(self._file, self._wishes())))
        resends = 0
        while not self._transfer.finished:
            packet = await self._next()
            if packet is None:
                resends += 1
                await self._resend(resends)
            elif await self._take(packet):
                resends = 0
        return bytes(self._transfer.data)

    def _wishes(self) -> dict[str, str]:
        settings = self._settings
        return {
            "blksize": str(settings.block_bytes),
            "tsize": "0",
            "timeout": str(max(1, round(settings.timeout_s))),
            "windowsize": str(settings.window),
        }

    async def _take(self, packet: Packet) -> bool:
        """Handles one packet; returns whether it was progress."""
        if isinstance(packet, Failure):
            raise self._refused(f"error {packet.code}: {packet.message or 'no reason given'}")
        if isinstance(packet, OptionAcknowledgement) and not self._transfer.last:
            self._negotiate(packet.options)
            await self._acknowledge()
            return True
        if isinstance(packet, Data):
            return await self._take_data(packet)
        return False

    async def _take_data(self, packet: Data) -> bool:
        transfer = self._transfer
        if packet.block != (transfer.last + 1) % 65_536:
            return await self._out_of_order(packet.block)
        if len(packet.payload) > transfer.block_bytes:
            await self._give_up("a block is longer than negotiated")
        transfer.data += packet.payload
        if len(transfer.data) > self._limit():
            await self._give_up(f"the file is longer than {self._limit()} bytes")
        transfer.last += 1
        transfer.unacknowledged += 1
        transfer.finished = len(packet.payload) < transfer.block_bytes
        if transfer.finished or transfer.unacknowledged >= transfer.window:
            await self._acknowledge()
        return True

    async def _out_of_order(self, block: int) -> bool:
        """Asks for the rest of a window after a gap, once; ignores repeated blocks.

        A repeated block is never acknowledged again: that would double every packet
        from then on (the sorcerer's apprentice, RFC 1123 §4.2.3.1).
        """
        ahead = (block - self._transfer.last) % 65_536
        if self._transfer.unacknowledged and 1 < ahead <= self._transfer.window:
            await self._acknowledge()
        return False

    def _negotiate(self, options: Mapping[str, str]) -> None:
        """Takes over what the server accepts, within what was asked.

        Raises:
            TftpRefusedError: The server answers what was not asked, or lies.
        """
        settings = self._settings
        transfer = self._transfer
        for name, value in options.items():
            number = int(value) if value.isdecimal() and len(value) < 12 else -1
            if name == "blksize" and 8 <= number <= min(settings.block_bytes, _MAX_BLOCK):
                transfer.block_bytes = number
            elif name == "windowsize" and 1 <= number <= settings.window:
                transfer.window = number
            elif name == "tsize" and 0 <= number <= settings.max_bytes:
                transfer.size = number
            elif name != "timeout" or number < 1:
                raise self._refused(f"option {name}={value} is not acceptable")

    def _limit(self) -> int:
        """The announced size where there is one: a server that sends more has lied."""
        size = self._transfer.size
        return self._settings.max_bytes if size is None else size

    async def _acknowledge(self) -> None:
        """Acknowledges all so far; nothing answers the last one, so it is no round trip."""
        self._count(0 if self._transfer.finished else 1)
        self._transfer.unacknowledged = 0
        await self._send(bytes(Acknowledgement(self._transfer.last % 65_536)))

    async def _give_up(self, reason: str) -> None:
        await self._send(bytes(Failure(ErrorCode.DISK_FULL, reason)))
        raise self._refused(reason)

    async def _resend(self, resends: int) -> None:
        if resends > self._settings.resends:
            raise TftpError(f"TFTP server {self._server} does not answer", _REMEDY)
        logger.info("resending to %s, try %d", self._server, resends)
        await self._send(self._last_sent)

    async def _send(self, data: bytes) -> None:
        self._last_sent = data
        target = self._peer or (self._server, self._settings.port)
        await asyncio.get_running_loop().sock_sendto(self._udp, data, target)

    async def _next(self) -> Packet | None:
        """Returns the next packet; None when the server is silent."""
        try:
            async with asyncio.timeout(self._settings.timeout_s):
                return await self._receive()
        except TimeoutError:
            return None

    async def _receive(self) -> Packet:
        """Returns the next well-formed packet from the server's first transfer id."""
        while True:
            await asyncio.sleep(0)  # a flooded socket never suspends, and no deadline would come
            loop = asyncio.get_running_loop()
            data, sender = await loop.sock_recvfrom(self._udp, _MAX_DATAGRAM)
            if not await self._is_ours(sender):
                continue
            try:
                return parse(data)
            except WireError as error:
                logger.warning("dropped a TFTP packet: %s", error)

    async def _is_ours(self, sender: tuple[str, int]) -> bool:
        """Locks on to the first port that answers; tells others off (RFC 1350 §4)."""
        if self._peer is None and sender[0] == self._server:
            self._peer = sender
            self._count(1)
        if sender == self._peer:
            return True
        self._foreign += 1
        if self._foreign > _MAX_FOREIGN:
            raise self._refused("too many packets from strangers")
        stranger = bytes(Failure(ErrorCode.UNKNOWN_TRANSFER_ID, "unknown transfer id"))
        await asyncio.get_running_loop().sock_sendto(self._udp, stranger, sender)
        return False

    def _refused(self, reason: str) -> TftpRefusedError:
        return TftpRefusedError(f"TFTP server {self._server}, {self._file}: {reason}", _REMEDY)
