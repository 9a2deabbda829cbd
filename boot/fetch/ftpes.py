"""Fetches files over FTP with explicit TLS (RFC 4217), in as few round trips as servers allow.

Control and data are both encrypted, data connections resume the control connection's TLS
session, and the server is verified by name although it is reached by the address that the
boot's own resolver found.  There is no way back to cleartext.

The standard library's ftplib waits for every answer, and reads replies through a buffer that
cannot tell what came before TLS from what came after.  Here commands that need no answer to go
on share a flight: the login with all that follows it up to the first passive port, RETR with the
TCP handshake of its data connection, the next EPSV with the end of the last file.
"""

import contextlib
import select
import socket
import ssl
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final, NoReturn

from ..errors import AccountRefusedError, NoSuchFileError, TransportError
from ..wire.errors import MalformedError
from ..wire.ftp import Replies, Reply
from .tls import handshake_round_trips
from .transport import (
    PUBLISH_REMEDY,
    Account,
    Patience,
    Place,
    Server,
    Terms,
    acceptable,
    connected,
    wait,
    without_start,
)

_REMEDY = "check that the TSS runs and that TCP 21 and its passive ports are open to it"
_RECEIVE_BYTES: Final = 4096
_MISSING: Final = 550
_CLOSING: Final = 421
_UNKNOWN_COMMAND: Final = frozenset({500, 501, 502, 504, 522})
_SUPERFLUOUS: Final = frozenset({202, 503})
"""What a server says to PASS when the certificate has logged the unit in (232, RFC 2228)."""

_TRANSFERRED: Final = frozenset({226, 250})
_PROTECT: Final = ("PBSZ 0", "PROT P", "TYPE I")
_REFUSALS: Final[Mapping[int, tuple[type[TransportError], str]]] = {
    _MISSING: (NoSuchFileError, PUBLISH_REMEDY),
    530: (AccountRefusedError, AccountRefusedError.usual_remedy),
}


class FtpesSession:
    """One logged-in session at one server; blocking, so use it from a worker thread."""

    def __init__(self, server: Server, terms: Terms, count: Callable[[int], None]) -> None:
        """Prepares a session; ``open`` returns one that is logged in."""
        self.server = server
        self._terms = terms
        self._control = _Control(server, terms, count)
        self._ports = _PassivePorts(self._control)
        self._missing: set[str] = set()

    @classmethod
    def open(
        cls,
        server: Server,
        account: Account,
        terms: Terms,
        *,
        count: Callable[[int], None],
        foreseen: Sequence[str] = (),
    ) -> "FtpesSession":
        """Connects, secures the control connection, logs in and protects the data.

        Args:
            server: Where.
            account: Who.
            terms: How, and how long it may take.
            count: Is told the round trips.
            foreseen: What will be fetched first; which of it is missing is asked with the login.

        Raises:
            UntrustedServerError: The certificate does not verify for the server's name.
            AccountRefusedError: The server does not know the account.
            TransportError: The server is silent, or speaks no TLS.
        """
        session = cls(server, terms, count)
        try:
            session._control.open()
            session._log_in(account, [acceptable(path) for path in foreseen])
        except BaseException as error:
            session._control.close()
            _explain(error, Place("FTPES", server, remedy=_REMEDY))
        return session

    def fetch(self, path: str, *, offset: int = 0) -> Iterator[bytes]:
        """Yields the content of a file in chunks, from ``offset`` on; the caller bounds their sum.

        Raises:
            NoSuchFileError: The server does not have it (550).
            TransportError: The path is not acceptable, or the connection failed.
        """
        place = Place("FTPES", self.server, acceptable(path), _REMEDY)
        if path in self._missing:
            self._missing.discard(path)
            raise place.error(NoSuchFileError, "the server does not have it", PUBLISH_REMEDY)
        self._control.timer.allow(self._terms.patience.file_s)
        try:
            yield from self._retrieve(path, offset)
        except BaseException as error:
            if not (isinstance(error, _RefusedError) and error.reply.code == _MISSING):
                self._control.close()  # it would be out of step
            _explain(error, place)

    def count_for(self, count: Callable[[int], None]) -> None:
        """Counts the round trips from here on for somebody else."""
        self._control.count = count

    def close(self) -> None:
        """Says goodbye without waiting for an answer."""
        with contextlib.suppress(OSError, EOFError):
            self._control.send("QUIT")
        self._control.close()

    def __enter__(self) -> "FtpesSession":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _log_in(self, account: Account, foreseen: Sequence[str]) -> None:
        """Logs in and asks for everything up to the first passive port in one flight."""
        login = (f"USER {account.username}", f"PASS {account.password}")
        sizes = (f"SIZE {path}" for path in foreseen)  # RFC 3659 section 4
        self._control.send(*login, *_PROTECT, *sizes, self._ports.ask())
        user, password = self._control.reply(), self._control.reply()
        if not (user.good or user.wants_more):
            raise _RefusedError(user)
        if not (password.good or (user.good and password.code in _SUPERFLUOUS)):
            raise _RefusedError(password)
        for _ in _PROTECT:
            self._control.require_good()
        for path in foreseen:
            if self._control.reply().code == _MISSING:
                self._missing.add(path)
        self._ports.learn()

    def _retrieve(self, path: str, offset: int) -> Iterator[bytes]:
        """Yields one file through a protected data connection."""
        port = self._ports.take()
        commands = (f"REST {offset}", f"RETR {path}") if offset else (f"RETR {path}",)
        data = self._terms.start_connection(self.server, port)
        with contextlib.closing(_Transfer(self._control, data, offset)) as transfer:
            self._control.send(*commands)
            yield from transfer.content(self._terms.patience)
            transfer.hang_up()
            self._control.send(self._ports.ask())
            transfer.finish()


