"""How files come from a TSS: the same tree over FTPES or HTTPS, one logged-in session at a time."""

import contextlib
import errno
import os
import re
import select
import socket
import ssl
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from typing import Final, NoReturn, Protocol, TypeVar

from ...hal.clock import Clock
from ..errors import AccountRefusedError, NoSuchFileError, TransportError, UntrustedServerError
from ..wire.errors import WireError
from .bandwidth import Bandwidth
from .tls import refuses_certificate, why

Failure = TypeVar("Failure", bound=TransportError)

FTPES_PORT: Final = 21
HTTPS_PORT: Final = 443

PUBLISH_REMEDY: Final = "publish it on the TSS, and let this unit read it"
CHUNK_BYTES: Final = 65_536

_SEGMENT = r"[A-Za-z0-9_-][A-Za-z0-9._-]*"
_PATH = re.compile(rf"{_SEGMENT}(/{_SEGMENT})*")
_MAX_PATH = 512
_TRUST_REMEDY = "check the TSS certificate: issued by the factory's CA, for this name, not expired"
_CERTIFICATE_REMEDY = "look whether the TSS has revoked the unit; enrol its MAC again"
_TLS_REMEDY = "let the TSS speak TLS 1.2 or later, and check what is between it and the unit"


@dataclass(frozen=True, slots=True)
class Server:
    """One TSS: the name that its certificate must carry, and where it was found."""

    name: str
    address: IPv4Address
    ftpes_port: int = FTPES_PORT
    https_port: int = HTTPS_PORT

    def __str__(self) -> str:
        return f"{self.name} ({self.address})"


@dataclass(frozen=True, slots=True)
class Account:
    """How a unit logs in at a TSS."""

    username: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a server may take.

    Attributes:
        connect_s: For a connection to open.
        silence_s: Between two packets of one.
        login_s: From the first packet until the login is done.
        file_s: For one file, beside what its bytes earn.
        slowest_bytes_s: What every second of a longer file has to bring.
    """

    connect_s: float = 3.0
    silence_s: float = 10.0
    login_s: float = 20.0
    file_s: float = 30.0
    slowest_bytes_s: int = 8192


class Timer:
    """When a server's time is up; each byte that it brings earns it more."""

    def __init__(self, clock: Clock, patience: Patience, bandwidth: Bandwidth | None) -> None:
        self._clock = clock
        self._patience = patience
        self._bandwidth = bandwidth
        self._due = float("inf")

    def allow(self, seconds: float) -> None:
        """Starts anew."""
        self._due = self._clock.monotonic() + seconds

    def check(self) -> None:
        """Says whether there is time left.

        Raises:
            TimeoutError: There is none.
        """
        if self._clock.monotonic() > self._due:
            raise TimeoutError("the server takes too long")

    def chunks(self, receive: Callable[[int], bytes], most: int | None = None) -> Iterator[bytes]:
        """Yields what comes until its end, or until ``most`` bytes have come, at the pace allowed.

        Raises:
            TimeoutError: The server drips.
        """
        left = most
        while left is None or left > 0:
            self.check()
            chunk = receive(CHUNK_BYTES if left is None else min(CHUNK_BYTES, left))
            if not chunk:
                return
            left = None if left is None else left - len(chunk)
            self._took(len(chunk))
            yield chunk

    def _took(self, size: int) -> None:
        self._due += size / self._patience.slowest_bytes_s
        if self._bandwidth is not None:
            self._due += self._bandwidth.take(size)


@dataclass(frozen=True, slots=True)
class Terms:
    """What every session of a unit is opened with.

    Attributes:
        context: Verifies the server; holds the unit's own certificate once it is enrolled.
        clock: Tells how long the server takes.
        patience: How long it may take.
        bandwidth: How fast bytes may come; None is as fast as they can.
    """

    context: ssl.SSLContext
    clock: Clock
    patience: Patience = field(default_factory=Patience)
    bandwidth: Bandwidth | None = None

    def timer(self) -> Timer:
        """Returns a new timer."""
        return Timer(self.clock, self.patience, self.bandwidth)

    def start_connection(self, server: Server, port: int) -> socket.socket:
        """Returns a socket that has begun to connect and does not wait.

        Raises:
            OSError: There is no way to the server.
        """
        connection = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self.bandwidth is not None:
                size = self.bandwidth.buffer_bytes
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, size)
            connection.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                connection.connect((str(server.address), port))
        except BaseException:
            connection.close()
            raise
        return connection

    def connect(self, server: Server, port: int) -> socket.socket:
        """Returns a connected socket that waits for ``silence_s`` at most.

        Raises:
            OSError: The server does not answer.
        """
        connection = self.start_connection(server, port)
        try:
            finish_connection(connection, self.patience.connect_s)
            connection.settimeout(self.patience.silence_s)
        except BaseException:
            connection.close()
            raise
        return connection


