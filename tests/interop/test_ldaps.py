"""Logins at Debian's slapd, two of them behind Debian's HAProxy, as the bench has them.

Everything listens on loopback: no namespace is needed, and no privilege.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import csv
import os
import signal
import socket
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from openturret.boot.document import Document
from openturret.boot.errors import (
    BadCredentialsError,
    BootError,
    DirectoryError,
    DirectoryUnreachableError,
    DirectoryUntrustedError,
    DnsError,
    LockedOutError,
)
from openturret.boot.fetch.tls import client_context
from openturret.boot.folder import StateFolder
from openturret.boot.identity import Identity
from openturret.boot.status import StatusBoard
from openturret.boot.users.directory import Directory, DirectoryServer, Person
from openturret.boot.users.login import Logins
from openturret.hal.clock import SystemClock
from openturret.lab.certificates import Authority, ServerCertificate
from openturret.lab.directory import DirectoryUser, load
from openturret.lab.directory.balancer import service as balancer_service
from openturret.lab.directory.slapd import PEOPLE
from openturret.lab.directory.slapd import service as slapd_service
from openturret.lab.errors import ToolMissingError
from openturret.lab.plan import Host
from openturret.lab.processes import Service
from openturret.lab.tools import Tool, tool

pytestmark = [pytest.mark.slow]

NAME = "ldap.turret.example"
TEMPLATE = f"uid={{user}},{PEOPLE}"
PASSWORD = "correct horse"
BALANCER = Host("ldap", "", "127.0.0.1")
FIRST = Host("ldap1", "", "127.0.0.2")
SECOND = Host("ldap2", "", "127.0.0.3")
STRANGE = {
    "a,ou=admins": r"a\2Cou\3Dadmins",
    "a+cn=x": r"a\2Bcn\3Dx",
    '"a"': r"\22a\22",
    "#a": r"\23a",
    "a\\b": r"a\5Cb",
    "<a;b>": r"\3Ca\3Bb\3E",
    "a(*)b": "a(*)b",
    "é à": "é à",
}
"""Users, and how somebody else writes them in a distinguished name (RFC 4514 §2.4)."""


def needed(name: str) -> Tool:
    try:
        return tool(name)
    except ToolMissingError as error:
        pytest.skip(str(error))


def free_port() -> int:
    """A port that nobody uses on any of the addresses."""
    with socket.create_server((BALANCER.address, 0)) as listener:
        port: int = listener.getsockname()[1]
    return port


class Server:
    """A process of the bench that can die, freeze and come back."""

    def __init__(self, service: Service, folder: Path, address: str, port: int) -> None:
        self._service = service
        self._log = folder / f"{service.name}.log"
        self._at = (address, port)
        self.start()

    def start(self) -> None:
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                self._service.argv, env={**os.environ, **self._service.env}, stdout=log, stderr=log
            )
        while True:
            try:
                socket.create_connection(self._at).close()
            except OSError:
                assert self.process.poll() is None, self._log.read_text()
                continue
            return

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def freeze(self) -> None:
        self.process.send_signal(signal.SIGSTOP)

    def repair(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
        else:
            self.start()

    def close(self) -> None:
        self.repair()
        self.process.terminate()
        self.process.wait()


@dataclass
class Site:
    """Two directories and their balancer."""

    folder: Path
    authority: Authority
    port: int
    directories: dict[str, Server]
    balancer: Server

    def servers(self, *hosts: Host) -> list[DirectoryServer]:
        return [DirectoryServer(NAME, IPv4Address(host.address), self.port) for host in hosts]

    async def stats(self) -> dict[str, dict[str, str]]:
        """What the balancer counts about each directory."""
        reader, writer = await asyncio.open_unix_connection(self.folder / "ldap" / "haproxy.sock")
        writer.write(b"show stat -1 4 -1\n")
        rows = csv.DictReader((await reader.read()).decode().lstrip("# ").splitlines())
        writer.close()
        return {row["svname"]: row for row in rows}

    async def balanced(self, down: str = "") -> None:
        """Waits until the balancer trusts both directories, or all but one.

        On a busy machine it needs more than a second, and may distrust a good one meanwhile.
        """
        wanted = {name: name != down for name in self.directories}
        async with asyncio.timeout(20):
            while await self._states() != wanted:
                await asyncio.sleep(0.02)

    async def _states(self) -> dict[str, bool]:
        """Which are up; none before the balancer has made its socket."""
        try:
            return {name: row["status"] == "UP" for name, row in (await self.stats()).items()}
        except OSError:
            return {}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    for name in ("slapd", "slapadd", "haproxy"):
        needed(name)
    folder, port = tmp_path_factory.mktemp("ldaps"), free_port()
    authority = Authority(folder / "ca", now=datetime.now(UTC))
    certificate = authority.issue("ldap", [NAME])
    directories = {}
    for host in (FIRST, SECOND):
        populate(folder / host.name, authority, certificate)
        service = slapd_service(host.name, host, folder / host.name, port=port)
        directories[host.name] = Server(service, folder, host.address, port)
    service = balancer_service(
        "ldap", BALANCER, folder / "ldap", servers=[FIRST, SECOND], port=port
    )
    site = Site(
        folder, authority, port, directories, Server(service, folder, BALANCER.address, port)
    )
    yield site
    for server in (site.balancer, *directories.values()):
        server.close()


def populate(folder: Path, authority: Authority, certificate: ServerCertificate) -> None:
    """Loads Alice, people with strange names, and a branch that is elsewhere."""
    alice = DirectoryUser("alice", PASSWORD, "Alice Martin", "1001")
    load(folder, authority=authority.path, certificate=certificate, users=[alice])
    extra = folder / "extra.ldif"
    entries = [strange(user, escaped) for user, escaped in STRANGE.items()]
    abroad = (
        f"dn: ou=abroad,{PEOPLE}\nobjectClass: referral\nobjectClass: extensibleObject\n"
        f"ou: abroad\nref: ldaps://127.0.0.1:9/{PEOPLE}\n"
    )
    extra.write_text("\n".join([*entries, abroad]))
    program = tool("slapadd")
    subprocess.run(
        [program.path, "-q", "-f", folder / "slapd.conf", "-l", extra],
        env=program.environment(),
        check=True,
        capture_output=True,
    )


def strange(user: str, escaped: str) -> str:
    def encode(text: str) -> str:
        return base64.b64encode(text.encode()).decode()

    return (
        f"dn:: {encode(f'uid={escaped},{PEOPLE}')}\nobjectClass: inetOrgPerson\n"
        f"uid:: {encode(user)}\ncn:: {encode(f'Name of {user}')}\nsn: x\nuserPassword: {PASSWORD}\n"
    )


@pytest.fixture(autouse=True)
async def _all_well(site: Site) -> AsyncIterator[None]:
    await site.balanced()
    yield
    for server in site.directories.values():
        server.repair()


async def log_in(
    site: Site,
    servers: Sequence[DirectoryServer],
    user: str = "alice",
    password: str = PASSWORD,
    template: str = TEMPLATE,
    trips: list[int] | None = None,
) -> Person:
    count = (trips if trips is not None else []).append
    directory = Directory(client_context(site.authority.path), dn_template=template, count=count)
    async with directory.login(servers, user, password) as admission:
        return Person(user, await admission.name())


# -- what slapd says -----------------------------------------------------------------------------


@pytest.mark.parametrize("host", [BALANCER, FIRST, SECOND], ids=lambda host: str(host.name))
async def test_alice_logs_in(site: Site, host: Host) -> None:
    trips: list[int] = []
    person = await log_in(site, site.servers(host), trips=trips)
    assert person == Person("alice", "Alice Martin")
    assert sum(trips) == 3, "TCP, TLS 1.3, bind"


@pytest.mark.parametrize("password", ["wrong", "correct horse ", "CORRECT HORSE", "x" * 256])
async def test_a_wrong_password_is_refused(site: Site, password: str) -> None:
    with pytest.raises(BadCredentialsError):
        await log_in(site, site.servers(BALANCER), password=password)


@pytest.mark.parametrize("user", ["mallory", "alice,ou=people", "*", "a*", "(uid=alice)", "admin"])
async def test_an_unknown_user_is_refused(site: Site, user: str) -> None:
    with pytest.raises(BadCredentialsError):
        await log_in(site, site.servers(BALANCER), user)


@pytest.mark.parametrize("user", STRANGE)
async def test_a_strange_user_is_found_under_the_own_name_and_no_other(
    site: Site, user: str
) -> None:
    person = await log_in(site, site.servers(BALANCER), user)
    assert person == Person(user, f"Name of {user}")
    with pytest.raises(BadCredentialsError):
        await log_in(site, site.servers(BALANCER), user, "wrong")


async def test_a_branch_that_is_elsewhere_is_a_refusal(site: Site) -> None:
    with pytest.raises(BadCredentialsError):
        await log_in(site, site.servers(BALANCER), template=f"uid={{user}},ou=abroad,{PEOPLE}")
    with pytest.raises(BadCredentialsError):
        await log_in(site, site.servers(BALANCER), "abroad", template=f"ou={{user}},{PEOPLE}")


# -- what dies -----------------------------------------------------------------------------------


class Gate:
    """Stands before the balancer; does something when the bind is here, before it goes on."""

    def __init__(self, site: Site, happens: Callable[[Server], None]) -> None:
        self._site = site
        self._happens: Callable[[Server], None] | None = happens
        self._victim = ""
        self.connections = 0
        self.served: list[asyncio.Task[None] | None] = []
        self.port = 0

    async def close(self) -> None:
        tasks = [task for task in self.served if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0)  # the transports close in the next round of the loop

    async def welcome(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.served.append(asyncio.current_task())
        if self._happens is None:
            await self._site.balanced(down=self._victim)
        far_reader, far_writer = await asyncio.open_connection(BALANCER.address, self._site.port)
        ways = [
            asyncio.create_task(self._pass_on(reader, far_writer, is_client=True)),
            asyncio.create_task(self._pass_on(far_reader, writer, is_client=False)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            writer.transport.abort()
            far_writer.transport.abort()

    async def _pass_on(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, is_client: bool
    ) -> None:
        """Client hello first, then the end of the handshake with the bind in it or after it."""
        flights = 0
        with contextlib.suppress(OSError):
            while data := await reader.read(65_536):
                flights += is_client
                if flights > 1 and self._happens is not None and len(data) > BIND_BYTES:
                    happens, self._happens = self._happens, None
                    happens(await self._serving())
                writer.write(data)

    async def _serving(self) -> Server:
        """Returns the directory that has the connection."""
        rows = await self._site.stats()
        (self._victim,) = (name for name, row in rows.items() if row["scur"] == "1")
        return self._site.directories[self._victim]


BIND_BYTES = 80
"""TLS's own last flight is shorter; the record with the bind is longer: its name alone has 40."""


