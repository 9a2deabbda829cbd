"""Logs a person in at the directory: an LDAP bind over verified TLS, never failing open.

A login waits for three round trips: TCP, TLS 1.3, bind.  The name of the person is read over the
same connection while the profile is on its way.

Two rounds are made over the servers.  The first is hasty, so that a dead one costs little: the
connection of a balancer whose server has just died is opened anew in the second, which is
patient.  A server that says yes or no is never asked again, and nothing but a yes lets anybody in.
"""

import asyncio
import contextlib
import logging
import secrets
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Final
from urllib.parse import urlsplit

from ..errors import (
    BadCredentialsError,
    DirectoryError,
    DirectoryUnreachableError,
    DirectoryUntrustedError,
)
from ..fetch.tls import handshake_round_trips, why
from ..wire.errors import WireError
from ..wire.ldap import (
    MAX_MESSAGE_ID,
    NOTICE_OF_DISCONNECTION,
    SUCCESS,
    BindRequest,
    BindResponse,
    Entry,
    ExtendedResponse,
    ReadRequest,
    Response,
    SearchDone,
    UnbindRequest,
    content_length,
    escape_dn_value,
    length_octets,
    parse_response,
)

logger = logging.getLogger(__name__)

LDAPS_PORT: Final = 636
MAX_CREDENTIAL: Final = 256
MAX_NAME: Final = 256
MAX_SERVERS: Final = 8
USER: Final = "{user}"

_MAX_ANSWERS = 8  # to the one search: an entry, references, the end
_SERVER_TROUBLE = frozenset({51, 52, 80})  # busy, unavailable, other (RFC 4511 appendix A)
_REMEDY = "check application.directory.servers and that TCP 636 is open to them"
_DN_REMEDY = "write application.directory.user.dn with {user} where the user's name goes"
_TRUST_REMEDY = "check the directory's certificate: factory CA, its name, not expired"


@dataclass(frozen=True, slots=True)
class DirectoryServer:
    """One LDAPS server: the name that its certificate must carry, and where it was found."""

    name: str
    address: IPv4Address
    port: int = LDAPS_PORT


@dataclass(frozen=True, slots=True)
class Person:
    """Who was logged in.

    Attributes:
        user: What the person typed.
        name: How the directory calls the person.
    """

    user: str
    name: str


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a server may take.

    Attributes:
        connect_s: For TCP to open.
        answer_s: For the TLS handshake, and for each whole answer.
    """

    connect_s: float
    answer_s: float


ROUNDS: Final = (Patience(connect_s=0.7, answer_s=1.5), Patience(connect_s=2.0, answer_s=6.0))
"""One after the other over all servers that have not decided."""

LOGIN_S: Final = 20.0
"""For all servers together."""


def host_and_port(url: str) -> tuple[str, int]:
    """Returns name and port of an ``ldaps://`` URL.

    Raises:
        DirectoryError: Another scheme, or no name.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port or LDAPS_PORT
    except ValueError as error:
        raise DirectoryError(f"{url!r} is not a URL", _REMEDY) from error
    if parts.scheme != "ldaps" or not host:
        raise DirectoryError(f"{url!r} is not ldaps://name:port", _REMEDY)
    return host, port


