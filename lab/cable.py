"""A cable of socket pairs: what a DHCP client opens on it, and the far end that plays the LAN.

Real frames travel on it, without any privilege.  It does not filter frames as the kernel does
for a real interface, and it carries no other traffic of the unit.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from typing import Final

from ..boot.lan.carrier import Carrier
from ..boot.lan.link import CLIENT_PORT, SERVER_PORT, ArpPort, BroadcastPort, MessagePort
from ..boot.wire.dhcp import DhcpMessage
from ..boot.wire.errors import WireError
from ..boot.wire.frame import BROADCAST_ADDRESS, BROADCAST_MAC, ArpPacket, UdpFrame

SERVER: Final = IPv4Address("10.1.0.2")
SERVER_MAC: Final = bytes.fromhex("0200000000fe")

_INTERFACE = 1
_NEW_LINK, _RUNNING = 16, 0x40
_MAX_FRAME = 65_535


@dataclass
class Cable:
    """Both ends; the client's end is opened anew for each exchange.

    ARP has a pair of sockets of its own, as the kernel gives each socket its own copy.

    Attributes:
        failures: Raised one by one when the client opens the broadcast port.
    """

    mac: bytes
    far: socket.socket
    near: socket.socket
    arp_far: socket.socket
    arp_near: socket.socket
    news_far: socket.socket
    news_near: socket.socket
    failures: list[Exception] = field(default_factory=list)

    @classmethod
    @asynccontextmanager
    async def laid(cls, mac: bytes) -> AsyncIterator[Cable]:
        """Lays a cable to a unit with a hardware address."""
        pairs = [socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM) for _ in range(3)]
        (far, near), (arp_far, arp_near), (news_far, news_near) = pairs
        ends = [far, near, arp_far, arp_near, news_far, news_near]
        for end in ends:
            end.setblocking(False)
        try:
            yield cls(mac, far, near, arp_far, arp_near, news_far, news_near)
        finally:
            for end in ends:
                end.close()

    def broadcast(self) -> BroadcastPort:
        """The client's port without an address."""
        if self.failures:
            raise self.failures.pop()
        return BroadcastPort(self.near.dup(), self.mac)

    def unicast(self, server: IPv4Address) -> MessagePort:
        """The client's port for renewals."""
        del server  # there is only one far end
        return self.broadcast()

    def arp(self, address: IPv4Address) -> ArpPort:
        """The client's port for ARP."""
        return ArpPort(self.arp_near.dup(), self.mac, address)

    def carrier(self) -> Carrier:
        """The client's news of the cable."""
        return Carrier(self.news_near.dup(), _INTERFACE)

    async def requests(self) -> AsyncIterator[DhcpMessage]:
        """Yields what the client says to DHCP servers."""
        while True:
            frame = await asyncio.get_running_loop().sock_recv(self.far, _MAX_FRAME)
            try:
                yield DhcpMessage.parse(UdpFrame.parse(frame).payload)
            except WireError as error:
                raise ValueError(f"the client sent what is no DHCP: {error}") from error

    async def reply(self, message: DhcpMessage | bytes, server: IPv4Address = SERVER) -> None:
        """Sends an answer of a server, which may be no DHCP at all."""
        frame = UdpFrame(
            SERVER_MAC, BROADCAST_MAC, server, BROADCAST_ADDRESS, SERVER_PORT, CLIENT_PORT,
            bytes(message),
        )  # fmt: skip
        await self.send(bytes(frame))

    async def send(self, frame: bytes) -> None:
        """Sends a frame, whatever it is."""
        await asyncio.get_running_loop().sock_sendall(self.far, frame)

    async def packet(self) -> ArpPacket:
        """Returns the next ARP packet of the client."""
        return ArpPacket.parse(await asyncio.get_running_loop().sock_recv(self.arp_far, _MAX_FRAME))

    async def packets(self) -> AsyncIterator[ArpPacket]:
        """Yields the ARP packets of the client."""
        while True:
            yield await self.packet()

    async def claim(self, packet: ArpPacket) -> None:
        """Sends an ARP packet of another machine."""
        await asyncio.get_running_loop().sock_sendall(self.arp_far, bytes(packet))

    def replug(self) -> None:
        """Pulls the cable and plugs it in again."""
        for flags in (0, _RUNNING):
            head = (32, _NEW_LINK, 0, 0, 0, 0, 1, _INTERFACE, flags, 0)
            self.news_far.send(struct.pack("=IHHIIBxHiII", *head))
