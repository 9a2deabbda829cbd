"""Fetches files over HTTPS: the same tree as over FTPES, on one connection that stays open.

What is foreseen shares a flight: its requests are sent together and answered in order
(pipelining, RFC 9112 section 9.3.2).  Redirects, compressed content and bodies without an end
are refused: none of them belongs into a tree of files.
"""

import re
import ssl
from base64 import b64encode
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final, NoReturn

from ..errors import AccountRefusedError, NoSuchFileError, TransportError
from ..wire.errors import MalformedError, WireError
from ..wire.http import (
    MAX_CHUNK_LINE_BYTES,
    MAX_FIELDS,
    MAX_HEAD_BYTES,
    Head,
    Request,
    parse_chunk_size,
)
from .tls import handshake_round_trips
from .transport import (
    PUBLISH_REMEDY,
    Account,
    Place,
    Server,
    Terms,
    Timer,
    acceptable,
    without_start,
)

_REMEDY = "check that the TSS runs and that TCP 443 is open to it"
_REDIRECT_REMEDY = "serve the tree at the TSS itself: a unit follows no redirection"
_BUSY_REMEDY = "give the TSS room for more units"

_OK: Final = 200
_PARTIAL: Final = 206
_MAX_INTERIM: Final = 8
_MAX_SKIPPED_BYTES: Final = 65_536
_TOO_LONG: Final = f"a refusal is longer than {_MAX_SKIPPED_BYTES} bytes"
_RECEIVE_BYTES: Final = 16_384
_HEAD_END: Final = re.compile(rb"\n\r?\n")
_LINE_END: Final = re.compile(rb"\n")
_REFUSALS: Final[Mapping[int, tuple[type[TransportError], str]]] = {
    401: (AccountRefusedError, AccountRefusedError.usual_remedy),
    403: (NoSuchFileError, PUBLISH_REMEDY),
    404: (NoSuchFileError, PUBLISH_REMEDY),
    410: (NoSuchFileError, PUBLISH_REMEDY),
    429: (TransportError, _BUSY_REMEDY),
    503: (TransportError, _BUSY_REMEDY),
}


