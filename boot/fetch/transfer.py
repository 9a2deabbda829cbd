"""One transfer of TFTP over one socket, driven by the event loop's callbacks.

Packets are taken in batches as they lie in the socket and one acknowledgement answers a window,
so that a long download costs few system calls.  A last block whose acknowledgement is lost meets a
closed port: the kernel's answer ends the server's transfer, and nobody has to linger for it.
"""

import asyncio
import contextlib
import logging
import socket
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Final

from ..errors import TftpError, TftpRefusedError
from ..wire.errors import WireError
from ..wire.tftp import (
    BLOCK_BYTES,
    Data,
    ErrorCode,
    Failure,
    OptionAcknowledgement,
    ReadRequest,
    parse,
)
from .download import Download, Outcome, RejectedError
from .round_trip import RoundTrip

logger = logging.getLogger(__name__)

TFTP_PORT: Final = 69
REMEDY: Final = "check the TFTP server that DHCP names (options 43, 150, 66) and its files"
_ABSENT = TftpRefusedError.usual_remedy
_MISSING = (ErrorCode.FILE_NOT_FOUND, ErrorCode.ACCESS_VIOLATION)
_BATTERED = "a firewall or tunnel between may drop what it sends: allow UDP, or blocks of 512 bytes"
_MAX_DATAGRAM = 65_535
_MAX_FOREIGN = 1000
_MAX_MALFORMED = 100
_BATCH = 64
_IP_RECVERR = 11


@dataclass(frozen=True, slots=True)
class Settings:
    """What the client asks for, and how patient it is.

    Attributes:
        block_bytes: Fits an Ethernet frame with IPv4 and UDP headers (RFC 2348); 8 to 65464.
        window: Blocks per acknowledgement (RFC 7440), at most.
        timeout_s: For the first answer; then what the network needs, learnt, but never longer.
        longest_s: The wait after repeated silence.
        resends: How often the last packet is sent again before giving up.
        deadline_s: For the whole file, against servers that drip.
        max_bytes: The longest file that is taken.
    """

    block_bytes: int = 1428
    window: int = 64
    timeout_s: float = 0.5
    longest_s: float = 2.0
    resends: int = 3
    deadline_s: float = 30.0
    max_bytes: int = 65_536
    port: int = TFTP_PORT


class OptionsError(Exception):
    """With options the server cannot, or what it then sends does not arrive (RFC 2347)."""


class LongFileError(Exception):
    """The file does not fit into one block."""


@dataclass(slots=True)
class _Tally:
    """What has happened so often; resends are those since something new came."""

    acknowledgements: int = 0
    disturbances: int = 0
    resends: int = 0
    foreign: int = 0
    malformed: int = 0


