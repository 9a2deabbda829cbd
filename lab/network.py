"""The bench's network: sites, hosts, routers and links, each host a network namespace.

```
 touchpro-1 ─┐                        fibre 10.9.1.0/30 (metric 10)
 gateway ────┤ lan 10.1.0.0/24 ─ cpe ═══════════════════════════ core ─┬─ dc1  10.11.0.0/24
             └ (bridge br0)           sdsl  10.9.2.0/30 (metric 20)    ├─ dc2  10.12.0.0/24
                                                                       ├─ city 10.20.0.0/24
                                         observer 10.99.0.0/30 ────────┘
```

Built inside a namespace that `openturret.lab.namespace` entered. The bench itself stays
in the root namespace of it, joined to ``core`` by the observer link.
"""

from __future__ import annotations

import contextlib
import ipaddress
import os
import signal
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from . import plan
from .errors import NetworkError
from .plan import Host, Site
from .tools import tool

NAMESPACES = Path("/run/netns")
SWITCH = "lan"
"""The namespace of the client LAN's switch."""

_LAN_BRIDGE = "br0"
_ROUTERS = ("cpe", "core")
_ROUTER_SETTINGS = (
    "net/ipv4/ip_forward",
    "net/ipv4/conf/all/ignore_routes_with_linkdown",
    "net/ipv4/conf/default/ignore_routes_with_linkdown",
)


@dataclass(frozen=True, slots=True)
class End:
    """One end of a link: an interface in a namespace; an empty namespace is the root one."""

    namespace: str
    interface: str


@dataclass(frozen=True, slots=True)
class Link:
    """A cable.

    Attributes:
        name: what the fault helpers call it; the name of the host for a host's own cable.
        ends: the near end and the far end (towards ``core`` or the switch).
        switched: whether the far end is a port of a bridge.
    """

    name: str
    ends: tuple[End, End]
    switched: bool = False


@dataclass(frozen=True, slots=True)
class Route:
    """A static route in a router, put back whenever its link comes back."""

    namespace: str
    destination: str
    via: str
    metric: int
    link: str

    @property
    def command(self) -> str:
        """The iproute2 command that makes it so."""
        return f"route replace {self.destination} via {self.via} metric {self.metric}"


_WAN = (
    Link("fibre", (End("cpe", "fibre"), End("core", "fibre"))),
    Link("sdsl", (End("cpe", "sdsl"), End("core", "sdsl"))),
)
_OBSERVER = Link("observer", (End("", "observer"), End("core", "observer")))
_ROUTES = (
    Route("cpe", "default", "10.9.1.2", 10, "fibre"),
    Route("cpe", "default", "10.9.2.2", 20, "sdsl"),
    Route("core", "10.1.0.0/24", "10.9.1.1", 10, "fibre"),
    Route("core", "10.1.0.0/24", "10.9.2.1", 20, "sdsl"),
)
_ADDRESSES = (
    (End("cpe", "fibre"), "10.9.1.1/30"),
    (End("core", "fibre"), "10.9.1.2/30"),
    (End("cpe", "sdsl"), "10.9.2.1/30"),
    (End("core", "sdsl"), "10.9.2.2/30"),
    (End("core", "observer"), "10.99.0.1/30"),
    (End("", "observer"), f"{plan.OBSERVER_ADDRESS}/30"),
)