class _RefusedError(Exception):
    """The server answers a command with anything but what it was asked for."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(f"the server says {reply}")
        self.reply = reply


class _Control:
    """The control connection: commands out in flights, replies in, bounded in size and time."""

    def __init__(self, server: Server, terms: Terms, count: Callable[[int], None]) -> None:
        self.count = count
        self.timer = terms.timer()
        self._server = server
        self._terms = terms
        self._replies = Replies()
        self._connection: socket.socket | None = None

    @property
    def connection(self) -> socket.socket:
        """The socket, for waiting."""
        if self._connection is None:
            raise EOFError("the session is closed")
        return self._connection

    def open(self) -> None:
        """Connects to the address and secures the connection for the name."""
        self.timer.allow(self._terms.patience.login_s)
        self._connection = self._terms.connect(self._server, self._server.ftpes_port)
        self._connection.setblocking(False)
        self.require_good()
        self.send("AUTH TLS")
        self.require_good()
        self.count(3)  # the TCP handshake, the greeting and AUTH
        if self._replies.pending:
            raise MalformedError("the server sends plaintext after AUTH TLS: somebody injects it")
        self._secure(self._connection)

    def wrap(self, connection: socket.socket) -> ssl.SSLSocket:
        """Returns a data connection that is about to resume this connection's session."""
        control = self.connection
        session = control.session if isinstance(control, ssl.SSLSocket) else None
        return self._wrap(connection, session)

    def send(self, *commands: str) -> None:
        """Sends commands in one flight."""
        flight = "".join(f"{command}\r\n" for command in commands)
        self.connection.sendall(flight.encode())

    def reply(self) -> Reply:
        """Returns the next reply."""
        while (reply := self.heard()) is None:
            self.timer.check()
            if not wait({self.connection: select.POLLIN}, self._terms.patience.silence_s):
                raise TimeoutError("the server does not answer")
        return reply

    def heard(self) -> Reply | None:
        """Returns the next reply if it is here already."""
        while (reply := self._replies.take()) is None:
            if not self._receive():
                return None
        if reply.code == _CLOSING:
            raise _RefusedError(reply)
        return reply

    def require_good(self) -> None:
        """Takes a reply that has to be 2xx."""
        reply = self.reply()
        if not reply.good:
            raise _RefusedError(reply)

    def close(self) -> None:
        """Closes the connection; it may be closed already."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _receive(self) -> bool:
        """Takes what has come; says whether anything has."""
        try:
            data = self.connection.recv(_RECEIVE_BYTES)
        except (BlockingIOError, ssl.SSLWantReadError):
            return False
        if not data:
            raise EOFError("the server closes the connection")
        self._replies.feed(data)
        return True

    def _secure(self, plain: socket.socket) -> None:
        plain.settimeout(self._terms.patience.silence_s)
        self._connection = secure = self._wrap(plain, None)
        secure.do_handshake()
        secure.setblocking(False)
        self.count(handshake_round_trips(secure) + 1)  # and the flight of the login

    def _wrap(self, connection: socket.socket, session: ssl.SSLSession | None) -> ssl.SSLSocket:
        return self._terms.context.wrap_socket(
            connection,
            server_hostname=self._server.name,
            session=session,
            do_handshake_on_connect=False,
        )


class _PassivePorts:
    """Where the next data connection goes; asked for ahead of time."""

    def __init__(self, control: _Control) -> None:
        self._control = control
        self._command = "EPSV"
        self._asked = False
        self._port: int | None = None

    def ask(self) -> str:
        """Returns the command that asks for a port; ``learn`` takes its reply."""
        self._asked = True
        return self._command

    def learn(self) -> None:
        """Takes the reply to ``ask``; a server without EPSV (RFC 2428) is asked again with PASV."""
        self._asked = False
        reply = self._control.reply()
        if self._command == "EPSV" and reply.code in _UNKNOWN_COMMAND:
            self._command = "PASV"
            self._control.send(self._command)
            self._control.count(1)
            reply = self._control.reply()
        if not reply.good:
            raise _RefusedError(reply)
        extended = self._command == "EPSV"
        self._port = reply.extended_port() if extended else reply.passive_port()

    def take(self) -> int:
        """Returns a port that nothing has used yet."""
        if self._port is None:
            if not self._asked:
                self._control.send(self.ask())
            self.learn()
            self._control.count(1)
        port, self._port = self._port or 0, None
        return port


class _Transfer:
    """One file on its way: its data connection, and what the control connection says of it."""

    def __init__(self, control: _Control, data: socket.socket, offset: int) -> None:
        self._control = control
        self._data = data
        self._offset = offset
        self._restart_due = offset > 0
        self._skipped = 0
        self._started = self._finished = False

    def content(self, patience: Patience) -> Iterator[bytes]:
        """Yields the file from the offset on."""
        self._wait_for_start(patience)
        self._data.settimeout(patience.silence_s)
        self._data = secure = self._control.wrap(self._data)
        secure.do_handshake()
        self._control.count(handshake_round_trips(secure) + 2)  # TCP beside RETR, the first byte
        yield from without_start(self._control.timer.chunks(secure.recv), self._skipped)

    def hang_up(self) -> None:
        """Ends the data connection; some servers insist on a proper TLS farewell."""
        if isinstance(self._data, ssl.SSLSocket):
            with contextlib.suppress(OSError, ValueError):
                self._data.unwrap()
        self.close()

    def finish(self) -> None:
        """Waits until the server says that the file is whole."""
        while not self._finished:
            self._hear(self._control.reply())

    def close(self) -> None:
        """Closes the data connection; it may be closed already."""
        self._data.close()

    def _wait_for_start(self, patience: Patience) -> None:
        """Waits for the data connection, and for the server's word that the file comes.

        The word (125 or 150, RFC 959 section 5.4) is on its way while TCP connects.
        """
        try:
            self._wait_for_connection(patience.connect_s)
        except ConnectionError:
            wait({self._control.connection: select.POLLIN}, patience.connect_s)
            self._hear_all()  # it may say why
            raise
        while not self._started:
            self._hear(self._control.reply())

    def _wait_for_connection(self, seconds: float) -> None:
        events = {self._data: select.POLLOUT, self._control.connection: select.POLLIN}
        ready: frozenset[socket.socket] = frozenset()
        while self._data not in ready:
            self._control.timer.check()
            self._hear_all()
            ready = wait(events, seconds)
            if not ready:
                raise TimeoutError("the server does not answer on its passive port")
        connected(self._data)

    def _hear_all(self) -> None:
        while (reply := self._control.heard()) is not None:
            self._hear(reply)

    def _hear(self, reply: Reply) -> None:
        """Takes what the server says, in the only order that there is: REST, 1xx, 2xx."""
        if self._restart_due:
            self._restart_due = False
            self._skipped = 0 if reply.wants_more else self._offset
        elif reply.preliminary and not self._started:
            self._started = True
        elif reply.code in _TRANSFERRED and self._started and not self._finished:
            self._finished = True
        else:
            raise _RefusedError(reply)


def _explain(error: BaseException, place: Place) -> NoReturn:
    """Raises what a person can act on."""
    if not isinstance(error, _RefusedError):
        place.explain(error)
    kind, remedy = _REFUSALS.get(error.reply.code, (TransportError, ""))
    raise place.error(kind, str(error), remedy) from error
