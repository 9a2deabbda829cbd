import json
from collections.abc import Sequence
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import pytest

from openturret.boot.errors import InterfaceError
from openturret.boot.lan.interface import IpInterface, run_ip, write_network
from openturret.boot.lan.lease import Lease
from openturret.boot.wire.dhcp import Route

ROUTER = IPv4Address("10.1.0.1")
LEASE = Lease(
    IPv4Address("10.1.0.100"), 24, IPv4Address("10.1.0.2"), 0.0, 3600, 1800, 3150,
    routers=(ROUTER, IPv4Address("10.1.0.3")), dns_servers=(IPv4Address("10.1.0.2"),),
)  # fmt: skip


class Commands:
    """Remembers what iproute2 would have been asked."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    async def __call__(self, commands: Sequence[str]) -> None:
        self.lines += commands


@pytest.fixture
def commands() -> Commands:
    return Commands()


@pytest.fixture
def interface(commands: Commands) -> IpInterface:
    return IpInterface("eth0", commands)


async def test_a_first_lease_sets_address_and_default_route(
    interface: IpInterface, commands: Commands
) -> None:
    await interface.apply(LEASE, None)
    assert commands.lines == [
        "addr replace 10.1.0.100/24 brd + dev eth0",
        "route replace default via 10.1.0.1 dev eth0",
    ]


async def test_a_renewed_lease_takes_nothing_away(
    interface: IpInterface, commands: Commands
) -> None:
    await interface.apply(replace(LEASE, acquired=1800.0), LEASE)
    assert not [line for line in commands.lines if " del " in line]


async def test_classless_routes_replace_the_router_option(
    interface: IpInterface, commands: Commands
) -> None:
    routes = (
        Route(IPv4Network("10.11.0.0/24"), ROUTER),
        Route(IPv4Network("10.12.0.0/24"), IPv4Address(0)),
    )
    await interface.apply(replace(LEASE, routes=routes), LEASE)
    assert commands.lines[1:] == [
        "route replace 10.11.0.0/24 via 10.1.0.1 dev eth0",
        "route replace 10.12.0.0/24 dev eth0",
        "route del default via 10.1.0.1 dev eth0",
    ]


async def test_another_address_is_set_before_the_old_one_goes(
    interface: IpInterface, commands: Commands
) -> None:
    await interface.apply(replace(LEASE, address=IPv4Address("10.1.0.101")), LEASE)
    assert commands.lines[0] == "addr replace 10.1.0.101/24 brd + dev eth0"
    assert commands.lines[-1] == "addr del 10.1.0.100/24 dev eth0"
    await interface.clear(LEASE)
    assert commands.lines[-1] == "addr del 10.1.0.100/24 dev eth0"


async def test_an_interface_that_is_not_there_is_an_error_with_a_remedy() -> None:
    missing = IpInterface("nothere0", Commands())
    with pytest.raises(InterfaceError, match="nothere0") as caught:
        missing.mac()
    assert "ip link" in caught.value.remedy
    with pytest.raises(InterfaceError):
        await missing.wait_for_carrier()


async def test_loopback_has_a_carrier() -> None:
    await IpInterface("lo", Commands()).wait_for_carrier()


async def test_a_refused_command_is_an_error() -> None:
    with pytest.raises(InterfaceError, match="refused"):
        await run_ip(["link set dev nothere0 up"])


def test_network_json_says_where_the_unit_is(tmp_path: Path) -> None:
    write_network(tmp_path / "network.json", "eth0", LEASE)
    assert json.loads((tmp_path / "network.json").read_text()) == {
        "interface": "eth0", "address": "10.1.0.100", "prefix": 24, "router": "10.1.0.1",
        "dns": ["10.1.0.2"], "domain": "", "search": [], "ntp": [],
    }  # fmt: skip


class Refusing(Commands):
    """Refuses routes, as the kernel does when a DHCP server names a router elsewhere."""

    async def __call__(self, commands: Sequence[str]) -> None:
        await super().__call__(commands)
        if any("route replace" in command for command in commands):
            raise InterfaceError("ip refused: Nexthop has invalid gateway")


async def test_a_route_that_the_kernel_refuses_costs_no_address() -> None:
    commands = Refusing()
    elsewhere = replace(LEASE, address=IPv4Address("10.1.0.101"))
    await IpInterface("eth0", commands).apply(elsewhere, LEASE)
    assert commands.lines[0] == "addr replace 10.1.0.101/24 brd + dev eth0"
    assert commands.lines[-1] == "addr del 10.1.0.100/24 dev eth0"


async def test_what_follows_a_refused_command_is_done() -> None:
    with pytest.raises(InterfaceError, match="nothere0") as caught:
        await run_ip(["link set dev nothere0 up", "link set dev nothere1 up"])
    assert "nothere1" in str(caught.value) or str(caught.value).count("Cannot find device") == 2
