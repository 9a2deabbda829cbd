"""Asks a TSS for certificates: Enrolment over Secure Transport (RFC 7030), the three basic calls.

Each call is a connection of its own that the server closes, so time and memory are bounded
before anything of the answer is looked at.
"""

import base64
import http.client
import io
import socket
import ssl
from dataclasses import dataclass
from typing import Final, NoReturn

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import pkcs7
from cryptography.x509 import Certificate, InvalidVersion

from ...hal.clock import Clock
from ..errors import EnrolmentError, EnrolmentRefusedError, UntrustedServerError
from ..fetch.tls import why
from ..fetch.transport import Account, Server

PREFIX: Final = "/.well-known/est"
MAX_ANSWER_BYTES: Final = 65_536
_CHUNK = 16_384
_REASON_LENGTH = 200
_REMEDY = "check that the TSS runs, enrols by EST, and that TCP 443 is open to it"
_ACCOUNT_REMEDY = "add the unit at the TSS, or write its factory folder again"
_TRUST_REMEDY = "give the TSS a certificate of the factory's CA for its DNS name"
_CONTENT_REMEDY = "let the TSS answer as RFC 7030 says: PKCS#7, certs-only, in base64"


@dataclass(frozen=True, slots=True)
class EstTiming:
    """How long a server may take.

    Attributes:
        connect_s: For a connection to open.
        call_s: For a whole call.
    """

    connect_s: float = 3.0
    call_s: float = 20.0


class EstClient:
    """One EST server; blocking, so use it from a worker thread.

    Args:
        server: Where it is and what its certificate must say.
        context: Verifies it; shows the unit's certificate where there is one.
        clock: Measures its patience.
        timing: How long it may take.
    """

    def __init__(
        self,
        server: Server,
        context: ssl.SSLContext,
        clock: Clock,
        timing: EstTiming | None = None,
    ) -> None:
        self._server = server
        self._context = context
        self._clock = clock
        self._timing = timing or EstTiming()

    def authorities(self) -> list[Certificate]:
        """Returns the certificates of the CAs that enrol (section 4.1).

        Raises:
            EnrolmentError: The server does not say.
        """
        return self._certificates(self._head("GET", "cacerts"))

    def enrol(self, request: bytes, account: Account) -> list[Certificate]:
        """Returns what the server issues for a PKCS#10 request in DER (section 4.2.1).

        Raises:
            EnrolmentRefusedError: It does not know the account.
            EnrolmentError: It issues nothing, or not now.
        """
        user = f"{account.username.replace(':', '-')}:{account.password}"
        token = base64.b64encode(user.encode()).decode()
        return self._issue("simpleenroll", request, f"Authorization: Basic {token}\r\n")

    def renew(self, request: bytes) -> list[Certificate]:
        """Returns what the server issues to the holder of a certificate (section 4.2.2).

        Raises:
            EnrolmentRefusedError: It does not accept the certificate.
            EnrolmentError: It issues nothing, or not now.
        """
        return self._issue("simplereenroll", request, "")

    def _issue(self, call: str, request: bytes, fields: str) -> list[Certificate]:
        body = base64.encodebytes(request)
        fields += f"Content-Type: application/pkcs10\r\nContent-Length: {len(body)}\r\n"
        return self._certificates(self._head("POST", call, fields) + body)

    def _head(self, method: str, call: str, fields: str = "") -> bytes:
        lines = f"{method} {PREFIX}/{call} HTTP/1.1\r\nHost: {self._server.name}\r\n"
        return f"{lines}Connection: close\r\n{fields}\r\n".encode("ascii")

    def _certificates(self, request: bytes) -> list[Certificate]:
        try:
            return _parse(self._exchange(request))
        except EnrolmentError as error:
            raise error.at(server=str(self._server)) from error.__cause__
        except ssl.SSLCertVerificationError as error:
            raise UntrustedServerError(
                why(error), _TRUST_REMEDY, server=str(self._server)
            ) from error
        except (OSError, http.client.HTTPException) as error:
            words = why(error) if isinstance(error, ssl.SSLError) else _printable(str(error))
            raise EnrolmentError(
                f"no enrolment: {words or type(error).__name__}",
                _REMEDY,
                server=str(self._server),
            ) from error

    def _exchange(self, request: bytes) -> bytes:
        """Sends a request and returns all that comes until the server closes."""
        due = self._clock.monotonic() + self._timing.call_s
        address = (str(self._server.address), self._server.https_port)
        with (
            socket.create_connection(address, self._timing.connect_s) as plain,
            self._context.wrap_socket(plain, server_hostname=self._server.name) as connection,
        ):
            connection.sendall(request)
            answer = bytearray()
            while True:
                connection.settimeout(self._left(due))
                chunk = connection.recv(_CHUNK)
                if not chunk:
                    return bytes(answer)
                answer += chunk
                if len(answer) > MAX_ANSWER_BYTES:
                    raise EnrolmentError(
                        f"the answer is longer than {MAX_ANSWER_BYTES} bytes", _CONTENT_REMEDY
                    )

    def _left(self, due: float) -> float:
        left = due - self._clock.monotonic()
        if left <= 0:
            raise TimeoutError("the server takes too long")
        return left


class _Received:
    """What was received, in the form in which http.client wants to read it."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def makefile(self, _mode: str) -> io.BytesIO:
        return io.BytesIO(self._data)


def _parse(answer: bytes) -> list[Certificate]:
    """Returns the certificates in an answer.

    Raises:
        EnrolmentError: It holds none.
        http.client.HTTPException: It is not HTTP.
    """
    response = http.client.HTTPResponse(_Received(answer))  # type: ignore[arg-type]
    try:
        response.begin()
        body = response.read()
    except ValueError as error:
        raise http.client.BadStatusLine(str(error)) from error
    if response.status != http.client.OK:
        _refused(response.status, body)
    return parse_certificates(body)


def parse_certificates(body: bytes) -> list[Certificate]:
    """Returns the certificates in a certs-only PKCS#7 in base64 (section 4.2.3).

    Raises:
        EnrolmentError: It is something else.
    """
    try:
        der = base64.b64decode(b"".join(body.split()), validate=True)
        return list(pkcs7.load_der_pkcs7_certificates(der))
    except (ValueError, InvalidVersion, UnsupportedAlgorithm) as error:
        raise EnrolmentError(f"not certificates in PKCS#7: {error}", _CONTENT_REMEDY) from error


def _refused(status: int, body: bytes) -> NoReturn:
    """Raises what a status means (section 4.2.3)."""
    words = _printable(body[:_REASON_LENGTH].decode("utf-8", "replace"))
    if status in (http.client.UNAUTHORIZED, http.client.FORBIDDEN):
        raise EnrolmentRefusedError(f"the TSS does not enrol this unit: {words}", _ACCOUNT_REMEDY)
    if status == http.client.ACCEPTED:
        raise EnrolmentError("the TSS waits for a person", "grant the unit's request at the TSS")
    if status in (http.client.NOT_FOUND, http.client.NOT_IMPLEMENTED):
        raise EnrolmentError(
            "the TSS offers no enrolment",
            "let it speak EST, or set application.boot.enrolment.enable: false",
        )
    raise EnrolmentError(f"the TSS answers {status}: {words}", "see the log of the TSS")


def _printable(said: str) -> str:
    """Returns the beginning of what a server said, fit for a log."""
    letters = (letter if letter.isprintable() else " " for letter in said[:_REASON_LENGTH])
    return "".join(letters).strip()
