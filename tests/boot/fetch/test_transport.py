from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from ipaddress import IPv4Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openturret.boot.errors import NoSuchFileError, TransportError, UntrustedServerError
from openturret.boot.fetch.bandwidth import Bandwidth
from openturret.boot.fetch.tls import client_context
from openturret.boot.fetch.transport import (
    Account,
    Patience,
    Place,
    Server,
    Terms,
    Timer,
    acceptable,
    without_start,
)
from openturret.boot.wire.errors import MalformedError
from openturret.hal.clock import SystemClock
from openturret.lab.certificates import Authority

SERVER = Server("tss1.turret.example", IPv4Address("127.0.0.1"))
PLACE = Place("HTTPS", SERVER, "metadata/timestamp.json", "check the port")


@dataclass
class World:
    """Time that passes only when somebody waits."""

    now: float = 0.0
    slept: list[float] = field(default_factory=list)

    def monotonic(self) -> float:
        return self.now

    def unix(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


def sender(world: World, *, size: int, every_s: float) -> Callable[[int], bytes]:
    def receive(_: int) -> bytes:
        world.now += every_s
        return bytes(size)

    return receive


def test_an_account_never_shows_its_password() -> None:
    assert "canary" not in repr(Account("unit", "canary"))


@pytest.mark.parametrize(
    "path",
    ["../etc/passwd", "/etc/passwd", "a//b", "a\r\nDELE b", ".x", "", "a/", "a b", "a" * 513],
)
def test_a_path_that_leads_elsewhere_is_refused(path: str) -> None:
    with pytest.raises(NoSuchFileError, match="not an acceptable path"):
        acceptable(path)


def test_paths_of_the_tree_are_acceptable() -> None:
    for path in ("metadata/2.root.json", "targets/units/02-54-50-00-00-01/0af3.config.yaml"):
        assert acceptable(path) == path


def test_bytes_earn_time() -> None:
    world = World()
    timer = Timer(world, Patience(slowest_bytes_s=1000), None)
    timer.allow(10)
    chunks = timer.chunks(sender(world, size=1100, every_s=1), 100_000)
    assert sum(map(len, chunks)) >= 100_000
    assert world.now > 10


def test_a_drip_earns_none() -> None:
    world = World()
    timer = Timer(world, Patience(slowest_bytes_s=1000), None)
    timer.allow(10)
    with pytest.raises(TimeoutError, match="too long"):
        list(timer.chunks(sender(world, size=10, every_s=1)))
    assert world.now < 12


def test_waiting_for_the_pace_is_not_held_against_the_server() -> None:
    world = World()
    bandwidth = Bandwidth(80, world, world.sleep)
    timer = Timer(world, Patience(slowest_bytes_s=20_000), bandwidth)
    timer.allow(1)
    assert sum(map(len, timer.chunks(sender(world, size=5_000, every_s=0.0), 500_000))) == 500_000
    assert sum(world.slept) == pytest.approx(50, abs=0.2), "500 kB at 10 kB/s"


@given(st.lists(st.binary(max_size=20), max_size=20), st.integers(0, 100))
def test_a_start_is_left_out_wherever_it_is_cut(pieces: list[bytes], size: int) -> None:
    def chunks() -> Iterator[bytes]:
        yield from pieces

    assert b"".join(without_start(chunks(), size)) == b"".join(pieces)[size:]


def tls_error(kind: type[ssl.SSLError], reason: str) -> ssl.SSLError:
    """As the library makes them."""
    error = kind(1, reason)
    error.reason, error.verify_message = reason, reason  # type: ignore[attr-defined]
    return error


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        (tls_error(ssl.SSLCertVerificationError, "expired"), UntrustedServerError, "expired"),
        (tls_error(ssl.SSLError, "WRONG_VERSION_NUMBER"), TransportError, "wrong version number"),
        (ConnectionRefusedError(111, "Connection refused"), TransportError, "Connection refused"),
        (TimeoutError("the server takes too long"), TransportError, "takes too long"),
        (EOFError(), TransportError, "EOFError"),
        (MalformedError("no reply"), TransportError, "no reply"),
    ],
)
def test_an_error_says_where_and_what_to_do(
    error: Exception, kind: type[TransportError], words: str
) -> None:
    with pytest.raises(kind) as caught:
        PLACE.explain(error)
    assert words.lower() in str(caught.value).lower()
    assert (caught.value.server, caught.value.file) == (str(SERVER), PLACE.file)
    assert caught.value.remedy


def test_what_is_not_about_the_server_goes_up_unchanged() -> None:
    with pytest.raises(GeneratorExit):
        PLACE.explain(GeneratorExit())


def test_a_limited_connection_has_a_small_buffer(authority: Authority) -> None:
    context = client_context(authority.path)
    bandwidth = Bandwidth(800, SystemClock())
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with Terms(context, SystemClock(), bandwidth=bandwidth).connect(SERVER, port) as limited:
            size = limited.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
    assert size == 2 * bandwidth.buffer_bytes, "Linux doubles what it is asked for"


def test_a_port_where_nobody_listens_is_refused_at_once(authority: Authority) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(ConnectionRefusedError):
        Terms(client_context(authority.path), SystemClock()).connect(SERVER, port)
