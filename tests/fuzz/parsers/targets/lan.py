"""What is heard on the LAN: Ethernet with UDP or ARP, NTP, SIP's OPTIONS, and the cable itself."""

import math
from ipaddress import IPv4Address

from openturret.boot.wire.errors import WireError
from openturret.boot.wire.frame import ArpOperation, ArpPacket, UdpFrame, ethertype
from openturret.boot.wire.netlink import LinkState
from openturret.boot.wire.ntp import NtpMode, NtpPacket, to_unix
from openturret.boot.wire.sip import is_answer

from ..data import tolerate

ERRORS = (WireError,)


def seeds() -> list[bytes]:
    here, there = IPv4Address("10.1.0.2"), IPv4Address("10.1.0.3")
    link = bytes.fromhex("20000000 10000000 01000000 00000000 00000100 02000000 43100000 ffffffff")
    answer = NtpPacket(NtpMode.SERVER, stratum=2, originate=7, receive=1 << 63, transmit=1 << 63)
    return [
        bytes(UdpFrame(bytes(6), bytes(range(6)), here, there, 67, 68, b"payload")),
        bytes(ArpPacket(ArpOperation.REQUEST, bytes(range(6)), here, bytes(6), there)),
        link * 2,
        link + link[:20],
        b"\x14" + link[1:20],
        b"\x2c" + link[1:] + bytes.fromhex("0c00 2c00 07000000 00000000"),
        bytes(NtpPacket.question(7)),
        bytes(answer) + bytes(20),
        b"SIP/2.0 200 OK\r\n",
    ]


def run(data: bytes) -> None:
    is_answer(data)
    tolerate(
        ERRORS,
        lambda: UdpFrame.parse(data),
        lambda: ArpPacket.parse(data),
        lambda: ethertype(data),
        lambda: list(LinkState.parse_all(data, index=2)),
        lambda: _time(data),
    )


def _time(data: bytes) -> None:
    packet = NtpPacket.parse(data)
    if NtpPacket.parse(bytes(packet)) != packet:
        raise AssertionError(f"{packet} does not survive its own bytes")
    if not math.isfinite(to_unix(packet.transmit, not_before=1_800_000_000.0)):
        raise AssertionError(f"{packet.transmit} is no time")
