"""The directory client against a TLS server of the test's own that says what it is told."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from openturret.boot.errors import (
    BadCredentialsError,
    DirectoryError,
    DirectoryUnreachableError,
    DirectoryUntrustedError,
)
from openturret.boot.fetch.tls import client_context
from openturret.boot.users.directory import (
    Directory,
    DirectoryServer,
    Patience,
    Person,
    host_and_port,
)
from openturret.boot.wire.ldap import (
    BindRequest,
    BindResponse,
    Entry,
    ReadRequest,
    Reference,
    Response,
    Result,
    SearchDone,
    length_octets,
)
from openturret.lab.certificates import Authority

NAME = "ldap.turret.example"
TEMPLATE = "uid={user},ou=people,dc=turret,dc=example"
ALICE = "uid=alice,ou=people,dc=turret,dc=example"
HOST = IPv4Address("127.0.0.1")
HASTY = (Patience(1, 1), Patience(1, 1))

Say = Callable[[int], Sequence[Response]]
"""Makes the answers to the n-th request of a connection; their ids count from that request's."""

SAME, OTHER = 0, 1
"""Added to the id of the request that is answered."""


def message_id(request: bytes) -> int:
    """Reads the number that every request begins with (RFC 4511 §4.1.1)."""
    at = 2 + length_octets(request)
    return int.from_bytes(request[at + 2 : at + 2 + request[at + 1]])


def result(code: int, *referrals: str) -> Say:
    return lambda _: [BindResponse(SAME, Result(code, referrals=referrals))]


def welcome(*answers: Response) -> Say:
    """Says yes to the bind and then these."""
    bound: list[Response] = [BindResponse(SAME, Result(0))]
    return lambda number: [bound, answers][number]


class Ldaps:
    """Says something to every request and keeps what it heard, connection by connection."""

    def __init__(self, say: Say) -> None:
        self._say = say
        self.heard: list[list[bytes]] = []
        self.hellos: list[object] = []
        self.port = 0

    def server(self, name: str = NAME) -> DirectoryServer:
        return DirectoryServer(name, HOST, self.port)

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        requests: list[bytes] = []
        self.heard.append(requests)
        try:
            while request := await reader.read(4096):
                requests.append(request)
                asked = message_id(request)
                for answer in self._say(len(requests) - 1):
                    writer.write(bytes(replace(answer, message_id=asked + answer.message_id)))
        except (OSError, IndexError):
            pass
        finally:
            writer.transport.abort()


@asynccontextmanager
async def ldaps(certificate: Path, say: Say) -> AsyncIterator[Ldaps]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    ldaps = Ldaps(say)
    context.sni_callback = lambda *_: ldaps.hellos.append(None)
    async with await asyncio.start_server(ldaps.talk, str(HOST), 0, ssl=context) as server:
        ldaps.port = server.sockets[0].getsockname()[1]
        yield ldaps


@pytest.fixture(scope="module")
def certificate(authority: Authority) -> Path:
    return authority.issue("ldap-unit", [NAME]).both


class Trips:
    """Counts round trips."""

    def __init__(self) -> None:
        self.total = 0

    def __call__(self, round_trips: int) -> None:
        self.total += round_trips


async def log_in(
    authority: Authority,
    servers: Sequence[DirectoryServer],
    user: str = "alice",
    password: str = "correct horse",
    trips: Trips | None = None,
) -> Person:
    directory = Directory(
        client_context(authority.path), dn_template=TEMPLATE, count=trips or Trips(), rounds=HASTY
    )
    async with directory.login(servers, user, password) as admission:
        return Person(user, await admission.name())


async def test_a_login_asks_for_a_bind_and_then_for_the_name(
    authority: Authority, certificate: Path
) -> None:
    found = Entry(SAME, ALICE, (("cn", (b"Alice Martin",)),))
    trips = Trips()
    async with ldaps(certificate, welcome(found, SearchDone(SAME, Result(0)))) as server:
        assert await log_in(authority, [server.server()], trips=trips) == Person(
            "alice", "Alice Martin"
        )
    bind, read = server.heard[0][:2]
    number = message_id(bind)
    assert bind == bytes(BindRequest(number, ALICE, "correct horse"))
    assert read == bytes(ReadRequest(number + 1, ALICE, ("cn",)))
    assert trips.total == 3, "TCP, TLS, bind; nobody waits for the name"


