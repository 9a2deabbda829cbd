"""What every device driver owes, whatever hardware answers."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Protocol

import pytest

from openturret.hal import (
    AttachedEvent,
    DetachedEvent,
    Device,
    DeviceEvent,
    EventQueue,
    Gooseneck,
    Handset,
    HookEvent,
    HookState,
    KeyEvent,
    Lamp,
    LatchEvent,
    MuteEvent,
    Overflow,
    Panel,
    PttEvent,
    Speaker,
    Speakerphone,
    VolumeEvent,
    Xma,
)
from openturret.hal.board import Board, Capability
from openturret.hal.errors import DeviceError
from openturret.lab.hands.hand import Ability, Hand

pytestmark = pytest.mark.slow

PATIENCE_S = 30
"""A kernel takes its time to find what was plugged in; only what fails waits so long."""

PROTOCOLS = {
    "handset": Handset,
    "speakerphone": Speakerphone,
    "gooseneck": Gooseneck,
    "speaker": Speaker,
    "panel": Panel,
    "xma2": Xma,
}

CHANNELLED = ("speaker", "xma2")


class Rig(Protocol):
    @property
    def board(self) -> Board: ...
    @property
    def hand(self) -> Hand: ...
    @property
    def key(self) -> str: ...
    @property
    def acknowledges(self) -> bool: ...
    def device(self, position: str) -> Device: ...


async def soon(queue: EventQueue) -> DeviceEvent | Overflow:
    async with asyncio.timeout(PATIENCE_S):
        return await anext(queue)


@asynccontextmanager
async def attached(rig: Rig, position: str) -> AsyncIterator[tuple[Device, EventQueue]]:
    device = rig.device(position)
    events = device.events()
    await device.open()
    try:
        assert isinstance(await soon(events), AttachedEvent)
        yield device, events
    finally:
        await device.close()


async def lamp_becomes(rig: Rig, position: str, lamp: str, *, lit: bool) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while (lamp in await rig.hand.lamps(position)) is not lit:
            await asyncio.sleep(0)


async def acknowledged(rig: Rig, position: str, *, lit: bool) -> None:
    """A hook of HID is a request: the host answers it with the off-hook lamp."""
    if rig.acknowledges:
        await lamp_becomes(rig, position, Lamp.OFF_HOOK, lit=lit)


def has_cradle(rig: Rig, position: str) -> bool:
    """A speakerphone has a key instead: nobody knows whether it was pressed meanwhile."""
    return rig.board.devices[position].type == "handset"


def some_lamp(rig: Rig, position: str) -> str:
    """A lamp that every device of the type has."""
    names = {"panel": rig.key, "gooseneck": Lamp.TALK, **dict.fromkeys(CHANNELLED, "channel-1")}
    return names.get(rig.board.devices[position].type, Lamp.RING)


async def test_the_driver_has_the_protocol_of_its_type(rig: Rig, any_position: str) -> None:
    async with attached(rig, any_position) as (device, _):
        assert isinstance(device, PROTOCOLS[rig.board.devices[any_position].type])
        assert device.position == any_position
        assert device.attached


async def test_a_lift_and_a_cradle_are_reported(rig: Rig, hook_position: str) -> None:
    async with attached(rig, hook_position) as (device, events):
        assert isinstance(device, Handset | Speakerphone)
        await rig.hand.lift(hook_position)
        event = await soon(events)
        assert isinstance(event, HookEvent)
        assert (event.position, event.state) == (hook_position, HookState.OFF_HOOK)
        assert device.hook == event.state
        await acknowledged(rig, hook_position, lit=True)
        await rig.hand.cradle(hook_position)
        event = await soon(events)
        assert isinstance(event, HookEvent)
        assert (event.state, device.hook) == (HookState.ON_HOOK, HookState.ON_HOOK)
        await acknowledged(rig, hook_position, lit=False)


async def test_push_to_talk_is_reported_down_and_up(rig: Rig, ptt_position: str) -> None:
    async with attached(rig, ptt_position) as (device, events):
        assert isinstance(device, Handset | Gooseneck)
        await rig.hand.press(ptt_position, "ptt")
        event = await soon(events)
        assert isinstance(event, PttEvent)
        assert (event.pressed, device.talking) == (True, True)
        await rig.hand.release(ptt_position, "ptt")
        event = await soon(events)
        assert isinstance(event, PttEvent)
        assert (event.pressed, device.talking) == (False, False)


async def test_mute_is_reported(rig: Rig, mute_position: str) -> None:
    async with attached(rig, mute_position) as (device, events):
        assert isinstance(device, Handset | Gooseneck | Speakerphone)
        if Capability.HOOK in rig.board.devices[mute_position].capabilities:
            await rig.hand.lift(mute_position)
            assert isinstance(await soon(events), HookEvent)
        await rig.hand.mute(mute_position)
        event = await soon(events)
        assert isinstance(event, MuteEvent)
        assert (event.muted, device.muted) == (True, True)


async def test_keys_are_reported_by_name(rig: Rig, keys_position: str) -> None:
    key = "channel-1" if rig.board.devices[keys_position].type in CHANNELLED else rig.key
    async with attached(rig, keys_position) as (device, events):
        await rig.hand.press(keys_position, key)
        event = await soon(events)
        assert isinstance(event, KeyEvent)
        assert (event.key, event.pressed) == (key, True)
        assert not isinstance(device, Panel) or device.pressed == {key}
        await rig.hand.release(keys_position, key)
        event = await soon(events)
        assert isinstance(event, KeyEvent)
        assert (event.key, event.pressed) == (key, False)


@pytest.mark.needs(Ability.TURN)
async def test_a_knob_is_reported_in_steps(rig: Rig, volume_position: str) -> None:
    channel = int(rig.board.devices[volume_position].type in CHANNELLED)
    async with attached(rig, volume_position) as (_, events):
        await rig.hand.turn(volume_position, -2, channel=channel)
        steps = 0
        while steps > -2:
            event = await soon(events)
            assert isinstance(event, VolumeEvent)
            assert (event.position, event.channel) == (volume_position, channel)
            steps += event.steps
        assert steps == -2


async def test_a_latch_is_reported_on_and_off(rig: Rig, latch_position: str) -> None:
    async with attached(rig, latch_position) as (device, events):
        assert isinstance(device, Gooseneck)
        await rig.hand.press(latch_position, "latch")
        event = await soon(events)
        assert isinstance(event, LatchEvent)
        assert (event.latched, device.latched) == (True, True)
        await rig.hand.release(latch_position, "latch")
        event = await soon(events)
        assert isinstance(event, LatchEvent)
        assert (event.latched, device.latched) == (False, False)


async def test_a_lamp_is_lit_and_darkened(rig: Rig, lamp_position: str) -> None:
    async with attached(rig, lamp_position) as (device, _):
        lamp = some_lamp(rig, lamp_position)
        await device.set_lamp(lamp, lit=True)
        await lamp_becomes(rig, lamp_position, lamp, lit=True)
        await device.set_lamp(lamp, lit=False)
        await lamp_becomes(rig, lamp_position, lamp, lit=False)


@pytest.mark.needs(Ability.CABLE)
async def test_a_pulled_cable_is_reported_and_what_was_missed_is_made_up(
    rig: Rig, hook_position: str
) -> None:
    async with attached(rig, hook_position) as (device, events):
        await device.set_lamp(Lamp.MUTE, lit=True)
        await rig.hand.unplug(hook_position)
        assert isinstance(await soon(events), DetachedEvent)
        assert not device.attached
        if has_cradle(rig, hook_position):
            await rig.hand.lift(hook_position)
        await rig.hand.plug(hook_position)
        assert isinstance(await soon(events), AttachedEvent)
        if has_cradle(rig, hook_position):
            event = await soon(events)
            assert isinstance(event, HookEvent)
            assert event.state is HookState.OFF_HOOK
        await lamp_becomes(rig, hook_position, Lamp.MUTE, lit=True)


@pytest.mark.needs(Ability.CABLE)
async def test_a_device_that_is_absent_attaches_when_it_comes(rig: Rig, any_position: str) -> None:
    await rig.hand.unplug(any_position)
    device = rig.device(any_position)
    events = device.events()
    await device.open()
    assert not device.attached
    await rig.hand.plug(any_position)
    assert isinstance(await soon(events), AttachedEvent)
    await device.close()


async def test_closing_ends_the_events(rig: Rig, any_position: str) -> None:
    async with attached(rig, any_position) as (_, events):
        pass
    assert [event async for event in events if not isinstance(event, DetachedEvent)] == []


async def test_the_hand_cannot_do_what_the_device_does_not_have(rig: Rig) -> None:
    with pytest.raises(DeviceError, match="gooseneck has no hook"):
        await rig.hand.lift("gooseneck")
    with pytest.raises(DeviceError, match="no 'nowhere'; there are "):
        await rig.hand.lift("nowhere")