class HttpsSession:
    """One connection to one server; blocking, so use it from a worker thread."""

    def __init__(
        self, server: Server, account: Account, terms: Terms, count: Callable[[int], None]
    ) -> None:
        """Prepares a session; ``open`` returns one that is connected."""
        self.server = server
        self._terms = terms
        self._count = count
        self._fields = {"Authorization": _basic(account), "Accept-Encoding": "identity"}
        self._line: _Line | None = None
        self._foreseen: tuple[str, ...] = ()
        self._asked: deque[str] = deque()

    @classmethod
    def open(
        cls,
        server: Server,
        account: Account,
        terms: Terms,
        *,
        count: Callable[[int], None],
        foreseen: Sequence[str] = (),
    ) -> "HttpsSession":
        """Connects and verifies the server; the account is shown with the first request.

        Args:
            server: Where.
            account: Who.
            terms: How, and how long it may take.
            count: Is told the round trips.
            foreseen: What will be fetched first, in order: it is asked for in one flight. What
                comes in another order costs round trips, nothing else.

        Raises:
            UntrustedServerError: The certificate does not verify for the server's name.
            TransportError: The server is silent, or speaks no TLS.
        """
        session = cls(server, account, terms, count)
        session._foreseen = tuple(acceptable(path) for path in foreseen)
        try:
            session._connect()
        except BaseException as error:
            Place("HTTPS", server, remedy=_REMEDY).explain(error)
        return session

    def fetch(self, path: str, *, offset: int = 0) -> Iterator[bytes]:
        """Yields the content of a file in chunks, from ``offset`` on; the caller bounds their sum.

        Raises:
            NoSuchFileError: The server does not have it (404).
            AccountRefusedError: The server does not know the account (401).
            TransportError: The path is not acceptable, or the connection failed.
        """
        place = Place("HTTPS", self.server, acceptable(path), _REMEDY)
        try:
            head = self._answer(path, offset)
            yield from self._content(head, offset, place)
        except NoSuchFileError:
            raise
        except BaseException as error:
            self._drop()  # it would be out of step
            place.explain(error)

    def count_for(self, count: Callable[[int], None]) -> None:
        """Counts the round trips from here on for somebody else."""
        self._count = count

    def close(self) -> None:
        """Closes the connection."""
        self._drop()

    def __enter__(self) -> "HttpsSession":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _answer(self, path: str, offset: int) -> Head:
        """Returns the head of an answer; a connection that was idle for too long is made anew."""
        used = self._line is not None and self._line.used
        try:
            return self._exchange(path, offset)
        except (ConnectionError, EOFError, ssl.SSLEOFError, ssl.SSLZeroReturnError):
            if not used:
                raise
            self._drop()
        return self._exchange(path, offset)

    def _exchange(self, path: str, offset: int) -> Head:
        """Returns the head of the answer to a request of now or of an earlier flight."""
        line = self._line or self._connect()
        line.timer.allow(self._terms.patience.file_s)
        if offset or not self._asked or self._asked[0] != path:
            line = self._without_asked(line)
            self._ask(line, path, offset)
        self._asked.popleft()
        return line.head()

    def _ask(self, line: "_Line", path: str, offset: int) -> None:
        """Sends the request for a path, and with it those for what comes after it."""
        flight: tuple[str, ...] = (path,)
        if not offset and path in self._foreseen:
            flight = self._foreseen[self._foreseen.index(path) :]
            self._foreseen = ()
        more = {"Range": f"bytes={offset}-"} if offset else {}
        fields = {**self._fields, **more}
        line.send(b"".join(bytes(Request(self.server.name, f"/{p}", fields)) for p in flight))
        self._count(1)
        self._asked.extend(flight)

    def _without_asked(self, line: "_Line") -> "_Line":
        """Returns a connection on which nothing is on its way any more."""
        while self._asked and self._line is line:
            self._asked.popleft()
            self._skip(line, line.head())
        return self._line or self._connect()

    def _content(self, head: Head, offset: int, place: Place) -> Iterator[bytes]:
        """Yields the body of a good answer.

        Raises:
            TransportError: It is none.
        """
        line = self._line
        if line is None:
            raise EOFError("the session is closed")
        if head.status not in (_OK, _PARTIAL):
            self._skip(line, head)
            _refuse(head, place)
        _check(head, offset)
        skipped = offset if head.status == _OK else 0
        yield from without_start(line.body(head), skipped)
        self._leave(line, head)

    def _skip(self, line: "_Line", head: Head) -> None:
        """Throws the body of an answer away, or the connection when that costs less."""
        try:
            line.skip(head)
        except (OSError, EOFError, WireError):
            self._drop()
        else:
            self._leave(line, head)

    def _leave(self, line: "_Line", head: Head) -> None:
        """Ends one answer; what a closing server has not answered is asked for again."""
        line.used = True
        if not head.stays:
            self._drop()

    def _connect(self) -> "_Line":
        terms = self._terms
        plain = terms.connect(self.server, self.server.https_port)
        try:
            secure = terms.context.wrap_socket(plain, server_hostname=self.server.name)
        except BaseException:
            plain.close()
            raise
        self._count(1 + handshake_round_trips(secure))
        self._line = _Line(secure, terms.timer())
        return self._line

    def _drop(self) -> None:
        self._asked.clear()
        if self._line is not None:
            self._line.close()
            self._line = None


