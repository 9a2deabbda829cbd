"""What every driver of a device with gains owes, whatever sets them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Protocol

import pytest

from openturret.hal import Adjustable, AttachedEvent, DetachedEvent, Device, DeviceEvent, Gain
from openturret.hal.board import Board
from openturret.hal.errors import DeviceGoneError, GainError
from openturret.hal.events import EventQueue
from openturret.lab.hands.hand import Ability, Hand

pytestmark = pytest.mark.slow

PATIENCE_S = 30


class Rig(Protocol):
    @property
    def board(self) -> Board: ...
    @property
    def hand(self) -> Hand: ...
    def device(self, position: str) -> Device: ...


async def happens(events: EventQueue, wanted: type[DeviceEvent]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not isinstance(await anext(events), wanted):
            pass


@asynccontextmanager
async def adjustable(rig: Rig, position: str) -> AsyncIterator[tuple[Adjustable, EventQueue]]:
    device = rig.device(position)
    events = device.events()
    await device.open()
    try:
        await happens(events, AttachedEvent)
        assert isinstance(device, Adjustable)
        yield device, events
    finally:
        await device.close()


async def test_every_gain_is_set_to_the_nearest_that_the_device_has(
    rig: Rig, gain_position: str
) -> None:
    async with adjustable(rig, gain_position) as (device, _):
        assert device.gains()
        for gain, reach in device.gains().items():
            middle_db = (reach.minimum_db + reach.maximum_db) / 2
            for asked_db in (middle_db, reach.minimum_db - 10, reach.maximum_db + 10):
                taken_db = await device.set_gain(gain, asked_db)
                assert taken_db == pytest.approx(reach.nearest(asked_db), abs=reach.step_db)


async def test_a_side_tone_is_a_gain_of_its_own(rig: Rig, sidetone_position: str) -> None:
    async with adjustable(rig, sidetone_position) as (device, _):
        assert Gain.SIDETONE in device.gains()


async def test_a_gain_that_the_device_does_not_have_is_refused(
    rig: Rig, gain_position: str
) -> None:
    async with adjustable(rig, gain_position) as (device, _):
        missing = min(set(Gain) - device.gains().keys())
        with pytest.raises(GainError, match=f"no gain {missing}"):
            await device.set_gain(missing, 0)


@pytest.mark.needs(Ability.CABLE)
async def test_gains_can_be_set_again_after_a_cable_was_pulled(
    rig: Rig, gain_position: str
) -> None:
    async with adjustable(rig, gain_position) as (device, events):
        gain, reach = next(iter(device.gains().items()))
        await rig.hand.unplug(gain_position)
        await happens(events, DetachedEvent)
        with pytest.raises(DeviceGoneError, match="does not answer"):
            await device.set_gain(gain, reach.minimum_db)
        await rig.hand.plug(gain_position)
        await happens(events, AttachedEvent)
        taken_db = await device.set_gain(gain, reach.maximum_db)
        assert taken_db == pytest.approx(reach.maximum_db, abs=reach.step_db)
