"""Drivers that need no unit: a handset's, an XMA2's, an operator's hand."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from openturret.drivers.emulated.port_gate import PortGate
from openturret.drivers.emulated.serial_ports import Rfc2217Port, SerialPort, TcpPort
from openturret.drivers.emulated.xma2 import Xma2Twin
from openturret.hal import AttachedEvent
from openturret.hal.errors import DeviceError
from openturret.hal.xma import RANGES
from openturret.lab.rig._labgrid import Target, target_factory
from openturret.lab.rig.classes import HandsetDriver, OperatorHandDriver, Xma2Driver
from openturret.lab.rig.errors import ElsewhereError

SECRET = b"5e71a0c4d2b94f0f8d3e6c1b7a925a44"


@pytest.fixture
def target() -> Iterator[Target]:
    found = Target("rig")
    yield found
    found.cleanup()


def handset_at(target: Target, host: str) -> HandsetDriver:
    match = {"vid": 0x1209, "pid": 0x7701, "port": "1-1.2", "serial": ""}
    usb = {"host": host, "position": "handset-left", **match}
    target_factory.make_resource(target, "NetworkUSBHandset", None, usb)
    target_factory.make_driver(target, "HandsetDriver", None, {})
    return target.get_driver(HandsetDriver)


def xma2_at(target: Target, line: str, console: dict[str, object], **module: object) -> Xma2Driver:
    target_factory.make_resource(target, line, None, console)
    target_factory.make_driver(target, "Xma2Driver", None, module)
    return target.get_driver(Xma2Driver)


def test_a_handset_is_described_as_a_board_describes_it(target: Target) -> None:
    spec = handset_at(target, "localhost").spec()
    assert (spec.position, spec.driver) == ("handset-left", "usb")
    assert spec.match == {"vid": 0x1209, "pid": 0x7701, "port": "1-1.2"}


def test_a_handset_of_this_machine_is_driven(target: Target) -> None:
    assert handset_at(target, "localhost").handset().position == "handset-left"


def test_a_handset_of_another_machine_is_told(target: Target) -> None:
    with pytest.raises(ElsewhereError, match=r"the handset 1209:7701 is at rig-7.example"):
        handset_at(target, "rig-7.example").handset()


@pytest.mark.parametrize(("protocol", "port"), [("raw", TcpPort), ("rfc2217", Rfc2217Port)])
async def test_an_xma2_is_worked_through_a_line_of_labgrid(
    target: Target, tmp_path: Path, protocol: str, port: type[TcpPort | Rfc2217Port]
) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(SECRET)
    secret.chmod(0o600)
    twin = twin_at(port())
    await twin.plug()
    number = int(twin.url.rpartition(":")[2])
    console = {"host": "127.0.0.1", "port": number, "protocol": protocol}
    xma = xma2_at(target, "NetworkSerialPort", console, secret=str(secret)).xma()
    events = xma.events()
    await xma.open()
    async with asyncio.timeout(10.0):
        assert isinstance(await anext(events), AttachedEvent)
        assert await xma.port_filter() == RANGES[0]
    await xma.close()
    await twin.pull()


def twin_at(port: SerialPort) -> Xma2Twin:
    return Xma2Twin("XM-0007", SECRET, port, PortGate("127.0.0.2", "127.0.0.1", RANGES[0]))


def test_the_console_of_an_xma2_may_be_a_tty_of_this_machine(target: Target) -> None:
    console: dict[str, object] = {"port": "/dev/ttyACM0"}
    driver = xma2_at(target, "RawSerialPort", console, secret="/etc/xma-1", channels=32)
    spec = driver.spec()
    assert (spec.match["url"], spec.channels) == ("/dev/ttyACM0", 32)


def operator_of(target: Target, folder: Path, script: str) -> OperatorHandDriver:
    """A hand whose actuators are worked by a shell script."""
    program = folder / "actuator"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o700)
    target_factory.make_driver(target, "OperatorHandDriver", None, {"actuator": str(program)})
    return target.get_driver(OperatorHandDriver)


def test_actuators_do_what_a_hand_does(target: Target, tmp_path: Path) -> None:
    log = tmp_path / "log"
    hand = operator_of(target, tmp_path, f'echo "$@" >> {log}')
    hand.lift("handset-left")
    hand.press("gooseneck", "ptt")
    hand.release("gooseneck", "ptt")
    hand.unplug("handset-left")
    hand.plug("handset-left")
    hand.cradle("handset-left")
    assert log.read_text().splitlines() == [
        "lift handset-left",
        "press gooseneck ptt",
        "release gooseneck ptt",
        "unplug handset-left",
        "plug handset-left",
        "cradle handset-left",
    ]


def test_an_actuator_that_fails_is_told(target: Target, tmp_path: Path) -> None:
    hand = operator_of(target, tmp_path, "echo no relay at USB; exit 1")
    with pytest.raises(DeviceError, match="lift handset-left ended with 1: no relay at USB"):
        hand.lift("handset-left")
