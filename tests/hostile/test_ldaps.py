"""Directories that lie, drag their feet or never end: nobody gets in, and little is spent on them.

Each hostile server has a certificate that the unit trusts, which is the worst that can happen;
the last tests are about those that have not.
"""

from __future__ import annotations

import asyncio
import ssl
import tracemalloc
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
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
from openturret.boot.users.directory import Directory, DirectoryServer, Patience
from openturret.boot.wire.ldap import (
    NOTICE_OF_DISCONNECTION,
    BindResponse,
    Entry,
    ExtendedResponse,
    Reference,
    Result,
    SearchDone,
    length_octets,
)
from openturret.lab.certificates import Authority

NAME = "ldap.turret.example"
ALICE = "uid=alice,ou=people,dc=turret,dc=example"
HASTY = (Patience(connect_s=1, answer_s=0.2), Patience(connect_s=1, answer_s=0.2))
LIMIT_S = 10
MEMORY_BYTES = 4 * 1024 * 1024
"""For a login and the hostile server together."""

SUCCESS = Result(0)
Attack = Callable[[asyncio.StreamWriter, int], Awaitable[None]]
"""Answers a bind: where to write to, and the id that an honest answer has."""


# -- what hostile servers do ---------------------------------------------------------------------


def says(make: Callable[[int], bytes]) -> Attack:
    """Sends some bytes and then keeps the connection."""

    async def attack(writer: asyncio.StreamWriter, number: int) -> None:
        writer.write(make(number))

    return attack


def endlessly(chunk: Callable[[int], bytes]) -> Attack:
    """Sends the same for ever, as fast as the unit takes it."""

    async def attack(writer: asyncio.StreamWriter, number: int) -> None:
        while True:
            writer.write(chunk(number))
            await writer.drain()

    return attack


async def endless_content(writer: asyncio.StreamWriter, number: int) -> None:
    """A message of 4 GiB, and it does come."""
    writer.write(b"\x30\x84\xff\xff\xff\xff")
    await endlessly(lambda _: bytes(65_536))(writer, number)


async def hangs_up(writer: asyncio.StreamWriter, number: int) -> None:
    writer.transport.abort()


async def drips(writer: asyncio.StreamWriter, number: int) -> None:
    """An honest success, one byte before the patience for it has run out, again and again."""
    for octet in bytes(BindResponse(number, SUCCESS)):
        writer.write(bytes([octet]))
        await writer.drain()
        await asyncio.sleep(0.05)


def nested(number: int) -> bytes:
    nest = b""
    for _ in range(10_000):
        nest = b"\x30\x82" + len(nest).to_bytes(2) + nest
    return b"\x30\x82" + len(nest).to_bytes(2) + nest


def longer_inside(number: int) -> bytes:
    """The operation is longer than the message that holds it."""
    honest = bytearray(bytes(BindResponse(number, SUCCESS)))
    honest[honest.index(0x61) + 1] += 40
    return bytes(honest) + bytes(100)


def shorter_inside(number: int) -> bytes:
    """The operation ends before its result does."""
    honest = bytearray(bytes(BindResponse(number, SUCCESS)))
    honest[honest.index(0x61) + 1] = 1
    return bytes(honest)


UNDECIDED: dict[str, Attack] = {
    "says nothing": says(lambda _: b""),
    "hangs up": hangs_up,
    "drips": drips,
    "garbage": says(lambda _: b"HTTP/1.1 200 OK\r\n\r\n"),
    "endless zeros": endlessly(lambda _: bytes(65_536)),
    "a message of 4 GiB": endless_content,
    "half a message": says(lambda n: bytes(BindResponse(n, SUCCESS))[:-1]),
    "an indefinite length": says(lambda n: b"\x30\x80" + bytes(BindResponse(n, SUCCESS))[2:]),
    "a length of 126 octets": says(lambda _: b"\x30\xfe" + bytes(126)),
    "longer inside than outside": says(longer_inside),
    "shorter inside than its content": says(shorter_inside),
    "nested ten thousand deep": says(nested),
    "another id": says(lambda n: bytes(BindResponse(n + 1, SUCCESS))),
    "id zero": says(lambda _: bytes(BindResponse(0, SUCCESS))),
    "id one": says(lambda _: bytes(BindResponse(1, SUCCESS))),
    "success of a search": says(lambda n: bytes(SearchDone(n, SUCCESS))),
    "an entry": says(lambda n: bytes(Entry(n, ALICE, (("cn", (b"Alice",)),)))),
    "a reference": says(lambda n: bytes(Reference(n, ("ldap://127.0.0.1/",)))),
    "success of something extended": says(lambda n: bytes(ExtendedResponse(n, SUCCESS))),
    "an unsolicited notice": says(
        lambda _: bytes(ExtendedResponse(0, Result(52), NOTICE_OF_DISCONNECTION))
    ),
    "a notice and then success": says(
        lambda n: (
            bytes(ExtendedResponse(0, SUCCESS, NOTICE_OF_DISCONNECTION))
            + bytes(BindResponse(n, SUCCESS))
        )
    ),
    "notices without end": endlessly(lambda _: 1000 * bytes(ExtendedResponse(0, SUCCESS, "1.2.3"))),
}
"""None of these decides: nobody is in, and the next server is asked."""

