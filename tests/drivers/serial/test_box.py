"""The drivers of the boxes with their twin at the other end of a pty, TCP or RFC 2217."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from openturret.drivers.emulated.serial_box import SerialBoxTwin
from openturret.drivers.emulated.serial_ports import PtyPort
from openturret.drivers.errors import EmulationError, FrameError
from openturret.drivers.serial.box import MAX_LAMPS
from openturret.drivers.serial.gooseneck import SerialGooseneck
from openturret.drivers.serial.messages import Change
from openturret.drivers.serial.panel import SerialPanel
from openturret.hal import (
    AttachedEvent,
    Colour,
    DetachedEvent,
    DeviceEvent,
    EventQueue,
    Gooseneck,
    KeyEvent,
    Lamp,
    LatchEvent,
    LightRing,
    MuteEvent,
    Overflow,
    Panel,
    PttEvent,
    RingLight,
    SystemClock,
)
from openturret.hal.board import DeviceSpec, DeviceType, parse_board

pytestmark = pytest.mark.slow

ON_AIR = RingLight(Colour.RED)
DARK: frozenset[str] = frozenset()


def spec(
    url: str, kind: str = "gooseneck", serial: str = "GN-0001", has: str = "ptt, latch, mute, lamp"
) -> DeviceSpec:
    match = f"{{url: '{url}', serial: {serial}}}"
    text = f"{{type: {kind}, driver: serial, match: {match}, capabilities: [{has}]}}"
    return parse_board(f"board: x\ndevices: {{d: {text}}}".encode()).devices["d"]


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[tuple[SerialGooseneck, EventQueue]]:
    driver = SerialGooseneck(spec(url), SystemClock())
    events = driver.events()
    await driver.open()
    try:
        yield driver, events
    finally:
        await driver.close()


async def soon(events: EventQueue) -> DeviceEvent | Overflow:
    async with asyncio.timeout(10):
        return await anext(events)


async def shown(box: SerialBoxTwin, lamps: frozenset[str], ring: RingLight) -> None:
    async with asyncio.timeout(10):
        await box.until_shown(lamps, ring)


async def test_a_box_attaches_reports_and_shows(box: SerialBoxTwin) -> None:
    async with opened(box.url) as (driver, events):
        assert isinstance(driver, Gooseneck)
        assert isinstance(driver, LightRing)
        assert isinstance(await soon(events), AttachedEvent)
        assert driver.attached
        box.move(Change("ptt", on=True))
        event = await soon(events)
        assert isinstance(event, PttEvent)
        assert (event.position, event.pressed, driver.talking) == ("d", True, True)
        box.move(Change("latch", on=True))
        assert isinstance(await soon(events), LatchEvent)
        box.move(Change("mute", on=True))
        assert isinstance(await soon(events), MuteEvent)
        assert (driver.latched, driver.muted) == (True, True)
        await driver.set_ring(ON_AIR)
        await driver.set_lamp(Lamp.TALK, lit=True)
        await shown(box, frozenset({"talk"}), ON_AIR)
        await driver.set_ring(RingLight(Colour.RED, blinking=True))
        await driver.set_lamp(Lamp.TALK, lit=False)
        await shown(box, DARK, RingLight(Colour.RED, blinking=True))


async def test_a_pulled_cable_is_reported_and_what_was_missed_is_made_up(
    box: SerialBoxTwin,
) -> None:
    async with opened(box.url) as (driver, events):
        assert isinstance(await soon(events), AttachedEvent)
        await driver.set_ring(ON_AIR)
        await driver.set_lamp(Lamp.HOLD, lit=True)
        await box.pull()
        assert isinstance(await soon(events), DetachedEvent)
        assert not driver.attached
        box.move(Change("ptt", on=True))
        await driver.set_lamp(Lamp.RING, lit=True)
        await box.plug()
        assert isinstance(await soon(events), AttachedEvent)
        assert isinstance(await soon(events), PttEvent)
        await shown(box, frozenset({"hold", "ring"}), ON_AIR)


@pytest.mark.slow
async def test_a_power_cut_behind_a_line_that_stands_is_found_out_by_the_pulse(
    box: SerialBoxTwin,
) -> None:
    async with opened(box.url) as (driver, events):
        assert isinstance(await soon(events), AttachedEvent)
        await driver.set_ring(ON_AIR)
        await shown(box, DARK, ON_AIR)
        await box.power_cut()
        assert box.ring == RingLight()
        assert isinstance(await soon(events), DetachedEvent)
        box.power_on()
        assert isinstance(await soon(events), AttachedEvent)
        await shown(box, DARK, ON_AIR)


async def test_a_box_that_starts_anew_says_so_and_is_lit_again(
    pty_box: SerialBoxTwin, caplog: pytest.LogCaptureFixture
) -> None:
    async with opened(pty_box.url) as (driver, events):
        assert isinstance(await soon(events), AttachedEvent)
        await driver.set_ring(ON_AIR)
        await shown(pty_box, DARK, ON_AIR)
        await pty_box.power_cut()
        pty_box.power_on()
        assert isinstance(await soon(events), DetachedEvent)
        assert isinstance(await soon(events), AttachedEvent)
        await shown(pty_box, DARK, ON_AIR)
    assert "the box has started anew" in caplog.text


@pytest.mark.slow
async def test_a_box_darkens_when_its_host_falls_silent(pty_box: SerialBoxTwin) -> None:
    async with opened(pty_box.url) as (driver, events):
        assert isinstance(await soon(events), AttachedEvent)
        await driver.set_ring(ON_AIR)
        await driver.set_lamp(Lamp.TALK, lit=True)
        await shown(pty_box, frozenset({"talk"}), ON_AIR)
    await shown(pty_box, DARK, RingLight())


async def test_a_bouncing_contact_is_one_event(pty_box: SerialBoxTwin) -> None:
    async with opened(pty_box.url) as (_, events):
        assert isinstance(await soon(events), AttachedEvent)
        pty_box.mischief.double = True
        pty_box.move(Change("ptt", on=True))
        pty_box.move(Change("ptt", on=False))
        pty_box.move(Change("latch", on=True))
        found = [await soon(events) for _ in range(3)]
    assert [type(event) for event in found] == [PttEvent, PttEvent, LatchEvent]


async def test_a_box_that_does_not_acknowledge_is_given_up_and_taken_again(
    pty_box: SerialBoxTwin,
) -> None:
    async with opened(pty_box.url) as (driver, events):
        assert isinstance(await soon(events), AttachedEvent)
        pty_box.mischief.deaf = True
        await driver.set_ring(ON_AIR)
        assert isinstance(await soon(events), DetachedEvent)
        pty_box.mischief.deaf = False
        assert isinstance(await soon(events), AttachedEvent)
        await shown(pty_box, DARK, ON_AIR)


@pytest.mark.parametrize("how", ["mute", "garble", "cut"])
async def test_what_is_lost_for_a_moment_on_the_line_is_said_again(
    pty_box: SerialBoxTwin, how: str
) -> None:
    async with opened(pty_box.url) as (_, events):
        assert isinstance(await soon(events), AttachedEvent)
        setattr(pty_box.mischief, how, 5)
        pty_box.move(Change("ptt", on=True))
        setattr(pty_box.mischief, how, 0)
        event = await soon(events)
        assert isinstance(event, PttEvent)
        assert event.pressed


async def test_noise_on_the_line_is_passed_over(pty_box: SerialBoxTwin) -> None:
    async with opened(pty_box.url) as (driver, events):
        assert isinstance(await soon(events), AttachedEvent)
        for noise in (b"\x00\xff" * 900, b"\n$07 ptt 1*0000\n", b"$", b"\n\n\r\n", b"*\n"):
            pty_box.say_bytes(noise)
        pty_box.move(Change("ptt", on=True))
        assert isinstance(await soon(events), PttEvent)
        assert driver.attached


async def test_a_second_ready_changes_nothing(pty_box: SerialBoxTwin) -> None:
    async with opened(pty_box.url) as (driver, events):
        assert isinstance(await soon(events), AttachedEvent)
        pty_box.move(Change("latch", on=True))
        assert isinstance(await soon(events), LatchEvent)
        pty_box.say("ready")
        pty_box.move(Change("ptt", on=True))
        assert isinstance(await soon(events), PttEvent)
        assert driver.latched


async def test_words_that_nobody_knows_are_refused_and_forgotten(pty_box: SerialBoxTwin) -> None:
    async with opened(pty_box.url) as (driver, events):
        assert isinstance(await soon(events), AttachedEvent)
        pty_box.say("sing", "loudly")
        pty_box.move(Change("ptt", on=True))
        assert isinstance(await soon(events), PttEvent)
        assert driver.attached


async def test_a_box_of_another_protocol_is_not_attached(
    pty_box: SerialBoxTwin, caplog: pytest.LogCaptureFixture
) -> None:
    pty_box.mischief.protocol = 2
    async with opened(pty_box.url) as (driver, events):
        await until_hellos(pty_box, 2)
        assert not driver.attached
        pty_box.mischief.protocol = 1
        assert isinstance(await soon(events), AttachedEvent)
    assert "d: the box speaks protocol 2, not 1" in caplog.text


async def until_hellos(box: SerialBoxTwin, count: int) -> None:
    async with asyncio.timeout(10):
        await box.until_greeted(count)


async def test_the_wrong_box_is_named_with_a_remedy(
    pty_box: SerialBoxTwin, caplog: pytest.LogCaptureFixture
) -> None:
    driver = SerialGooseneck(spec(pty_box.url, serial="GN-0002"), SystemClock())
    await driver.open()
    await until_hellos(pty_box, 2)
    assert not driver.attached
    await driver.close()
    warnings = [item.getMessage() for item in caplog.records if item.levelno == logging.WARNING]
    assert warnings == [
        "d: a gooseneck GN-0001 answers; the board wants gooseneck GN-0002; "
        "swap the cables or correct the board"
    ]


async def test_a_panel_reports_its_keys_and_what_was_held_at_the_start(folder: Path) -> None:
    box = SerialBoxTwin(DeviceType.PANEL, "KB-0001", PtyPort(folder / "tty"))
    box.move(Change("key", on=True, key="line-2"))
    await box.plug()
    driver = SerialPanel(spec(box.url, "panel", "KB-0001", "keys, lamp"), SystemClock())
    assert isinstance(driver, Panel)
    events = driver.events()
    await driver.open()
    assert isinstance(await soon(events), AttachedEvent)
    event = await soon(events)
    assert isinstance(event, KeyEvent)
    assert (event.key, event.pressed) == ("line-2", True)
    box.move(Change("key", on=False, key="line-2"))
    assert isinstance(await soon(events), KeyEvent)
    assert driver.pressed == frozenset()
    await driver.set_lamp("line-2", lit=True)
    await shown(box, frozenset({"line-2"}), RingLight())
    with pytest.raises(EmulationError, match="a panel has no ptt"):
        box.move(Change("ptt", on=True))
    await driver.close()
    await box.pull()


async def test_what_the_board_does_not_give_a_box_is_no_event(pty_box: SerialBoxTwin) -> None:
    driver = SerialGooseneck(spec(pty_box.url, has="ptt"), SystemClock())
    events = driver.events()
    await driver.open()
    assert isinstance(await soon(events), AttachedEvent)
    pty_box.move(Change("latch", on=True))
    pty_box.move(Change("ptt", on=True))
    assert isinstance(await soon(events), PttEvent)
    assert not driver.latched
    await driver.close()


async def test_a_lamp_that_cannot_be_sent_is_refused(pty_box: SerialBoxTwin) -> None:
    async with opened(pty_box.url) as (driver, events):
        assert isinstance(await soon(events), AttachedEvent)
        with pytest.raises(FrameError):
            await driver.set_lamp("two words", lit=True)
        for number in range(MAX_LAMPS):
            await driver.set_lamp(f"lamp-{number}", lit=True)
        with pytest.raises(FrameError, match="more than 64 lamps"):
            await driver.set_lamp("one-more", lit=True)
        await shown(pty_box, frozenset(f"lamp-{n}" for n in range(MAX_LAMPS)), RingLight())
