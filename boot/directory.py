"""Logs a person in at the directory: an LDAP bind over verified TLS, never failing open.

ldap3 verifies nothing unless it is told to, so its TLS is replaced by the boot's own.
"""

import logging
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Final
from urllib.parse import urlsplit

import ldap3
from ldap3.core.exceptions import LDAPException
from ldap3.utils.dn import escape_rdn

from .errors import (
    BadCredentialsError,
    DirectoryError,
    DirectoryUnreachableError,
    DirectoryUntrustedError,
)
from .tls import handshake_round_trips, why

logger = logging.getLogger(__name__)

LDAPS_PORT: Final = 636
MAX_CREDENTIAL: Final = 256

_SUCCESS = 0
_LDAP3_RAISES = (LDAPException, OSError, LookupError, TypeError, ValueError, AttributeError)
"""The last four come from its decoder when a server sends garbage."""

_SERVER_TROUBLE = frozenset({51, 52, 80})  # busy, unavailable, other (RFC 4511 appendix A)
_REMEDY = "check application.directory.servers and that TCP 636 is open to them"
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
    """Binds at the first server that answers; blocking, so use it from a worker thread."""

    def __init__(
        self,
        context: ssl.SSLContext,
        *,
        dn_template: str,
        count: Callable[[int], None],
        timeout_s: int = 3,
    ) -> None:
        """Sets up without connecting.

        Args:
            context: Verifies certificate and name.
            dn_template: Has ``{user}`` where the escaped user name goes.
            count: Told of every answered request.
            timeout_s: For a connection, and for each answer.
        """
        self._context = context
        self._dn_template = dn_template
        self._count = count
        self._timeout_s = timeout_s

    def login(self, servers: Sequence[DirectoryServer], user: str, password: str) -> Person:
        """Returns the person whose user name and password the directory accepts.

        The first server that accepts or refuses decides; one that cannot be reached or
        trusted is passed over.

        Raises:
            BadCredentialsError: A server refused, or user or password is empty.
            DirectoryUntrustedError: No server decided, and one had a wrong certificate.
            DirectoryUnreachableError: No server decided.
        """
        _check_credentials(user, password)
        dn = self._dn_template.replace("{user}", escape_rdn(user))
        failures: list[DirectoryError] = []
        for server in servers:
            try:
                return Person(user, self._bind(server, dn, password) or user)
            except (DirectoryUnreachableError, DirectoryUntrustedError) as error:
                logger.warning("%s", error)
                failures.append(error)
        raise _worst(failures)

    def _bind(self, server: DirectoryServer, dn: str, password: str) -> str:
        """Binds at one server and returns the person's name as it knows it."""
        tls = _VerifiedTls(self._context, server.name, self._count)
        connection = self._connection(server, tls, dn, password)
        try:
            connection.open()
            self._count(1)
            bound = connection.bind()
            _check_result(server, bound=bool(bound), code=int(connection.result["result"]))
            return self._name(connection, dn)
        except _LDAP3_RAISES as error:
            raise _translate(server, tls, error) from error
        finally:
            connection.strategy.close()
            if connection.socket is not None:
                connection.socket.close()  # ldap3 leaves one that never got connected

    def _connection(
        self, server: DirectoryServer, tls: "_VerifiedTls", dn: str, password: str
    ) -> ldap3.Connection:
        target = ldap3.Server(
            str(server.address),
            port=server.port,
            use_ssl=True,
            get_info=ldap3.NONE,
            tls=tls,
            connect_timeout=self._timeout_s,
            mode=ldap3.IP_V4_ONLY,
        )
        return ldap3.Connection(
            target,
            user=dn,
            password=password,
            authentication=ldap3.SIMPLE,
            auto_referrals=False,
            read_only=True,
            check_names=False,
            receive_timeout=self._timeout_s,
        )

    def _name(self, connection: ldap3.Connection, dn: str) -> str:
        """Reads the person's common name; a directory that hides it has its reasons."""
        try:
            connection.search(dn, "(objectClass=*)", ldap3.BASE, attributes=["cn"])
        except LDAPException as error:
            logger.info("the directory does not show the name: %s", type(error).__name__)
            return ""
        self._count(1)
        entries = connection.response or []
        names = [value for e in entries for value in e.get("attributes", {}).get("cn", [])]
        return str(names[0]) if names else ""


class _VerifiedTls(ldap3.Tls):
    """ldap3's hook for TLS, done with the boot's own context and the server's name."""

    def __init__(self, context: ssl.SSLContext, name: str, count: Callable[[int], None]) -> None:
        super().__init__(validate=ssl.CERT_REQUIRED)
        self._context = context
        self._name = name
        self._count = count
        self.failure: ssl.SSLError | None = None

    def wrap_socket(self, connection: ldap3.Connection, do_handshake: bool = False) -> None:
        """Secures the connection's socket; the handshake is always done."""
        self._count(1)  # TCP
        try:
            secure = self._context.wrap_socket(connection.socket, server_hostname=self._name)
        except ssl.SSLError as error:
            self.failure = error
            raise
        self._count(handshake_round_trips(secure))
        connection.socket = secure


def _check_credentials(user: str, password: str) -> None:
    """Refuses what must not reach a directory: an empty password binds anonymously."""
    if not user.strip() or not password:
        raise BadCredentialsError("user and password must not be empty", "type both")
    if max(len(user), len(password)) > MAX_CREDENTIAL or not user.isprintable():
        raise BadCredentialsError("user or password is not acceptable", "type them again")


def _check_result(server: DirectoryServer, *, bound: bool, code: int) -> None:
    if code in _SERVER_TROUBLE:
        raise DirectoryUnreachableError(f"directory {server.name}: result {code}", _REMEDY)
    if not bound or code != _SUCCESS:
        logger.info("directory %s refused a login with result %d", server.name, code)
        raise BadCredentialsError("user or password is wrong", "type them again")


def _translate(server: DirectoryServer, tls: _VerifiedTls, error: Exception) -> DirectoryError:
    if isinstance(tls.failure, ssl.SSLCertVerificationError):
        return DirectoryUntrustedError(
            f"directory {server.name}: {why(tls.failure)}", _TRUST_REMEDY
        )
    words = why(tls.failure) if tls.failure else str(error)
    return DirectoryUnreachableError(f"directory {server.name}: {words}", _REMEDY)


def _worst(failures: Sequence[DirectoryError]) -> DirectoryError:
    """Returns the failure to show: a wrong certificate says more than silence."""
    for failure in failures:
        if isinstance(failure, DirectoryUntrustedError):
            return failure
    return failures[0] if failures else DirectoryUnreachableError("no directory is known", _REMEDY)
