"""HTTPS servers that lie, flood, drip and stop: each ends in a clear error and bounded effort."""

from __future__ import annotations

import contextlib
import gzip
import itertools
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from ipaddress import IPv4Address
from pathlib import Path
from typing import TypeAlias

import pytest

from openturret.boot.errors import (
    AccountRefusedError,
    NoSuchFileError,
    TransportError,
    UntrustedServerError,
)
from openturret.boot.fetch.https import HttpsSession
from openturret.boot.fetch.tls import client_context
from openturret.boot.fetch.transport import Account, Patience, Server, Terms
from openturret.lab.certificates import Authority
from tests.hostile.clock import Clock

pytestmark = pytest.mark.slow

NAME = "tss1.turret.example"
HOST = "127.0.0.1"
CONTENT = bytes(range(256)) * 200
SECRET = "canary-secret"
HASTY = Patience(connect_s=1.0, silence_s=0.3, login_s=30.0, file_s=30.0)
CLOSE = b"Connection: close\r\n"


def answer(body: bytes = CONTENT, fields: bytes = b"", status: bytes = b"200 OK") -> bytes:
    length = b"Content-Length: %d\r\n" % len(body)
    return b"HTTP/1.1 " + status + b"\r\n" + length + fields + b"\r\n" + body


Script: TypeAlias = Callable[[bytes], Iterator[bytes]]
"""Yields what to send to a request; the connection ends with ``b""``."""


def says(*pieces: bytes) -> Script:
    return lambda _: iter(pieces)


def for_ever(start: bytes, piece: bytes) -> Script:
    return lambda _: itertools.chain((start,), itertools.repeat(piece))


