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
    MuteEvent,
    Overflow,
    Panel,
    PttEvent,
    Speaker,
    Speakerphone,
)
from openturret.hal.board import Board
from openturret.hal.errors import DeviceError

PROTOCOLS = {
    "handset": Handset,
    "speakerphone": Speakerphone,
    "gooseneck": Gooseneck,
    "speaker": Speaker,
    "panel": Panel,
}


class Hands(Protocol):
    async def lift(self, position: str) -> None: ...
    async def cradle(self, position: str) -> None: ...
    async def press(self, position: str, key: str) -> None: ...
    async def release(self, position: str, key: str) -> None: ...
    async def mute(self, position: str, *, muted: bool = True) -> None: ...
    async def lamps(self, position: str) -> dict[str, bool]: ...
    async def unplug(self, position: str) -> None: ...
    async def plug(self, position: str) -> None: ...


class Rig(Protocol):
    @property
    def board(self) -> Board: ...
    @property
    def hand(self) -> Hands: ...
    def device(self, position: str) -> Device: ...


async def soon(queue: EventQueue) -> DeviceEvent | Overflow:
    async with asyncio.timeout(5):
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


async def lamps_become(rig: Rig, position: str, wanted: dict[str, bool]) -> None:
    async with asyncio.timeout(5):
        while await rig.hand.lamps(position) != wanted:
            await asyncio.sleep(0)


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
        await rig.hand.cradle(hook_position)
        event = await soon(events)
        assert isinstance(event, HookEvent)
        assert (event.state, device.hook) == (HookState.ON_HOOK, HookState.ON_HOOK)


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
        await rig.hand.mute(mute_position)
        event = await soon(events)
        assert isinstance(event, MuteEvent)
        assert (event.muted, device.muted) == (True, True)


async def test_keys_are_reported_by_name(rig: Rig, keys_position: str) -> None:
    async with attached(rig, keys_position) as (device, events):
        assert isinstance(device, Panel)
        await rig.hand.press(keys_position, "line-1")
        event = await soon(events)
        assert isinstance(event, KeyEvent)
        assert (event.key, event.pressed) == ("line-1", True)
        assert device.pressed == {"line-1"}


async def test_a_lamp_is_lit_and_darkened(rig: Rig, lamp_position: str) -> None:
    async with attached(rig, lamp_position) as (device, _):
        await device.set_lamp(Lamp.RING, lit=True)
        await lamps_become(rig, lamp_position, {"ring": True})
        await device.set_lamp(Lamp.RING, lit=False)
        await lamps_become(rig, lamp_position, {})


async def test_a_pulled_cable_is_reported_and_what_was_missed_is_made_up(
    rig: Rig, hook_position: str
) -> None:
    async with attached(rig, hook_position) as (device, events):
        await device.set_lamp(Lamp.HOLD, lit=True)
        await rig.hand.unplug(hook_position)
        assert isinstance(await soon(events), DetachedEvent)
        assert not device.attached
        await rig.hand.lift(hook_position)
        await rig.hand.plug(hook_position)
        assert isinstance(await soon(events), AttachedEvent)
        event = await soon(events)
        assert isinstance(event, HookEvent)
        assert event.state is HookState.OFF_HOOK
        await lamps_become(rig, hook_position, {"hold": True})


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
    with pytest.raises(DeviceError, match="there are handset-left"):
        await rig.hand.lift("nowhere")
