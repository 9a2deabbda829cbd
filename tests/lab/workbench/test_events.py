"""What servers say becomes a line and an object, with the unit's MAC wherever it is known."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openturret.lab.tss.request import Request
from openturret.lab.workbench.events import Event, Watcher

MAC, ADDRESS = "02:54:50:00:00:01", "192.0.2.252"
ACK = f"Nov 25 17:29:59 dnsmasq-dhcp[8631]: DHCPACK(eth0) {ADDRESS} {MAC} turret-02"


def watcher() -> tuple[Watcher, list[Event]]:
    seen: list[Event] = []
    return Watcher(lambda: 86400.0, seen.append), seen


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (ACK, ("dhcp", ADDRESS, MAC, f"ack {ADDRESS} turret-02", True)),
        (f"dnsmasq-dhcp[1]: DHCPDISCOVER(eth0) {MAC}", ("dhcp", "", MAC, "discover", True)),
        (f"dnsmasq-dhcp: DHCPNAK(br-0) {ADDRESS} {MAC} wrong network",
         ("dhcp", ADDRESS, MAC, f"nak {ADDRESS} wrong network", False)),
        (f"dnsmasq-tftp[2]: sent /tmp/openturret-tss-x/tftp/default.yaml to {ADDRESS}",
         ("tftp", ADDRESS, "", "default.yaml", True)),
        (f"dnsmasq-tftp: file /tmp/x/tftp/units/a.yaml not found for {ADDRESS}",
         ("tftp", ADDRESS, "", "units/a.yaml: missing", True)),
        (f"dnsmasq[3]: query[A] tss.turret.test from {ADDRESS}",
         ("dns", ADDRESS, "", "tss.turret.test A", True)),
    ],
)  # fmt: skip
def test_a_line_of_dnsmasq(line: str, expected: tuple[str, str, str, str, bool]) -> None:
    watching, seen = watcher()
    watching.dnsmasq(line)
    assert seen == [Event(*expected, time=86400.0)]


def test_what_is_about_no_unit_is_not_told() -> None:
    watching, seen = watcher()
    watching.dnsmasq("dnsmasq-dhcp: DHCP, IP range 192.0.2.100 -- 192.0.2.199, lease time 1h")
    assert seen == []


@given(st.text())
def test_no_line_breaks_the_reader(line: str) -> None:
    watcher()[0].dnsmasq(line)


def test_a_unit_is_known_by_its_address_once_it_has_one() -> None:
    watching, seen = watcher()
    watching.dnsmasq(ACK)
    watching.syslog(b"<134>1 2026-11-25T17:30:00Z TP1 boot 1 status - running", ADDRESS)
    assert (seen[1].unit, seen[1].text, seen[1].good) == (MAC, "boot: running", True)


def test_a_file_is_told_without_the_hash_in_its_name() -> None:
    watching, seen = watcher()
    path = f"targets/sites/default/{'0' * 64}.config.yaml"
    watching.request(Request("ftpes", ADDRESS, MAC, path, "ok", 1234))
    assert seen[0].text == "targets/sites/default/config.yaml, 1,234 octets"


def test_a_newer_root_that_is_not_there_is_no_fault() -> None:
    watching, seen = watcher()
    watching.request(Request("https", ADDRESS, MAC, "metadata/2.root.json", "404 not found"))
    watching.request(Request("https", ADDRESS, MAC, "targets/none", "404 not found"))
    assert [(event.text, event.good) for event in seen] == [
        ("metadata/2.root.json: none newer", True), ("targets/none: 404 not found", False),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"\xff\x00garbage", "b'\\xff\\x00garbage'"),
        (b"<131>1 2026-11-25T17:30:00Z TP1 boot 1 status - \x1b[2Jbad", "boot: ·[2Jbad"),
    ],
)
def test_a_log_that_would_steer_the_terminal_does_not(data: bytes, text: str) -> None:
    watching, seen = watcher()
    watching.syslog(data, ADDRESS)
    assert (seen[0].text, seen[0].good) == (text, False)


def test_lines_line_up_and_say_what_went_wrong() -> None:
    event = Event("ftpes", ADDRESS, "", "login: unknown unit", good=False, time=0.0)
    assert event.as_line()[8:] == f" ! {ADDRESS:<17}  ftpes  login: unknown unit"
    assert json.loads(json.dumps(event.as_json()))["good"] is False
