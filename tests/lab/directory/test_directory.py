"""Two slapd behind HAProxy, asked by ldap3 over verified TLS."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterator
from contextlib import contextmanager

import ldap3
import pytest
from ldap3.core.exceptions import LDAPException, LDAPSocketOpenError

from openturret.lab import plan
from openturret.lab.bench import Bench
from openturret.lab.directory import server_states
from openturret.lab.directory.slapd import PEOPLE

pytestmark = pytest.mark.bench

ALICE = f"uid=alice,{PEOPLE}"
BALANCER = plan.BALANCER.address


def server(bench: Bench, address: str, name: str = "ldap.turret.example") -> ldap3.Server:
    tls = ldap3.Tls(
        validate=ssl.CERT_REQUIRED,
        ca_certs_file=str(bench.authority.path),
        valid_names=[name],
    )
    return ldap3.Server(address, port=636, use_ssl=True, tls=tls, connect_timeout=3)


@contextmanager
def bound(bench: Bench, address: str, user: str, password: str) -> Iterator[ldap3.Connection]:
    connection = ldap3.Connection(server(bench, address), user, password, receive_timeout=3)
    try:
        connection.bind()
        yield connection
    finally:
        connection.unbind()


def binds(bench: Bench, address: str = BALANCER, password: str = "correct horse") -> bool:
    with bound(bench, address, ALICE, password) as connection:
        return bool(connection.bound)


@pytest.mark.parametrize("address", [BALANCER, *(host.address for host in plan.DIRECTORIES)])
def test_alice_logs_in_everywhere(bench: Bench, address: str) -> None:
    assert binds(bench, address)


@pytest.mark.parametrize("password", ["wrong", "correct horse ", "CORRECT HORSE"])
def test_a_wrong_password_is_refused(bench: Bench, password: str) -> None:
    assert not binds(bench, password=password)


def test_nobody_logs_in_without_a_password(bench: Bench) -> None:
    connection = ldap3.Connection(server(bench, BALANCER), ALICE, "", receive_timeout=3)
    with pytest.raises(LDAPException):
        connection.bind()
    connection.unbind()


def test_who_is_logged_in_reads_names_and_no_passwords(bench: Bench) -> None:
    with bound(bench, BALANCER, ALICE, "correct horse") as connection:
        connection.search(PEOPLE, "(uid=bob)", attributes=["cn", "userPassword"])
        assert connection.entries[0].cn.value == "Bob Leroy"
        assert connection.entries[0].userPassword.value is None


def test_the_stored_password_is_a_salted_hash(bench: Bench) -> None:
    for host in plan.DIRECTORIES:
        ldif = (bench.folders[host.name] / "people.ldif").read_text()
        assert "userPassword: {SSHA}" in ldif
        assert "correct horse" not in ldif


def test_the_clear_port_is_shut(bench: Bench) -> None:
    for host in (plan.BALANCER, *plan.DIRECTORIES):
        connection = ldap3.Connection(ldap3.Server(host.address, port=389, connect_timeout=1))
        with pytest.raises(LDAPSocketOpenError):
            connection.bind()


def test_a_certificate_of_another_name_is_noticed(bench: Bench) -> None:
    connection = ldap3.Connection(server(bench, BALANCER, "other.turret.example"))
    with pytest.raises(LDAPException, match="doesn't match"):
        connection.bind()


@pytest.mark.parametrize("name", [host.name for host in plan.DIRECTORIES])
async def test_a_killed_directory_costs_no_login(bench: Bench, name: str) -> None:
    await balanced(bench)
    async with bench.faults.dead(name):
        assert [binds(bench) for _ in range(4)] == [True] * 4
    assert binds(bench)


async def test_both_directories_dead_lets_nobody_in(bench: Bench) -> None:
    await balanced(bench)
    first, second = (host.name for host in plan.DIRECTORIES)
    async with bench.faults.dead(first), bench.faults.dead(second):
        with pytest.raises(LDAPException):
            binds(bench)


async def test_a_frozen_directory_is_found_by_its_health_check(bench: Bench) -> None:
    await balanced(bench)
    first, second = (host.name for host in plan.DIRECTORIES)
    with bench.faults.frozen(first):
        await balanced(bench, {first: "DOWN", second: "UP"})
        assert [binds(bench) for _ in range(4)] == [True] * 4
    await balanced(bench)


async def balanced(bench: Bench, wanted: dict[str, str] | None = None) -> None:
    """Wait until the balancer thinks so of the directories; of all of them UP by default.

    It takes a second on an idle machine; on a busy one a health check may fail in between.
    """
    states = wanted or {host.name: "UP" for host in plan.DIRECTORIES}
    async with asyncio.timeout(30):
        while await server_states(bench.folders["balancer"]) != states:
            await asyncio.sleep(0.02)
