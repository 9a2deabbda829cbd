"""The plan of the bench: every site, host, address, name and person, once.

The addresses are those of the documentation; the names live in ``turret.example``.
"""

from __future__ import annotations

from dataclasses import dataclass, field

DOMAIN = "turret.example"
"""The DNS zone and the SIP domain."""

OBSERVER_ADDRESS = "10.99.0.2"
"""The bench's own root namespace, which sees all and belongs to no site."""


@dataclass(frozen=True, slots=True)
class Site:
    """A network with its router.

    Attributes:
        name: also the name of the router's interface (a bridge where it has many ports).
        router: the namespace that routes for it.
        gateway: the router's address in it.
        prefix: its network, CIDR.
    """

    name: str
    router: str
    gateway: str
    prefix: str


@dataclass(frozen=True, slots=True)
class Host:
    """A machine on the bench: one network namespace with one interface, ``eth0``.

    Attributes:
        name: the namespace.
        site: the site that it stands in.
        address: its IPv4 address; empty for a unit, which must ask for one.
        names: its DNS names below ``turret.example``.
        mac: its MAC address; empty lets the kernel choose.
    """

    name: str
    site: str
    address: str = ""
    names: tuple[str, ...] = ()
    mac: str = ""

    @property
    def domain_names(self) -> tuple[str, ...]:
        """Its full names."""
        return tuple(f"{name}.{DOMAIN}" for name in self.names)


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who logs in and telephones."""

    user: str
    password: str = field(repr=False)
    name: str
    number: str
    sip_password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Party:
    """A far end that answers and speaks a sentence."""

    number: str
    sip_password: str = field(repr=False)
    sentence: str
    sip_port: int
    control_port: int
    rtp_ports: tuple[int, int]


@dataclass(frozen=True, slots=True)
class UnitPlan:
    """A unit as it leaves the factory."""

    name: str
    serial: str
    mac: str
    ftpes_password: str = field(repr=False)
    model: str = "TouchPro"

    @property
    def folder(self) -> str:
        """Its folder at the TSS and at the TFTP server: the MAC with dashes."""
        return self.mac.lower().replace(":", "-")

    @property
    def ftpes_username(self) -> str:
        """Its user name at the TSS: the MAC as it is written."""
        return self.mac


SITES = (
    Site("lan", "cpe", "10.1.0.1", "10.1.0.0/24"),
    Site("dc1", "core", "10.11.0.1", "10.11.0.0/24"),
    Site("dc2", "core", "10.12.0.1", "10.12.0.0/24"),
    Site("city", "core", "10.20.0.1", "10.20.0.0/24"),
)

GATEWAY = Host("gateway", "lan", "10.1.0.2", ("gateway", "tftp"))
TSS = (
    Host("tss1", "dc1", "10.11.0.10", ("tss1", "syslog")),
    Host("tss2", "dc2", "10.12.0.10", ("tss2",)),
)
PBX = (Host("pbx1", "dc1", "10.11.0.20", ("pbx1",)), Host("pbx2", "dc2", "10.12.0.20", ("pbx2",)))
RECORDERS = (
    Host("recorder1", "dc1", "10.11.0.30", ("recorder1",)),
    Host("recorder2", "dc2", "10.12.0.30", ("recorder2",)),
)
DIRECTORIES = (
    Host("directory1", "dc1", "10.11.0.40", ("directory1",)),
    Host("directory2", "dc2", "10.12.0.40", ("directory2",)),
)
BALANCER = Host("balancer", "dc1", "10.11.0.45", ("ldap",))
TPO = Host("tpo", "dc2", "10.12.0.50", ("tpo",))
PARTY = Host("city", "city", "10.20.0.10", ("city",))

HOSTS = (GATEWAY, *TSS, *PBX, *RECORDERS, *DIRECTORIES, BALANCER, TPO, PARTY)
"""Everything that a unit talks to; units are added by number."""

DHCP_RANGE = ("10.1.0.100", "10.1.0.199")
TSS_PORTS = (21, 443)
SIP_PORT = 5060
LDAPS_PORT = 636
SYSLOG_PORT = 514
RTP_PORTS = (11000, 13000)

PEOPLE = (
    Person("alice", "correct horse", "Alice Martin", "1001", "sip-1001-quiet-harbour"),
    Person("bob", "battery staple", "Bob Leroy", "1002", "sip-1002-green-lantern"),
    Person("carol", "paper anchor", "Carol Nguyen", "1003", "sip-1003-slow-river"),
)
PARTIES = (
    Party("2001", "sip-2001-north-gate", "party-2001", 5060, 4444, (20000, 20199)),
    Party("2002", "sip-2002-south-gate", "party-2002", 5070, 4445, (20200, 20399)),
)
HOOTS = ("hoot-1", "hoot-2", "hoot-3")


def unit(number: int) -> UnitPlan:
    """The unit ``touchpro-<number>``, counted from 1."""
    return UnitPlan(
        name=f"touchpro-{number}",
        serial=f"TP{number:06d}",
        mac=f"02:54:50:00:{number >> 8:02x}:{number & 255:02x}",
        ftpes_password=f"factory-{number:06d}-amber-wharf",
    )


def unit_host(plan: UnitPlan) -> Host:
    """Where a unit stands: on the client LAN, without an address until DHCP gives one."""
    return Host(plan.name, "lan", mac=plan.mac)
