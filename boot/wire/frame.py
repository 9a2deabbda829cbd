"""Ethernet frames that carry one UDP datagram over IPv4, or ARP (RFC 768, 791, 826, 894).

A DHCP client has no address yet, so it writes these itself.
"""

import enum
import struct
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Final

from .errors import MalformedError, TruncatedError

IPV4: Final = 0x0800
ARP: Final = 0x0806
BROADCAST_MAC: Final = b"\xff" * 6
BROADCAST_ADDRESS: Final = IPv4Address("255.255.255.255")

_ETHERNET = struct.Struct("!6s6sH")
_IP = struct.Struct("!BBHHHBBH4s4s")
_UDP = struct.Struct("!HHHH")
_ARP = struct.Struct("!HHBBH6s4s6s4s")
_PROTOCOL_UDP = 17
_FRAGMENT = 0x3FFF


@dataclass(frozen=True, slots=True)
class UdpFrame:
    """One UDP datagram with all that is around it."""

    source_mac: bytes
    destination_mac: bytes
    source: IPv4Address
    destination: IPv4Address
    source_port: int
    destination_port: int
    payload: bytes

    @classmethod
    def parse(cls, frame: bytes) -> "UdpFrame":
        """Returns the datagram in an Ethernet frame.

        A UDP checksum that covers only the pseudo header is taken as good: a sender on
        the same machine leaves the rest to a network card that is not there.

        Raises:
            TruncatedError: It ends inside a header or the payload.
            MalformedError: Not IPv4, not UDP, a fragment, or a wrong checksum.
        """
        destination_mac, source_mac, kind = _unpack(_ETHERNET, frame, 0)
        if kind != IPV4:
            raise MalformedError(f"ethertype {kind:#06x} is not IPv4")
        packet = frame[_ETHERNET.size :]
        source, destination, datagram = _parse_ip(packet)
        source_port, destination_port, length, checksum = _unpack(_UDP, datagram, 0)
        if not _UDP.size <= length <= len(datagram):
            raise TruncatedError(f"UDP length {length} of {len(datagram)}")
        datagram = datagram[:length]
        _check_udp(source, destination, datagram, checksum)
        return cls(source_mac, destination_mac, IPv4Address(source), IPv4Address(destination),
                   source_port, destination_port, datagram[_UDP.size :])  # fmt: skip

    def __bytes__(self) -> bytes:
        source, destination = self.source.packed, self.destination.packed
        length = _UDP.size + len(self.payload)
        ports = (self.source_port, self.destination_port, length)
        blank = _UDP.pack(*ports, 0) + self.payload
        checksum = _complement(_pseudo(source, destination, length) + blank) or 0xFFFF
        datagram = _UDP.pack(*ports, checksum) + self.payload
        head = _ETHERNET.pack(self.destination_mac, self.source_mac, IPV4)
        return head + _ip_header(source, destination, length) + datagram


class ArpOperation(enum.IntEnum):
    """Values of the operation field (RFC 826)."""

    REQUEST = 1
    REPLY = 2


