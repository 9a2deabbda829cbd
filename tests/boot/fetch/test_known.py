from __future__ import annotations

from dataclasses import dataclass, replace
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from openturret.boot.fetch.known import KnownServers, Reputation
from openturret.boot.fetch.transport import Server
from openturret.boot.lan.lease import Lease

HOST = IPv4Address("127.0.0.1")
LEASE = Lease(HOST, 8, HOST, 0.0, 3600, 1800, 3150, tftp_servers=("10.12.0.5",))
ONE = Server("tss1.turret.example", IPv4Address("10.12.0.10"))
TWO = Server("tss2.turret.example", IPv4Address("10.12.0.11"), 2121, 8443)


@dataclass
class FakeClock:
    now: float = 0.0

    def monotonic(self) -> float:
        return self.now

    def unix(self) -> float:
        return self.now


def test_servers_are_known_over_a_reboot(tmp_path: Path) -> None:
    KnownServers(tmp_path / "servers.json").save([ONE, TWO], LEASE)
    assert KnownServers(tmp_path / "servers.json").load(LEASE) == (ONE, TWO)


def test_other_hints_from_dhcp_make_them_unknown(tmp_path: Path) -> None:
    known = KnownServers(tmp_path / "servers.json")
    known.save([ONE], LEASE)
    for other in (
        replace(LEASE, tftp_servers=("10.12.0.6",)),
        replace(LEASE, boot_file="other.yaml"),
        replace(LEASE, domain="other.example"),
    ):
        assert known.load(other) == ()


def test_an_unchanged_list_is_not_written_again(tmp_path: Path) -> None:
    path = tmp_path / "servers.json"
    KnownServers(path).save([ONE], LEASE)
    before = path.stat().st_ino
    KnownServers(path).save([ONE], LEASE)
    assert path.stat().st_ino == before


@pytest.mark.parametrize(
    "damage",
    [
        b"",
        b"{",
        b"[]",
        b"7",
        b'{"hints": ["10.12.0.5", "", ""]}',
        b'{"hints": ["10.12.0.5", "", ""], "servers": 7}',
        b'{"hints": ["10.12.0.5", "", ""], "servers": [["a"]]}',
        b'{"hints": ["10.12.0.5", "", ""], "servers": [["a", "b", 1, 2]]}',
        b'{"hints": ["10.12.0.5", "", ""], "servers": [["a", "10.0.0.1", "x", 2]]}',
        b'{"hints": ["10.12.0.5", "", ""], "servers": [["a", [1], 1, 2]]}',
        b"\xff" * 20_000,
    ],
)
def test_a_damaged_list_is_none(tmp_path: Path, damage: bytes) -> None:
    (tmp_path / "servers.json").write_bytes(damage)
    assert KnownServers(tmp_path / "servers.json").load(LEASE) == ()


def test_a_server_that_failed_is_asked_last_for_a_while() -> None:
    clock = FakeClock()
    reputation = Reputation(clock, shunned_s=300)
    reputation.failed(ONE)
    assert reputation.sort([ONE, TWO]) == (TWO, ONE)
    clock.now = 301
    assert reputation.sort([ONE, TWO]) == (ONE, TWO)
    reputation.failed(ONE)
    reputation.good(ONE)
    assert reputation.sort([ONE, TWO]) == (ONE, TWO)
