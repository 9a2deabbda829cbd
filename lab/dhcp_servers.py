"""Debian's DHCP servers and relay, one command to start each, and a LAN to try them on.

What the unit's client is tried against, and compared on::

    with lan() as here, serving("kea", folder, Pool(), here) as server:
        …                       # the unit is this process, on the interface UNIT
        assert "10.1.0.100" in server.said("RELEASE")

```
 here: UNIT ═══ port0 ┐
                      gw0, a bridge: 10.1.0.1, 10.1.0.2 ──── up0 10.2.0.1 ═══ sv0 10.2.0.2
 rival: riv0 ══ port1 ┘              the gateway                              the server's own
```
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from .delay import own_namespace
from .errors import NetworkError, ServiceError
from .tools import tool

UNIT: Final = "unit0"
UNIT_MAC: Final = "02:54:50:00:00:01"
ROUTER: Final = "10.1.0.1"
GATEWAY: Final = "10.1.0.2"
SERVER: Final = "10.2.0.2"
"""The server behind a relay."""

_START_S = 20.0
_POLL_S = 0.01


@dataclass(frozen=True, slots=True)
class Lan:
    """The network of this module's picture; each part is a process of its namespace.

    Attributes:
        gateway: where the bridge is, and the DHCP server or relay of the LAN.
        rival: another machine of the LAN.
        server: the network behind the gateway.
    """

    gateway: int
    rival: int
    server: int

    def command(self, place: int, argv: Sequence[str]) -> list[str]:
        """The command line that runs ``argv`` in one of them, as the process itself."""
        return [str(tool("nsenter").path), f"--net=/proc/{place}/ns/net", "--", *argv]

    def ip(self, place: int | None, *commands: str) -> None:
        """Runs commands of iproute2 in one of them, or here.

        Raises:
            NetworkError: one was refused; the message is iproute2's own.
        """
        argv = [str(tool("ip").path), "-batch", "-"]
        command = argv if place is None else self.command(place, argv)
        batch = "\n".join(commands)
        done = subprocess.run(command, input=batch, capture_output=True, text=True, check=False)
        if done.returncode:
            raise NetworkError(f"ip: {done.stderr.strip()}")


@contextlib.contextmanager
def lan() -> Iterator[Lan]:
    """Makes the network and takes it down again; for inside a namespace, one at a time.

    Raises:
        NetworkError: the kernel or iproute2 refused; the message is theirs.
    """
    with own_namespace() as gateway, own_namespace() as rival, own_namespace() as server:
        here = Lan(gateway, rival, server)
        here.ip(
            None,
            f"link add {UNIT} address {UNIT_MAC} type veth peer name port0 netns {gateway}",
            f"link add riv0 netns {rival} type veth peer name port1 netns {gateway}",
            f"link add sv0 netns {server} type veth peer name up0 netns {gateway}",
            f"link set {UNIT} up",
        )
        here.ip(
            gateway,
            "link set lo up",
            "link add gw0 type bridge",
            *(f"link set {port} master gw0 up" for port in ("port0", "port1")),
            *(f"address add {address}/24 dev gw0" for address in (GATEWAY, ROUTER)),
            "address add 10.2.0.1/24 dev up0",
            "link set gw0 up",
            "link set up0 up",
        )
        here.ip(rival, "link set lo up", "link set riv0 up")
        here.ip(
            server,
            "link set lo up",
            f"address add {SERVER}/24 dev sv0",
            "link set sv0 up",
            "route add 10.1.0.0/24 via 10.2.0.1",
        )
        forward = ["sh", "-c", "echo 1 >/proc/sys/net/ipv4/ip_forward"]
        subprocess.run(here.command(gateway, forward), check=True)
        try:
            yield here
        finally:
            with contextlib.suppress(NetworkError):
                here.ip(None, f"link delete {UNIT}")


@dataclass(frozen=True, slots=True)
class Pool:
    """What a server grants on the LAN.

    Attributes:
        first: the last number of the first address.
        last: and of the last one.
        lease_s: how long.
        routes: networks of option 121, each behind the router; many make it a long option.
        file: option 67.
    """

    first: int = 100
    last: int = 199
    lease_s: int = 3600
    routes: tuple[str, ...] = ("10.9.0.0/16", "10.2.0.0/24")
    file: str = "site.yaml"


@dataclass(frozen=True, slots=True)
class Running:
    """A server that runs, and what it has said so far."""

    process: subprocess.Popen[bytes]
    log: Path

    def said(self, word: str) -> str:
        """Returns the lines that contain a word, whatever its case."""
        lines = self.log.read_text(errors="replace").splitlines()
        return "\n".join(line for line in lines if word.lower() in line.lower())


@dataclass(frozen=True, slots=True)
class DhcpServer:
    """A server program.

    Attributes:
        program: its executable.
        arguments: writes its configuration into a folder; for an interface and a pool.
        ready: what it says when it listens.
    """

    program: str
    arguments: Callable[[Path, str, Pool], Sequence[str]]
    ready: str


def _dnsmasq(folder: Path, interface: str, pool: Pool) -> list[str]:
    routes = ",".join(f"{network},{ROUTER}" for network in pool.routes)
    return [
        "--no-daemon", "--conf-file=/dev/null", "--port=0", "--log-dhcp", "--log-facility=-",
        f"--interface={interface}", "--bind-interfaces", "--no-ping", "--dhcp-authoritative",
        "--user=root", "--group=root", f"--dhcp-leasefile={folder}/leases",
        f"--dhcp-range=10.1.0.{pool.first},10.1.0.{pool.last},255.255.255.0,{pool.lease_s}",
        f"--dhcp-option=3,{ROUTER}", f"--dhcp-option=6,{GATEWAY}",
        "--dhcp-option=15,turret.example",
        f"--dhcp-option=42,{GATEWAY}", f"--dhcp-option=vendor:OpenTurret,1,{GATEWAY}",
        "--dhcp-option=66,tftp.turret.example", f"--dhcp-option=67,{pool.file}",
        "--dhcp-option=119,turret.example,example", f"--dhcp-option=121,{routes}",
        "--dhcp-option=vi-encap:32473,1,10.1.0.3", "--dhcp-option=150,10.1.0.4,10.1.0.5",
    ]  # fmt: skip


def _octets(network: str) -> list[int]:
    """A route of option 121 (RFC 3442)."""
    address, _, prefix = network.partition("/")
    significant = address.split(".")[: (int(prefix) + 7) // 8]
    return [int(prefix), *map(int, significant), *map(int, ROUTER.split("."))]


def _dhcpd(folder: Path, interface: str, pool: Pool) -> list[str]:
    routes = ", ".join(str(octet) for network in pool.routes for octet in _octets(network))
    configuration = folder / "dhcpd.conf"
    configuration.write_text(f"""
        authoritative; ping-check false; default-lease-time {pool.lease_s};
        max-lease-time {pool.lease_s}; ddns-update-style none;
        option classless code 121 = array of unsigned integer 8;
        option tftp-servers code 150 = array of ip-address;
        option space turret code width 1 length width 1;
        option turret.tftp code 1 = ip-address;
        class "turret" {{
            match if option vendor-class-identifier = "OpenTurret";
            vendor-option-space turret; option turret.tftp {GATEWAY};
        }}
        subnet 10.2.0.0 netmask 255.255.255.0 {{ }}
        subnet 10.1.0.0 netmask 255.255.255.0 {{
            range 10.1.0.{pool.first} 10.1.0.{pool.last};
            option routers {ROUTER}; option domain-name-servers {GATEWAY};
            option domain-name "turret.example"; option ntp-servers {GATEWAY};
            option domain-search "turret.example", "example";
            option tftp-server-name "tftp.turret.example"; option bootfile-name "{pool.file}";
            option classless {routes}; option tftp-servers 10.1.0.4, 10.1.0.5;
            option vivso 00:00:7e:d9:06:01:04:0a:01:00:03;
        }}
    """)
    leases = folder / "leases"
    leases.touch()
    return ["-4", "-f", "-d", "-cf", str(configuration), "-lf", str(leases), "--no-pid", interface]


def _kea(folder: Path, interface: str, pool: Pool) -> list[str]:
    octets = bytes(octet for network in pool.routes for octet in _octets(network))
    data: list[dict[str, object]] = [
        {"name": "routers", "data": ROUTER},
        {"name": "domain-name-servers", "data": GATEWAY},
        {"name": "domain-name", "data": "turret.example"},
        {"name": "domain-search", "data": "turret.example, example"},
        {"name": "ntp-servers", "data": GATEWAY},
        {"name": "tftp-server-name", "data": "tftp.turret.example"},
        {"name": "boot-file-name", "data": pool.file},
        {"name": "vendor-encapsulated-options"},
        {"name": "tftp", "space": "vendor-encapsulated-options-space", "data": GATEWAY},
        {"code": 121, "csv-format": False, "data": octets.hex()},
        {"code": 150, "csv-format": False, "data": "0a0100040a010005"},
        {"name": "vivso-suboptions", "data": "32473"},
        {"name": "tftp", "space": "vendor-32473", "data": "10.1.0.3", "always-send": True},
    ]
    definitions = [
        {"name": "tftp", "code": 1, "type": "ipv4-address", "space": space}
        for space in ("vendor-encapsulated-options-space", "vendor-32473")
    ]
    configuration = folder / "kea.json"
    dhcp4 = {
        "interfaces-config": {"interfaces": [interface]},
        "lease-database": {"type": "memfile", "persist": False},
        "authoritative": True,
        "valid-lifetime": pool.lease_s,
        "option-def": definitions,
        "subnet4": [
            {
                "id": 1,
                "subnet": "10.1.0.0/24",
                "pools": [{"pool": f"10.1.0.{pool.first} - 10.1.0.{pool.last}"}],
                "option-data": data,
            }
        ],
        "loggers": [
            {
                "name": "kea-dhcp4",
                "severity": "DEBUG",
                "debuglevel": 55,
                "output_options": [{"output": "stdout", "flush": True}],
            }
        ],
    }
    configuration.write_text(json.dumps({"Dhcp4": dhcp4}))
    return ["-c", str(configuration)]


SERVERS: Final[Mapping[str, DhcpServer]] = {
    "dhcpd": DhcpServer("dhcpd", _dhcpd, "Server starting service"),
    "dnsmasq": DhcpServer("dnsmasq", _dnsmasq, "DHCP, sockets bound exclusively"),
    "kea": DhcpServer("kea-dhcp4", _kea, "DHCP4_STARTED"),
}
"""By the name that most people use."""


@contextlib.contextmanager
def serving(
    name: str, folder: Path, pool: Pool, here: Lan, *, behind_relay: bool = False
) -> Iterator[Running]:
    """Runs a server until the end of the block.

    Args:
        name: one of `SERVERS`.
        folder: for its configuration, leases and log; of its own.
        pool: what it grants.
        here: the network.
        behind_relay: whether it is in the network behind the gateway.

    Raises:
        ToolMissingError: the program is not installed.
        ServiceError: it ended, or did not listen in time; carries what it said.
    """
    server = SERVERS[name]
    folder.mkdir(parents=True, exist_ok=True)
    place, interface = (here.server, "sv0") if behind_relay else (here.gateway, "gw0")
    arguments = server.arguments(folder, interface, pool)
    with _running(server.program, arguments, folder, here.command, place, server.ready) as running:
        yield running


@contextlib.contextmanager
def relaying(folder: Path, here: Lan) -> Iterator[Running]:
    """Runs isc-dhcp-relay on the gateway until the end of the block.

    Raises:
        ToolMissingError: the program is not installed.
        ServiceError: it ended, or did not listen in time; carries what it said.
    """
    arguments = ["-4", "-d", "--no-pid", "-id", "gw0", "-iu", "up0", SERVER]
    folder.mkdir(parents=True, exist_ok=True)
    with _running(
        "dhcrelay", arguments, folder, here.command, here.gateway, "Sending on   Socket"
    ) as running:
        yield running


@contextlib.contextmanager
def _running(
    program: str,
    arguments: Sequence[str],
    folder: Path,
    command: Callable[[int, Sequence[str]], list[str]],
    place: int,
    ready: str,
) -> Iterator[Running]:
    found, log = tool(program), folder / f"{program}.log"
    environment = {
        **found.environment(),
        "KEA_PIDFILE_DIR": str(folder),
        "KEA_LOCKFILE_DIR": "none",
    }
    with (
        log.open("wb") as output,
        subprocess.Popen(
            command(place, [str(found.path), *arguments]),
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        ) as process,
    ):
        running = Running(process, log)
        try:
            _wait_until_ready(running, ready)
            yield running
        finally:
            process.kill()


def _wait_until_ready(running: Running, ready: str) -> None:
    deadline = time.monotonic() + _START_S
    while not running.said(ready):
        if running.process.poll() is not None or time.monotonic() > deadline:
            said = running.log.read_text(errors="replace")[-800:]
            raise ServiceError(f"{running.log.stem} does not serve: {said}")
        time.sleep(_POLL_S)
