"""The directory client against a TLS server of the test's own that says what it is told."""

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from openturret.boot.directory import Directory, DirectoryServer, host_and_port
from openturret.boot.errors import (
    BadCredentialsError,
    DirectoryError,
    DirectoryUnreachableError,
    DirectoryUntrustedError,
)
from openturret.boot.tls import client_context
from openturret.lab.certificates import Authority

pytestmark = pytest.mark.slow

NAME = "ldap.turret.example"
TEMPLATE = "uid={user},ou=people,dc=turret,dc=example"
HOST = IPv4Address("127.0.0.1")


Answer = Callable[[bytes], bytes]
"""Makes the answer to a request."""


def bind_response(code: int, *, referral: bytes = b"") -> Answer:
    """Makes a BindResponse with the message id of the request (RFC 4511 §4.2.2)."""
    more = b"\xa3" + bytes([len(referral) + 2]) + b"\x04" + bytes([len(referral)]) + referral
    body = b"\x0a\x01" + bytes([code]) + b"\x04\x00\x04\x00" + (more if referral else b"")
    operation = b"\x61" + bytes([len(body)]) + body

    def answer(request: bytes) -> bytes:
        number = request[2 : 4 + request[3]]
        return b"\x30" + bytes([len(number) + len(operation)]) + number + operation

    return answer


class Ldaps:
    """Accepts clients, says one thing to each, and keeps what it heard."""

    def __init__(self, context: ssl.SSLContext, answer: Answer) -> None:
        self._listener = socket.create_server((str(HOST), 0))
        self._context = context
        self._answer = answer
        self.heard: list[bytes] = []
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def server(self, name: str = NAME) -> DirectoryServer:
        return DirectoryServer(name, HOST, self._listener.getsockname()[1])

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            client.settimeout(5)
            with client:
                self._talk(client)

    def _talk(self, client: socket.socket) -> None:
        try:
            with self._context.wrap_socket(client, server_side=True) as secure:
                self.heard.append(secure.recv(4096))
                secure.sendall(self._answer(self.heard[-1]))
                secure.recv(4096)
        except OSError:
            return


@contextmanager
def ldaps(certificate: Path, answer: Answer) -> Iterator[Ldaps]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server = Ldaps(context, answer)
    try:
        yield server
    finally:
        server.close()


@pytest.fixture
def certificate(authority: Authority) -> Path:
    return authority.issue("ldap-unit", [NAME]).both


def directory(authority: Authority) -> Directory:
    return Directory(
        client_context(authority.path), dn_template=TEMPLATE, count=lambda _: None, timeout_s=1
    )


def test_a_refusal_is_final_and_the_next_server_is_not_asked(
    authority: Authority, certificate: Path
) -> None:
    with (
        ldaps(certificate, bind_response(49)) as first,
        ldaps(certificate, bind_response(0)) as second,
        pytest.raises(BadCredentialsError, match="wrong"),
    ):
        directory(authority).login([first.server(), second.server()], "alice", "guess")
    assert second.heard == []


@pytest.mark.parametrize("code", [1, 2, 7, 8, 14, 19, 32, 34, 48, 49, 50, 53])
def test_every_result_but_success_logs_nobody_in(
    authority: Authority, certificate: Path, code: int
) -> None:
    with ldaps(certificate, bind_response(code)) as server, pytest.raises(BadCredentialsError):
        directory(authority).login([server.server()], "alice", "correct horse")


@pytest.mark.parametrize("code", [51, 52, 80])
def test_a_server_in_trouble_is_passed_over(
    authority: Authority, certificate: Path, code: int
) -> None:
    with (
        ldaps(certificate, bind_response(code)) as troubled,
        ldaps(certificate, bind_response(0)) as good,
    ):
        person = directory(authority).login([troubled.server(), good.server()], "alice", "x")
    assert person.user == "alice"