class Directory:
    """Binds at the first server that decides."""

    def __init__(
        self,
        context: ssl.SSLContext,
        *,
        dn_template: str,
        count: Callable[[int], None],
        rounds: Sequence[Patience] = ROUNDS,
        login_s: float = LOGIN_S,
    ) -> None:
        """Sets up without connecting.

        Args:
            context: Verifies certificate and name.
            dn_template: Has ``{user}`` where the escaped user name goes.
            count: Told of every answer that the login had to wait for.
            rounds: How patient each round over the servers is.
            login_s: For all rounds together.

        Raises:
            DirectoryError: The template has no place for the user: everybody would be one.
        """
        if USER not in dn_template:
            raise DirectoryError(f"{dn_template!r} has no {USER}", _DN_REMEDY)
        self._context = context
        self._dn_template = dn_template
        self._count = count
        self._rounds = tuple(rounds)
        self._login_s = login_s

    @contextlib.asynccontextmanager
    async def login(
        self, servers: Sequence[DirectoryServer], user: str, password: str
    ) -> AsyncIterator["Admission"]:
        """Lets in the person whose user name and password the directory accepts.

        The first server that accepts or refuses decides.  Referrals are refusals.

        Raises:
            BadCredentialsError: A server refused, or user or password is empty.
            DirectoryUntrustedError: No server decided, and one had a wrong certificate.
            DirectoryUnreachableError: No server decided.
        """
        check_credentials(user, password)
        dn = self._dn_template.replace(USER, escape_dn_value(user))
        try:
            async with asyncio.timeout(self._login_s):
                connection = await self._ask(servers[:MAX_SERVERS], dn, password)
        except TimeoutError as error:
            raise DirectoryUnreachableError("the directories take too long", _REMEDY) from error
        try:
            yield Admission(connection, dn)
        finally:
            connection.close()

    async def _ask(
        self, servers: Sequence[DirectoryServer], dn: str, password: str
    ) -> "_Connection":
        """Returns the connection on which a server said yes."""
        failures: list[DirectoryError] = []
        undecided = list(servers)
        for patience in self._rounds:
            for server in tuple(undecided):
                try:
                    return await self._bind(server, patience, dn, password)
                except DirectoryUntrustedError as error:
                    undecided.remove(server)
                    failures.append(error)
                except DirectoryUnreachableError as error:
                    failures.append(error)
                logger.warning("%s", failures[-1])
        raise _worst(failures)

    async def _bind(
        self, server: DirectoryServer, patience: Patience, dn: str, password: str
    ) -> "_Connection":
        """Returns a connection that is bound.

        Raises:
            BadCredentialsError: The server refused.
            DirectoryUntrustedError: Its certificate is wrong.
            DirectoryUnreachableError: It did not decide.
        """
        try:
            connection = await _Connection.open(server, self._context, patience, self._count)
            try:
                answer = await connection.bind(dn, password)
                self._count(1)
                _check_bound(server, answer)
            except BaseException:
                connection.close()
                raise
        except (OSError, EOFError, WireError) as error:
            raise _translate(server, error) from error
        return connection


class Admission:
    """Somebody whom the directory has let in, while the connection is still open."""

    def __init__(self, connection: "_Connection", dn: str) -> None:
        self._connection = connection
        self._dn = dn

    async def name(self) -> str:
        """Returns the person's common name; empty when the directory does not show it."""
        try:
            name = await self._connection.read(self._dn, "cn")
        except (OSError, EOFError, WireError) as error:
            logger.info("the directory does not show the name: %s", _words(error))
            return ""
        return name if name.isprintable() and len(name) <= MAX_NAME else ""