REFUSING: dict[str, Attack] = {
    "a referral": says(
        lambda n: bytes(BindResponse(n, Result(10, referrals=("ldap://127.0.0.1:9/",))))
    ),
    "a result that nobody knows": says(lambda n: bytes(BindResponse(n, Result(2**31 - 1)))),
    "a SASL challenge": says(lambda n: bytes(BindResponse(n, Result(14)))),
    "a refusal and then success": says(
        lambda n: bytes(BindResponse(n, Result(49))) + bytes(BindResponse(n, SUCCESS))
    ),
}
"""Each of these decides: nobody is in."""

NAMELESS: dict[str, Attack] = {
    "no name": says(lambda n: bytes(SearchDone(n, SUCCESS))),
    "a name that never ends": endless_content,
    "a huge name": says(lambda n: bytes(Entry(n, ALICE, (("cn", (b"A" * 60_000,)),)))
                        + bytes(SearchDone(n, SUCCESS))),
    "a huge number of names": says(lambda n: bytes(Entry(n, ALICE, (("cn", (b"",) * 20_000),)))
                                   + bytes(SearchDone(n, SUCCESS))),
    "a name that moves the cursor": says(
        lambda n: bytes(Entry(n, ALICE, (("cn", (b"\x1b[2JAlice\n",)),)))
        + bytes(SearchDone(n, SUCCESS))
    ),
    "entries without end": endlessly(
        lambda n: 500 * bytes(Entry(n, ALICE, (("cn", (b"Al",)),)))
    ),
    "references without end": endlessly(
        lambda n: 500 * bytes(Reference(n, ("ldap://127.0.0.1/",)))
    ),
    "another id": says(lambda n: bytes(SearchDone(n + 1, SUCCESS))),
    "success of a bind": says(lambda n: bytes(BindResponse(n, SUCCESS))),
    "hangs up": hangs_up,
    "drips": drips,
}  # fmt: skip
"""Who was let in has no name then, and is in all the same."""


# -- who does it ---------------------------------------------------------------------------------


