"""The lines for other DHCP servers are accepted by those servers' own checkers."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from ipaddress import IPv4Interface
from pathlib import Path

import pytest

from openturret.boot.fetch.tss import parse_hint
from openturret.lab.errors import ToolMissingError
from openturret.lab.tools import tool
from openturret.lab.workbench import dnsmasq, hints
from openturret.lab.workbench.place import Place

ADDRESS = "192.0.2.10"
PLACE = Place("lo", bytes(6), IPv4Interface("192.0.2.10/24"))


def whole_dnsmasq(lines: str) -> str:
    return f"dhcp-range=192.0.2.50,192.0.2.60\n{lines}\n"


def whole_kea(lines: str) -> str:
    subnet = '"subnet4": [{"id": 1, "subnet": "192.0.2.0/24"}]'
    leases = '"lease-database": {"type": "memfile", "persist": false}'
    return f'{{"Dhcp4": {{{subnet}, {leases},\n{lines}\n}}}}'


def whole_isc(lines: str) -> str:
    return f"{lines}\nsubnet 192.0.2.0 netmask 255.255.255.0 {{ range 192.0.2.50 192.0.2.60; }}\n"


@pytest.mark.parametrize(
    ("server", "program", "whole", "arguments"),
    [
        ("dnsmasq", "dnsmasq", whole_dnsmasq, ["--test", "-C"]),
        ("kea", "kea-dhcp4", whole_kea, ["-t"]),
        ("isc", "dhcpd", whole_isc, ["-t", "-cf"]),
    ],
)
def test_a_dhcp_server_accepts_its_lines(
    tmp_path: Path, server: str, program: str, whole: Callable[[str], str], arguments: list[str]
) -> None:
    try:
        found = tool(program)
    except ToolMissingError as error:
        pytest.skip(str(error))
    path = tmp_path / "server.conf"
    path.write_text(whole(hints.SERVERS[server](ADDRESS)))
    done = subprocess.run(
        [str(found.path), *arguments, str(path)],
        capture_output=True, text=True,
        env={**found.environment(), "KEA_LOCKFILE_DIR": str(tmp_path),
             "KEA_PIDFILE_DIR": str(tmp_path)},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def test_keas_lines_are_members_of_an_object() -> None:
    members = json.loads(f"{{{hints.SERVERS['kea'](ADDRESS)}}}")
    assert members["client-classes"][0]["option-data"][0]["data"] == ADDRESS


def test_the_hint_is_what_a_unit_reads(tmp_path: Path) -> None:
    hints.write_hints(tmp_path / "tftp", ADDRESS)
    assert parse_hint((tmp_path / "tftp" / hints.HINT_FILE).read_bytes()) == (ADDRESS,)


@pytest.mark.parametrize("own", [True, False])
def test_dnsmasq_accepts_our_configuration(tmp_path: Path, own: bool) -> None:
    first, last = PLACE.at.network[100], PLACE.at.network[199]
    dhcp = dnsmasq.Dhcp(first, last, "turret.test", {"02:54:50:00:00:01": first}) if own else None
    path = tmp_path / "dnsmasq.conf"
    path.write_text(dnsmasq.configuration(PLACE, tmp_path, dhcp))
    program = tool("dnsmasq")
    done = subprocess.run(
        [str(program.path), "--test", "-C", str(path)],
        capture_output=True, text=True, env=program.environment(),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
