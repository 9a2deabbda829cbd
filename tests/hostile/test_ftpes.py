"""FTPES servers that lie, flood, drip and stop: each ends in a clear error and bounded effort."""

from __future__ import annotations

import contextlib
import itertools
import socket
import ssl
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping
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
from openturret.boot.fetch.ftpes import FtpesSession
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
CUT = b""
"""Instead of an answer: the connection ends."""


@dataclass
class Ftp:
    """A well-behaved FTPES server of one client, but for what it is told to do otherwise.

    Attributes:
        context: secures the control connection.
        data_context: secures the data connection.
        answers: bytes to say, or what to do, instead of the usual for a command.
        greeting: what it says first.
    """

    context: ssl.SSLContext
    data_context: ssl.SSLContext | None = None
    answers: Mapping[str, Answer] = field(default_factory=dict)
    greeting: bytes = b"220 TSS\r\n"
    heard: list[str] = field(default_factory=list)
    passive: socket.socket | None = None
    control: socket.socket = field(init=False)

    def serve(self, listener: socket.socket) -> None:
        self.control, _ = listener.accept()
        with contextlib.suppress(OSError, ValueError), contextlib.ExitStack() as stack:
            stack.callback(lambda: self.control.close())
            stack.callback(self.stop_listening)
            self.say(self.greeting)
            for line in self.lines():
                self.heard.append(line)
                if not self.obey(*line.partition(" ")[::2]):
                    return

    def lines(self) -> Iterator[str]:
        data = b""
        while received := self.control.recv(4096):
            data += received
            while b"\r\n" in data:
                line, _, data = data.partition(b"\r\n")
                yield line.decode()

    def obey(self, command: str, argument: str) -> bool:
        answer = self.answers.get(command, USUAL[command])
        if isinstance(answer, bytes):
            self.say(answer)
            return answer != CUT
        answer(self, argument)
        return True

    def say(self, data: bytes) -> None:
        self.control.sendall(data)

    def secure(self, _: str = "") -> None:
        self.say(b"234 go on\r\n")
        self.control = self.context.wrap_socket(self.control, server_side=True)

    def listen(self, _: str = "") -> None:
        self.say(b"229 Extended (|||%d|)\r\n" % self.new_port())

    def new_port(self) -> int:
        self.stop_listening()
        self.passive = socket.create_server((HOST, 0))
        port: int = self.passive.getsockname()[1]
        return port

    def stop_listening(self) -> None:
        if self.passive is not None:
            self.passive.close()

    def retrieve(self, _: str = "") -> None:
        with self.data() as data:
            data.sendall(CONTENT)
        self.say(b"226 done\r\n")

    @contextlib.contextmanager
    def data(self) -> Iterator[ssl.SSLSocket]:
        self.say(b"150 here it comes\r\n")
        assert self.passive is not None
        plain, _ = self.passive.accept()
        context = self.data_context or self.context
        with context.wrap_socket(plain, server_side=True) as secure:
            yield secure
            with contextlib.suppress(OSError):
                secure.unwrap()


Answer: TypeAlias = bytes | Callable[[Ftp, str], object]
USUAL: dict[str, Answer] = {
    "AUTH": Ftp.secure,
    "USER": b"331 password?\r\n",
    "PASS": b"230 welcome\r\n",
    "PBSZ": b"200 0\r\n",
    "PROT": b"200 P\r\n",
    "TYPE": b"200 I\r\n",
    "SIZE": b"213 51200\r\n",
    "EPSV": Ftp.listen,
    "PASV": b"502 no\r\n",
    "REST": b"350 go on\r\n",
    "RETR": Ftp.retrieve,
    "QUIT": CUT,
}


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"), now=datetime.now(UTC))


@pytest.fixture(scope="module")
def mallory(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("mallory"), now=datetime.now(UTC), name="Mallory")


@pytest.fixture(scope="module")
def good(authority: Authority) -> ssl.SSLContext:
    return server_context(authority.issue("tss1", [NAME]).both)