def test_a_referral_is_not_followed(authority: Authority, certificate: Path) -> None:
    with ldaps(certificate, bind_response(0)) as elsewhere:
        url = f"ldap://127.0.0.1:{elsewhere.server().port}/".encode()
        with (
            ldaps(certificate, bind_response(10, referral=url)) as server,
            pytest.raises(DirectoryError),
        ):
            directory(authority).login([server.server()], "alice", "x")
    assert elsewhere.heard == []


@pytest.mark.parametrize(
    "garbage", [b"", b"\0", b"garbage\r\n", b"\x30\x84\xff\xff\xff\xff", b"\x30\x03\2\1\1"]
)
def test_garbage_logs_nobody_in(authority: Authority, certificate: Path, garbage: bytes) -> None:
    with ldaps(certificate, lambda _: garbage) as server, pytest.raises(DirectoryError):
        directory(authority).login([server.server()], "alice", "x")


@pytest.mark.parametrize(
    ("user", "password"),
    [("alice", ""), ("", "x"), ("  ", "x"), ("a\0b", "x"), ("a\nb", "x"), ("a" * 300, "x")],
)
def test_empty_and_strange_credentials_never_reach_a_server(
    authority: Authority, certificate: Path, user: str, password: str
) -> None:
    with ldaps(certificate, bind_response(0)) as server, pytest.raises(BadCredentialsError):
        directory(authority).login([server.server()], user, password)
    assert server.heard == []


@pytest.mark.parametrize(
    ("user", "escaped"),
    [
        ("a,ou=admins", rb"uid=a\,ou\=admins,ou=people"),
        ("a+cn=x", rb"uid=a\+cn\=x,ou=people"),
        ('"a"', rb"uid=\"a\",ou=people"),
        ("#a", rb"uid=\#a,ou=people"),
    ],
)
def test_a_user_name_cannot_leave_its_place(
    authority: Authority, certificate: Path, user: str, escaped: bytes
) -> None:
    with ldaps(certificate, bind_response(49)) as server, pytest.raises(BadCredentialsError):
        directory(authority).login([server.server()], user, "x")
    assert escaped in server.heard[0]


def test_wrong_certificates_get_no_password(authority: Authority, tmp_path: Path) -> None:
    mallory = Authority(tmp_path / "mallory", now=datetime.now(UTC), name="Mallory")
    cases = [
        mallory.issue("ldap", [NAME]).both,
        authority.issue("other", ["other.turret.example"]).both,
        authority.issue_expired("old-ldap", [NAME]).both,
    ]
    for certificate in cases:
        with (
            ldaps(certificate, bind_response(0)) as server,
            pytest.raises(DirectoryUntrustedError),
        ):
            directory(authority).login([server.server()], "alice", "canary-secret")
        assert server.heard == []


def test_an_untrusted_server_is_passed_over(authority: Authority, certificate: Path) -> None:
    wrong = authority.issue("other2", ["other.turret.example"]).both
    with (
        ldaps(wrong, bind_response(0)) as untrusted,
        ldaps(certificate, bind_response(0)) as good,
    ):
        directory(authority).login([untrusted.server(), good.server()], "alice", "x")
    assert len(good.heard) == 1


def test_nobody_there_is_unreachable(authority: Authority) -> None:
    with socket.create_server((str(HOST), 0)) as closed:
        port = closed.getsockname()[1]
    with pytest.raises(DirectoryUnreachableError):
        directory(authority).login([DirectoryServer(NAME, HOST, port)], "alice", "x")
    with pytest.raises(DirectoryUnreachableError):
        directory(authority).login([], "alice", "x")


def test_only_ldaps_urls_are_accepted() -> None:
    assert host_and_port("ldaps://ldap.turret.example") == (NAME, 636)
    assert host_and_port("ldaps://ldap.turret.example:1636") == (NAME, 1636)
    for url in ("ldap://ldap.turret.example", "ldaps://", "https://x", "x", "ldaps://x:99999", ""):
        with pytest.raises(DirectoryError):
            host_and_port(url)