@contextlib.asynccontextmanager
async def gate(site: Site, happens: Callable[[Server], None]) -> AsyncIterator[Gate]:
    gate = Gate(site, happens)
    async with await asyncio.start_server(gate.welcome, "127.0.0.1", 0) as server:
        gate.port = server.sockets[0].getsockname()[1]
        yield gate
        await gate.close()


@pytest.mark.parametrize("happens", [Server.kill, Server.freeze], ids=["killed", "frozen"])
async def test_a_directory_that_dies_with_the_bind_in_hand_costs_a_second_connection(
    site: Site, happens: Callable[[Server], None]
) -> None:
    async with gate(site, happens) as before:
        servers = [DirectoryServer(NAME, IPv4Address("127.0.0.1"), before.port)]
        assert (await log_in(site, servers)).user == "alice"
        assert before.connections == 2


@pytest.mark.parametrize("happens", [Server.kill, Server.freeze], ids=["killed", "frozen"])
async def test_a_wrong_password_stays_wrong_when_a_directory_dies_over_it(
    site: Site, happens: Callable[[Server], None]
) -> None:
    async with gate(site, happens) as before:
        servers = [DirectoryServer(NAME, IPv4Address("127.0.0.1"), before.port)]
        with pytest.raises(BadCredentialsError):
            await log_in(site, servers, password="wrong")


