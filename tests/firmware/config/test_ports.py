import json

import pytest

from openturret.firmware.config.cli import ports_main
from openturret.firmware.config.ports import PORTS, PortState, states
from openturret.firmware.config.store import Configuration, Origin, parse_layer


def opened(text: str = "") -> dict[str, PortState]:
    configuration = Configuration(parse_layer(text, Origin.UNIT, "unit.yaml"))
    return {state.port.name: state for state in states(configuration) if state.is_open}


def test_a_unit_without_configuration_opens_the_documented_ports() -> None:
    numbers = {(state.port.protocol.value, state.first, state.last) for state in opened().values()}
    assert numbers == {
        ("TCP", 80, 80),
        ("UDP", 161, 161),
        ("TCP", 4250, 4251),
        ("TCP+UDP", 5060, 5060),
        ("UDP", 11000, 13000),
        ("UDP", 31000, 31100),
    }


def test_every_row_has_a_state() -> None:
    assert [state.port for state in states(Configuration())] == list(PORTS)


def test_an_xma_takes_the_mixing_and_its_ports_over() -> None:
    names = set(opened("application.xma.enable: true\napplication.xma.telnetaccess: true\n"))
    assert {"voice-xma", "xma-admin"} <= names
    assert not {"oldcb", "voice"} & names


def test_a_port_moves_with_its_key() -> None:
    ports = opened(
        "application.sip.connection.port: 5080\n"
        "application.sip.tlsconnection.port: 5061\n"
        "profile.setting.broadcasting.enabled: true\n"
        "profile.setting.broadcasting.mcast: 239.1.1.1:9900\n"
    )
    assert ports["sip"].first == 5080
    assert ports["sip-tls"].first == 5061
    assert ports["itmh"].first == 9900


def test_telnet_to_an_xma_that_is_not_there_stays_closed() -> None:
    assert "xma-admin" not in opened("application.xma.telnetaccess: true\n")


SERVED = {"web", "oldcb", "sip", "voice"}


def test_only_what_this_release_listens_on_is_called_served() -> None:
    assert {state.port.name for state in opened().values() if state.is_served} == SERVED


def test_a_served_port_that_the_configuration_closes_is_not_served() -> None:
    closed = states(Configuration(parse_layer("application.boot.startserver: false\n",
                                              Origin.UNIT, "unit.yaml")))  # fmt: skip
    assert not next(state for state in closed if state.port.name == "web").is_served


@pytest.mark.parametrize(("name", "served"), [("snmp", False), ("video", False), ("sip", True)])
def test_machines_learn_what_is_open_and_what_is_served(name: str, served: bool) -> None:
    said: list[str] = []
    assert ports_main(["--json"], said.append) == 0
    (row,) = [row for row in json.loads("".join(said)) if row["name"] == name]
    assert (row["open"], row["served"]) == (True, served)


def test_a_reader_of_the_table_does_not_take_snmp_for_open() -> None:
    said: list[str] = []
    assert ports_main([], said.append) == 0
    (line,) = [line for line in "".join(said).splitlines() if line.endswith("SNMP")]
    assert "not served" in line