def finish_connection(connection: socket.socket, connect_s: float) -> None:
    """Waits until a socket that has begun to connect is connected.

    Raises:
        OSError: The server refuses, or does not answer in time.
    """
    if not wait({connection: select.POLLOUT}, connect_s):
        raise TimeoutError("the server does not answer")
    connected(connection)


def connected(connection: socket.socket) -> None:
    """Says whether a socket that has become writable is connected.

    Raises:
        OSError: The server refuses.
    """
    code = connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if code:
        raise OSError(code, os.strerror(code))
    try:
        connection.getpeername()
    except OSError as error:
        raise ConnectionResetError(errno.ECONNRESET, os.strerror(errno.ECONNRESET)) from error


def wait(events: Mapping[socket.socket, int], seconds: float) -> frozenset[socket.socket]:
    """Waits for any of some events (select.POLLIN, POLLOUT); returns the sockets that have one."""
    poll = select.poll()
    for connection, event in events.items():
        poll.register(connection, event)
    ready = {number for number, _ in poll.poll(max(0, seconds) * 1000)}
    return frozenset(connection for connection in events if connection.fileno() in ready)


def without_start(chunks: Iterator[bytes], size: int) -> Iterator[bytes]:
    """Yields chunks without their first bytes, for servers that cannot begin in the middle."""
    for chunk in chunks:
        if size < len(chunk):
            yield chunk[size:]
        size = max(0, size - len(chunk))


def acceptable(path: str) -> str:
    """Returns a path that leads nowhere but into the tree.

    Raises:
        NoSuchFileError: It might lead elsewhere.
    """
    if len(path) > _MAX_PATH or not _PATH.fullmatch(path):
        raise NoSuchFileError(f"{path!r} is not an acceptable path", "publish it under plain names")
    return path


@dataclass(frozen=True, slots=True)
class Place:
    """Where something went wrong.

    Attributes:
        transport: FTPES or HTTPS.
        server: Which server.
        file: Which file of its tree; empty where it is about none.
        remedy: What helps when TLS is not to blame.
    """

    transport: str
    server: Server
    file: str = ""
    remedy: str = ""

    def error(self, kind: type[Failure], words: str, remedy: str = "") -> Failure:
        """Returns an error about this place."""
        message = f"{self.transport}: {words}"
        return kind(message, remedy or self.remedy, server=str(self.server), file=self.file)

    def explain(self, error: BaseException) -> NoReturn:
        """Raises what a person can act on; what is not about the server goes up unchanged."""
        if isinstance(error, ssl.SSLCertVerificationError):
            raise self.error(UntrustedServerError, why(error), _TRUST_REMEDY) from error
        if isinstance(error, ssl.SSLError) and refuses_certificate(error):
            words = f"the unit's certificate is refused: {why(error)}"
            raise self.error(AccountRefusedError, words, _CERTIFICATE_REMEDY) from error
        if isinstance(error, ssl.SSLError):
            raise self.error(TransportError, why(error), _TLS_REMEDY) from error
        if isinstance(error, (OSError, EOFError, WireError)):
            words = getattr(error, "strerror", None) or str(error) or type(error).__name__
            raise self.error(TransportError, words) from error
        raise error


class Files(Protocol):
    """Files that can be read by their path."""

    def fetch(self, path: str, *, offset: int = 0) -> Iterator[bytes]:
        """Yields the content of a file in chunks, from ``offset`` on; the caller bounds their sum.

        Raises:
            NoSuchFileError: The server does not have it.
            TransportError: The path is not acceptable, or the connection failed.
        """


class Session(Files, Protocol):
    """One logged-in session at one server; blocking, so use it from a worker thread."""

    @property
    def server(self) -> Server:
        """Where it is logged in."""

    def count_for(self, count: Callable[[int], None]) -> None:
        """Counts the round trips from here on for somebody else."""

    def close(self) -> None:
        """Says goodbye without waiting for an answer."""