class Transfer:
    """One file from one server.

    Args:
        udp: A non-blocking socket of its own.
        server: Where the file is.
        request: The file, and the options to ask for.
        settings: How patient it is.
        count: Told of every round trip.
    """

    def __init__(
        self,
        udp: socket.socket,
        server: IPv4Address,
        request: ReadRequest,
        settings: Settings,
        count: Callable[[int], None],
    ) -> None:
        udp.setsockopt(socket.IPPROTO_IP, _IP_RECVERR, 1)
        self._udp = udp
        self._server = str(server)
        self._request = request
        self._settings = settings
        self._count = count
        self._loop = asyncio.get_running_loop()
        self._download = Download(request.options, settings.max_bytes)
        self._round_trip = RoundTrip(settings.timeout_s, settings.longest_s)
        self._done: asyncio.Future[bytes] = self._loop.create_future()
        self._buffer = bytearray(_MAX_DATAGRAM)
        self._target = (self._server, settings.port)
        self._locked = False
        self._one_block = False
        self._tally = _Tally()
        self._sent_at = 0.0
        self._awaiting = False
        self._resent = False
        self._due = 0.0
        self._timer: asyncio.TimerHandle | None = None

    @property
    def window(self) -> int:
        """Blocks per acknowledgement, as negotiated."""
        return self._download.window

    @property
    def blocks(self) -> int:
        """Blocks that have come."""
        return self._download.blocks

    @property
    def blocks_per_acknowledgement(self) -> float:
        """How much of a window has come at a time."""
        return self.blocks / max(1, self._tally.acknowledgements)

    @property
    def undisturbed(self) -> bool:
        """Whether no packet had to be sent again."""
        return not self._tally.disturbances

    async def run(self, *, one_block: bool) -> bytes:
        """Asks for the file and takes its blocks until the last one.

        Args:
            one_block: Stop when the first block is full.

        Raises:
            TftpError: As `TftpClient.fetch` says.
        """
        self._one_block = one_block
        self._loop.add_reader(self._udp, self._guarded, self._on_readable)
        try:
            self._send(bytes(self._request))
            self._awaiting = True
            self._due = self._sent_at + self._round_trip.wait_s
            self._on_time()
            return await self._done
        except asyncio.CancelledError:
            self._call_off()
            raise
        finally:
            self._loop.remove_reader(self._udp)
            if self._timer is not None:
                self._timer.cancel()

    def _call_off(self) -> None:
        """Spares the server its resends: nobody waits for the file any more."""
        if self._locked:
            self._tell(Failure(ErrorCode.UNDEFINED, "not needed any more"), self._target)

    def _guarded(self, work: Callable[[], None]) -> None:
        """Runs a callback; what it raises is the end of the transfer."""
        try:
            work()
        except RejectedError as error:
            self._tell(Failure(error.code, str(error)), self._target)
            self._fail(self._refused(str(error), REMEDY))
        except (TftpError, OSError, OptionsError, LongFileError) as error:
            self._fail(error)

    def _fail(self, error: Exception) -> None:
        if not self._done.done():
            self._done.set_exception(error)

    def _on_readable(self) -> None:
        """Takes a batch of packets, then winds up the clock if there was anything new."""
        before = self._download.blocks
        self._take_batch()
        if self._download.blocks != before:
            self._on_progress()

    def _take_batch(self) -> None:
        """Takes what lies in the socket; a flood waits while the loop serves others."""
        for _ in range(_BATCH):
            if self._done.done():
                return
            try:
                length, sender = self._udp.recvfrom_into(self._buffer)
            except BlockingIOError:
                return
            except OSError as error:
                self._check_unreachable(error)
                continue
            if self._is_ours(sender):
                self._take(bytes(memoryview(self._buffer)[:length]))

    def _take(self, data: bytes) -> None:
        try:
            packet = parse(data)
        except WireError as error:
            self._drop(error)
            return
        if isinstance(packet, Data):
            self._take_block(packet)
        elif isinstance(packet, OptionAcknowledgement):
            self._act(self._download.agree(packet.options))
        elif isinstance(packet, Failure):
            self._take_failure(packet)

    def _drop(self, error: WireError) -> None:
        """Tells of the first malformed packet, ends the transfer at the last one that is borne."""
        if not self._tally.malformed:
            logger.warning("dropped a TFTP packet of %s: %s", self._server, error)
        self._tally.malformed += 1
        if self._tally.malformed > _MAX_MALFORMED:
            raise self._refused(f"more than {_MAX_MALFORMED} malformed packets", REMEDY)

    def _take_block(self, packet: Data) -> None:
        if self._one_block and len(packet.payload) >= BLOCK_BYTES:
            self._tell(Failure(ErrorCode.UNDEFINED, "asking again with options"), self._target)
            raise LongFileError
        before = self._download.blocks
        outcome = self._download.take(packet.block, packet.payload)
        if self._download.blocks == before:
            self._tally.disturbances += outcome is Outcome.ACKNOWLEDGE
        elif self._awaiting:
            self._on_progress()
        if outcome is not Outcome.MORE:
            self._act(outcome)

    def _take_failure(self, packet: Failure) -> None:
        self._on_progress()
        reason = f"error {packet.code}: {packet.message or 'no reason given'}"
        if packet.code == ErrorCode.OPTION_REFUSED and self._request.options:
            raise OptionsError(f"TFTP server {self._server}: {reason}")
        raise self._refused(reason, _ABSENT if packet.code in _MISSING else REMEDY)

    def _act(self, outcome: Outcome) -> None:
        if outcome is Outcome.ACKNOWLEDGE:
            self._acknowledge()
        elif outcome is Outcome.REPEATED and self._may_repeat():
            self._tally.disturbances += 1
            self._resent = True
            self._send(self._download.acknowledgement())

    def _may_repeat(self) -> bool:
        """Once per round trip: more would double every packet from then on (RFC 1123 §4.2.3.1)."""
        return self._loop.time() - self._sent_at >= self._round_trip.usual_s

    def _acknowledge(self) -> None:
        if not self._download.blocks:
            self._on_progress()
        self._tally.acknowledgements += 1
        self._send(self._download.acknowledgement())
        self._awaiting, self._resent = not self._download.finished, False
        if self._download.finished and not self._done.done():
            self._done.set_result(self._download.content)

    def _on_progress(self) -> None:
        """Something new has come: measures the round trip and winds up the clock."""
        now = self._loop.time()
        if self._awaiting:
            self._awaiting = False
            self._count(1)
            if not self._resent:
                self._round_trip.measure(now - self._sent_at)
        self._tally.resends = 0
        self._round_trip.progress()
        self._due = now + self._round_trip.wait_s

    def _on_time(self) -> None:
        """Sends the last packet again when it is time, and comes back when it next may be."""
        now = self._loop.time()
        if now >= self._due:
            self._resend()
            self._due = now + self._round_trip.wait_s
        self._timer = self._loop.call_at(self._due, self._guarded, self._on_time)

    def _resend(self) -> None:
        self._tally.resends += 1
        if self._tally.resends > self._settings.resends:
            raise self._silence()
        logger.info("resending to TFTP server %s, try %d", self._server, self._tally.resends)
        self._tally.disturbances += 1
        self._resent = True
        self._round_trip.back_off()
        started = self._download.agreed or self._download.blocks
        self._send(self._download.acknowledgement() if started else bytes(self._request))

    def _silence(self) -> Exception:
        if self._download.agreed and not self._download.blocks:
            return OptionsError(f"TFTP server {self._server} agrees to options, then is silent")
        words = "does not answer" if not self._locked else "has stopped answering"
        remedy = REMEDY if not self._locked else _BATTERED
        file = self._request.file
        message = f"TFTP server {self._server} {words} for {file}"
        return TftpError(message, remedy, server=self._server, file=file)

    def _is_ours(self, sender: tuple[str, int]) -> bool:
        """Locks on to the first port that answers; tells others off (RFC 1350 §4)."""
        if not self._locked and sender[0] == self._server:
            self._target, self._locked = sender, True
        if sender == self._target and self._locked:
            return True
        self._tally.foreign += 1
        if self._tally.foreign > _MAX_FOREIGN:
            raise self._refused(f"more than {_MAX_FOREIGN} packets from strangers", REMEDY)
        self._tell(Failure(ErrorCode.UNKNOWN_TRANSFER_ID, "unknown transfer id"), sender)
        return False

    def _send(self, data: bytes) -> None:
        """Sends something that will be answered; what does not fit now is as good as lost."""
        self._sent_at = self._loop.time()
        try:
            self._udp.sendto(data, self._target)
        except BlockingIOError:
            pass
        except OSError as error:
            self._check_unreachable(error)

    def _tell(self, failure: Failure, target: tuple[str, int]) -> None:
        """Says something that nobody answers; what ICMP reported before is taken off the socket."""
        try:
            self._udp.sendto(bytes(failure), target)
        except OSError as error:
            with contextlib.suppress(OSError, TftpError):
                self._check_unreachable(error)

    def _check_unreachable(self, error: OSError) -> None:
        """Takes what ICMP reports off the socket (IP_RECVERR); a stranger's troubles are his own.

        Raises:
            TftpError: The server's host says that nobody listens, or a router that there is none.
            OSError: It is about this host.
        """
        reported = False
        with contextlib.suppress(BlockingIOError):
            while True:
                _, _, _, target = self._udp.recvmsg(64, 64, socket.MSG_ERRQUEUE)
                reported = True
                if target == self._target:
                    where = f"TFTP server {self._server}, port {target[1]}"
                    message = f"{where}: {error.strerror}"
                    raise TftpError(message, REMEDY, server=self._server) from error
        if not reported:
            raise error

    def _refused(self, reason: str, remedy: str) -> TftpRefusedError:
        file = self._request.file
        return TftpRefusedError(
            f"TFTP server {self._server}, {file}: {reason}", remedy, server=self._server, file=file
        )
