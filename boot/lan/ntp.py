"""Asks NTP servers for the time, as a client of RFC 4330 and RFC 5905 §14.

Time that is not authenticated can be forged, so nothing here sets a clock: see `timekeeper`.
"""

import asyncio
import contextlib
import logging
import random
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Final

from ...hal.clock import Clock
from ..errors import NtpError, NtpRefusedError
from ..wire.errors import WireError
from ..wire.ntp import NtpMode, NtpPacket, to_unix

logger = logging.getLogger(__name__)

NTP_PORT: Final = 123
MAX_SERVERS: Final = 4
"""More servers than this are not asked; four outvote one that lies."""

MAX_DISTANCE_S: Final = 1.5
"""A server that may be wrong by more is not believed (MAXDIST of RFC 5905)."""

_UNSYNCHRONISED = 3
_STRATA = range(1, 16)
_MAX_PACKET = 2048
_SLACK_S = 0.005
_REFUSALS = (b"DENY", b"RSTR")


@dataclass(frozen=True, slots=True)
class Sample:
    """What one server says.

    Attributes:
        offset_s: What must be added to the clock that was asked with.
        margin_s: How far it may be wrong.
    """

    server: IPv4Address
    offset_s: float
    margin_s: float


class SntpClient:
    """Asks servers, each with a packet of its own that only it can answer."""

    def __init__(
        self,
        clock: Clock,
        rng: random.Random,
        *,
        port: int = NTP_PORT,
        timeout_s: float = 2.0,
        tries: int = 3,
    ) -> None:
        """Uses a clock that may be wrong.

        Args:
            clock: Whose offset is measured.
            rng: Unpredictable, as forgeries are told by what they do not know.
            port: Of the servers.
            timeout_s: How long each packet waits for its answer.
            tries: Packets for each server.
        """
        self._clock = clock
        self._rng = rng
        self._port = port
        self._timeout_s = timeout_s
        self._tries = tries
        self._refusing: set[IPv4Address] = set()

    async def ask(self, servers: Sequence[IPv4Address], not_before: float) -> Sample:
        """Returns what most of the servers that answer agree upon.

        Args:
            servers: All are asked at once, but those that once refused it.
            not_before: Seconds since 1970; tells the era of the timestamps.

        Raises:
            NtpError: None gave a usable answer, or they contradict each other.
        """
        asked = [server for server in servers if server not in self._refusing][:MAX_SERVERS]
        answers = await asyncio.gather(*(self._ask_one(server, not_before) for server in asked))
        samples = [answer for answer in answers if isinstance(answer, Sample)]
        if samples:
            return agreed(samples)
        raise next(
            (answer for answer in answers if isinstance(answer, NtpError)),
            NtpRefusedError("every NTP server refuses to be asked", server=str(servers[0])),
        )

    async def _ask_one(self, server: IPv4Address, not_before: float) -> Sample | NtpError:
        for _ in range(self._tries):
            try:
                async with asyncio.timeout(self._timeout_s):
                    return await self._exchange(server, not_before)
            except TimeoutError:
                logger.debug("NTP server %s is silent", server)
            except OSError as error:
                logger.debug("NTP server %s: %s", server, error)
                await asyncio.sleep(self._timeout_s)
            except NtpRefusedError as error:
                self._refusing.add(server)
                return error
            except NtpError as error:
                return error
        return NtpError("no answer to NTP", server=str(server))

    async def _exchange(self, server: IPv4Address, not_before: float) -> Sample:
        """Sends one packet from a port of its own and returns what its answer says."""
        loop, nonce = asyncio.get_running_loop(), self._rng.getrandbits(64) | 1
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as udp:
            udp.connect((str(server), self._port))
            sent_at, began = self._clock.unix(), self._clock.monotonic()
            await loop.sock_sendall(udp, bytes(NtpPacket.question(nonce)))
            while True:
                await asyncio.sleep(0)  # a flood must not keep the deadline away
                data = await loop.sock_recv(udp, _MAX_PACKET)
                elapsed_s = self._clock.monotonic() - began
                packet = _parsed(data)
                if packet is not None and packet.originate == nonce:
                    return sample(server, packet, sent_at, elapsed_s, not_before)


def sample(
    server: IPv4Address, packet: NtpPacket, sent_at: float, elapsed_s: float, not_before: float
) -> Sample:
    """Returns what an answer says about our clock (RFC 5905 §8).

    Args:
        server: Who answered.
        packet: The answer.
        sent_at: When the question left, by our clock.
        elapsed_s: How long the answer took.
        not_before: Seconds since 1970; tells the era of the timestamps.

    Raises:
        NtpRefusedError: A kiss of death that forbids further questions.
        NtpError: The server is not synchronised, or the answer makes no sense.
    """
    _check(packet, str(server))
    received = to_unix(packet.receive, not_before=not_before)
    answered = to_unix(packet.transmit, not_before=not_before)
    delay_s = elapsed_s - (answered - received)
    margin_s = max(delay_s, 0.0) / 2 + packet.root_delay_s / 2 + packet.root_dispersion_s
    if answered < received or delay_s < -_SLACK_S or margin_s > MAX_DISTANCE_S:
        raise NtpError(
            f"the answer may be wrong by {margin_s:.3f} s, more than {MAX_DISTANCE_S} s",
            server=str(server),
        )
    offset_s = (received - sent_at + answered - sent_at - elapsed_s) / 2
    return Sample(server, offset_s, margin_s)


def agreed(samples: Sequence[Sample]) -> Sample:
    """Returns the best of the samples that most others agree with.

    Raises:
        NtpError: There is no majority.
    """
    groups = [[other for other in samples if _agree(one, other)] for one in samples]
    largest = max(groups, key=len)
    if 2 * len(largest) <= len(samples):
        said = ", ".join(f"{each.server} {each.offset_s:+.3f} s" for each in samples)
        raise NtpError(
            f"the NTP servers contradict each other: {said}",
            "find the one that is wrong and take it out of DHCP option 42",
        )
    return min(largest, key=lambda each: each.margin_s)


def _agree(one: Sample, other: Sample) -> bool:
    return abs(one.offset_s - other.offset_s) <= one.margin_s + other.margin_s + _SLACK_S


def _check(packet: NtpPacket, server: str) -> None:
    code = packet.reference_id.decode("ascii", "replace").rstrip("\0")
    if packet.stratum == 0 and code.isalnum():  # chronyd that is not synchronised says 0 and none
        kind = NtpRefusedError if packet.reference_id in _REFUSALS else NtpError
        raise kind(f"the NTP server sends the kiss of death {code!r}", server=server)
    if packet.leap == _UNSYNCHRONISED or packet.stratum not in _STRATA or not packet.transmit:
        raise NtpError(
            f"the NTP server is not synchronised (leap {packet.leap}, stratum {packet.stratum})",
            server=server,
        )


def _parsed(data: bytes) -> NtpPacket | None:
    with contextlib.suppress(WireError):
        packet = NtpPacket.parse(data)
        return packet if packet.mode is NtpMode.SERVER else None
    return None
