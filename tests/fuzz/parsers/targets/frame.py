"""Frames of the LAN: Ethernet with UDP or ARP, and what the kernel says about the cable."""

from ipaddress import IPv4Address

from openturret.boot.wire.errors import WireError
from openturret.boot.wire.frame import ArpOperation, ArpPacket, UdpFrame, ethertype
from openturret.boot.wire.netlink import LinkState

from ..data import tolerate

ERRORS = (WireError,)


def seeds() -> list[bytes]:
    here, there = IPv4Address("10.1.0.2"), IPv4Address("10.1.0.3")
    link = bytes.fromhex("20000000 10000000 01000000 00000000 00000100 02000000 43100000 ffffffff")
    return [
        bytes(UdpFrame(bytes(6), bytes(range(6)), here, there, 67, 68, b"payload")),
        bytes(ArpPacket(ArpOperation.REQUEST, bytes(range(6)), here, bytes(6), there)),
        link * 2,
    ]


def run(data: bytes) -> None:
    tolerate(
        ERRORS,
        lambda: UdpFrame.parse(data),
        lambda: ArpPacket.parse(data),
        lambda: ethertype(data),
        lambda: list(LinkState.parse_all(data, index=2)),
    )
