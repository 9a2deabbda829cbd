from __future__ import annotations

import random
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from ipaddress import IPv4Address
from pathlib import Path
from typing import TYPE_CHECKING

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
from openturret.hal.clock import SystemClock
from openturret.lab.certificates import Authority

if TYPE_CHECKING:
    from tests.boot.conftest import SignedTree, Tss

NAME = "tss1.turret.example"
ACCOUNT = Account("02:54:50:00:00:01", "a long secret")
HASTY = Patience(connect_s=2, silence_s=1, login_s=2, file_s=2)


class Trips:
    """Counts round trips."""

    total = 0

    def __call__(self, number: int) -> None:
        self.total += number


def open_session(
    authority: Authority,
    port: int,
    *,
    name: str = NAME,
    account: Account = ACCOUNT,
    patience: Patience = HASTY,
    trips: Trips | None = None,
) -> FtpesSession:
    return FtpesSession.open(
        Server(name, IPv4Address("127.0.0.1"), port),
        account,
        Terms(client_context(authority.path), SystemClock(), patience),
        count=trips or Trips(),
    )


@contextmanager
def hostile(*answers: bytes) -> Iterator[int]:
    """Serves one client: an answer at once, then one per line it sends; endlessly the last."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=_serve_hostile, args=(listener, answers))
        thread.start()
        yield listener.getsockname()[1]
        thread.join()


def _serve_hostile(listener: socket.socket, answers: tuple[bytes, ...]) -> None:
    client, _ = listener.accept()
    with client:
        try:
            for answer in answers:
                client.sendall(answer)
                client.recv(4096)
            while client.recv(4096):
                pass
        except OSError:
            return


def test_a_file_comes_encrypted_from_the_named_server(
    tree: SignedTree, start_tss: Callable[..., Tss], authority: Authority
) -> None:
    content = random.Random(1).randbytes(300_000)
    tree.folder.mkdir()
    (tree.folder / "image.whl").write_bytes(content)
    tss = start_tss()
    trips = Trips()
    with open_session(authority, tss.port, trips=trips) as session:
        login_trips = trips.total
        assert b"".join(session.fetch("image.whl")) == content
        file_trips = trips.total - login_trips
        assert b"".join(session.fetch("image.whl")) == content
    assert login_trips == 5, "TCP, greeting, AUTH, TLS, and USER to EPSV in one"
    assert file_trips == 3, "TCP beside RETR, TLS, first byte"


def test_data_connections_resume_the_session_of_the_control_connection(
    tree: SignedTree,
    start_tss: Callable[..., Tss],
    authority: Authority,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tree.folder.mkdir()
    (tree.folder / "a").write_bytes(b"x")
    reused: list[bool] = []
    original = ssl.SSLSocket.unwrap

    def note(self: ssl.SSLSocket) -> socket.socket:
        reused.append(bool(self.session_reused))
        return original(self)

    monkeypatch.setattr(ssl.SSLSocket, "unwrap", note)
    with open_session(authority, start_tss().port) as session:
        assert b"".join(session.fetch("a")) == b"x"
    assert reused == [True]


def test_a_missing_file_is_final_and_the_session_goes_on(
    tree: SignedTree, start_tss: Callable[..., Tss], authority: Authority
) -> None:
    tree.folder.mkdir()
    (tree.folder / "there").write_bytes(b"yes")
    with open_session(authority, start_tss().port) as session:
        with pytest.raises(NoSuchFileError):
            b"".join(session.fetch("missing"))
        assert b"".join(session.fetch("there")) == b"yes"


@pytest.mark.parametrize("path", ["../etc/passwd", "/etc/passwd", "a//b", "a\r\nDELE b", ".x", ""])
def test_a_path_that_leads_elsewhere_is_not_asked_for(
    path: str, start_tss: Callable[..., Tss], authority: Authority
) -> None:
    trips = Trips()
    with open_session(authority, start_tss().port, trips=trips) as session:
        before = trips.total
        with pytest.raises(NoSuchFileError):
            list(session.fetch(path))
        assert trips.total == before


def test_a_certificate_of_another_authority_is_refused(
    start_tss: Callable[..., Tss], authority: Authority, tmp_path: Path
) -> None:
    other = Authority(tmp_path / "other", now=datetime.now(UTC), name="Mallory")
    tss = start_tss(other.issue("tss1", [NAME]).both)
    with pytest.raises(UntrustedServerError, match="issuer certificate"):
        open_session(authority, tss.port)


def test_a_certificate_for_another_name_is_refused(
    start_tss: Callable[..., Tss], authority: Authority
) -> None:
    with pytest.raises(UntrustedServerError, match="Hostname mismatch"):
        open_session(authority, start_tss().port, name="tss9.turret.example")


def test_an_expired_certificate_is_refused(
    start_tss: Callable[..., Tss], authority: Authority
) -> None:
    tss = start_tss(authority.issue_expired("old", [NAME]).both)
    with pytest.raises(UntrustedServerError, match="expired"):
        open_session(authority, tss.port)


def test_a_wrong_password_is_an_error_with_a_remedy(
    start_tss: Callable[..., Tss], authority: Authority
) -> None:
    with pytest.raises(AccountRefusedError, match="530") as caught:
        open_session(authority, start_tss().port, account=Account("nobody", "canary-secret"))
    assert "enrol" in caught.value.remedy
    assert "canary-secret" not in str(caught.value)


def test_a_passive_address_elsewhere_is_ignored(
    tree: SignedTree, start_tss: Callable[..., Tss], authority: Authority
) -> None:
    tree.folder.mkdir()
    (tree.folder / "a").write_bytes(b"from the same host")
    tss = start_tss()
    tss.handler.masquerade_address = "192.0.2.66"
    with open_session(authority, tss.port) as session:
        assert b"".join(session.fetch("a")) == b"from the same host"


def test_a_server_that_refuses_tls_gets_no_password(authority: Authority) -> None:
    with hostile(b"220 hi\r\n", b"502 no TLS here\r\n") as port, pytest.raises(TransportError):
        open_session(authority, port)


def test_a_server_that_speaks_no_tls_after_auth_is_refused(authority: Authority) -> None:
    with (
        hostile(b"220 hi\r\n", b"234 go on\r\n", b"331 send me your password\r\n") as port,
        pytest.raises(TransportError),
    ):
        open_session(authority, port)


@pytest.mark.parametrize(
    "greeting",
    [
        b"220-" + b"a" * 20_000,
        b"220-a\r\n" * 5000,
        b"nonsense\r\n",
        b"\xff\xfe\r\n",
        b"120 wait\r\n",
    ],
)
def test_a_hostile_greeting_ends_in_a_clear_error(greeting: bytes, authority: Authority) -> None:
    with hostile(greeting) as port, pytest.raises(TransportError):
        open_session(authority, port)


def test_a_silent_server_is_given_up(authority: Authority) -> None:
    patience = Patience(connect_s=0.1, silence_s=0.1, login_s=1, file_s=1)
    with hostile(b"") as port, pytest.raises(TransportError, match="does not answer"):
        open_session(authority, port, patience=patience)