@dataclass
class Https:
    """A TLS server that answers requests as a script says, one client after the other."""

    context: ssl.SSLContext
    script: Script
    requests: list[bytes] = field(default_factory=list)
    connections: int = 0

    def serve(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                plain, _ = listener.accept()
                self.connections += 1
                with contextlib.suppress(OSError):
                    self._serve(plain)

    def _serve(self, plain: socket.socket) -> None:
        with self.context.wrap_socket(plain, server_side=True) as client:
            data = b""
            while received := client.recv(4096):
                data += received
                while b"\r\n\r\n" in data:
                    request, _, data = data.partition(b"\r\n\r\n")
                    self.requests.append(request)
                    for piece in self.script(request):
                        if not piece:
                            return
                        client.sendall(piece)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"), now=datetime.now(UTC))


@pytest.fixture(scope="module")
def good(authority: Authority) -> ssl.SSLContext:
    return server_context(authority.issue("tss1", [NAME]).both)


def server_context(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


@pytest.fixture
def clock() -> Clock:
    return Clock()


Start: TypeAlias = Callable[..., HttpsSession]


@pytest.fixture
def start(authority: Authority, clock: Clock) -> Iterator[Start]:
    """Opens a session at a server that runs in a thread until the test is over."""
    with contextlib.ExitStack() as stack:

        def open_session(server: Https, *foreseen: str) -> HttpsSession:
            listener = stack.enter_context(socket.create_server((HOST, 0)))
            thread = threading.Thread(target=server.serve, args=(listener,))
            thread.start()
            stack.callback(thread.join)
            stack.callback(lambda: listener.shutdown(socket.SHUT_RDWR))
            session = HttpsSession.open(
                Server(NAME, IPv4Address(HOST), https_port=listener.getsockname()[1]),
                Account("02:54:50:00:00:01", SECRET),
                Terms(client_context(authority.path), clock, HASTY),
                count=lambda _: None,
                foreseen=foreseen,
            )
            return stack.enter_context(session)

        yield open_session


def test_a_file_and_its_end(good: ssl.SSLContext, start: Start) -> None:
    rest = answer(CONTENT[1000:], b"Content-Range: bytes 1000-51199/51200\r\n", b"206 Part")
    server = Https(good, lambda request: iter((rest if b"Range" in request else answer(),)))
    session = start(server)
    assert b"".join(session.fetch("image")) == CONTENT
    assert b"".join(session.fetch("image", offset=1000)) == CONTENT[1000:]
    assert server.connections == 1
    assert b"Range: bytes=1000-" in server.requests[1]
    assert b"Authorization: Basic MDItNTQtNTAtMDAtMDAtMDE6" in server.requests[0]
    assert SECRET not in repr(session.__dict__["_terms"])


def test_chunks_and_interim_answers_are_understood(good: ssl.SSLContext, start: Start) -> None:
    head = b"HTTP/1.1 103 Hints\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    body = b"3;x=y\r\nabc\r\nA\r\n0123456789\r\n0\r\nTrailer: yes\r\n\r\n"
    session = start(Https(good, says(head, body)))
    for _ in range(2):
        assert b"".join(session.fetch("image")) == b"abc0123456789"


def test_a_server_that_cannot_begin_in_the_middle(good: ssl.SSLContext, start: Start) -> None:
    assert b"".join(start(Https(good, says(answer()))).fetch("a", offset=7)) == CONTENT[7:]


def test_what_is_foreseen_shares_a_flight(good: ssl.SSLContext, start: Start) -> None:
    def script(request: bytes) -> Iterator[bytes]:
        missing = b"2.root" in request
        yield answer(b"", status=b"404 None") if missing else answer(request.split()[1])

    server = Https(good, script)
    session = start(server, "metadata/2.root.json", "metadata/timestamp.json")
    with pytest.raises(NoSuchFileError):
        list(session.fetch("metadata/2.root.json"))
    assert [request.split()[1] for request in server.requests][:1] == [b"/metadata/2.root.json"]
    assert b"".join(session.fetch("metadata/timestamp.json")) == b"/metadata/timestamp.json"
    assert (len(server.requests), server.connections) == (2, 1)
    with pytest.raises(NoSuchFileError):
        list(session.fetch("metadata/2.root.json"))
    assert len(server.requests) == 3, "what is asked for again comes alone"


def test_what_was_foreseen_wrongly_is_passed_over(good: ssl.SSLContext, start: Start) -> None:
    server = Https(good, lambda request: iter((answer(request.split()[1]),)))
    session = start(server, "a", "b", "c")
    assert [b"".join(session.fetch(path)) for path in "adcb"] == [b"/a", b"/d", b"/c", b"/b"]
    assert server.connections == 1


def test_a_connection_that_was_closed_meanwhile_is_made_anew(
    good: ssl.SSLContext, start: Start
) -> None:
    server = Https(good, says(answer(), b""))
    session = start(server)
    for _ in range(3):
        assert b"".join(session.fetch("image")) == CONTENT
    assert server.connections == 3


def test_a_server_that_says_it_closes_is_believed(good: ssl.SSLContext, start: Start) -> None:
    server = Https(good, says(answer(fields=CLOSE)))
    session = start(server, "a", "b")
    assert b"".join(session.fetch("a")) == b"".join(session.fetch("b")) == CONTENT
    assert server.connections == 2


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
PART = b"206 Partial"


@pytest.mark.parametrize(
    "script",
    [
        says(b""),
        says(b"HTTP/1.1 200 OK\r\n", b""),
        says(b"220 TSS\r\n\r\n"),
        says(b"HTTP/2 200\r\n\r\n"),
        says(b"\x00" * 64 + b"\r\n\r\n"),
        says(answer(fields=b"a: b\x00c\r\n")),
        says(answer(fields=b"Content-Length: 7\r\n")),
        says(b"HTTP/1.1 200 OK\r\n\r\n" + CONTENT, b""),
        says(b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n"),
        says(answer()[:-1], b""),
        says(answer(gzip.compress(CONTENT), b"Content-Encoding: gzip\r\n")),
        says(answer(fields=b"Transfer-Encoding: chunked\r\n")),
        says(answer(status=b"500 Oops")),
        says(answer(status=b"503 Busy")),
        says(answer(status=b"204 Empty")),
        says(answer(status=b"101 Switching")),
        says(answer(fields=b"Content-Range: bytes 0-51199/51200\r\n", status=PART)),
        for_ever(b"HTTP/1.1 200 OK\r\n", b"a: b\r\n"),
        for_ever(b"HTTP/1.1 200 OK\r\na: ", b"b" * 1000),
        for_ever(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        says(CHUNKED, b"zz\r\n"),
        says(CHUNKED, b"-5\r\nabcde\r\n"),
        says(CHUNKED, b"3\r\nabcdef\r\n0\r\n\r\n"),
        says(CHUNKED, b"ffff\r\nabc", b""),
        says(CHUNKED, b"3\r\nabc\r\n", b""),
        for_ever(CHUNKED, b"1" * 100),
        for_ever(CHUNKED + b"1\r\na\r\n0\r\n", b"Trailer: x\r\n"),
    ],
)
def test_an_answer_that_is_none(script: Script, good: ssl.SSLContext, start: Start) -> None:
    with pytest.raises(TransportError) as caught:
        b"".join(start(Https(good, script)).fetch("image"))
    error = caught.value
    assert (error.file, error.server) == ("image", f"{NAME} ({HOST})")
    assert error.remedy
    assert SECRET not in str(error)


@pytest.mark.parametrize(
    "fields",
    [
        b"",
        b"Content-Range: bytes 0-50199/51200\r\n",
        b"Content-Range: bytes 1001-51200/51201\r\n",
        b"Content-Range: bytes 1000-51198/51200\r\n",
        b"Content-Range: bytes 1000-51199/60000\r\n",
        b"Content-Range: bytes 1000-999/51200\r\n",
        b"Content-Range: bytes */51200\r\n",
    ],
)
def test_a_range_that_was_not_asked_for(fields: bytes, good: ssl.SSLContext, start: Start) -> None:
    script = says(answer(CONTENT[1000:], fields, PART))
    with pytest.raises(TransportError, match=r"[Rr]ange|asked for"):
        b"".join(start(Https(good, script)).fetch("image", offset=1000))


def test_a_redirect_is_not_followed(good: ssl.SSLContext, start: Start) -> None:
    fields = b"Location: https://mallory.example/\r\n"
    server = Https(good, says(answer(fields=fields, status=b"302 Found")))
    with pytest.raises(TransportError, match=r"redirects to 'https://mallory") as caught:
        list(start(server).fetch("image"))
    assert "no redirection" in caught.value.remedy
    assert server.connections == 1


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (b"401 Who", AccountRefusedError),
        (b"403 No", NoSuchFileError),
        (b"404 None", NoSuchFileError),
    ],
)
def test_refusals_have_names(
    status: bytes, error: type[TransportError], good: ssl.SSLContext, start: Start
) -> None:
    with pytest.raises(error, match=status[:3].decode()):
        list(start(Https(good, says(answer(status=status)))).fetch("image"))


def test_a_refusal_without_end_costs_only_the_connection(
    good: ssl.SSLContext, start: Start
) -> None:
    def script(request: bytes) -> Iterator[bytes]:
        if b"good" in request:
            return iter((answer(),))
        return iter((b"HTTP/1.1 404 None\r\nContent-Length: 999999999\r\n\r\n",))

    session = start(Https(good, script))
    with pytest.raises(NoSuchFileError):
        list(session.fetch("bad"))
    assert b"".join(session.fetch("good")) == CONTENT


@pytest.mark.parametrize(
    "script",
    [
        for_ever(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n", b"x"),
        for_ever(CHUNKED, b"1\r\nx\r\n"),
        lambda _: (bytes([byte]) for byte in itertools.cycle(b"HTTP/1.1 200")),
    ],
    ids=["body", "chunks", "head"],
)
def test_an_answer_that_drips(
    script: Script, good: ssl.SSLContext, start: Start, clock: Clock
) -> None:
    session = start(Https(good, script))
    clock.hurry()
    with pytest.raises(TransportError, match="too long"):
        b"".join(session.fetch("image"))


def test_an_answer_that_never_comes(good: ssl.SSLContext, start: Start) -> None:
    with pytest.raises(TransportError, match="timed out"):
        list(start(Https(good, says())).fetch("image"))


def test_an_endless_file_is_left_by_whoever_has_enough(good: ssl.SSLContext, start: Start) -> None:
    script = for_ever(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n", CONTENT)
    chunks = start(Https(good, script)).fetch("image")
    assert sum(len(chunk) for chunk in itertools.islice(chunks, 50)) <= 50 * 65_536
    chunks.close()  # type: ignore[attr-defined]


def test_wrong_certificates(authority: Authority, tmp_path: Path, start: Start) -> None:
    mallory = Authority(tmp_path, now=datetime.now(UTC), name="Mallory")
    for certificate, words in (
        (mallory.issue("tss1", [NAME]), "issuer certificate"),
        (authority.issue("other", ["tss9.turret.example"]), "mismatch"),
        (authority.issue_expired("old", [NAME]), "expired"),
    ):
        server = Https(server_context(certificate.both), says(answer()))
        with pytest.raises(UntrustedServerError, match=words):
            start(server)
        assert server.requests == [], "no password for a stranger"


def test_a_server_without_tls(authority: Authority) -> None:
    with socket.create_server((HOST, 0)) as listener:

        def serve() -> None:
            with listener.accept()[0] as client:
                client.sendall(b"HTTP/1.1 400 Bad\r\n\r\n")
                client.recv(4096)

        thread = threading.Thread(target=serve)
        thread.start()
        server = Server(NAME, IPv4Address(HOST), https_port=listener.getsockname()[1])
        terms = Terms(client_context(authority.path), Clock(), HASTY)
        with pytest.raises(TransportError, match="wrong version"):
            HttpsSession.open(server, Account("u", SECRET), terms, count=lambda _: None)
        thread.join()
