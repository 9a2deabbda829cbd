"""The client LAN's gateway: DHCP, DNS and TFTP by one dnsmasq.

DHCP tells a unit its TFTP server four ways (options 43, 66 and 67, 150), because fields
differ. DNS knows every host of the plan. TFTP serves hints only: nothing that a unit gets
from it configures it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from . import plan
from .plan import Host, UnitPlan
from .processes import Service, accepts
from .tools import tool

VENDOR_CLASS = "OpenTurret"
"""What a unit calls itself in option 60, and the key of option 43."""

_DNS_PORT = 53


@dataclass(frozen=True, slots=True)
class GatewayFiles:
    """What the gateway keeps in its folder."""

    folder: Path

    @property
    def tftp(self) -> Path:
        """The TFTP root."""
        return self.folder / "tftp"

    @property
    def leases(self) -> Path:
        """The leases that dnsmasq gave."""
        return self.folder / "leases"


def service(
    folder: Path,
    *,
    host: Host = plan.GATEWAY,
    hosts: Iterable[Host] = plan.HOSTS,
    units: Iterable[UnitPlan] = (),
    lease_s: int = 3600,
) -> Service:
    """The dnsmasq of the client LAN.

    Args:
        folder: its state.
        host: where it runs.
        hosts: who has a name in DNS.
        units: whose own TFTP file option 67 names; all others get ``default.yaml``.
        lease_s: the lease time, in seconds (dnsmasq's least is 120).
    """
    files = GatewayFiles(folder)
    files.tftp.mkdir(parents=True, exist_ok=True)
    path = folder / "dnsmasq.conf"
    lines = [*_common(files, host), *_dhcp(host, units, lease_s), *_dns(hosts)]
    path.write_text("\n".join(lines) + "\n")
    program = tool("dnsmasq")
    return Service(
        "gateway",
        host.name,
        [str(program.path), f"--conf-file={path}", "--no-daemon"],
        ready=accepts(host.address, _DNS_PORT),
        env=program.env,
    )


def write_hints(
    folder: Path, units: Iterable[UnitPlan], servers: Iterable[Host] = plan.TSS
) -> None:
    """Write the TFTP tree: one hint per unit, one per model, one for all.

    Args:
        folder: the gateway's folder.
        units: who gets a file of its own.
        servers: the TSS nodes that the hints name.
    """
    names = [host.domain_names[0] for host in servers]
    hint = f"tss.servers: [{', '.join(names)}]\n"
    root = GatewayFiles(folder).tftp
    files = {"default.yaml": hint, "models/touchpro.yaml": hint}
    files.update({f"units/{unit.folder}.yaml": hint for unit in units})
    _write_tree(root, files)


def _write_tree(root: Path, files: Mapping[str, str]) -> None:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
        path.chmod(0o644)


def _common(files: GatewayFiles, host: Host) -> list[str]:
    return [
        "bind-interfaces",
        f"listen-address={host.address}",
        "no-resolv",
        "no-hosts",
        "no-poll",
        "log-dhcp",
        "log-queries",
        "log-facility=-",
        f"dhcp-leasefile={files.leases}",
        "enable-tftp",
        f"tftp-root={files.tftp}",
    ]


def _dhcp(host: Host, units: Iterable[UnitPlan], lease_s: int) -> list[str]:
    router = next(site.gateway for site in plan.SITES if site.name == host.site)
    first, last = plan.DHCP_RANGE
    lines = [
        "dhcp-authoritative",
        "no-ping",
        f"dhcp-range={first},{last},255.255.255.0,{lease_s}s",
        f"dhcp-option=option:router,{router}",
        f"dhcp-option=option:dns-server,{host.address}",
        f"dhcp-option=option:domain-name,{plan.DOMAIN}",
        f"dhcp-option=66,{host.address}",
        f"dhcp-option=150,{host.address}",
        f"dhcp-option=vendor:{VENDOR_CLASS},1,{host.address}",
        "dhcp-option=67,default.yaml",
    ]
    for number, unit in enumerate(units):
        lines += _unit_lines(number, unit)
    return lines


def _unit_lines(number: int, unit: UnitPlan) -> list[str]:
    tag = f"unit{number}"
    return [
        f"dhcp-host={unit.mac},set:{tag}",
        f"dhcp-option=tag:{tag},67,units/{unit.folder}.yaml",
    ]


def _dns(hosts: Iterable[Host]) -> list[str]:
    named = [host for host in hosts if host.domain_names]
    return [
        f"local=/{plan.DOMAIN}/",
        *(f"host-record={','.join(host.domain_names)},{host.address}" for host in named),
    ]
