"""The resolver against dnsmasq: services, search domains, aliases, and answers that need TCP."""

from __future__ import annotations

import contextlib
import random
import socket
import subprocess
import time
from collections.abc import Iterator
from ipaddress import IPv4Address

import pytest

from openturret.boot.errors import DnsError, UnknownNameError
from openturret.boot.fetch.dns import DnsClient
from openturret.hal.clock import SystemClock
from openturret.lab.errors import ToolMissingError
from openturret.lab.tools import tool

pytestmark = pytest.mark.bench

HOST, DEAD = IPv4Address("127.0.0.1"), IPv4Address("127.0.0.9")
PORT = 53
SERVICE = "_turret-tss._tcp.paris.example"
MANY = [f"10.20.0.{number}" for number in range(1, 61)]
ZONE = [
    "--host-record=tss1.paris.example,10.11.0.10",
    "--host-record=tss2.paris.example,10.12.0.10",
    "--cname=tss.paris.example,tss1.paris.example",
    f"--srv-host={SERVICE},tss2.paris.example,21,20,0",
    f"--srv-host={SERVICE},tss1.paris.example,2121,10,0",
    "--srv-host=_sips._tcp.paris.example",
    "--local=/example/",
]


@pytest.fixture(scope="module", autouse=True)
def dnsmasq(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    try:
        program = tool("dnsmasq")
    except ToolMissingError as error:
        pytest.skip(str(error))
    hosts = tmp_path_factory.mktemp("dns") / "hosts"
    hosts.write_text("".join(f"{address} many.paris.example\n" for address in MANY))
    hosts.chmod(0o644)
    hosts.parent.chmod(0o755)
    command = [str(program.path), "--no-daemon", "--conf-file=/dev/null", "--no-resolv",
               "--no-hosts", f"--addn-hosts={hosts}", "--bind-interfaces", "--user=root",
               f"--listen-address={HOST}", f"--port={PORT}", *ZONE]  # fmt: skip
    with subprocess.Popen(command, env=program.environment(), stderr=subprocess.PIPE) as process:
        wait_until_it_accepts(process)
        yield
        process.kill()


def wait_until_it_accepts(process: subprocess.Popen[bytes]) -> None:
    while process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection((str(HOST), PORT), 5):
            return
        time.sleep(0.01)
    pytest.fail(process.communicate()[1].decode())


class Trips:
    total = 0

    def __call__(self, number: int) -> None:
        self.total += number


def client(trips: Trips, *servers: IPv4Address, search: tuple[str, ...] = ()) -> DnsClient:
    return DnsClient(
        servers or (HOST,),
        clock=SystemClock(),
        rng=random.Random(1),
        count=trips,
        search=search,
    )


async def test_a_name_and_its_alias_have_an_address() -> None:
    trips = Trips()
    resolver = client(trips)
    assert await resolver.resolve("tss1.paris.example") == (IPv4Address("10.11.0.10"),)
    assert await resolver.resolve("TSS.Paris.example") == (IPv4Address("10.11.0.10"),)
    assert trips.total == 2


async def test_a_service_and_its_hosts_take_one_round_trip() -> None:
    trips = Trips()
    resolver = client(trips)
    places = await resolver.services(SERVICE)
    assert [(place.target, place.port) for place in places] == [
        ("tss1.paris.example", 2121), ("tss2.paris.example", 21),
    ]  # fmt: skip
    for place, address in zip(places, ("10.11.0.10", "10.12.0.10"), strict=True):
        assert await resolver.resolve(place.target) == (IPv4Address(address),)
    assert trips.total == 1


async def test_names_are_looked_for_in_the_search_domains() -> None:
    resolver = client(Trips(), search=("london.example", "paris.example"))
    assert await resolver.resolve("tss2") == (IPv4Address("10.12.0.10"),)


@pytest.mark.parametrize("name", ["tss9.paris.example", "paris.example"])
async def test_a_name_that_is_not_there_is_final(name: str) -> None:
    with pytest.raises(UnknownNameError):
        await client(Trips()).resolve(name)


@pytest.mark.parametrize("name", ["_sips._tcp.paris.example", "_ldaps._tcp.paris.example"])
async def test_a_service_that_is_not_offered_is_unknown(name: str) -> None:
    with pytest.raises(UnknownNameError):
        await client(Trips()).services(name)


async def test_an_answer_that_does_not_fit_comes_over_tcp() -> None:
    trips = Trips()
    addresses = await client(trips).resolve("many.paris.example")
    assert sorted(addresses) == sorted(map(IPv4Address, MANY))
    assert trips.total == 3


async def test_a_dead_server_costs_nothing_but_the_question() -> None:
    trips = Trips()
    resolver = client(trips, DEAD, HOST)
    assert await resolver.resolve("tss1.paris.example") == (IPv4Address("10.11.0.10"),)
    assert trips.total == 1


async def test_when_all_are_dead_that_is_said() -> None:
    with pytest.raises(DnsError, match=r"127\.0\.0\.9.*refused"):
        await client(Trips(), DEAD).resolve("tss1.paris.example")
