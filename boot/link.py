"""The sockets of a DHCP client: raw frames before there is an address, UDP after."""

import asyncio
import ctypes
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Final, Protocol

from .wire.dhcp import DhcpMessage
from .wire.errors import WireError
from .wire.frame import (
    ARP,
    BROADCAST_ADDRESS,
    BROADCAST_MAC,
    ArpPacket,
    UdpFrame,
    ethertype,
)

SERVER_PORT: Final = 67
CLIENT_PORT: Final = 68

_ETH_P_ALL = 0x0003
_SO_ATTACH_FILTER = 26
_MAX_FRAME = 65_535

# Classic BPF: ARP, or unfragmented IPv4 UDP to port 68; everything else stays in the
# kernel, so that a busy LAN costs nothing.
_FILTER = (
    (0x28, 0, 0, 12),  # ldh ethertype
    (0x15, 8, 0, 0x0806),  # ARP: accept
    (0x15, 0, 8, 0x0800),  # not IPv4: drop
    (0x30, 0, 0, 23),  # ldb protocol
    (0x15, 0, 6, 17),  # not UDP: drop
    (0x28, 0, 0, 20),  # ldh fragment
    (0x45, 4, 0, 0x1FFF),  # a later fragment: drop
    (0xB1, 0, 0, 14),  # ldxb IP header length
    (0x48, 0, 0, 16),  # ldh destination port
    (0x15, 0, 1, CLIENT_PORT),
    (0x06, 0, 0, _MAX_FRAME),  # accept
    (0x06, 0, 0, 0),  # drop
)


class MessagePort(Protocol):
    """Carries DHCP messages to a server and back."""

    async def send(self, message: DhcpMessage) -> None:
        """Sends one message."""

    async def receive(self) -> DhcpMessage:
        """Returns the next well-formed message; malformed ones are dropped."""

    def close(self) -> None:
        """Frees the socket."""


class BroadcastPort:
    """DHCP by broadcast over raw frames, for a unit without an address.

    Listens to ARP on the same socket, so that a conflict over the offered address is
    seen while the server is still thinking (RFC 5227).
    """

    def __init__(self, link: socket.socket, mac: bytes) -> None:
        """Takes over a non-blocking socket that carries one Ethernet frame per datagram."""
        self._link = link
        self._mac = mac
        self._claimed: set[IPv4Address] = set()

    async def send(self, message: DhcpMessage) -> None:
        """Broadcasts one message from 0.0.0.0."""
        frame = UdpFrame(
            source_mac=self._mac,
            destination_mac=BROADCAST_MAC,
            source=IPv4Address(0),
            destination=BROADCAST_ADDRESS,
            source_port=CLIENT_PORT,
            destination_port=SERVER_PORT,
            payload=bytes(message),
        )
        await self._send(bytes(frame))

    async def receive(self) -> DhcpMessage:
        """Returns the next well-formed message for port 68; notes ARP claims on the way."""
        while True:
            await asyncio.sleep(0)  # a flooded socket never suspends, and no deadline would come
            frame = await asyncio.get_running_loop().sock_recv(self._link, _MAX_FRAME)
            try:
                if ethertype(frame) == ARP:
                    self._note_claim(ArpPacket.parse(frame))
                    continue
                datagram = UdpFrame.parse(frame)
                if datagram.destination_port == CLIENT_PORT:
                    return DhcpMessage.parse(datagram.payload)
            except WireError:
                continue

    async def probe(self, address: IPv4Address) -> None:
        """Asks the LAN whether anybody uses an address (RFC 5227 §2.1.1)."""
        self._claimed.discard(address)
        await self._send(bytes(ArpPacket.probe(self._mac, address)))

    async def announce(self, address: IPv4Address) -> None:
        """Tells the LAN that an address is ours now (RFC 5227 §2.3)."""
        await self._send(bytes(ArpPacket.announcement(self._mac, address)))

    def is_claimed(self, address: IPv4Address) -> bool:
        """Returns whether somebody else used or probed for the address since the probe."""
        return address in self._claimed

    def close(self) -> None:
        """Closes the socket."""
        self._link.close()

    async def _send(self, frame: bytes) -> None:
        await asyncio.get_running_loop().sock_sendall(self._link, frame)

    def _note_claim(self, packet: ArpPacket) -> None:
        if packet.sender_mac == self._mac:
            return
        self._claimed.add(packet.target if packet.sender.is_unspecified else packet.sender)


class UnicastPort:
    """DHCP over plain UDP, for a unit that renews the address it has."""

    def __init__(self, udp: socket.socket, server: IPv4Address) -> None:
        """Takes over a non-blocking UDP socket that is bound to port 68."""
        self._udp = udp
        self._server = server

    async def send(self, message: DhcpMessage) -> None:
        """Sends one message to the server, or to everybody."""
        target = (str(self._server), SERVER_PORT)
        await asyncio.get_running_loop().sock_sendto(self._udp, bytes(message), target)

    async def receive(self) -> DhcpMessage:
        """Returns the next well-formed message."""
        while True:
            await asyncio.sleep(0)  # as above
            data = await asyncio.get_running_loop().sock_recv(self._udp, _MAX_FRAME)
            try:
                return DhcpMessage.parse(data)
            except WireError:
                continue

    def close(self) -> None:
        """Closes the socket."""
        self._udp.close()


class Ports(Protocol):
    """Opens what a DHCP client talks through."""

    def broadcast(self) -> BroadcastPort:
        """Opens the port of a unit without an address."""

    def unicast(self, server: IPv4Address) -> MessagePort:
        """Opens the port of a unit that renews; the server may be 255.255.255.255."""


@dataclass(frozen=True, slots=True)
class InterfacePorts:
    """Opens the ports on a real network interface; needs CAP_NET_RAW."""

    interface: str
    mac: Callable[[], bytes]

    def broadcast(self) -> BroadcastPort:
        """Opens a filtered AF_PACKET socket.

        Raises:
            OSError: No such interface, or no right to use raw sockets.
        """
        link = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_NONBLOCK)
        try:
            _attach_filter(link)
            link.bind((self.interface, _ETH_P_ALL))
        except OSError:
            link.close()
            raise
        return BroadcastPort(link, self.mac())

    def unicast(self, server: IPv4Address) -> MessagePort:
        """Opens a UDP socket on port 68 of the interface.

        Raises:
            OSError: The port is taken, or no right to bind it.
        """
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        try:
            udp.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
            udp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            udp.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, self.interface.encode())
            udp.bind(("", CLIENT_PORT))
        except OSError:
            udp.close()
            raise
        return UnicastPort(udp, server)


def _attach_filter(link: socket.socket) -> None:
    code = b"".join(struct.pack("HBBI", *instruction) for instruction in _FILTER)
    program = ctypes.create_string_buffer(code, len(code))
    head = struct.pack("HP", len(_FILTER), ctypes.addressof(program))
    link.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, head)