@pytest.mark.parametrize(
    "answers",
    [
        [SearchDone(SAME, Result(50))],
        [SearchDone(SAME, Result(10, referrals=("ldap://127.0.0.1:1/",)))],
        [Reference(SAME, ("ldap://127.0.0.1:1/",)), SearchDone(SAME, Result(0))],
        [Entry(SAME, ALICE), SearchDone(SAME, Result(0))],
        [Entry(SAME, ALICE, (("cn", (b"A" * 257,)),)), SearchDone(SAME, Result(0))],
        [Entry(SAME, ALICE, (("cn", (b"\x1b[2J",)),)), SearchDone(SAME, Result(0))],
        [BindResponse(SAME, Result(0))] * 9,
        [SearchDone(OTHER, Result(0))],
    ],
)
async def test_a_name_that_is_not_shown_stops_no_login(
    authority: Authority, certificate: Path, answers: list[Response]
) -> None:
    async with ldaps(certificate, welcome(*answers)) as server:
        assert (await log_in(authority, [server.server()])).name == ""


async def test_a_refusal_is_final_and_the_next_server_is_not_asked(
    authority: Authority, certificate: Path
) -> None:
    async with ldaps(certificate, result(49)) as first, ldaps(certificate, result(0)) as second:
        with pytest.raises(BadCredentialsError, match="wrong"):
            await log_in(authority, [first.server(), second.server()])
    assert len(first.heard) == 1
    assert second.heard == []


@pytest.mark.parametrize("code", [1, 2, 7, 8, 10, 14, 19, 32, 34, 48, 49, 50, 53])
async def test_every_result_but_success_logs_nobody_in(
    authority: Authority, certificate: Path, code: int
) -> None:
    async with ldaps(certificate, result(code)) as server:
        with pytest.raises(BadCredentialsError):
            await log_in(authority, [server.server()])
    assert len(server.heard) == 1


@pytest.mark.parametrize("code", [51, 52, 80])
async def test_a_server_in_trouble_is_passed_over(
    authority: Authority, certificate: Path, code: int
) -> None:
    async with (
        ldaps(certificate, result(code)) as troubled,
        ldaps(certificate, welcome(SearchDone(SAME, Result(0)))) as good,
    ):
        assert (await log_in(authority, [troubled.server(), good.server()])).user == "alice"
    assert len(troubled.heard) == 1


async def test_a_connection_lost_in_the_middle_is_opened_anew_once(
    authority: Authority, certificate: Path
) -> None:
    lost: list[int] = []

    def once(number: int) -> Sequence[Response]:
        if not lost:
            lost.append(number)
            raise OSError("the server dies when it has the bind")
        return welcome(SearchDone(SAME, Result(0)))(number)

    async with ldaps(certificate, once) as server:
        assert (await log_in(authority, [server.server()])).user == "alice"
    assert len(server.heard) == 2


async def test_a_connection_lost_again_lets_nobody_in(
    authority: Authority, certificate: Path
) -> None:
    async with ldaps(certificate, lambda number: [][number]) as server:
        with pytest.raises(DirectoryUnreachableError, match="hung up"):
            await log_in(authority, [server.server()])
    assert len(server.heard) == 2


async def test_a_referral_is_not_followed(authority: Authority, certificate: Path) -> None:
    async with ldaps(certificate, result(0)) as elsewhere:
        url = f"ldaps://127.0.0.1:{elsewhere.port}/"
        async with ldaps(certificate, result(10, url)) as server:
            with pytest.raises(BadCredentialsError):
                await log_in(authority, [server.server()])
    assert elsewhere.heard == []