@pytest.mark.parametrize("happens", [Server.kill, Server.freeze], ids=["killed", "frozen"])
async def test_without_a_balancer_the_second_directory_is_asked(
    site: Site, happens: Callable[[Server], None]
) -> None:
    happens(site.directories[FIRST.name])
    assert (await log_in(site, site.servers(FIRST, SECOND))).name == "Alice Martin"


async def test_with_all_dead_nobody_gets_in(site: Site) -> None:
    for server in site.directories.values():
        server.kill()
    with pytest.raises(DirectoryUnreachableError):
        await log_in(site, site.servers(BALANCER, FIRST, SECOND))


# -- whose certificate is wrong ------------------------------------------------------------------


OLDEST = "as old as is accepted"
LIMITS = {OLDEST: "ssl-max-ver TLSv1.2"}


@pytest.fixture(scope="module")
def wrong(site: Site) -> Iterator[Mapping[str, int]]:
    """A balancer that ends TLS itself, on each port in another way that is wrong, or nearly."""
    mallory = Authority(site.folder / "mallory", now=datetime.now(UTC), name="Mallory")
    certificates = {
        "expired": site.authority.issue_expired("expired", [NAME]),
        "name": site.authority.issue("other", ["other.turret.example"]),
        "authority": mallory.issue("ldap", [NAME]),
        OLDEST: site.authority.issue("oldest", [NAME]),
    }
    ports = {reason: free_port() for reason in certificates}
    path = site.folder / "wrong.cfg"
    binds = (f"  bind 127.0.0.1:{ports[reason]} ssl crt {certificate.both} {LIMITS.get(reason, '')}"
             for reason, certificate in certificates.items())  # fmt: skip
    path.write_text("\n".join([
        "defaults", "  mode tcp", "  timeout connect 1s", "  timeout client 9s",
        "  timeout server 9s", "listen wrong", *binds,
        f"  server ldap1 {FIRST.address}:{site.port} ssl verify none", "",
    ]))  # fmt: skip
    program = tool("haproxy")
    argv = [str(program.path), "-f", str(path), "-db"]
    service = Service("wrong", "", argv, ready=_never, env=program.env)
    server = Server(service, site.folder, "127.0.0.1", next(iter(ports.values())))
    yield ports
    server.close()


