"""Fetches files over FTP with explicit TLS (RFC 4217), in the standard library's ftplib.

Control and data are both encrypted, data connections resume the control connection's
TLS session, and the server is verified by name although it is reached by the address
that the boot's own resolver found.  There is no way back to cleartext.
"""

import contextlib
import ftplib
import logging
import re
import socket
import ssl
from collections.abc import Callable, Iterator
from typing import NoReturn

from ..hal.clock import Clock
from .errors import NoSuchFileError, TransportError, UntrustedServerError
from .tls import handshake_round_trips, why
from .transport import Account, Patience, Server

logger = logging.getLogger(__name__)

_SEGMENT = r"[A-Za-z0-9_-][A-Za-z0-9._-]*"
_PATH = re.compile(rf"{_SEGMENT}(/{_SEGMENT})*")
_MAX_PATH = 512
_MAX_REPLY_LINES = 200
_CHUNK = 65_536
_REMEDY = "check that the TSS runs and that TCP 21 and its passive ports are open to it"
_TRUST_REMEDY = "check the TSS certificate: issued by the factory's CA, for this name, not expired"


class FtpesSession:
    """One logged-in session at one server; blocking, so use it from a worker thread."""

    def __init__(self, server: Server, control: "_Control", patience: Patience) -> None:
        self.server = server
        self._control = control
        self._patience = patience

    @classmethod
    def open(
        cls,
        server: Server,
        account: Account,
        context: ssl.SSLContext,
        *,
        clock: Clock,
        count: Callable[[int], None],
        patience: Patience | None = None,
    ) -> "FtpesSession":
        """Connects, secures the control connection, logs in and protects the data.

        Raises:
            UntrustedServerError: The certificate does not verify for the server's name.
            TransportError: The server is silent, speaks no TLS, or refuses the account.
        """
        patience = patience or Patience()
        control = _Control(context, clock, count, patience)
        try:
            control.open(server, account)
        except BaseException as error:
            control.close()
            _translate(server, error)
        return cls(server, control, patience)

    def fetch(self, path: str, *, offset: int = 0) -> Iterator[bytes]:
        """Yields the content of a file in chunks, from ``offset`` on; the caller bounds their sum.

        Raises:
            NoSuchFileError: The server does not have it (550).
            TransportError: The path is not acceptable, or the connection failed.
        """
        if len(path) > _MAX_PATH or not _PATH.fullmatch(path):
            raise NoSuchFileError(f"{path!r} is not an acceptable path", _REMEDY)
        try:
            yield from self._control.read(path, offset)
        except (OSError, EOFError, ValueError, ftplib.Error) as error:
            _translate(self.server, error)

    def count_for(self, count: Callable[[int], None]) -> None:
        """Counts the round trips from here on for somebody else."""
        self._control.count = count

    def close(self) -> None:
        """Says goodbye without waiting for an answer."""
        self._control.leave()

    def __enter__(self) -> "FtpesSession":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Control(ftplib.FTP_TLS):
    """ftplib, with verification by name, resumed sessions, bounds and a count."""

    def __init__(
        self,
        context: ssl.SSLContext,
        clock: Clock,
        count: Callable[[int], None],
        patience: Patience,
    ) -> None:
        super().__init__(context=context, timeout=patience.connect_s)
        self._clock = clock
        self.count = count
        self._patience = patience
        self._due = float("inf")
        self._lines = 0

    def open(self, server: Server, account: Account) -> None:
        """Connects to the address; from there on the server is called by its name."""
        self._due = self._clock.monotonic() + self._patience.login_s
        self._lines = 0
        self.connect(str(server.address), server.ftpes_port, self._patience.connect_s)
        self.count(2)  # the TCP handshake, and the greeting
        self._expect_patience(self._plain())
        self.host = server.name
        self._command("AUTH TLS")
        self.sock = self._wrap(self._plain(), None)
        self.file = self.sock.makefile(mode="r", encoding=self.encoding)
        self._login(account)
        self._protect()

    def read(self, path: str, offset: int) -> Iterator[bytes]:
        """Yields one file through a protected data connection."""
        self._due = self._clock.monotonic() + self._patience.file_s
        self._lines = 0
        data, _ = self.ntransfercmd(f"RETR {path}", offset or None)
        try:
            self.count(1)  # our Finished, then the first byte
            while chunk := data.recv(_CHUNK):
                self._check_due()
                yield chunk
        except BaseException:
            self.close()  # the control connection would be out of step
            raise
        finally:
            _hang_up(data)
        self.voidresp()

    def leave(self) -> None:
        """Says goodbye and closes."""
        with contextlib.suppress(OSError, AttributeError):
            super().putline("QUIT")
        self.close()

    def ntransfercmd(self, cmd: str, rest: int | str | None = None) -> tuple[socket.socket, int]:
        """Opens a data connection that resumes the control connection's session."""
        conn, size = ftplib.FTP.ntransfercmd(self, cmd, rest)
        self._expect_patience(conn)
        try:
            return self._wrap(conn, self._secure().session), size or 0
        except BaseException:
            conn.close()
            raise

    def makepasv(self) -> tuple[str, int]:
        """Asks for a passive port; only the control connection's peer is ever connected to."""
        host, port = super().makepasv()
        self.count(1)  # the TCP handshake that follows
        return host, port

    def putline(self, line: str) -> None:
        """Sends one command; each is answered before the next but for the pipelined ones."""
        self.count(1)
        self._lines = 0
        super().putline(line)

    def getline(self) -> str:
        """Reads one line of an answer, bounded in number and in time."""
        self._check_due()
        self._lines += 1
        if self._lines > _MAX_REPLY_LINES:
            raise ftplib.Error("the answer has too many lines")
        return super().getline()

    def _login(self, account: Account) -> None:
        if self._command(f"USER {account.username}", ("2", "3")).startswith("3"):
            self._command(f"PASS {account.password}")

    def _protect(self) -> None:
        """Asks for encrypted binary data; three commands in one round trip."""
        for command in ("PBSZ 0", "PROT P", "TYPE I"):
            super().putline(command)
        self.count(1)
        for _ in range(3):
            self._require(self.getmultiline(), ("2",))
        self._prot_p = True

    def _command(self, command: str, wanted: tuple[str, ...] = ("2",)) -> str:
        self.putcmd(command)
        return self._require(self.getmultiline(), wanted)

    def _require(self, reply: str, wanted: tuple[str, ...]) -> str:
        if not reply.startswith(wanted):
            raise ftplib.error_perm(reply[:200])
        return reply

    def _wrap(self, conn: socket.socket, session: ssl.SSLSession | None) -> ssl.SSLSocket:
        secure = self.context.wrap_socket(conn, server_hostname=self.host, session=session)
        self.count(handshake_round_trips(secure))
        return secure

    def _plain(self) -> socket.socket:
        if self.sock is None:
            raise EOFError("not connected")
        return self.sock

    def _secure(self) -> ssl.SSLSocket:
        if not isinstance(self.sock, ssl.SSLSocket):
            raise EOFError("the control connection is not secured")  # noqa: TRY004
        return self.sock

    def _expect_patience(self, conn: socket.socket) -> None:
        conn.settimeout(self._patience.silence_s)

    def _check_due(self) -> None:
        if self._clock.monotonic() > self._due:
            raise TimeoutError("the server takes too long")


