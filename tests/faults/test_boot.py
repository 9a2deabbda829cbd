"""The network or the TSS fails while a unit boots: it says so, goes on, and trusts nothing new."""

from __future__ import annotations

from typing import Any

import pytest

from openturret.lab.bench import Bench
from openturret.lab.dealer import Dealer
from openturret.lab.waiting import until

pytestmark = [pytest.mark.bench, pytest.mark.slow]


def stage(dealer: Dealer, name: str) -> dict[str, Any]:
    stages: list[dict[str, Any]] = dealer.unit.status().get("stages", [])
    return next((each for each in stages if each["name"] == name), {})


async def reboot(dealer: Dealer) -> None:
    await dealer.unit.power_off()
    await dealer.power_on()
    await dealer.wait_for_panel()


async def test_without_an_answer_dhcp_keeps_trying_and_says_so(bench: Bench) -> None:
    await bench.factory_reset("touchpro-1")
    await bench.processes["gateway"].kill()
    async with Dealer(bench) as dealer:
        try:
            await dealer.power_on()

            async def says_so() -> bool:
                return "the next one in" in stage(dealer, "dhcp").get("detail", "")

            await until(says_so, "a word about the next attempt")
            assert stage(dealer, "dhcp")["state"] == "running"
            assert stage(dealer, "dhcp")["error"]
        finally:
            await bench.processes["gateway"].restart()
        await dealer.wait_for_panel()


async def test_with_every_tss_gone_a_unit_boots_from_its_cache(bench: Bench) -> None:
    await bench.factory_reset("touchpro-1")
    servers = [bench.processes[name] for name in ("tss1", "tss2")]
    async with Dealer(bench) as dealer:
        await dealer.power_on()
        await dealer.wait_for_panel()
        await dealer.log_in()
        for server in servers:
            await server.kill()
        try:
            await reboot(dealer)
            assert [alarm["code"] for alarm in await dealer.alarms()] != []
            await dealer.log_in()
        finally:
            for server in servers:
                await server.restart()


@pytest.mark.parametrize("fault", ["wrong signature", "expired", "older"])
async def test_a_configuration_not_to_be_trusted_changes_nothing(bench: Bench, fault: str) -> None:
    await bench.factory_reset("touchpro-1")
    first = bench.tss.publish()
    bench.tss.publish()
    async with Dealer(bench) as dealer:
        await dealer.power_on()
        await dealer.wait_for_panel()
        kept = (dealer.unit.state / "config" / "unit.yaml").read_bytes()
        publish_bad(bench, fault, first)
        try:
            await reboot(dealer)
            assert (dealer.unit.state / "config" / "unit.yaml").read_bytes() == kept
            assert stage(dealer, "trust")["error"] or await dealer.alarms()
            log = (dealer.unit.state / "log" / "boot.log").read_text()
            assert "refused" in log
        finally:
            bench.tss.publish()


def publish_bad(bench: Bench, fault: str, first: int) -> None:
    if fault == "wrong signature":
        bench.tss.publish_wrongly_signed()
    elif fault == "expired":
        bench.tss.publish_expired()
    else:
        bench.tss.publish_older(first)
