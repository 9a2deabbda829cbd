from __future__ import annotations

import ipaddress
import json
import socket
import struct
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from openturret.lab import gateway, plan
from openturret.lab.bench import Bench

GATEWAY = plan.GATEWAY.address
NAMES = [(name, host.address) for host in plan.HOSTS for name in host.domain_names]


def offered(bench: Bench, mac: str) -> tuple[str, dict[int, bytes]]:
    script = Path(__file__).with_name("data") / "discover.py"
    said = bench.network.run_in("touchpro-1", [sys.executable, str(script), mac]).stdout
    answer = json.loads(said)
    options = {int(code): bytes.fromhex(value) for code, value in answer["options"].items()}
    return answer["address"], options


@pytest.mark.bench
def test_a_unit_is_told_its_tftp_server_four_ways(bench: Bench) -> None:
    address, options = offered(bench, plan.unit(1).mac)
    first, last = (ipaddress.IPv4Address(end) for end in plan.DHCP_RANGE)
    assert first <= ipaddress.IPv4Address(address) <= last
    assert options[3] == socket.inet_aton("10.1.0.1")
    assert options[6] == socket.inet_aton(GATEWAY)
    assert options[15] == b"turret.example"
    assert options[43] == bytes([1, 4]) + socket.inet_aton(GATEWAY) + b"\xff"
    assert options[66].rstrip(b"\0") == GATEWAY.encode()
    assert options[67].rstrip(b"\0") == b"units/02-54-50-00-00-01.yaml"
    assert options[150] == socket.inet_aton(GATEWAY)


@pytest.mark.bench
def test_an_unknown_mac_gets_the_default_file(bench: Bench) -> None:
    _, options = offered(bench, "02:00:00:00:00:77")
    assert options[67].rstrip(b"\0") == b"default.yaml"


@pytest.mark.bench
@pytest.mark.parametrize(("name", "address"), NAMES)
def test_every_host_has_its_name(bench: Bench, name: str, address: str) -> None:
    assert resolve(name) == address


@pytest.mark.bench
def test_a_name_outside_the_zone_is_refused_at_once(bench: Bench) -> None:
    assert resolve("www.example.org") is None
    assert resolve("nobody.turret.example") is None


def resolve(name: str) -> str | None:
    """Ask the gateway for an A record (RFC 1035)."""
    question = b"".join(bytes([len(part)]) + part.encode() for part in name.split(".")) + b"\0"
    query = struct.pack("!6H", 7, 0x0100, 1, 0, 0, 0) + question + struct.pack("!2H", 1, 1)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(2)
        client.sendto(query, (GATEWAY, 53))
        answer = client.recv(512)
    answers = struct.unpack_from("!H", answer, 6)[0]
    return socket.inet_ntoa(answer[-4:]) if answers else None


@pytest.mark.bench
@pytest.mark.parametrize(
    "file", ["units/02-54-50-00-00-01.yaml", "models/touchpro.yaml", "default.yaml"]
)
def test_tftp_hands_out_hints(bench: Bench, file: str) -> None:
    hint = tftp(file)
    assert hint == b"tss.servers: [tss1.turret.example, tss2.turret.example]\n"


@pytest.mark.bench
@pytest.mark.parametrize("file", ["units/nobody.yaml", "../leases", "/etc/passwd"])
def test_tftp_hands_out_nothing_else(bench: Bench, file: str) -> None:
    with pytest.raises(FileNotFoundError):
        tftp(file)


def tftp(file: str) -> bytes:
    """Read a file of one block (RFC 1350)."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(2)
        client.sendto(b"\0\1" + file.encode() + b"\0octet\0", (GATEWAY, 69))
        block, sender = client.recvfrom(1024)
        client.sendto(b"\0\4" + block[2:4], sender)
    if block[:2] != b"\0\3":
        raise FileNotFoundError(block[4:-1].decode())
    return block[4:]


def hint_files(folder: Path) -> Iterator[str]:
    for path in (folder / "tftp").rglob("*.yaml"):
        yield path.relative_to(folder / "tftp").as_posix()


def test_hints_go_from_the_unit_to_everybody(tmp_path: Path) -> None:
    gateway.write_hints(tmp_path, [plan.unit(1), plan.unit(2)])
    assert sorted(hint_files(tmp_path)) == [
        "default.yaml",
        "models/touchpro.yaml",
        "units/02-54-50-00-00-01.yaml",
        "units/02-54-50-00-00-02.yaml",
    ]
