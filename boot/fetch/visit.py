"""One TSS, by whichever of its transports leads to the files.

Documents (metadata, configuration, manifests, profiles) are many small files, each of which says
what the next one is: HTTPS asks for them in the fewest round trips.  The images that they lead to
come in the configured order.  A session that is open is used before another is opened, and what
one transport begins another one goes on with.
"""

import contextlib
import logging
import ssl
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final, Protocol

from ..errors import AccountRefusedError, NoSuchFileError, TransportError, UntrustedServerError
from .ftpes import FtpesSession
from .https import HttpsSession
from .transport import Account, Server, Session, Terms

logger = logging.getLogger(__name__)

FTPES: Final = "ftpes"
HTTPS: Final = "https"
DEFAULT_ORDER: Final = (FTPES, HTTPS)

_DOCUMENTS = (".json", ".yaml")
_HANGING_UP = (ssl.SSLError, EOFError, ConnectionResetError, BrokenPipeError)
_PROGRESS_BYTES = 1_048_576
"""A connection that brought so much before it broke is worth another one."""


class Opener(Protocol):
    """Opens a session, as ``FtpesSession.open`` does."""

    def __call__(
        self,
        server: Server,
        account: Account,
        terms: Terms,
        *,
        count: Callable[[int], None],
        foreseen: Sequence[str] = (),
    ) -> Session:
        """Returns a session that is logged in."""


OPENERS: Final[Mapping[str, Opener]] = {FTPES: FtpesSession.open, HTTPS: HttpsSession.open}


