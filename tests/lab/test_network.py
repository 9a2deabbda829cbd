from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from typing import Any

import pytest

from openturret.lab import plan
from openturret.lab.bench import Bench
from openturret.lab.errors import NetworkError

pytestmark = pytest.mark.bench

PING = [sys.executable, "-m", "openturret.lab.ping"]
ALL = [host.address for host in plan.HOSTS]


def ping(bench: Bench, namespace: str, *arguments: str) -> dict[str, Any]:
    done = bench.network.run_in(namespace, [*PING, *arguments], check=False)
    answers: dict[str, Any] = json.loads(done.stdout)
    return answers


async def ping_during(bench: Bench, *arguments: str) -> asyncio.subprocess.Process:
    command = bench.network.command("gateway", [*PING, *arguments])
    process = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE)
    await asyncio.sleep(0.3)
    return process


async def result(process: asyncio.subprocess.Process) -> dict[str, Any]:
    output, _ = await process.communicate()
    answers: dict[str, Any] = json.loads(output)
    return answers


@pytest.mark.parametrize("namespace", [host.name for host in plan.HOSTS])
def test_every_host_reaches_every_host(bench: Bench, namespace: str) -> None:
    answers = ping(bench, namespace, *ALL)
    silent = [address for address, found in answers.items() if found["received"] != 1]
    assert silent == []


def test_the_observer_sees_all_without_belonging_to_a_site(bench: Bench) -> None:
    answers = ping(bench, "", *ALL)
    assert all(found["received"] == 1 for found in answers.values())


def test_a_unit_without_an_address_reaches_nothing(bench: Bench) -> None:
    assert ping(bench, "touchpro-1", "10.11.0.10")["10.11.0.10"]["received"] == 0


def test_a_unit_has_the_mac_of_its_name_plate(bench: Bench) -> None:
    shown = bench.network.run_in("touchpro-1", ["ip", "-json", "link", "show", "eth0"]).stdout
    assert json.loads(shown)[0]["address"] == plan.unit(1).mac


@pytest.mark.parametrize("link", ["fibre", "sdsl"])
async def test_a_cut_wan_link_loses_next_to_nothing(bench: Bench, link: str) -> None:
    pinging = await ping_during(bench, "10.11.0.10", "--count", "100")
    with bench.faults.cut(link):
        answers = (await result(pinging))["10.11.0.10"]
    assert answers["sent"] == 100
    assert answers["received"] >= 99


async def test_a_cut_link_comes_back_with_its_routes(bench: Bench) -> None:
    with bench.faults.cut("fibre"):
        pass
    routes = bench.network.run_in("core", ["ip", "route", "show", "10.1.0.0/24"]).stdout
    assert "via 10.9.1.1 dev fibre metric 10" in routes
    with bench.faults.cut("sdsl"):
        assert ping(bench, "gateway", "10.12.0.20")["10.12.0.20"]["received"] == 1


async def test_both_wan_links_cut_leaves_the_lan_alone(bench: Bench) -> None:
    with bench.faults.cut("fibre"), bench.faults.cut("sdsl"):
        assert ping(bench, "gateway", "10.11.0.10")["10.11.0.10"]["received"] == 0
        assert ping(bench, "gateway", "10.1.0.1")["10.1.0.1"]["received"] == 1


async def test_a_blackhole_keeps_the_carrier_and_carries_nothing(bench: Bench) -> None:
    with bench.faults.blackhole("fibre"):
        assert ping(bench, "gateway", "10.11.0.10")["10.11.0.10"]["received"] == 0
        link = bench.network.run_in("cpe", ["ip", "-json", "link", "show", "fibre"]).stdout
        assert "LOWER_UP" in json.loads(link)[0]["flags"]
    assert ping(bench, "gateway", "10.11.0.10")["10.11.0.10"]["received"] == 1


async def test_a_host_behind_a_blackhole_is_silent_and_its_neighbours_are_not(
    bench: Bench,
) -> None:
    with bench.faults.blackhole("recorder1"):
        answers = ping(bench, "gateway", "10.11.0.30", "10.11.0.20")
        assert answers["10.11.0.30"]["received"] == 0
        assert answers["10.11.0.20"]["received"] == 1
    assert ping(bench, "gateway", "10.11.0.30")["10.11.0.30"]["received"] == 1


def test_a_link_that_is_not_there_is_named(bench: Bench) -> None:
    with pytest.raises(NetworkError, match="there is no link 'copper'"):
        bench.faults.cut_link("copper")


def test_what_iproute2_refuses_is_said(bench: Bench) -> None:
    with pytest.raises(NetworkError, match="Cannot find device"):
        bench.network.configure("core", ["link set nothing up"])
