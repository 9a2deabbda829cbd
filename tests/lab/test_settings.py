"""What the bench's TSS publishes, read by the unit's own registry of keys."""

from __future__ import annotations

import ipaddress
from pathlib import Path

import pytest
import yaml

from openturret.firmware.config import cli
from openturret.lab import plan, settings

CONTENTS = {
    "unit": settings.unit_configuration(version=3),
    **{person.user: settings.profile(person) for person in plan.PEOPLE},
}


@pytest.mark.parametrize("name", CONTENTS)
def test_the_unit_accepts_it_without_a_warning(name: str, tmp_path: Path) -> None:
    said: list[str] = []
    path = tmp_path / f"{name}.yaml"
    path.write_text(yaml.safe_dump(CONTENTS[name]))
    assert cli.main(["validate", str(path)], said.append) == 0, said
    assert not [line for line in said if "warning" in line.lower()]


def test_a_profile_is_one_persons() -> None:
    numbers = [settings.profile(person)["profile.sip.username"] for person in plan.PEOPLE]
    assert len(set(numbers)) == len(plan.PEOPLE)


def test_every_address_of_the_plan_stands_in_its_site() -> None:
    sites = {site.name: ipaddress.ip_network(site.prefix) for site in plan.SITES}
    for host in plan.HOSTS:
        assert ipaddress.ip_address(host.address) in sites[host.site]
    addresses = [host.address for host in plan.HOSTS]
    assert len(set(addresses)) == len(addresses)


def test_secrets_do_not_show() -> None:
    shown = repr(plan.PEOPLE) + repr(plan.PARTIES) + repr(plan.unit(1))
    for person in plan.PEOPLE:
        assert person.password not in shown
        assert person.sip_password not in shown
    assert plan.unit(1).ftpes_password not in shown
