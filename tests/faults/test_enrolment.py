"""A unit gets a certificate of its own; what it can do with it, and when it counts no more."""

from __future__ import annotations

import pytest

from openturret.lab.bench import Bench
from openturret.lab.dealer import Dealer
from openturret.lab.waiting import until

pytestmark = [pytest.mark.bench, pytest.mark.slow]


async def test_a_unit_enrols_boots_by_its_certificate_and_is_shut_out(bench: Bench) -> None:
    await bench.factory_reset("touchpro-1")
    async with Dealer(bench) as dealer:
        await dealer.power_on()
        await dealer.wait_for_panel()
        certificate = dealer.unit.state / "enrolment" / "unit.pem"

        async def enrolled() -> bool:
            return certificate.exists()

        await until(enrolled, "a certificate")
        try:
            bench.tss.demand_certificates()
            await reboot(dealer)
            assert await codes(dealer) == [], "the certificate is enough"
            bench.tss.revoke_unit(dealer.unit.plan.mac)
            await reboot(dealer)
            assert "tss.unavailable" in await codes(dealer), "it runs from what it kept"
        finally:
            bench.tss.demand_certificates(demanded=False)
            bench.tss.add_unit(
                mac=dealer.unit.plan.mac,
                serial=dealer.unit.plan.serial,
                model=dealer.unit.plan.model,
                password=dealer.unit.plan.ftpes_password,
            )


async def reboot(dealer: Dealer) -> None:
    await dealer.unit.power_off()
    await dealer.power_on()
    await dealer.wait_for_panel()


async def codes(dealer: Dealer) -> list[str]:
    return [str(alarm["code"]) for alarm in await dealer.alarms()]
