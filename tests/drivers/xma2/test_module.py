"""The driver of the XMA2 with its twin at the other end of a pty, TCP or RFC 2217."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from openturret.drivers.emulated.xma2 import Xma2Twin
from openturret.drivers.errors import ConsoleError, ConsoleLineError
from openturret.drivers.xma2.module import Xma2
from openturret.hal import (
    AttachedEvent,
    DetachedEvent,
    DeviceEvent,
    EventQueue,
    KeyEvent,
    Overflow,
    SystemClock,
    VolumeEvent,
    Xma,
    XmaChannel,
)
from openturret.hal.board import DeviceSpec, DeviceType
from openturret.hal.errors import BoardError, DeviceError, DeviceGoneError
from openturret.hal.xma import RANGES, PortFilter

pytestmark = pytest.mark.slow


def spec(xma: Xma2Twin, secret: Path, *, serial: str = "XM-0007", channels: int = 8) -> DeviceSpec:
    match: dict[str, str | int] = {"url": xma.url, "secret": str(secret), "serial": serial}
    return DeviceSpec("xma-1", DeviceType.XMA2, "xma2", match, frozenset(), channels=channels)


@asynccontextmanager
async def opened(described: DeviceSpec) -> AsyncIterator[tuple[Xma2, EventQueue]]:
    driver = Xma2(described, SystemClock())
    events = driver.events()
    await driver.open()
    try:
        yield driver, events
    finally:
        await driver.close()


async def soon(events: EventQueue) -> DeviceEvent | Overflow:
    async with asyncio.timeout(10):
        return await anext(events)


async def shown(xma: Xma2Twin, *lamps: str) -> None:
    async with asyncio.timeout(10):
        await xma.until_shown(*lamps)


async def greeted(xma: Xma2Twin, count: int) -> None:
    async with asyncio.timeout(10):
        await xma.until_greeted(count)


async def test_a_module_attaches_reports_and_shows(any_xma: Xma2Twin, secret_path: Path) -> None:
    async with opened(spec(any_xma, secret_path)) as (driver, events):
        assert isinstance(driver, Xma)
        assert driver.channels == 8
        assert isinstance(await soon(events), AttachedEvent)
        any_xma.turn(3, -2)
        event = await soon(events)
        assert isinstance(event, VolumeEvent)
        assert (event.position, event.channel, event.steps) == ("xma-1", 3, -2)
        any_xma.press(4)
        event = await soon(events)
        assert isinstance(event, KeyEvent)
        assert (event.key, event.pressed) == ("channel-4", True)
        await driver.set_lamp("channel-3", lit=True)
        await driver.set_lamp("channel-4", lit=True)
        await driver.set_lamp("channel-3", lit=False)
        await shown(any_xma, "channel-4")


@pytest.mark.parametrize("ports", RANGES)
async def test_every_documented_filter_is_set_and_read_back(
    xma: Xma2Twin, secret_path: Path, ports: PortFilter
) -> None:
    async with opened(spec(xma, secret_path)) as (driver, events):
        assert isinstance(await soon(events), AttachedEvent)
        assert await driver.port_filter() == RANGES[0]
        await driver.set_port_filter(ports)
        assert await driver.port_filter() == ports
        assert xma.gate.ports == ports


async def test_a_module_that_keeps_another_filter_is_found_out(
    xma: Xma2Twin, secret_path: Path
) -> None:
    xma.mischief.stubborn = True
    async with opened(spec(xma, secret_path)) as (driver, events):
        assert isinstance(await soon(events), AttachedEvent)
        kept = "kept 'filter 0x2800 0xf800' when told 'filter 0x4000 0xf000'"
        with pytest.raises(DeviceError, match=kept):
            await driver.set_port_filter(RANGES[2])


async def test_channels_are_switched_and_named(xma: Xma2Twin, secret_path: Path) -> None:
    async with opened(spec(xma, secret_path)) as (driver, events):
        assert isinstance(await soon(events), AttachedEvent)
        await driver.set_channel(3, enabled=True, label="Desk hoot é")
        await driver.set_channel(3, enabled=False)
        await driver.set_channel(4, enabled=False)
        found = await driver.switch_channels()
        assert found[2:4] == (
            XmaChannel(3, enabled=False, label="Desk hoot é"),
            XmaChannel(4, enabled=False),
        )
        assert [channel.channel for channel in found] == list(range(1, 9))
        with pytest.raises(ConsoleError, match="XM-0007 has channels 1 to 8"):
            await driver.set_channel(9, enabled=True)
        with pytest.raises(ConsoleLineError):
            await driver.set_channel(3, enabled=True, label="two\nlines")


async def test_counters_are_read(xma: Xma2Twin, secret_path: Path) -> None:
    async with opened(spec(xma, secret_path)) as (driver, events):
        assert isinstance(await soon(events), AttachedEvent)
        xma.gate.counters["accepted"] = 7
        assert await driver.counters() == {"accepted": 7, "filtered": 0}


async def test_a_pulled_cable_is_reported_and_what_was_missed_is_made_up(
    any_xma: Xma2Twin, secret_path: Path
) -> None:
    async with opened(spec(any_xma, secret_path)) as (driver, events):
        assert isinstance(await soon(events), AttachedEvent)
        await driver.set_lamp("channel-1", lit=True)
        await any_xma.pull()
        assert isinstance(await soon(events), DetachedEvent)
        assert not driver.attached
        with pytest.raises(DeviceGoneError, match="does not answer"):
            await driver.port_filter()
        any_xma.press(2)
        await driver.set_lamp("channel-2", lit=True)
        await any_xma.plug()
        assert isinstance(await soon(events), AttachedEvent)
        event = await soon(events)
        assert isinstance(event, KeyEvent)
        assert (event.key, event.pressed) == ("channel-2", True)
        await shown(any_xma, "channel-1", "channel-2")


async def test_a_module_that_starts_anew_is_logged_into_again(
    xma: Xma2Twin, secret_path: Path
) -> None:
    async with opened(spec(xma, secret_path)) as (driver, events):
        assert isinstance(await soon(events), AttachedEvent)
        await driver.set_port_filter(RANGES[3])
        xma.power_cut()
        xma.power_on()
        assert isinstance(await soon(events), DetachedEvent)
        assert isinstance(await soon(events), AttachedEvent)
        assert await driver.port_filter() == RANGES[3]


@pytest.mark.slow
async def test_a_power_cut_is_found_out_by_the_pulse(xma: Xma2Twin, secret_path: Path) -> None:
    async with opened(spec(xma, secret_path)) as (_, events):
        assert isinstance(await soon(events), AttachedEvent)
        xma.power_cut()
        assert isinstance(await soon(events), DetachedEvent)
        xma.power_on()
        assert isinstance(await soon(events), AttachedEvent)


@pytest.mark.slow
async def test_a_command_that_is_not_answered_ends_the_session(
    xma: Xma2Twin, secret_path: Path
) -> None:
    async with opened(spec(xma, secret_path)) as (driver, events):
        assert isinstance(await soon(events), AttachedEvent)
        xma.mischief.silent = True
        with pytest.raises(DeviceGoneError, match="'filter' was not answered"):
            await driver.port_filter()
        xma.mischief.silent = False
        assert isinstance(await soon(events), DetachedEvent)
        assert isinstance(await soon(events), AttachedEvent)


async def test_an_interrupted_command_does_not_shift_the_answers(
    xma: Xma2Twin, secret_path: Path
) -> None:
    async with opened(spec(xma, secret_path)) as (driver, events):
        assert isinstance(await soon(events), AttachedEvent)
        asked = asyncio.create_task(driver.counters())
        await asyncio.sleep(0)
        asked.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asked
        assert isinstance(await soon(events), DetachedEvent)
        assert isinstance(await soon(events), AttachedEvent)
        assert await driver.port_filter() == RANGES[0]


@pytest.mark.parametrize(
    "nonsense", [b"\xff\xfe\n", b"filter\n" * 100, b"ok\r\n", b"error\r\n", b"filter 1 2\r\nok\r\n"]
)
async def test_answers_that_make_no_sense_are_typed_errors(
    xma: Xma2Twin, secret_path: Path, nonsense: bytes
) -> None:
    async with opened(spec(xma, secret_path)) as (driver, events):
        assert isinstance(await soon(events), AttachedEvent)
        xma.mischief.nonsense = nonsense
        with pytest.raises((DeviceError, ConsoleLineError)):
            await driver.port_filter()


async def test_an_answer_without_an_end_ends_the_session(xma: Xma2Twin, secret_path: Path) -> None:
    async with opened(spec(xma, secret_path)) as (driver, events):
        assert isinstance(await soon(events), AttachedEvent)
        xma.mischief.nonsense = b"filter 0x2800 0xf800\n" * 65
        with pytest.raises(DeviceGoneError, match="the answer to 'filter' has no end"):
            await driver.port_filter()


async def test_news_right_behind_the_login_are_not_lost(xma: Xma2Twin, secret_path: Path) -> None:
    xma.mischief.hasty = b"!key 3 down\r\n"
    async with opened(spec(xma, secret_path)) as (_, events):
        assert isinstance(await soon(events), AttachedEvent)
        event = await soon(events)
        assert isinstance(event, KeyEvent)
        assert (event.key, event.pressed) == ("channel-3", True)


async def test_a_greeting_of_another_session_is_not_taken(
    xma: Xma2Twin, secret_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    xma.mischief.stale = True
    async with opened(spec(xma, secret_path)) as (driver, events):
        await greeted(xma, 2)
        assert not driver.attached
        xma.mischief.stale = False
        assert isinstance(await soon(events), AttachedEvent)
    assert "xma-1: the greeting belongs to another session" in caplog.text


async def test_news_that_make_no_sense_are_passed_over(
    xma: Xma2Twin, secret_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with opened(spec(xma, secret_path, channels=4)) as (driver, events):
        assert isinstance(await soon(events), AttachedEvent)
        xma.say_bytes(b"!knob 3 +0\r\n!key 99 down\r\n!sing\r\nok\r\n")
        xma.turn(8, 1)
        xma.turn(4, 1)
        event = await soon(events)
        assert isinstance(event, VolumeEvent)
        assert event.channel == 4
        assert driver.attached
    assert caplog.text.count("news that makes no sense") == 3


async def test_a_bouncing_key_is_one_event(xma: Xma2Twin, secret_path: Path) -> None:
    async with opened(spec(xma, secret_path)) as (_, events):
        assert isinstance(await soon(events), AttachedEvent)
        xma.press(1)
        xma.press(1)
        xma.press(1, pressed=False)
        found = [await soon(events) for _ in range(2)]
    assert [isinstance(event, KeyEvent) and event.pressed for event in found] == [True, False]


async def test_the_wrong_secret_is_refused_and_no_secret_is_ever_logged(
    xma: Xma2Twin, secret_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    wrong = "0123456789abcdef0123456789abcdef"
    right = secret_path.read_text().strip()
    secret_path.write_text(wrong)
    async with opened(spec(xma, secret_path)) as (driver, events):
        await greeted(xma, 2)
        assert not driver.attached
        secret_path.write_text(right)
        assert isinstance(await soon(events), AttachedEvent)
    assert "XM-0007 refuses the login; write the secret of this module" in caplog.text
    assert wrong not in caplog.text
    assert right not in caplog.text
    assert "login " not in caplog.text


@pytest.mark.parametrize(
    ("serial", "channels", "reason"),
    [
        ("XM-0008", 8, "XM-0007 answers, not XM-0008; swap the cables or correct the board"),
        ("XM-0007", 9, "XM-0007 has 8 channels; write 'channels: 8' or less"),
    ],
)
async def test_the_wrong_module_is_named_with_a_remedy(
    xma: Xma2Twin,
    secret_path: Path,
    caplog: pytest.LogCaptureFixture,
    serial: str,
    channels: int,
    reason: str,
) -> None:
    async with opened(spec(xma, secret_path, serial=serial, channels=channels)) as (driver, _):
        await greeted(xma, 2)
        assert not driver.attached
    assert f"xma-1: {reason}" in caplog.text


async def test_a_module_of_another_protocol_is_not_attached(
    xma: Xma2Twin, secret_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    xma.mischief.protocol = 2
    async with opened(spec(xma, secret_path)) as (driver, _):
        await greeted(xma, 2)
        assert not driver.attached
    assert "xma-1: the module speaks protocol 2, not 1" in caplog.text


def test_a_board_without_a_console_or_a_secret_is_refused() -> None:
    for match in ({"url": "socket://rig:4001"}, {"secret": "/run/x"}):
        described = DeviceSpec("xma-1", DeviceType.XMA2, "xma2", match, frozenset())
        with pytest.raises(BoardError, match="add '"):
            Xma2(described, SystemClock())