def _hang_up(data: socket.socket) -> None:
    """Closes a data connection; some servers insist on a proper TLS farewell."""
    if isinstance(data, ssl.SSLSocket):
        with contextlib.suppress(OSError, ValueError):
            data.unwrap()
    data.close()


def _translate(server: Server, error: BaseException) -> NoReturn:
    """Raises what a person can act on; what is not about the server goes up unchanged."""
    if isinstance(error, ssl.SSLCertVerificationError):
        raise UntrustedServerError(f"TSS {server}: {why(error)}", _TRUST_REMEDY) from error
    if isinstance(error, ssl.SSLError):
        raise TransportError(f"TSS {server}: {why(error)}", _TRUST_REMEDY) from error
    if isinstance(error, ftplib.error_perm) and str(error).startswith("550"):
        raise NoSuchFileError(f"TSS {server}: {error}", _REMEDY) from error
    if isinstance(error, ftplib.error_perm) and str(error).startswith("530"):
        raise TransportError(
            f"TSS {server} refuses the unit's account", "enrol the unit's MAC at the TSS"
        ) from error
    if isinstance(error, (OSError, EOFError, ValueError, ftplib.Error)):
        words = str(error) or type(error).__name__
        raise TransportError(f"TSS {server}: {words}", _REMEDY) from error
    raise error