def server_context(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


Open: TypeAlias = Callable[[Ftp], FtpesSession]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def open_session(authority: Authority, clock: Clock) -> Iterator[Open]:
    """Opens a session at a server that runs in a thread until the test is over."""
    with contextlib.ExitStack() as stack:

        def start(server: Ftp) -> FtpesSession:
            listener = stack.enter_context(socket.create_server((HOST, 0)))
            thread = threading.Thread(target=server.serve, args=(listener,))
            thread.start()
            stack.callback(thread.join)
            session = FtpesSession.open(
                Server(NAME, IPv4Address(HOST), listener.getsockname()[1]),
                Account("unit", SECRET),
                Terms(client_context(authority.path), clock, HASTY),
                count=lambda _: None,
            )
            return stack.enter_context(session)

        yield start


def flood(data: bytes) -> Answer:
    """Says something for ever."""

    def answer(server: Ftp, _: str) -> None:
        while True:
            server.say(data)

    return answer


def drip(data: bytes) -> Answer:
    """Says something for ever, a byte at a time."""

    def answer(server: Ftp, _: str) -> None:
        for byte in itertools.cycle(data):
            server.say(bytes([byte]))

    return answer


def test_the_server_of_these_tests_is_good_unless_told_otherwise(
    good: ssl.SSLContext, open_session: Open
) -> None:
    session = open_session(Ftp(good))
    assert b"".join(session.fetch("image")) == CONTENT
    assert b"".join(session.fetch("image")) == CONTENT


@pytest.mark.parametrize(
    "greeting",
    [
        b"220-" + b"a" * 100_000,
        b"220-a\r\n" * 5_000,
        b"220 \x00\r\n",
        b"220 a\rb\r\n",
        b"nonsense\r\n",
        b"\xff\xfe\r\n",
        b"120 wait\r\n",
        b"421 too many\r\n",
        b"HTTP/1.1 200 OK\r\n",
        CUT,
    ],
)
def test_a_hostile_greeting(greeting: bytes, good: ssl.SSLContext, open_session: Open) -> None:
    server = Ftp(good, greeting=greeting)
    with pytest.raises(TransportError) as caught:
        open_session(server)
    assert NAME in str(caught.value)
    assert caught.value.remedy
    assert server.heard == [], "nothing is said to such a server, least of all a password"


LOGIN = ("AUTH", "USER", "PASS", "PBSZ", "PROT", "TYPE", "EPSV")


@pytest.mark.parametrize("command", LOGIN)
@pytest.mark.parametrize(
    "answer",
    [CUT, b"500 no\r\n", b"421 closing\r\n", b"999 no\r\n", b"200\x00 ok\r\n", drip(b"200-a\r\n")],
    ids=["cut", "refused", "closing", "no reply", "nul", "drip"],
)
def test_a_login_that_goes_wrong_at_any_command(
    command: str, answer: Answer, good: ssl.SSLContext, open_session: Open, clock: Clock
) -> None:
    clock.hurry()
    with pytest.raises(TransportError) as caught:
        open_session(Ftp(good, answers={command: answer}))
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("command", ["REST", "RETR", "EPSV"])
@pytest.mark.parametrize(
    "answer",
    [
        CUT,
        b"421 closing\r\n",
        b"nonsense\r\n",
        b"150 a\r\n150 b\r\n",
        flood(b"150 again\r\n"),
        flood(b"a"),
        drip(b"150-a\r\n"),
    ],
    ids=["cut", "closing", "nonsense", "twice", "flood", "endless", "drip"],
)
def test_a_transfer_that_goes_wrong_at_any_command(
    command: str, answer: Answer, good: ssl.SSLContext, open_session: Open, clock: Clock
) -> None:
    server = Ftp(good)
    session = open_session(server)
    assert b"".join(session.fetch("first")) == CONTENT
    server.answers = {command: answer}
    clock.hurry()
    with pytest.raises(TransportError) as caught:
        fetch_twice(session)
    assert caught.value.file == "image"
    with pytest.raises(TransportError, match="closed"):
        list(session.fetch("after"))


def fetch_twice(session: FtpesSession) -> None:
    """The port of the first was asked for before the server went wrong."""
    for _ in range(2):
        b"".join(session.fetch("image", offset=1000))


@pytest.mark.parametrize("answer", [b"450 busy\r\n", b"226 done\r\n", b"350 go on\r\n"])
def test_a_file_that_is_refused(answer: bytes, good: ssl.SSLContext, open_session: Open) -> None:
    with pytest.raises(TransportError, match=answer[:3].decode()):
        list(open_session(Ftp(good, answers={"RETR": answer})).fetch("image"))


@pytest.mark.parametrize(
    "text", [b"(|||22|)", b"(|||0|)", b"(|||65536|)", b"(|||x|)", b"", b"(|1|192.0.2.66|5000|)"]
)
def test_a_port_that_cannot_be(text: bytes, good: ssl.SSLContext, open_session: Open) -> None:
    with pytest.raises(TransportError, match="no port"):
        open_session(Ftp(good, answers={"EPSV": b"229 Extended " + text + b"\r\n"}))


def test_an_address_elsewhere_is_never_connected_to(
    good: ssl.SSLContext, open_session: Open
) -> None:
    def passive(server: Ftp, _: str) -> None:
        high, low = divmod(server.new_port(), 256)
        server.say(b"227 Passive (192,0,2,66,%d,%d)\r\n" % (high, low))

    session = open_session(Ftp(good, answers={"EPSV": b"502 no\r\n", "PASV": passive}))
    assert b"".join(session.fetch("image")) == CONTENT


def test_a_port_where_nobody_listens(good: ssl.SSLContext, open_session: Open) -> None:
    def closed(server: Ftp, _: str) -> None:
        with socket.create_server((HOST, 0)) as listener:
            port = listener.getsockname()[1]
        server.say(b"229 Extended (|||%d|)\r\n" % port)

    session = open_session(Ftp(good, answers={"EPSV": closed, "RETR": b"425 no\r\n"}))
    with pytest.raises(TransportError, match=r"425|refused"):
        list(session.fetch("image"))


def test_plaintext_after_auth_is_an_injection(good: ssl.SSLContext, open_session: Open) -> None:
    server = Ftp(good, answers={"AUTH": b"234 go on\r\n230 you are logged in\r\n"})
    with pytest.raises(TransportError, match="injects"):
        open_session(server)
    assert server.heard == ["AUTH TLS"]


def test_no_tls_after_auth(good: ssl.SSLContext, open_session: Open) -> None:
    def stay_plain(server: Ftp, _: str) -> None:
        server.say(b"234 go on\r\n")
        server.control.recv(4096)
        server.say(b"331 send me your password\r\n")

    with pytest.raises(TransportError, match="wrong version"):
        open_session(Ftp(good, answers={"AUTH": stay_plain}))


def test_a_server_that_will_not_protect_data(good: ssl.SSLContext, open_session: Open) -> None:
    with pytest.raises(TransportError, match="534"):
        open_session(Ftp(good, answers={"PROT": b"534 only C\r\n"}))


def test_data_in_cleartext_are_not_taken(good: ssl.SSLContext, open_session: Open) -> None:
    def in_clear(server: Ftp, _: str) -> None:
        server.say(b"150 here\r\n")
        assert server.passive is not None
        with server.passive.accept()[0] as plain:
            plain.sendall(CONTENT)
            server.say(b"226 done\r\n")
            plain.recv(4096)

    session = open_session(Ftp(good, answers={"RETR": in_clear}))
    with pytest.raises(TransportError):
        list(session.fetch("image"))


def test_a_data_connection_of_somebody_else(
    good: ssl.SSLContext, mallory: Authority, open_session: Open
) -> None:
    other = server_context(mallory.issue("tss1", [NAME]).both)
    session = open_session(Ftp(good, data_context=other))
    with pytest.raises(UntrustedServerError):
        list(session.fetch("image"))


def test_an_end_that_is_never_confirmed(good: ssl.SSLContext, open_session: Open) -> None:
    def silent(server: Ftp, _: str) -> None:
        with server.data() as data:
            data.sendall(CONTENT)

    session = open_session(Ftp(good, answers={"RETR": silent, "EPSV": Ftp.listen}))
    with pytest.raises(TransportError):
        list(session.fetch("image"))


def test_an_end_that_is_taken_back(good: ssl.SSLContext, open_session: Open) -> None:
    def aborted(server: Ftp, _: str) -> None:
        with server.data() as data:
            data.sendall(CONTENT[:1000])
        server.say(b"426 aborted\r\n")

    with pytest.raises(TransportError, match="426"):
        list(open_session(Ftp(good, answers={"RETR": aborted})).fetch("image"))


def test_an_endless_file_is_left_by_whoever_has_enough(
    good: ssl.SSLContext, open_session: Open
) -> None:
    def endless(server: Ftp, _: str) -> None:
        with server.data() as data:
            while True:
                data.sendall(CONTENT)

    chunks = open_session(Ftp(good, answers={"RETR": endless})).fetch("image")
    assert sum(len(chunk) for chunk in itertools.islice(chunks, 50)) <= 50 * 65_536
    chunks.close()  # type: ignore[attr-defined]


def test_a_file_that_drips(good: ssl.SSLContext, open_session: Open, clock: Clock) -> None:
    def dripping(server: Ftp, _: str) -> None:
        with server.data() as data:
            while True:
                data.sendall(b"x")

    session = open_session(Ftp(good, answers={"RETR": dripping}))
    clock.hurry()
    with pytest.raises(TransportError, match="too long"):
        list(session.fetch("image"))


def test_a_data_connection_that_never_speaks(good: ssl.SSLContext, open_session: Open) -> None:
    def mute(server: Ftp, _: str) -> None:
        server.say(b"150 here\r\n")
        server.control.recv(4096)

    with pytest.raises(TransportError, match="timed out"):
        list(open_session(Ftp(good, answers={"RETR": mute})).fetch("image"))


def test_a_server_that_cannot_resume_sends_the_start_in_vain(
    good: ssl.SSLContext, open_session: Open
) -> None:
    session = open_session(Ftp(good, answers={"REST": b"502 no\r\n"}))
    assert b"".join(session.fetch("image", offset=1000)) == CONTENT[1000:]


@pytest.mark.parametrize(
    ("answer", "error"),
    [(b"550 no such file\r\n", NoSuchFileError), (b"530 log in\r\n", AccountRefusedError)],
)
def test_refusals_have_names(
    answer: bytes, error: type[TransportError], good: ssl.SSLContext, open_session: Open
) -> None:
    with pytest.raises(error):
        list(open_session(Ftp(good, answers={"RETR": answer})).fetch("image"))


def test_wrong_certificates(authority: Authority, mallory: Authority, open_session: Open) -> None:
    for certificate, words in (
        (mallory.issue("tss1", [NAME]), "issuer certificate"),
        (authority.issue("other", ["tss9.turret.example"]), "mismatch"),
        (authority.issue_expired("old", [NAME]), "expired"),
    ):
        server = Ftp(server_context(certificate.both))
        with pytest.raises(UntrustedServerError, match=words):
            open_session(server)
        assert server.heard == ["AUTH TLS"], "no password for a stranger"


def test_a_server_of_yesterday(authority: Authority, open_session: Open) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context = server_context(authority.issue("tss1", [NAME]).both)
        context.set_ciphers("ALL:@SECLEVEL=0")
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises(TransportError, match=r"protocol") as caught:
        open_session(Ftp(context))
    assert "1.2" in caught.value.remedy
