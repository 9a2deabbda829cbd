"""The sockets of a DHCP client: raw frames before there is an address, UDP after, and ARP."""

import asyncio
import ctypes
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Final, Protocol, TypeAlias

from ..wire.dhcp import DhcpMessage
from ..wire.errors import WireError
from ..wire.frame import (
    ARP,
    BROADCAST_ADDRESS,
    BROADCAST_MAC,
    IPV4,
    ArpPacket,
    UdpFrame,
)
from .carrier import Carrier

SERVER_PORT: Final = 67
CLIENT_PORT: Final = 68

_SO_ATTACH_FILTER = 26
_MAX_FRAME = 65_535
_MAX_HEARD = 1000

Program: TypeAlias = tuple[tuple[int, int, int, int], ...]

# Classic BPF: unfragmented IPv4 UDP to port 68; everything else stays in the kernel, so
# that a busy LAN costs nothing.
_DHCP_ONLY: Final[Program] = (
    (0x28, 0, 0, 12),  # ldh ethertype
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
    """DHCP by broadcast over raw frames, for a unit without an address."""

    def __init__(self, link: socket.socket, mac: bytes) -> None:
        """Takes over a non-blocking socket that carries one Ethernet frame per datagram."""
        self._link = link
        self._mac = mac

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
        await asyncio.get_running_loop().sock_sendall(self._link, bytes(frame))

    async def receive(self) -> DhcpMessage:
        """Returns the next well-formed message for port 68."""
        while True:
            await asyncio.sleep(0)  # a flooded socket never suspends, and no deadline would come
            frame = await asyncio.get_running_loop().sock_recv(self._link, _MAX_FRAME)
            try:
                datagram = UdpFrame.parse(frame)
                if datagram.destination_port == CLIENT_PORT:
                    return DhcpMessage.parse(datagram.payload)
            except WireError:
                continue

    def close(self) -> None:
        """Closes the socket."""
        self._link.close()


class ArpPort:
    """ARP about one address that this unit has or wants (RFC 5227)."""

    def __init__(self, link: socket.socket, mac: bytes, address: IPv4Address) -> None:
        """Takes over a non-blocking socket that carries one Ethernet frame per datagram."""
        self._link = link
        self._mac = mac
        self.address = address

    async def probe(self) -> None:
        """Asks the LAN whether anybody uses the address (RFC 5227 §2.1.1)."""
        await self._send(ArpPacket.probe(self._mac, self.address))

    async def announce(self) -> None:
        """Tells the LAN that the address is ours (RFC 5227 §2.3)."""
        await self._send(ArpPacket.announcement(self._mac, self.address))

    async def rival(self) -> ArpPacket:
        """Returns the next packet by which another machine uses the address or probes for it."""
        while True:
            await asyncio.sleep(0)  # as above
            frame = await asyncio.get_running_loop().sock_recv(self._link, _MAX_FRAME)
            if (packet := self._rival_in(frame)) is not None:
                return packet

    def heard(self) -> ArpPacket | None:
        """Returns a rival that is heard already, without waiting for one."""
        for _ in range(_MAX_HEARD):
            try:
                packet = self._rival_in(self._link.recv(_MAX_FRAME))
            except BlockingIOError:
                return None
            if packet is not None:
                return packet
        return None

    def _rival_in(self, frame: bytes) -> ArpPacket | None:
        try:
            packet = ArpPacket.parse(frame)
        except WireError:
            return None
        is_rival = packet.sender_mac != self._mac and packet.claims(self.address)
        return packet if is_rival else None

    def close(self) -> None:
        """Closes the socket."""
        self._link.close()

    async def _send(self, packet: ArpPacket) -> None:
        await asyncio.get_running_loop().sock_sendall(self._link, bytes(packet))


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

    def arp(self, address: IPv4Address) -> ArpPort:
        """Opens the port that tells who else claims an address."""

    def carrier(self) -> Carrier:
        """Opens what tells that the cable was pulled and plugged in again."""


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
        return BroadcastPort(self._frames(IPV4, _DHCP_ONLY), self.mac())

    def arp(self, address: IPv4Address) -> ArpPort:
        """Opens an AF_PACKET socket for ARP about one address.

        Raises:
            OSError: No such interface, or no right to use raw sockets.
        """
        mac = self.mac()
        return ArpPort(self._frames(ARP, _claims_only(mac, address)), mac, address)

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

    def carrier(self) -> Carrier:
        """Opens a netlink socket.

        Raises:
            OSError: No such interface.
        """
        return Carrier.of(self.interface)

    def _frames(self, protocol: int, program: Program) -> socket.socket:
        link = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_NONBLOCK)
        try:
            _attach_filter(link, program)
            link.bind((self.interface, protocol))
        except OSError:
            link.close()
            raise
        return link


def _claims_only(mac: bytes, address: IPv4Address) -> Program:
    """ARP from another machine that has, or probes for, one address."""
    wanted = int(address)
    return (
        (0x28, 0, 0, 12),  # ldh ethertype
        (0x15, 0, 10, ARP),
        (0x20, 0, 0, 28),  # ld sender's address
        (0x15, 3, 0, wanted),
        (0x15, 0, 7, 0),  # neither ours nor a probe: drop
        (0x20, 0, 0, 38),  # ld target's address
        (0x15, 0, 5, wanted),
        (0x20, 0, 0, 22),  # ld sender's MAC, first four bytes
        (0x15, 0, 2, int.from_bytes(mac[:4], "big")),
        (0x28, 0, 0, 26),  # ldh its last two
        (0x15, 1, 0, int.from_bytes(mac[4:], "big")),
        (0x06, 0, 0, _MAX_FRAME),  # accept
        (0x06, 0, 0, 0),  # drop
    )


def _attach_filter(link: socket.socket, instructions: Program) -> None:
    code = b"".join(struct.pack("HBBI", *instruction) for instruction in instructions)
    program = ctypes.create_string_buffer(code, len(code))
    head = struct.pack("HP", len(instructions), ctypes.addressof(program))
    link.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, head)
