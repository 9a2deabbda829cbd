"""The port filter of the configuration reaches the module, and what goes wrong is an alarm."""

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from openturret.drivers.emulated.port_gate import PortGate
from openturret.drivers.emulated.serial_ports import PtyPort
from openturret.drivers.emulated.xma2 import Xma2Twin
from openturret.drivers.xma2.module import Xma2
from openturret.firmware.alarms import AlarmBoard
from openturret.firmware.config.store import Configuration, Origin, combine, parse_layer
from openturret.firmware.xma import XmaWatch, port_filter_of
from openturret.hal import SystemClock
from openturret.hal.board import DeviceSpec, DeviceType
from openturret.hal.xma import RANGES

SECRET = b"5e71a0c4d2b94f0f8d3e6c1b7a925a44"


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="ot-") as name:
        yield Path(name)


@pytest.fixture
async def twin(folder: Path) -> AsyncIterator[Xma2Twin]:
    gate = PortGate("127.0.0.2", "127.0.0.1", RANGES[0])
    twin = Xma2Twin("XM-0007", SECRET, PtyPort(folder / "console"), gate)
    await twin.plug()
    yield twin
    await twin.pull()


@pytest.fixture
async def module(folder: Path, twin: Xma2Twin) -> AsyncIterator[Xma2]:
    secret = folder / "secret"
    secret.write_bytes(SECRET)
    secret.chmod(0o600)
    match: dict[str, str | int] = {"url": twin.url, "secret": str(secret)}
    driver = Xma2(DeviceSpec("xma-1", DeviceType.XMA2, "xma2", match, frozenset()), SystemClock())
    await driver.open()
    yield driver
    await driver.close()


@pytest.fixture
def alarms() -> AlarmBoard:
    return AlarmBoard(SystemClock())


@pytest.fixture
async def watch(module: Xma2, alarms: AlarmBoard) -> AsyncIterator[None]:
    """A unit whose configuration wants the third of the documented ranges."""
    task = asyncio.create_task(XmaWatch({"xma-1": module}, RANGES[2], alarms).run())
    yield
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def until(what: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not what():
            await asyncio.sleep(0.01)


def codes(alarms: AlarmBoard) -> list[tuple[str, str]]:
    return [(alarm.code, alarm.subject) for alarm in alarms.active]


def configuration(text: str) -> Configuration:
    return combine(parse_layer(text, Origin.UNIT, "unit.yaml"))


@pytest.mark.usefixtures("watch")
async def test_a_module_gets_the_filter_of_the_unit_whenever_it_attaches(
    twin: Xma2Twin, alarms: AlarmBoard
) -> None:
    await until(lambda: twin.gate.ports == RANGES[2])
    await twin.pull()
    await until(lambda: codes(alarms) == [("xma.gone", "xma-1")])
    twin.gate.ports = RANGES[0]
    await twin.plug()
    await until(lambda: twin.gate.ports == RANGES[2])
    await until(lambda: not alarms.active)


@pytest.mark.usefixtures("watch")
async def test_a_module_that_keeps_another_filter_is_an_alarm_until_it_does_not(
    twin: Xma2Twin, alarms: AlarmBoard
) -> None:
    twin.mischief.stubborn = True
    twin.gate.ports = RANGES[1]
    await twin.pull()
    await twin.plug()
    await until(lambda: codes(alarms) == [("xma.filter", "xma-1")])
    assert "kept 'filter 0x2c00 0xfc00'" in alarms.active[0].message
    twin.mischief.stubborn = False
    await twin.pull()
    await twin.plug()
    await until(lambda: not alarms.active)


async def test_a_module_that_was_there_before_the_watch_gets_the_filter_too(
    twin: Xma2Twin, module: Xma2, alarms: AlarmBoard
) -> None:
    await until(lambda: module.attached)
    task = asyncio.create_task(XmaWatch({"xma-1": module}, RANGES[2], alarms).run())
    await until(lambda: twin.gate.ports == RANGES[2])
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def test_a_module_that_never_attaches_is_missed(
    twin: Xma2Twin, module: Xma2, alarms: AlarmBoard
) -> None:
    await twin.pull()
    watch = XmaWatch({"xma-1": module}, RANGES[2], alarms, patience_s=0.01)
    task = asyncio.create_task(watch.run())
    await until(lambda: codes(alarms) == [("xma.gone", "xma-1")])
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def test_without_a_filter_the_module_keeps_its_own(
    twin: Xma2Twin, module: Xma2, alarms: AlarmBoard
) -> None:
    alarms.raise_("xma.gone", "xma-1", "it was gone", "wait")
    twin.gate.ports = RANGES[4]
    task = asyncio.create_task(XmaWatch({"xma-1": module}, None, alarms).run())
    await until(lambda: not alarms.active)
    assert twin.gate.ports == RANGES[4]
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


def test_a_configuration_without_an_xma2_wants_no_filter() -> None:
    assert port_filter_of(configuration("")) is None


def test_a_configuration_wants_the_filter_of_its_keys() -> None:
    wanted = configuration(
        "application.xma.enable: true\n"
        "application.xma.trafficin.portref: 0x4000\n"
        "application.xma.trafficin.netmask: 0xF000\n"
        "application.xma.trafficin.portrange: 4096\n"
        "application.mm.rtplowerport: 16384\n"
        "application.mm.rtpupperport: 20478\n"
    )
    assert port_filter_of(wanted) == RANGES[2]