async def _never(_: object) -> bool:
    return False


@pytest.mark.parametrize(
    ("reason", "words"),
    [("expired", "expired"), ("name", "mismatch"), ("authority", "local issuer|self.signed")],
)
async def test_a_balancer_with_a_wrong_certificate_hears_no_password(
    site: Site, wrong: Mapping[str, int], reason: str, words: str
) -> None:
    servers = [DirectoryServer(NAME, IPv4Address("127.0.0.1"), wrong[reason])]
    with pytest.raises(DirectoryUntrustedError, match=words):
        await log_in(site, servers)
    assert (await log_in(site, servers + site.servers(BALANCER))).name == "Alice Martin"


async def test_tls_1_2_costs_one_round_trip_more(site: Site, wrong: Mapping[str, int]) -> None:
    servers = [DirectoryServer(NAME, IPv4Address("127.0.0.1"), wrong[OLDEST])]
    trips: list[int] = []
    assert (await log_in(site, servers, trips=trips)).name == "Alice Martin"
    assert sum(trips) == 4, "TCP, TLS 1.2, bind"


# -- what a unit makes of it ---------------------------------------------------------------------

PROFILE = b"profile.user.name: Alice\n"


class Names:
    """A resolver for one name."""

    is_up = True

    async def resolve(self, name: str) -> tuple[IPv4Address, ...]:
        if not self.is_up or name != NAME:
            raise DnsError(f"{name} is not found")
        return (IPv4Address(BALANCER.address),)


@dataclass
class Tss:
    """Gives profiles while it is up."""

    is_up: bool = True
    asked: list[str] = field(default_factory=list)

    async def profile(self, user: str, resolver: object, kept: bytes | None) -> bytes:
        self.asked.append(user)
        if not self.is_up:
            raise BootError("no TSS is there")
        return PROFILE