class _Connection:
    """TLS to one server, verified.

    Message ids begin at random, so that nothing is an answer that was sent before the question.
    """

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, patience: Patience
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._patience = patience
        self._message_id = secrets.randbelow(MAX_MESSAGE_ID // 2)

    @classmethod
    async def open(
        cls,
        server: DirectoryServer,
        context: ssl.SSLContext,
        patience: Patience,
        count: Callable[[int], None],
    ) -> "_Connection":
        """Connects and checks who answers.

        Raises:
            OSError: Nobody does, or it is somebody else.
        """
        plain = await _connect(server, patience.connect_s)
        count(1)
        try:
            reader, writer = await asyncio.open_connection(
                sock=plain,
                ssl=context,
                server_hostname=server.name,
                ssl_handshake_timeout=patience.answer_s,
            )
        except BaseException:
            plain.close()
            raise
        count(handshake_round_trips(writer.get_extra_info("ssl_object")))
        return cls(reader, writer, patience)

    async def bind(self, dn: str, password: str) -> Response:
        """Returns the first answer to a simple bind.

        Raises:
            OSError, EOFError: The connection is lost, or no whole answer comes in time.
            WireError: The answer is none.
        """
        self._writer.write(bytes(BindRequest(self._next_id(), dn, password)))
        return await self._answer()

    async def read(self, dn: str, attribute: str) -> str:
        """Returns the first value of an attribute of an entry; raises as `bind` does."""
        self._writer.write(bytes(ReadRequest(self._next_id(), dn, (attribute,))))
        found = ""
        for _ in range(_MAX_ANSWERS):
            answer = await self._answer()
            if isinstance(answer, SearchDone):
                return found
            if isinstance(answer, Entry):
                found = found or answer.first(attribute)
        raise WireError(f"more than {_MAX_ANSWERS} answers to one question")

    def close(self) -> None:
        """Says goodbye and does not wait for what the server makes of it."""
        with contextlib.suppress(OSError):
            self._writer.write(bytes(UnbindRequest(self._next_id())))
        self._writer.transport.abort()

    def _next_id(self) -> int:
        self._message_id += 1
        return self._message_id

    async def _answer(self) -> Response:
        """Receives one message, which has to belong to the last request (RFC 4511 §4.1.1.1)."""
        async with asyncio.timeout(self._patience.answer_s):
            response = parse_response(await self._receive())
        if isinstance(response, ExtendedResponse) and response.name == NOTICE_OF_DISCONNECTION:
            raise WireError(f"it hangs up with result {response.result.code}")
        if response.message_id != self._message_id:
            raise WireError(f"message {response.message_id} answers nothing that was asked")
        return response

    async def _receive(self) -> bytes:
        head = await self._reader.readexactly(2)
        head += await self._reader.readexactly(length_octets(head))
        return head + await self._reader.readexactly(content_length(head))


async def _connect(server: DirectoryServer, timeout_s: float) -> socket.socket:
    """Returns a connected socket that sends at once.

    The bind follows the end of the handshake.  With Nagle's algorithm it would wait for an
    acknowledgement of that, which the server's kernel puts off for 40 ms.

    Raises:
        OSError: Nobody answers in time.
    """
    plain = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    plain.setblocking(False)
    plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        async with asyncio.timeout(timeout_s):
            address = (str(server.address), server.port)
            await asyncio.get_running_loop().sock_connect(plain, address)
    except BaseException:
        plain.close()
        raise
    return plain


def check_credentials(user: str, password: str) -> None:
    """Refuses what must not reach a directory: an empty password binds anonymously.

    Raises:
        BadCredentialsError: One is empty, too long, or no text.
    """
    if not user.strip() or not password:
        raise BadCredentialsError("user and password must not be empty", "type both")
    if max(len(user), len(password)) > MAX_CREDENTIAL or not user.isprintable():
        raise BadCredentialsError("user or password is not acceptable", "type them again")
    try:
        password.encode()
    except UnicodeEncodeError:
        raise BadCredentialsError("the password is no text", "type it again") from None


def _check_bound(server: DirectoryServer, answer: Response) -> None:
    """Goes on only after a success that answers the bind."""
    if not isinstance(answer, BindResponse):
        raise WireError(f"{type(answer).__name__} does not answer a bind")
    code = answer.result.code
    if code in _SERVER_TROUBLE:
        raise DirectoryUnreachableError(f"directory {server.name}: result {code}", _REMEDY)
    if code != SUCCESS:
        logger.info("directory %s refused a login with result %d", server.name, code)
        raise BadCredentialsError("user or password is wrong", "type them again")


def _translate(server: DirectoryServer, error: Exception) -> DirectoryError:
    if isinstance(error, ssl.SSLCertVerificationError):
        return DirectoryUntrustedError(f"directory {server.name}: {why(error)}", _TRUST_REMEDY)
    return DirectoryUnreachableError(f"directory {server.name}: {_words(error)}", _REMEDY)


def _words(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        return why(error)
    if isinstance(error, EOFError):
        return "it hung up"
    return str(error) or "no answer in time"


def _worst(failures: Sequence[DirectoryError]) -> DirectoryError:
    """Returns the failure to show: a wrong certificate says more than silence."""
    for failure in failures:
        if isinstance(failure, DirectoryUntrustedError):
            return failure
    return failures[0] if failures else DirectoryUnreachableError("no directory is known", _REMEDY)