@dataclass(frozen=True, slots=True)
class ArpPacket:
    """One ARP packet for IPv4 over Ethernet, broadcast unless said otherwise."""

    operation: ArpOperation
    sender_mac: bytes
    sender: IPv4Address
    target_mac: bytes
    target: IPv4Address

    @classmethod
    def probe(cls, mac: bytes, address: IPv4Address) -> "ArpPacket":
        """Returns the question whether anybody uses an address (RFC 5227 §2.1.1)."""
        return cls(ArpOperation.REQUEST, mac, IPv4Address(0), bytes(6), address)

    @classmethod
    def announcement(cls, mac: bytes, address: IPv4Address) -> "ArpPacket":
        """Returns the claim that an address is ours (RFC 5227 §2.3)."""
        return cls(ArpOperation.REQUEST, mac, address, bytes(6), address)

    def claims(self, address: IPv4Address) -> bool:
        """Returns whether the sender uses an address, or probes for it (RFC 5227 §2.1.1)."""
        return (self.target if self.is_probe else self.sender) == address

    @property
    def is_probe(self) -> bool:
        """Whether the sender only asks who uses an address, and has none itself."""
        return self.sender.is_unspecified

    @classmethod
    def parse(cls, frame: bytes) -> "ArpPacket":
        """Returns the ARP packet in an Ethernet frame.

        Raises:
            TruncatedError: It ends early.
            MalformedError: Not ARP for IPv4 over Ethernet.
        """
        _, _, kind = _unpack(_ETHERNET, frame, 0)
        if kind != ARP:
            raise MalformedError(f"ethertype {kind:#06x} is not ARP")
        hardware, protocol, hlen, plen, operation, *rest = _unpack(_ARP, frame, _ETHERNET.size)
        if (hardware, protocol, hlen, plen) != (1, IPV4, 6, 4) or operation not in (1, 2):
            raise MalformedError("not ARP for IPv4 over Ethernet")
        sender_mac, sender, target_mac, target = rest
        return cls(ArpOperation(operation), sender_mac, IPv4Address(sender), target_mac,
                   IPv4Address(target))  # fmt: skip

    def __bytes__(self) -> bytes:
        head = _ETHERNET.pack(BROADCAST_MAC, self.sender_mac, ARP)
        fixed = (1, IPV4, 6, 4, self.operation)
        sender = (self.sender_mac, self.sender.packed)
        return head + _ARP.pack(*fixed, *sender, self.target_mac, self.target.packed)


def ethertype(frame: bytes) -> int:
    """Returns the ethertype of a frame.

    Raises:
        TruncatedError: It is shorter than an Ethernet header.
    """
    if len(frame) < _ETHERNET.size:
        raise TruncatedError(f"{len(frame)} bytes are no Ethernet frame")
    return int.from_bytes(frame[12:14], "big")


def _parse_ip(packet: bytes) -> tuple[bytes, bytes, bytes]:
    """Returns source, destination and payload of an IPv4 packet that carries UDP."""
    first, _, length, _, fragment, _, protocol, _, source, destination = _unpack(_IP, packet, 0)
    header = (first & 0xF) * 4
    if first >> 4 != 4 or header < _IP.size or protocol != _PROTOCOL_UDP or fragment & _FRAGMENT:
        raise MalformedError("not a whole IPv4 packet with UDP")
    if not header <= length <= len(packet):
        raise TruncatedError(f"IPv4 length {length} of {len(packet)}")
    if _complement(packet[:header]):
        raise MalformedError("wrong IPv4 header checksum")
    return source, destination, packet[header:length]


def _check_udp(source: bytes, destination: bytes, datagram: bytes, checksum: int) -> None:
    pseudo = _pseudo(source, destination, len(datagram))
    if checksum in (0, _sum(pseudo)) or _complement(pseudo + datagram) == 0:
        return
    raise MalformedError("wrong UDP checksum")


def _ip_header(source: bytes, destination: bytes, udp_length: int) -> bytes:
    fields = [0x45, 0, _IP.size + udp_length, 0, 0, 64, _PROTOCOL_UDP, 0, source, destination]
    fields[7] = _complement(_IP.pack(*fields))
    return _IP.pack(*fields)


def _pseudo(source: bytes, destination: bytes, length: int) -> bytes:
    return source + destination + struct.pack("!HH", _PROTOCOL_UDP, length)


def _sum(data: bytes) -> int:
    if len(data) % 2:
        data += b"\0"
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return total


def _complement(data: bytes) -> int:
    return ~_sum(data) & 0xFFFF


def _unpack(layout: struct.Struct, data: bytes, at: int) -> tuple:  # type: ignore[type-arg]
    if at + layout.size > len(data):
        raise TruncatedError(f"{len(data)} bytes end inside the {layout.size} at {at}")
    return layout.unpack_from(data, at)
