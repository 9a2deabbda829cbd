"""NTP packets: a datagram is one or a WireError, and its time is a number of seconds."""

import math

from openturret.boot.wire.errors import WireError
from openturret.boot.wire.ntp import NtpMode, NtpPacket, to_unix

ERRORS = (WireError,)


def seeds() -> list[bytes]:
    answer = NtpPacket(NtpMode.SERVER, stratum=2, originate=7, receive=1 << 63, transmit=1 << 63)
    return [bytes(NtpPacket.question(7)), bytes(answer), bytes(answer) + bytes(20)]


def run(data: bytes) -> None:
    packet = NtpPacket.parse(data)
    if NtpPacket.parse(bytes(packet)) != packet:
        raise AssertionError(f"{packet} does not survive its own bytes")
    if not math.isfinite(to_unix(packet.transmit, not_before=1_800_000_000.0)):
        raise AssertionError(f"{packet.transmit} is no time")