@dataclass
class Hostile:
    """A server on loopback that answers each request in its own way."""

    attacks: list[Attack]
    greeting: bytes = b""
    port: int = 0
    connections: int = 0
    heard: bytes = b""

    @property
    def server(self) -> DirectoryServer:
        return DirectoryServer(NAME, IPv4Address("127.0.0.1"), self.port)

    def __post_init__(self) -> None:
        self.tasks: set[asyncio.Task[None]] = set()

    async def welcome(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.tasks.add(task)
        self.connections += 1
        writer.write(self.greeting)
        try:
            await self._talk(reader, writer)
        except (OSError, asyncio.CancelledError):
            pass  # cancelled at the end of the test: asyncio would log it
        finally:
            writer.transport.abort()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for attack in self.attacks:
            request = await reader.read(4096)
            self.heard += request
            if request:
                await attack(writer, message_id(request))
        while more := await reader.read(4096):
            self.heard += more


def message_id(request: bytes) -> int:
    at = 2 + length_octets(request)
    return int.from_bytes(request[at + 2 : at + 2 + request[at + 1]])


def tls(certificate: Path, newest: ssl.TLSVersion | None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    if newest is not None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # what is old is what is tried
            context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
            context.maximum_version = newest
        context.set_ciphers("ALL:@SECLEVEL=0")
    return context


@asynccontextmanager
async def hostile(
    certificate: Path | None,
    *attacks: Attack,
    greeting: bytes = b"",
    newest: ssl.TLSVersion | None = None,
) -> AsyncIterator[Hostile]:
    """Starts a hostile server; without a certificate it speaks no TLS."""
    server = Hostile(list(attacks), greeting)
    context = None if certificate is None else tls(certificate, newest)
    listener = await asyncio.start_server(server.welcome, "127.0.0.1", 0, ssl=context)
    server.port = listener.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listener.close()
        for task in server.tasks:
            task.cancel()
        await asyncio.gather(*server.tasks, return_exceptions=True)
        await asyncio.sleep(0)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"), now=datetime.now(UTC))


@pytest.fixture(scope="module")
def certificate(authority: Authority) -> Path:
    return authority.issue("ldap", [NAME]).both


async def honest_bind(writer: asyncio.StreamWriter, number: int) -> None:
    writer.write(bytes(BindResponse(number, SUCCESS)))


async def honest_name(writer: asyncio.StreamWriter, number: int) -> None:
    entry = Entry(number, ALICE, (("cn", (b"Alice Martin",)),))
    writer.write(bytes(entry) + bytes(SearchDone(number, SUCCESS)))


async def log_in(authority: Authority, *servers: Hostile) -> str:
    """Returns the name of who was let in; takes neither long nor much memory."""
    directory = Directory(
        client_context(authority.path),
        dn_template="uid={user},ou=people,dc=turret,dc=example",
        count=lambda _: None,
        rounds=HASTY,
    )
    tracemalloc.start()
    try:
        async with asyncio.timeout(LIMIT_S):
            where = [server.server for server in servers]
            async with directory.login(where, "alice", "canary-secret") as admission:
                return await admission.name()
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < MEMORY_BYTES, f"{peak} bytes"


# -- nobody gets in ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", UNDECIDED)
async def test_nobody_gets_in_and_it_is_tried_once_more(
    authority: Authority, certificate: Path, name: str
) -> None:
    async with hostile(certificate, UNDECIDED[name]) as server:
        with pytest.raises(DirectoryUnreachableError, match=NAME) as caught:
            await log_in(authority, server)
    assert caught.value.remedy
    assert "canary" not in str(caught.value)
    assert server.connections == 2


async def test_a_server_that_says_goodbye_is_understood(
    authority: Authority, certificate: Path
) -> None:
    async with hostile(certificate, UNDECIDED["an unsolicited notice"]) as server:
        with pytest.raises(DirectoryUnreachableError, match="hangs up with result 52"):
            await log_in(authority, server)


@pytest.mark.parametrize("name", UNDECIDED)
async def test_the_next_good_server_lets_people_in(
    authority: Authority, certificate: Path, name: str
) -> None:
    async with (
        hostile(certificate, UNDECIDED[name]) as server,
        hostile(certificate, honest_bind, honest_name) as good,
    ):
        assert await log_in(authority, server, good) == "Alice Martin"


@pytest.mark.parametrize("name", REFUSING)
async def test_a_refusal_is_one_whatever_comes_with_it(
    authority: Authority, certificate: Path, name: str
) -> None:
    async with (
        hostile(certificate, REFUSING[name]) as server,
        hostile(certificate, honest_bind, honest_name) as good,
    ):
        with pytest.raises(BadCredentialsError):
            await log_in(authority, server, good)
    assert good.connections == 0


async def test_a_success_that_was_sent_before_the_question_is_none(
    authority: Authority, certificate: Path
) -> None:
    """Message ids begin at random, so that it would have to be guessed."""
    early = b"".join(bytes(BindResponse(number, SUCCESS)) for number in range(1000))
    async with hostile(certificate, greeting=early) as server:
        with pytest.raises(DirectoryUnreachableError, match="nothing that was asked"):
            await log_in(authority, server)


@pytest.mark.parametrize("name", NAMELESS)
async def test_a_name_is_not_worth_much(authority: Authority, certificate: Path, name: str) -> None:
    async with hostile(certificate, honest_bind, NAMELESS[name]) as server:
        assert await log_in(authority, server) in ("", "Al")


# -- who has not the certificate -----------------------------------------------------------------


@pytest.mark.parametrize("reason", ["authority", "name", "expired"])
async def test_a_wrong_certificate_hears_nothing(
    authority: Authority, certificate: Path, tmp_path: Path, reason: str
) -> None:
    mallory = Authority(tmp_path / "mallory", now=datetime.now(UTC), name="Mallory")
    wrong = {
        "authority": lambda: mallory.issue("ldap", [NAME]).both,
        "name": lambda: authority.issue("other", ["other.turret.example", f"*.{NAME}"]).both,
        "expired": lambda: authority.issue_expired("old", [NAME]).both,
    }[reason]()
    async with (
        hostile(wrong, honest_bind, honest_name) as server,
        hostile(certificate, honest_bind, honest_name) as good,
    ):
        with pytest.raises(DirectoryUntrustedError, match=NAME):
            await log_in(authority, server)
        assert await log_in(authority, server, good) == "Alice Martin"
    assert server.heard == b""


@pytest.mark.parametrize("newest", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
async def test_old_tls_hears_nothing(
    authority: Authority, certificate: Path, newest: ssl.TLSVersion
) -> None:
    async with hostile(certificate, honest_bind, newest=newest) as server:
        with pytest.raises(DirectoryError):
            await log_in(authority, server)
    assert server.heard == b""


async def test_a_server_without_tls_hears_no_password(authority: Authority) -> None:
    async with hostile(None, greeting=bytes(BindResponse(1, SUCCESS))) as server:
        with pytest.raises(DirectoryUnreachableError):
            await log_in(authority, server)
    assert b"canary" not in server.heard


async def test_a_handshake_that_never_ends_costs_its_patience(authority: Authority) -> None:
    async with hostile(None) as server:
        with pytest.raises(DirectoryUnreachableError, match="handshake"):
            await log_in(authority, server)
    assert server.heard.startswith(b"\x16\x03"), "the client's hello"
    assert b"canary" not in server.heard
