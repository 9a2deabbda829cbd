"""One TSS by two transports: which of them is opened, and what happens when one breaks."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address

import pytest

from openturret.boot.errors import (
    AccountRefusedError,
    NoSuchFileError,
    TransportError,
    UntrustedServerError,
)
from openturret.boot.fetch.tls import client_context
from openturret.boot.fetch.transport import Account, Server, Session, Terms
from openturret.boot.fetch.visit import FTPES, HTTPS, Visit
from openturret.hal.clock import SystemClock
from openturret.lab.certificates import Authority

SERVER = Server("tss1.turret.example", IPv4Address("127.0.0.1"))
ROOT, TIMESTAMP = "metadata/2.root.json", "metadata/timestamp.json"
IMAGE = bytes(range(256)) * 20_000


@dataclass
class Way:
    """A transport that notes what it is asked, and breaks when told so."""

    name: str
    files: dict[str, bytes]
    login_trips: int = 2
    refuses: TransportError | None = None
    breaks_every: int | None = None
    opened: int = 0
    fetched: list[tuple[str, int]] = field(default_factory=list)
    foreseen: tuple[str, ...] = ()
    may_open: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.may_open.set()

    def __call__(
        self,
        server: Server,
        account: Account,
        terms: Terms,
        *,
        count: Callable[[int], None],
        foreseen: Sequence[str] = (),
    ) -> Session:
        self.may_open.wait()
        self.opened += 1
        self.foreseen = tuple(foreseen)
        count(self.login_trips)
        if self.refuses is not None:
            raise self.refuses
        return Fetching(self, server, count)


@dataclass
class Fetching:
    way: Way
    server: Server
    count: Callable[[int], None]
    closed: bool = False

    def fetch(self, path: str, *, offset: int = 0) -> Iterator[bytes]:
        self.way.fetched.append((path, offset))
        self.count(1)
        if path not in self.way.files:
            raise NoSuchFileError(f"{path} is missing")
        content = self.way.files[path][offset:]
        breaks = self.way.breaks_every
        yield content[:breaks]
        if breaks is not None and breaks < len(content):
            raise TransportError(f"{self.way.name}: the cable is out")

    def count_for(self, count: Callable[[int], None]) -> None:
        self.count = count

    def close(self) -> None:
        self.closed = True


@dataclass
class World:
    """A visit with two ways."""

    ftpes: Way
    https: Way
    trips: int = 0
    troubles: list[str] = field(default_factory=list)

    def visit(self, *order: str) -> Visit:
        return Visit(
            SERVER,
            Account("unit", "secret"),
            self.terms,
            order=order or (FTPES, HTTPS),
            count=self.count,
            trouble=lambda error: self.troubles.append(str(error)),
            openers={FTPES: self.ftpes, HTTPS: self.https},
        )

    terms: Terms = field(init=False)

    def count(self, trips: int) -> None:
        self.trips += trips


@pytest.fixture
def world(authority: Authority) -> World:
    files = {TIMESTAMP: b"{}", "targets/image.whl": IMAGE}
    world = World(Way("ftpes", files, login_trips=5), Way("https", files))
    world.terms = Terms(client_context(authority.path), SystemClock())
    return world


def test_a_unit_that_has_everything_asks_over_https_alone(world: World) -> None:
    with world.visit() as visit:
        visit.open((ROOT, TIMESTAMP), prepare=False)
        assert b"".join(visit.fetch(TIMESTAMP)) == b"{}"
        assert b"".join(visit.fetch("targets/image.whl")) == IMAGE, "on the session that is open"
    assert (world.ftpes.opened, world.https.opened, visit.way) == (0, 1, HTTPS)
    assert world.https.foreseen == (ROOT, TIMESTAMP)


def test_a_new_unit_opens_both_at_once_and_waits_for_the_longer(world: World) -> None:
    with world.visit() as visit:
        visit.open((ROOT, TIMESTAMP), prepare=True)
        list(visit.fetch(TIMESTAMP))
        assert world.trips == 3
        assert b"".join(visit.fetch("targets/image.whl")) == IMAGE
        assert world.trips == 6, "5 for FTPES, 3 of them while HTTPS was at work; 1 for the file"
        list(visit.fetch(TIMESTAMP))
    assert world.ftpes.fetched == [("targets/image.whl", 0)]
    assert world.https.fetched == [(TIMESTAMP, 0)] * 2


def test_https_alone_when_the_configuration_says_so(world: World) -> None:
    with world.visit(HTTPS) as visit:
        visit.open((), prepare=True)
        list(visit.fetch("targets/image.whl"))
    assert world.ftpes.opened == 0


def test_ftpes_alone_when_the_configuration_says_so(world: World) -> None:
    with world.visit(FTPES) as visit:
        visit.open((), prepare=True)
        list(visit.fetch(TIMESTAMP))
    assert (world.https.opened, world.ftpes.opened) == (0, 1)


def test_a_dead_transport_is_made_up_for_by_the_other(world: World) -> None:
    world.https.refuses = TransportError("https: connection refused")
    with world.visit() as visit:
        visit.open((), prepare=False)
        assert b"".join(visit.fetch(TIMESTAMP)) == b"{}"
    assert visit.way == FTPES
    assert world.troubles == ["https: connection refused"]
    assert visit.left == ()


def test_a_transport_that_breaks_is_gone_on_with_by_the_other(world: World) -> None:
    world.https.breaks_every = 1000
    with world.visit() as visit:
        visit.open((), prepare=False)
        assert b"".join(visit.fetch("targets/image.whl")) == IMAGE
    assert world.https.fetched == [("targets/image.whl", 0)]
    assert world.ftpes.fetched == [("targets/image.whl", 1000)]


def test_a_connection_that_brought_much_is_worth_another(world: World) -> None:
    world.https.breaks_every = 2_000_000
    with world.visit() as visit:
        visit.open((), prepare=False)
        assert b"".join(visit.fetch("targets/image.whl")) == IMAGE
    assert [offset for _, offset in world.https.fetched] == [0, 2_000_000, 4_000_000]
    assert world.troubles == []


def test_a_missing_file_is_final(world: World) -> None:
    with world.visit() as visit:
        visit.open((), prepare=False)
        with pytest.raises(NoSuchFileError):
            list(visit.fetch(ROOT))
    assert world.ftpes.opened == 0
    assert visit.left == (FTPES,), "which may have it, should the tree be refused"


def test_the_failure_that_says_most_is_shown(world: World) -> None:
    world.https.refuses = TransportError("https: connection refused")
    world.ftpes.refuses = AccountRefusedError("ftpes: 530")
    with world.visit() as visit, pytest.raises(AccountRefusedError):
        visit.open((), prepare=True)
    world.https.refuses = UntrustedServerError("https: wrong name")
    with world.visit() as visit, pytest.raises(UntrustedServerError):
        visit.open((), prepare=False)


def test_what_is_still_opening_is_closed_when_it_is_open(world: World) -> None:
    world.ftpes.may_open.clear()
    with world.visit() as visit:
        visit.open((), prepare=True)
    world.ftpes.may_open.set()


def test_no_transport_at_all_is_an_error(world: World) -> None:
    world.ftpes.refuses = world.https.refuses = TransportError("no")
    with world.visit() as visit:
        with pytest.raises(TransportError):
            visit.open((), prepare=False)
        with pytest.raises(TransportError):
            list(visit.fetch(TIMESTAMP))