class Unit:
    """The logins of one unit."""

    def __init__(self, site: Site, folder: Path, **settings: object) -> None:
        self.folder = StateFolder(folder)
        self.tss, self.names = Tss(), Names()
        self.clock = SystemClock()
        board = folder / "board.yaml"
        self.identity = Identity(
            model="TouchPro", serial="OT-0001", mac="02:54:50:00:00:01", firmware="touchpro",
            username="unit", password="a long secret", ca=site.authority.path, root=b"",
            board=board,
        )  # fmt: skip
        self.configuration = Document(
            {
                "application.directory.servers": [f"ldaps://{NAME}:{site.port}"],
                "application.directory.user.dn": TEMPLATE,
                **settings,
            }
        )
        self.power_on()

    def power_on(self) -> None:
        self.status = StatusBoard(self.folder.status, self.clock, {})
        self.logins = Logins(self.identity, self.folder, self.tss, self.status, self.clock)
        self.logins.resume(self.configuration)

    def cut_power(self) -> None:
        """What is in memory is gone, what is on the medium stays."""
        self.logins.close()

    def configure(self, **settings: object) -> None:
        self.configuration = Document({**self.configuration.values, **settings})

    async def log_in(self, user: str = "alice", password: str = PASSWORD) -> Person:
        person, path = await self.logins.login(user, password, self.configuration, self.names)
        assert path.read_bytes() == PROFILE
        return person

    @property
    def is_in(self) -> bool:
        return (self.folder.profiles / "current.yaml").exists()

    @property
    def alarms(self) -> set[str]:
        alarms = self.status.as_json()["alarms"]
        assert isinstance(alarms, list)
        return {alarm["code"] for alarm in alarms}


Make = Callable[..., Unit]


@pytest.fixture
def make(site: Site, tmp_path: Path) -> Iterator[Make]:
    units: list[Unit] = []

    def make(**settings: object) -> Unit:
        units.append(Unit(site, tmp_path / f"unit{len(units)}", **settings))
        return units[-1]

    yield make
    for unit in units:
        unit.logins.logout()


OFFLINE = {"application.login.offline": "cached"}


def kill_all(site: Site) -> None:
    for server in site.directories.values():
        server.kill()


async def test_a_person_logs_in_and_out_and_in_again_after_a_power_cut(make: Make) -> None:
    unit = make()
    assert await unit.log_in() == Person("alice", "Alice Martin")
    unit.cut_power()
    assert not unit.is_in
    unit.power_on()
    assert unit.is_in
    unit.logins.logout()
    unit.power_on()
    assert not unit.is_in


async def test_where_policy_says_so_nobody_is_in_after_a_power_cut(make: Make) -> None:
    unit = make(**{"application.login.keep": False})
    await unit.log_in()
    unit.power_on()
    assert unit.is_in, "only the agent was restarted"
    unit.cut_power()
    unit.power_on()
    assert not unit.is_in


async def test_wrong_passwords_lock_the_user_even_for_the_right_one(make: Make) -> None:
    unit = make(**{"application.login.lockout.attempts": 2})
    for _ in range(2):
        with pytest.raises(BadCredentialsError):
            await unit.log_in(password="wrong")
    for _ in range(2):
        with pytest.raises(LockedOutError, match="try again in") as caught:
            await unit.log_in()
        assert caught.value.code == "locked_out"
        unit.power_on()
    assert unit.tss.asked == []


async def test_a_right_password_takes_wrong_ones_back(make: Make) -> None:
    unit = make(**{"application.login.lockout.attempts": 2})
    for _ in range(3):
        with pytest.raises(BadCredentialsError):
            await unit.log_in(password="wrong")
        await unit.log_in()


@pytest.mark.parametrize("settings", [{}, {"application.login.offline": "always"}])
async def test_without_a_directory_nobody_gets_in_unless_policy_says_so(
    site: Site, make: Make, settings: dict[str, object]
) -> None:
    unit = make(**settings)
    await unit.log_in()
    kill_all(site)
    with pytest.raises(DirectoryUnreachableError):
        await unit.log_in()
    assert not list(unit.folder.logins.glob("*.verifier"))


