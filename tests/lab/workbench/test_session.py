"""An engineer's session: one command, a unit is plugged in, it boots, everything is shown."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

pytestmark = [pytest.mark.bench, pytest.mark.slow]

Lan = Callable[[str], dict[str, Any]]
MAC = "02:54:50:00:00:01"


def test_a_unit_that_is_plugged_in_boots_and_everything_is_shown(on_a_lan: Lan) -> None:
    told = on_a_lan("a_unit_boots")
    status, events = told["status"], told["events"]
    assert (status["stage"], status["config_version"]) == ("running", 1)
    assert events[0]["units"][0]["mac"] == MAC
    services = {event["service"] for event in events[1:] if event["unit"] == MAC}
    assert services >= {"dhcp", "tftp", "ftpes", "syslog"}
    assert any(
        event["text"].startswith("targets/firmware/touchpro/openturret") for event in events[1:]
    )
    assert told["code"] == 0
    assert "turret tss:" not in told["errors"]
    assert "every port is free; nobody serves DHCP" in told["after"], "all of it has ended"


def test_a_lan_keeps_its_own_dhcp_server(on_a_lan: Lan) -> None:
    told = on_a_lan("a_lan_with_its_own_dhcp_server")
    assert told["events"][0]["dhcp"] is None
    assert "192.0.2.2 serves DHCP on eth0: no addresses are handed out here" in told["errors"]
    services = [event["service"] for event in told["events"][1:]]
    assert "dhcp" not in services
    assert sum(service in ("ftpes", "https") for service in services) > 5
    enrolled = [event for event in told["events"][1:] if "simpleenroll" in event["text"]]
    assert [event["good"] for event in enrolled] == [True], "certificates were demanded"
    assert told["code"] == 0, "--once: the unit has come and gone"


def test_a_lan_without_a_dhcp_server_is_silent(on_a_lan: Lan) -> None:
    assert on_a_lan("nobody_answers")["server"] == "None"


def test_a_port_that_is_taken_is_told_with_its_holder(on_a_lan: Lan) -> None:
    told = on_a_lan("a_taken_port")
    assert told["code"] == 1
    assert "HTTPS needs TCP 443 on 192.0.2.1: it is taken by python" in told["errors"]
    assert f"process {told['holder']}" in told["errors"]
    assert "Traceback" not in told["errors"]
