"""NTP packets between a client and a server (RFC 5905 §7.3), without extensions.

>>> NtpPacket.parse(bytes(NtpPacket.question(7))).transmit
7
"""

import enum
import struct
from dataclasses import dataclass
from typing import Final

from .errors import MalformedError, TruncatedError

ERA_S: Final = 1 << 32
"""Seconds after which the timestamps start again (RFC 5905 §6): first on 2036-02-07."""

UNIX_1970_S: Final = 2_208_988_800
"""From 1900, where NTP starts to count, to 1970."""

VERSION: Final = 4

_PACKET = struct.Struct("!BBbbII4sQQQQ")
_SHORT = 1 << 16
_FRACTION = 1 << 32


class NtpMode(enum.IntEnum):
    """Who speaks; the other values of the field are not for a client."""

    CLIENT = 3
    SERVER = 4


@dataclass(frozen=True, slots=True)
class NtpPacket:
    """One packet; timestamps are 64 bits of NTP's own: seconds and fraction, no era.

    Attributes:
        leap: 0 none, 1 and 2 a leap second tonight, 3 the clock is not synchronised.
        stratum: 1 to 15 hops from a reference; 0 a kiss of death, see ``reference_id``.
        root_delay_s: There and back to the reference.
        root_dispersion_s: How wrong the server may be.
        reference_id: The reference, or the code of a kiss of death.
        originate: The ``transmit`` of the question, sent back.
        receive: When the server got the question.
        transmit: When the packet left.
    """

    mode: NtpMode
    version: int = VERSION
    leap: int = 0
    stratum: int = 0
    poll: int = 0
    precision: int = 0
    root_delay_s: float = 0.0
    root_dispersion_s: float = 0.0
    reference_id: bytes = bytes(4)
    reference: int = 0
    originate: int = 0
    receive: int = 0
    transmit: int = 0

    @classmethod
    def question(cls, nonce: int) -> "NtpPacket":
        """Returns a client's question; a random ``transmit`` tells answers from forgeries."""
        return cls(NtpMode.CLIENT, transmit=nonce)

    @classmethod
    def parse(cls, data: bytes) -> "NtpPacket":
        """Returns the packet in a datagram; extensions and authenticators are not looked at.

        Raises:
            TruncatedError: It is shorter than 48 bytes.
            MalformedError: A version or mode that is no client's business.
        """
        if len(data) < _PACKET.size:
            raise TruncatedError(f"{len(data)} bytes are shorter than {_PACKET.size}")
        (first, stratum, poll, precision, delay, dispersion, reference_id, reference, originate,
         receive, transmit) = _PACKET.unpack_from(data)  # fmt: skip
        leap, version, mode = first >> 6, first >> 3 & 7, first & 7
        if not 1 <= version <= VERSION or mode not in (NtpMode.CLIENT, NtpMode.SERVER):
            raise MalformedError(f"NTP version {version}, mode {mode}")
        return cls(
            NtpMode(mode), version, leap, stratum, poll, precision, delay / _SHORT,
            dispersion / _SHORT, reference_id, reference, originate, receive, transmit,
        )  # fmt: skip

    def __bytes__(self) -> bytes:
        return _PACKET.pack(
            self.leap << 6 | self.version << 3 | self.mode, self.stratum, self.poll,
            self.precision, round(self.root_delay_s * _SHORT),
            round(self.root_dispersion_s * _SHORT), self.reference_id, self.reference,
            self.originate, self.receive, self.transmit,
        )  # fmt: skip


def to_unix(timestamp: int, *, not_before: float) -> float:
    """Returns a timestamp as seconds since 1970.

    Args:
        timestamp: 64 bits of NTP.
        not_before: Seconds since 1970; the era is the first in which the result is not
            earlier than 68 years before it.
    """
    seconds = timestamp / _FRACTION - UNIX_1970_S
    eras = -(-(not_before - ERA_S / 2 - seconds) // ERA_S)
    return seconds + max(0.0, eras) * ERA_S


def from_unix(moment: float) -> int:
    """Returns seconds since 1970 as 64 bits of NTP."""
    return round((moment + UNIX_1970_S) * _FRACTION) % (1 << 64)