@pytest.mark.parametrize("cause", ["directories dead", "no address"])
async def test_who_was_here_lately_gets_in_without_a_directory(
    site: Site, make: Make, cause: str
) -> None:
    unit = make(**OFFLINE)
    await unit.log_in()
    unit.logins.logout()
    unit.names.is_up = cause != "no address"
    if unit.names.is_up:
        kill_all(site)
    unit.tss.is_up = False
    with pytest.raises(BadCredentialsError):
        await unit.log_in(password="wrong")
    assert await unit.log_in() == Person("alice", "Alice Martin")
    assert unit.alarms == {"login.offline", "profile.cached"}
    with pytest.raises(DirectoryUnreachableError):
        await unit.log_in("bob")
    unit.logins.logout()
    assert not unit.alarms


async def test_wrong_passwords_lock_without_a_directory_too(site: Site, make: Make) -> None:
    unit = make(**OFFLINE, **{"application.login.lockout.attempts": 2})
    await unit.log_in()
    kill_all(site)
    for _ in range(2):
        with pytest.raises(BadCredentialsError):
            await unit.log_in(password="wrong")
    with pytest.raises(LockedOutError):
        await unit.log_in()


async def test_whom_the_directory_refused_last_stays_out(site: Site, make: Make) -> None:
    unit = make(**OFFLINE)
    await unit.log_in()
    with pytest.raises(BadCredentialsError):
        await unit.log_in(password="wrong")
    kill_all(site)
    with pytest.raises(DirectoryUnreachableError):
        await unit.log_in()


async def test_a_policy_that_has_ended_lets_nobody_in_by_what_it_had_kept(
    site: Site, make: Make
) -> None:
    unit = make(**OFFLINE)
    await unit.log_in()
    unit.configure(**{"application.login.offline": "never"})
    kill_all(site)
    with pytest.raises(DirectoryUnreachableError):
        await unit.log_in()


async def test_a_policy_that_ends_removes_what_it_had_kept(site: Site, make: Make) -> None:
    unit = make(**OFFLINE)
    await unit.log_in()
    unit.configuration = Document(
        {**unit.configuration.values, "application.login.offline": "never"}
    )
    await unit.log_in()
    assert not list(unit.folder.logins.glob("*.verifier"))


async def test_a_wrong_certificate_opens_no_way_around_the_directory(
    site: Site, make: Make, wrong: Mapping[str, int]
) -> None:
    unit = make(**OFFLINE)
    await unit.log_in()
    url = f"ldaps://{NAME}:{wrong['expired']}"
    unit.configure(**{"application.directory.servers": [url]})
    with pytest.raises(DirectoryUntrustedError):
        await unit.log_in()


async def test_a_damaged_verifier_is_as_good_as_none(site: Site, make: Make) -> None:
    unit = make(**OFFLINE)
    await unit.log_in()
    (unit.folder.logins / "alice.verifier").write_bytes(b"damage")
    kill_all(site)
    with pytest.raises(DirectoryUnreachableError):
        await unit.log_in()
    assert not (unit.folder.logins / "alice.verifier").exists()


async def test_a_damaged_profile_is_an_alarm_until_it_has_come_anew(make: Make) -> None:
    unit = make()
    await unit.log_in()
    (unit.folder.profiles / "alice.sealed").write_bytes(b"damage")
    unit.cut_power()
    unit.power_on()
    assert unit.alarms == {"profile.damaged"}
    assert not unit.is_in
    unit.tss.is_up = False
    with pytest.raises(BootError, match="no TSS"):
        await unit.log_in()
    unit.tss.is_up = True
    await unit.log_in()
    assert not unit.alarms


async def test_without_a_directory_in_the_configuration_nobody_gets_in(make: Make) -> None:
    unit = make(**OFFLINE)
    await unit.log_in()
    unit.configuration = Document(
        {**unit.configuration.values, "application.directory.servers": []}
    )
    with pytest.raises(DirectoryError, match="no directory is configured"):
        await unit.log_in()


async def test_secrets_are_in_no_log_and_in_no_file(
    make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    unit = make(**OFFLINE)
    await unit.log_in()
    with pytest.raises(BadCredentialsError):
        await unit.log_in(password="canary-secret")
    said = caplog.text.encode()
    kept = b"".join(path.read_bytes() for path in unit.folder.root.rglob("*")
                    if path.is_file() and not path.is_symlink())  # fmt: skip
    for secret in (PASSWORD, "canary-secret", "Alice Martin"):
        assert secret.encode() not in said + kept