@pytest.mark.parametrize(
    ("user", "password"),
    [("alice", ""), ("", "x"), ("  ", "x"), ("a\0b", "x"), ("a\nb", "x"), ("a" * 300, "x"),
     ("alice", "x" * 300), ("alice", "\ud800"), ("\ud800", "x")],
)  # fmt: skip
async def test_empty_and_strange_credentials_never_reach_a_server(
    authority: Authority, certificate: Path, user: str, password: str
) -> None:
    async with ldaps(certificate, result(0)) as server:
        with pytest.raises(BadCredentialsError):
            await log_in(authority, [server.server()], user, password)
    assert server.heard == []


async def test_a_user_name_cannot_leave_its_place(authority: Authority, certificate: Path) -> None:
    async with ldaps(certificate, result(49)) as server:
        with pytest.raises(BadCredentialsError):
            await log_in(authority, [server.server()], "a,ou=admins")
    assert rb"uid=a\,ou\=admins,ou=people" in server.heard[0][0]


def test_a_template_without_a_place_for_the_user_is_refused(authority: Authority) -> None:
    with pytest.raises(DirectoryError, match=r"no \{user\}") as caught:
        Directory(client_context(authority.path), dn_template="cn=admin", count=Trips())
    assert "application.directory.user.dn" in caught.value.remedy


async def test_wrong_certificates_get_no_password(authority: Authority, tmp_path: Path) -> None:
    mallory = Authority(tmp_path / "mallory", now=datetime.now(UTC), name="Mallory")
    cases = [
        mallory.issue("ldap", [NAME]).both,
        authority.issue("other", ["other.turret.example"]).both,
        authority.issue_expired("old-ldap", [NAME]).both,
    ]
    for wrong in cases:
        async with ldaps(wrong, result(0)) as server:
            with pytest.raises(DirectoryUntrustedError):
                await log_in(authority, [server.server()], password="canary-secret")
        assert not any(server.heard)


async def test_an_untrusted_server_is_passed_over_and_not_asked_again(
    authority: Authority, certificate: Path
) -> None:
    wrong = authority.issue("other2", ["other.turret.example"]).both
    async with ldaps(wrong, result(0)) as untrusted, ldaps(certificate, result(52)) as troubled:
        with pytest.raises(DirectoryUntrustedError):
            await log_in(authority, [untrusted.server(), troubled.server()])
    assert not any(untrusted.heard)
    assert (len(untrusted.hellos), len(troubled.hellos)) == (1, 2)


async def test_nobody_there_is_unreachable(authority: Authority) -> None:
    with socket.create_server((str(HOST), 0)) as closed:
        port = closed.getsockname()[1]
    with pytest.raises(DirectoryUnreachableError):
        await log_in(authority, [DirectoryServer(NAME, HOST, port)])
    with pytest.raises(DirectoryUnreachableError, match="no directory is known"):
        await log_in(authority, [])


async def test_a_silent_server_costs_its_patience_and_no_more(
    authority: Authority, certificate: Path
) -> None:
    directory = Directory(
        client_context(authority.path), dn_template=TEMPLATE, count=Trips(),
        rounds=[Patience(1, 0.05)], login_s=5,
    )  # fmt: skip
    async with ldaps(certificate, lambda _: []) as silent:
        with pytest.raises(DirectoryUnreachableError, match="in time"):
            async with directory.login([silent.server()], "alice", "x"):
                pass


async def test_all_servers_together_have_a_limit(authority: Authority, certificate: Path) -> None:
    directory = Directory(
        client_context(authority.path), dn_template=TEMPLATE, count=Trips(), login_s=0.05
    )
    async with ldaps(certificate, lambda _: []) as silent:
        with pytest.raises(DirectoryUnreachableError, match="too long"):
            async with directory.login([silent.server()] * 50, "alice", "x"):
                pass


def test_only_ldaps_urls_are_accepted() -> None:
    assert host_and_port("ldaps://ldap.turret.example") == (NAME, 636)
    assert host_and_port("ldaps://ldap.turret.example:1636") == (NAME, 1636)
    for url in ("ldap://ldap.turret.example", "ldaps://", "https://x", "x", "ldaps://x:99999", ""):
        with pytest.raises(DirectoryError):
            host_and_port(url)