class Network:
    """The network of the bench.

    Args:
        hosts: the hosts to build; units included.

    Example::

        network = Network((*plan.HOSTS, plan.unit_host(plan.unit(1))))
        network.build()
        network.run_in("touchpro-1", ["ip", "address"])
    """

    def __init__(self, hosts: Iterable[Host] = plan.HOSTS) -> None:
        self.hosts = tuple(hosts)
        self._sites = {site.name: site for site in plan.SITES}
        self.links = {link.name: link for link in self._all_links()}

    def build(self) -> None:
        """Make every namespace, cable, address and route.

        Raises:
            NetworkError: iproute2 refused something; the message is its own.
        """
        self._lay_cables()
        for namespace in self._namespaces():
            self.configure(namespace, self._set_up(namespace))
        self.configure("", self._set_up(""))

    def configure(self, namespace: str, commands: Iterable[str]) -> None:
        """Run commands of iproute2 in a namespace ("" is the root one).

        Raises:
            NetworkError: one of them was refused.
        """
        scope = ["-n", namespace] if namespace else []
        batch = "".join(f"{command}\n" for command in commands)
        ip = [str(tool("ip").path), *scope, "-batch", "-"]
        done = subprocess.run(ip, input=batch, capture_output=True, text=True, check=False)
        if done.returncode:
            raise NetworkError(f"ip -n {namespace or 'root'}: {done.stderr.strip()}")

    def command(self, namespace: str, argv: Sequence[str]) -> list[str]:
        """The command line that runs ``argv`` in a namespace, as the process itself.

        nsenter replaces itself by the command, so the pid is the command's own.
        """
        if not namespace:
            return list(argv)
        return [str(tool("nsenter").path), f"--net={NAMESPACES / namespace}", "--", *argv]

    def run_in(
        self, namespace: str, argv: Sequence[str], *, check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """Run a command to its end in a namespace and return what it said.

        Raises:
            NetworkError: it failed and ``check`` is set.
        """
        done = subprocess.run(
            self.command(namespace, argv), capture_output=True, text=True, check=False
        )
        if check and done.returncode:
            raise NetworkError(f"{argv[0]} in {namespace or 'root'}: {done.stderr.strip()}")
        return done

    def kill_all_in(self, namespace: str) -> list[int]:
        """SIGKILL every process of a namespace: the power plug is pulled.

        Returns:
            The pids that it was sent to; they end soon after. Empty: there are none left.
        """
        victims = list(_processes_in(NAMESPACES / namespace))
        for pid in victims:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return victims

    def routes_of(self, link: Link) -> list[Route]:
        """The static routes that go over a link."""
        return [route for route in _ROUTES if route.link == link.name]

    def _all_links(self) -> Iterator[Link]:
        yield from _WAN
        yield _OBSERVER
        yield Link("cpe", (End("cpe", "lan"), End(SWITCH, "cpe")), switched=True)
        for host in self.hosts:
            yield Link(host.name, (End(host.name, "eth0"), self._port(host)), switched=True)

    def _port(self, host: Host) -> End:
        site = self._sites[host.site]
        return End(SWITCH if site.name == "lan" else site.router, f"p-{host.name}"[:15])

    def _namespaces(self) -> list[str]:
        return [SWITCH, *_ROUTERS, *(host.name for host in self.hosts)]

    def _lay_cables(self) -> None:
        self.configure("", [f"netns add {name}" for name in self._namespaces()])
        self.configure("", [_cable(link) for link in self.links.values()])

    def _set_up(self, namespace: str) -> list[str]:
        commands = ["link set lo up"]
        commands += [f"link add {name} type bridge" for name in self._bridges(namespace)]
        commands += [f"link set {name} up" for name in self._bridges(namespace)]
        commands += self._ports_up(namespace)
        commands += [
            f"address add {address} dev {interface}"
            for interface, address in self._addresses(namespace)
        ]
        self._allow_forwarding(namespace)
        return commands + list(self._routes(namespace))

    def _bridges(self, namespace: str) -> list[str]:
        if namespace == SWITCH:
            return [_LAN_BRIDGE]
        return [site.name for site in plan.SITES if site.router == namespace != "cpe"]

    def _ports_up(self, namespace: str) -> Iterator[str]:
        for link in self.links.values():
            for end in link.ends:
                if end.namespace == namespace:
                    yield from self._port_up(link, end)

    def _port_up(self, link: Link, end: End) -> Iterator[str]:
        host = self._host(end.namespace)
        if host is not None and host.mac:
            yield f"link set {end.interface} address {host.mac}"
        if link.switched and end == link.ends[1]:
            yield f"link set {end.interface} master {self._bridge_of(link)}"
        yield f"link set {end.interface} up"

    def _bridge_of(self, link: Link) -> str:
        host = self._host(link.name)
        return _LAN_BRIDGE if host is None or host.site == "lan" else host.site

    def _host(self, name: str) -> Host | None:
        return next((host for host in self.hosts if host.name == name), None)

    def _addresses(self, namespace: str) -> Iterator[tuple[str, str]]:
        for end, address in _ADDRESSES:
            if end.namespace == namespace:
                yield end.interface, address
        for site in plan.SITES:
            if site.router == namespace:
                interface = "lan" if namespace == "cpe" else site.name
                yield interface, f"{site.gateway}/{_length(site)}"
        host = self._host(namespace)
        if host is not None and host.address:
            yield "eth0", f"{host.address}/{_length(self._sites[host.site])}"

    def _routes(self, namespace: str) -> Iterator[str]:
        if not namespace:
            yield "route replace 10.0.0.0/8 via 10.99.0.1"
        yield from (route.command for route in _ROUTES if route.namespace == namespace)
        host = self._host(namespace)
        if host is not None and host.address:
            yield f"route replace default via {self._sites[host.site].gateway}"

    def _allow_forwarding(self, namespace: str) -> None:
        if namespace in _ROUTERS:
            writes = "; ".join(f"echo 1 >/proc/sys/{name}" for name in _ROUTER_SETTINGS)
            self.run_in(namespace, ["sh", "-ec", writes])


def _cable(link: Link) -> str:
    near, far = link.ends
    at = [f"netns {end.namespace}" if end.namespace else "" for end in (near, far)]
    return f"link add {near.interface} {at[0]} type veth peer name {far.interface} {at[1]}"


def _length(site: Site) -> int:
    return ipaddress.ip_network(site.prefix).prefixlen


def _processes_in(namespace: Path) -> Iterator[int]:
    wanted = namespace.stat().st_ino
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and _network_of(entry) == wanted:
            yield int(entry.name)


def _network_of(process: Path) -> int | None:
    try:
        return (process / "ns/net").stat().st_ino
    except OSError:
        return None
