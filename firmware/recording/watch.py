"""Asks a recorder every 350 ms whether it is still there: OPTIONS, answered within 450 ms.

Thin: any final answer counts, and the questions go over a connection of their own, beside the SIP
agent, so that a connection that hangs there is noticed here.  The worst case from the recorder's
last breath to the alarm is the sum of both times, 0.8 s.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Callable
from dataclasses import dataclass

from ..wire.errors import MalformedError, WireError
from ..wire.sip import Headers, Request, Response, SipUri, Via, frame_length, parse_message
from .errors import RecorderUriError, SessionLostError

Message = Request | Response
INTERVAL_S = 0.35
ANSWER_S = 0.45


@dataclass(frozen=True, slots=True)
class RecorderAddress:
    """Where a recorder takes SIPREC sessions.

    Attributes:
        role: ``a`` or ``b``.
        uri: As configured.
        host: Host of the URI.
        port: Its port.
        transport: ``udp`` or ``tcp``.
    """

    role: str
    uri: str
    host: str
    port: int
    transport: str

    @classmethod
    def parse(cls, role: str, uri: str) -> RecorderAddress:
        """Reads a configured address such as ``sip:recorder@10.11.0.30:5060;transport=tcp``.

        Raises:
            RecorderUriError: Not a SIP URI, or not over UDP or TCP.
        """
        try:
            parsed = SipUri.parse(uri)
        except MalformedError as error:
            raise RecorderUriError(f"recorder {role}: {error}") from error
        transport = (parsed.parameter("transport") or "udp").lower()
        if parsed.scheme != "sip" or transport not in ("udp", "tcp"):
            raise RecorderUriError(f"recorder {role}: {uri} is neither over UDP nor TCP")
        return cls(role, uri, parsed.host.strip("[]"), parsed.port or 5060, transport)

    @property
    def index(self) -> int:
        """Number of its forks in the matrix: 0 or 1."""
        return 0 if self.role == "a" else 1


class Probe:
    """Asks one recorder.

    Args:
        address: Which.
        rng: Where branches and tags come from.
    """

    def __init__(self, address: RecorderAddress, rng: random.Random) -> None:
        self._address, self._rng = address, rng
        self._link: _Link | None = None
        self._cseq = 0
        self._branch = ""

    async def ask(self, *, answer_s: float = ANSWER_S) -> int:
        """Asks once and returns the status of the answer.

        Raises:
            SessionLostError: Refused, or no answer in time; says which.
        """
        try:
            async with asyncio.timeout(answer_s):
                return await self._ask()
        except TimeoutError as error:
            if (status := self._answered_meanwhile()) is not None:
                return status
            self.close()
            raise SessionLostError(f"no answer within {answer_s:g} s") from error
        except (OSError, WireError) as error:
            self.close()
            raise SessionLostError(str(error) or type(error).__name__) from error

    def close(self) -> None:
        """Closes the connection; the next question opens another."""
        if self._link is not None:
            self._link.close()
        self._link = None

    async def _ask(self) -> int:
        if self._link is None or self._link.closed:
            self._link = await _connect(self._address)
        self._cseq += 1
        self._branch = f"z9hG4bK{self._rng.getrandbits(64):016x}"
        self._link.send(bytes(self._options(self._branch, *self._link.local)))
        while True:
            status = self._status_of(await self._link.receive())
            if status is not None:
                return status

    def _status_of(self, message: Message | OSError) -> int | None:
        """Returns the status when this is the answer to the last question."""
        if isinstance(message, OSError):
            raise message
        if not isinstance(message, Response) or not message.vias:
            return None
        return message.status if message.vias[0].branch == self._branch else None

    def _answered_meanwhile(self) -> int | None:
        """Finds the answer that came while this process itself was too slow to read it."""
        waiting = [] if self._link is None else self._link.drain()
        with contextlib.suppress(OSError, WireError):
            statuses = (self._status_of(message) for message in waiting)
            return next((status for status in statuses if status is not None), None)
        return None

    def _options(self, branch: str, host: str, port: int) -> Request:
        transport = self._address.transport.upper()
        via = Via(transport, host, port, (("branch", branch), ("rport", None)))
        headers = Headers.of(
            ("Via", str(via)),
            ("Max-Forwards", "70"),
            ("From", f"<sip:watch@{host}>;tag={self._rng.getrandbits(48):012x}"),
            ("To", f"<{self._address.uri}>"),
            ("Call-ID", f"{self._rng.getrandbits(64):016x}@{host}"),
            ("CSeq", f"{self._cseq} OPTIONS"),
            ("Contact", f"<sip:watch@{host}:{port}>"),
            ("Accept", "application/sdp"),
        )
        return Request(headers, method="OPTIONS", uri=self._address.uri)


class _Link:
    """A connection that cuts messages out of what comes."""

    def __init__(self) -> None:
        self._inbox: asyncio.Queue[Message | OSError] = asyncio.Queue(maxsize=64)
        self.local = ("", 0)
        self.send: Callable[[bytes], None] = lambda _: None
        self.close: Callable[[], None] = lambda: None
        self.closed = False

    async def receive(self) -> Message | OSError:
        return await self._inbox.get()

    def drain(self) -> list[Message | OSError]:
        return [self._inbox.get_nowait() for _ in range(self._inbox.qsize())]

    def take(self, data: bytes) -> None:
        with contextlib.suppress(WireError, asyncio.QueueFull):
            self._inbox.put_nowait(parse_message(data))

    def fail(self, error: OSError) -> None:
        self.closed = True
        with contextlib.suppress(asyncio.QueueFull):
            self._inbox.put_nowait(error)


async def _connect(address: RecorderAddress) -> _Link:
    link, loop = _Link(), asyncio.get_running_loop()
    if address.transport == "udp":
        udp, _ = await loop.create_datagram_endpoint(
            lambda: _Datagrams(link), remote_addr=(address.host, address.port)
        )
        link.send, link.close = udp.sendto, udp.close
        link.local = udp.get_extra_info("sockname")[:2]
    else:
        tcp, _ = await loop.create_connection(lambda: _Stream(link), address.host, address.port)
        link.send, link.close = tcp.write, tcp.abort
        link.local = tcp.get_extra_info("sockname")[:2]
    return link


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, link: _Link) -> None:
        self._link = link

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self._link.take(data)

    def error_received(self, exc: Exception) -> None:
        self._link.fail(exc if isinstance(exc, OSError) else ConnectionError(str(exc)))


class _Stream(asyncio.Protocol):
    def __init__(self, link: _Link) -> None:
        self._link, self._buffer = link, b""

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        try:
            while (length := frame_length(self._buffer)) is not None:
                self._link.take(self._buffer[:length])
                self._buffer = self._buffer[length:]
        except WireError as error:
            self._buffer = b""
            self._link.fail(ConnectionError(str(error)))

    def connection_lost(self, exc: Exception | None) -> None:
        self._link.fail(ConnectionResetError(str(exc) if exc else "the recorder hung up"))