class Visit:
    """The files of one TSS; blocking, so use it from a worker thread, one at a time."""

    def __init__(
        self,
        server: Server,
        account: Account,
        terms: Terms,
        *,
        order: Sequence[str] = DEFAULT_ORDER,
        count: Callable[[int], None],
        trouble: Callable[[TransportError], None],
        openers: Mapping[str, Opener] = OPENERS,
    ) -> None:
        """Prepares a visit; nothing is opened yet.

        Args:
            server: Where.
            account: Who.
            terms: How every session is opened.
            order: The transports that may be used, the first one first.
            count: Is told the round trips that had to be waited for.
            trouble: Is told what went wrong with a transport although another one may do.
            openers: How each transport is opened.
        """
        self.server = server
        self.way = ""
        self._answered = False
        self._account = account
        self._terms = terms
        self._order = tuple(order)
        self._count = _Counter(count)
        self._trouble = trouble
        self._openers = openers
        self._foreseen: tuple[str, ...] = ()
        self._sessions: dict[str, Session] = {}
        self._opening: dict[str, _Opening] = {}
        self._failures: dict[str, TransportError] = {}

    @property
    def left(self) -> tuple[str, ...]:
        """The transports that neither failed nor brought the documents, in order."""
        return tuple(name for name in self._order if name not in {*self._failures, self.way})

    @property
    def hung_up_on(self) -> bool:
        """Whether the server was there and spoke TLS, but never answered a thing.

        Some servers do that to who shows a certificate that they do not accept: not all send,
        and not every network brings, the alert that says so.
        """
        causes = [failure.__cause__ for failure in self._failures.values()]
        return not self._answered and any(isinstance(cause, _HANGING_UP) for cause in causes)

    def open(self, foreseen: Sequence[str], *, prepare: bool) -> None:
        """Opens the transport that documents come over.

        Args:
            foreseen: What will be fetched first, in order.
            prepare: An image will be wanted as well: open its transport meanwhile.

        Raises:
            TransportError: No transport leads to the server.
        """
        self._foreseen = tuple(foreseen)
        documents, images = self._ordered(documents=True), self._order[0]
        if prepare and images != documents[0]:
            self._opening[images] = _Opening(self._open, images)
        for name in documents:
            try:
                self._session(name)
            except TransportError as error:
                self._lose(name, error)
            else:
                self.way = name
                return
        raise self._worst()

    def fetch(self, path: str, *, offset: int = 0) -> Iterator[bytes]:
        """Yields the content of a file in chunks, from ``offset`` on; the caller bounds their sum.

        Raises:
            NoSuchFileError: The server does not have it.
            TransportError: No transport brings it.
        """
        for name in self._ordered(documents=path.endswith(_DOCUMENTS)):
            goes_on = True
            while goes_on:
                begun = offset
                try:
                    for chunk in self._session(name).fetch(path, offset=offset):
                        offset += len(chunk)
                        self._answered = True
                        yield chunk
                except NoSuchFileError:
                    self._answered = True
                    raise
                except TransportError as error:
                    goes_on = offset - begun >= _PROGRESS_BYTES
                    self._lose(name, error, for_good=not goes_on)
                else:
                    return
        raise self._worst()

    def count_for(self, count: Callable[[int], None]) -> None:
        """Counts the round trips from here on for somebody else."""
        self._count.count = count

    def close(self) -> None:
        """Closes every session without waiting for an answer."""
        for opening in self._opening.values():
            opening.abandon()
        for session in self._sessions.values():
            session.close()
        self._opening.clear()
        self._sessions.clear()

    def __enter__(self) -> "Visit":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _ordered(self, *, documents: bool) -> list[str]:
        """Returns the transports for documents or images, the best one first."""
        ready = self._sessions.keys() | (set() if documents else self._opening.keys())
        able = (name for name in self._order if name not in self._failures)
        return sorted(able, key=lambda name: (name not in ready, documents and name != HTTPS))

    def _session(self, name: str) -> Session:
        if name not in self._sessions:
            opening = self._opening.pop(name, None)
            if opening is None:
                self._sessions[name] = self._open(name, self._count)
            else:
                self._sessions[name] = opening.join(self._count)
        return self._sessions[name]

    def _open(self, name: str, count: Callable[[int], None]) -> Session:
        opener, foreseen = self._openers[name], self._foreseen
        return opener(self.server, self._account, self._terms, count=count, foreseen=foreseen)

    def _lose(self, name: str, error: TransportError, *, for_good: bool = True) -> None:
        session = self._sessions.pop(name, None)
        if session is not None:
            session.close()
        if for_good:
            self._failures[name] = error
            self._trouble(error)
        else:
            logger.warning("%s; going on where it broke", error)

    def _worst(self) -> TransportError:
        """Returns the failure that says most."""
        failures = list(self._failures.values())
        for kind in (UntrustedServerError, AccountRefusedError, TransportError):
            for failure in failures:
                if isinstance(failure, kind):
                    return failure
        return TransportError("no transport is configured", option="application.boot.transports")


class _Counter:
    """Passes round trips on, and knows how many there were."""

    def __init__(self, count: Callable[[int], None]) -> None:
        self.count = count
        self.total = 0

    def __call__(self, round_trips: int) -> None:
        self.total += round_trips
        self.count(round_trips)


class _Opening:
    """A session that is opened while something else goes on."""

    def __init__(
        self, open_session: Callable[[str, Callable[[int], None]], Session], name: str
    ) -> None:
        self._trips = _Counter(lambda _: None)
        self._executor = ThreadPoolExecutor(1, f"open-{name}")
        self._future: Future[Session] = self._executor.submit(open_session, name, self._trips)
        self._executor.shutdown(wait=False)

    def join(self, count: _Counter) -> Session:
        """Returns the session, and counts what it took longer than what went on meanwhile.

        Raises:
            TransportError: It could not be opened.
        """
        session = self._future.result()
        count(max(0, self._trips.total - count.total))
        session.count_for(count)
        return session

    def abandon(self) -> None:
        """Closes the session as soon as it is open."""
        self._future.add_done_callback(_close_quietly)


def _close_quietly(future: Future[Session]) -> None:
    with contextlib.suppress(Exception):
        future.result().close()