class _Line:
    """A connection as a stream of answers, bounded in size and time.

    Attributes:
        timer: When the server's time is up.
        used: Whether it has brought an answer.
    """

    def __init__(self, connection: ssl.SSLSocket, timer: Timer) -> None:
        self.timer = timer
        self.used = False
        self._connection = connection
        self._bytes = bytearray()

    def send(self, data: bytes) -> None:
        """Sends requests."""
        self._connection.sendall(data)

    def head(self) -> Head:
        """Returns the head of the next final answer (RFC 9110 section 15.2)."""
        for _ in range(_MAX_INTERIM):
            head = Head.parse(self._until(_HEAD_END, MAX_HEAD_BYTES))
            if head.status >= _OK:
                return head
        raise MalformedError(f"more than {_MAX_INTERIM} interim answers")

    def body(self, head: Head) -> Iterator[bytes]:
        """Yields the body that belongs to a head; it has to have an end of its own."""
        if head.chunked:
            yield from self._chunked()
        elif head.length is None:
            raise MalformedError("the answer does not say how long it is")
        else:
            yield from self._exactly(head.length)

    def skip(self, head: Head) -> None:
        """Throws the body that belongs to a head away, unless that takes long."""
        if (head.length or 0) > _MAX_SKIPPED_BYTES:
            raise MalformedError(_TOO_LONG)
        left = _MAX_SKIPPED_BYTES
        for chunk in self.body(head):
            left -= len(chunk)
            if left < 0:
                raise MalformedError(_TOO_LONG)

    def close(self) -> None:
        """Closes the connection without waiting."""
        self._connection.close()

    def _chunked(self) -> Iterator[bytes]:
        while size := parse_chunk_size(self._until(_LINE_END, MAX_CHUNK_LINE_BYTES)):
            yield from self._exactly(size)
            if self._until(_LINE_END, 2).strip():
                raise MalformedError("a chunk is longer than it says")
        for _ in range(MAX_FIELDS):
            if not self._until(_LINE_END, MAX_HEAD_BYTES).strip():
                return
        raise MalformedError(f"more than {MAX_FIELDS} trailer fields")

    def _exactly(self, size: int) -> Iterator[bytes]:
        for chunk in self.timer.chunks(self._receive, size):
            size -= len(chunk)
            yield chunk
        if size:
            raise EOFError(f"the connection ends {size} bytes before the file does")

    def _until(self, end: re.Pattern[bytes], most: int) -> bytes:
        """Returns everything up to an end, and the end."""
        while (found := end.search(self._bytes)) is None:
            if len(self._bytes) > most:
                raise MalformedError(f"more than {most} bytes without an end")
            self.timer.check()
            data = self._connection.recv(_RECEIVE_BYTES)
            if not data:
                raise EOFError("the server closes the connection")
            self._bytes += data
        taken = bytes(self._bytes[: found.end()])
        del self._bytes[: found.end()]
        return taken

    def _receive(self, size: int) -> bytes:
        if not self._bytes:
            return self._connection.recv(size)
        taken = bytes(self._bytes[:size])
        del self._bytes[:size]
        return taken


def _check(head: Head, offset: int) -> None:
    """Refuses an answer that is not the rest of the file as it is.

    Raises:
        MalformedError: It is compressed, or other bytes than those that were asked for.
    """
    coding = head.fields.get("content-encoding", "identity").lower()
    if coding != "identity":
        raise MalformedError(f"content coding {coding[:40]!r} was not asked for")
    if head.status == _PARTIAL:
        part = head.content_range
        whole = part.total is None or part.last + 1 == part.total
        sized = head.length in (None, part.last + 1 - part.first)
        if not offset or part.first != offset or not whole or not sized:
            raise MalformedError(f"bytes from {offset} on were asked for, not {part}")


def _refuse(head: Head, place: Place) -> NoReturn:
    if 300 <= head.status < 400:
        where = head.fields.get("location", "nowhere")[:100]
        raise place.error(TransportError, f"the server redirects to {where!r}", _REDIRECT_REMEDY)
    kind, remedy = _REFUSALS.get(head.status, (TransportError, ""))
    raise place.error(kind, f"the server says {head.status}", remedy)


def _basic(account: Account) -> str:
    """Returns the account for HTTP (RFC 7617), where a colon would end the user name."""
    words = f"{account.username.replace(':', '-')}:{account.password}"
    return f"Basic {b64encode(words.encode()).decode()}"
