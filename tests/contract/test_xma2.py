"""What every driver of an XMA2 owes beside what every device does."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Protocol

import pytest

from openturret.hal import AttachedEvent, Device, Xma, XmaChannel
from openturret.hal.board import Board
from openturret.hal.errors import HalError
from openturret.hal.xma import RANGES, PortFilter

pytestmark = pytest.mark.slow

PATIENCE_S = 30


class Rig(Protocol):
    @property
    def board(self) -> Board: ...
    def device(self, position: str) -> Device: ...


@asynccontextmanager
async def attached(rig: Rig, position: str) -> AsyncIterator[Xma]:
    """The module; its filter and channels are afterwards as they were."""
    module = rig.device(position)
    assert isinstance(module, Xma)
    events = module.events()
    await module.open()
    async with asyncio.timeout(PATIENCE_S):
        assert isinstance(await anext(events), AttachedEvent)
    ports, channels = await module.port_filter(), await module.switch_channels()
    try:
        yield module
    finally:
        await module.set_port_filter(ports)
        for each in channels:
            await module.set_channel(each.channel, enabled=each.enabled, label=each.label)
        await module.close()


async def test_it_carries_the_channels_of_the_board(rig: Rig, xma2_position: str) -> None:
    async with attached(rig, xma2_position) as module:
        assert module.channels == rig.board.devices[xma2_position].channels
        numbers = [channel.channel for channel in await module.switch_channels()]
        assert numbers[: module.channels] == [*range(1, module.channels + 1)]


@pytest.mark.parametrize("ports", RANGES)
async def test_it_takes_every_documented_filter(
    rig: Rig, xma2_position: str, ports: PortFilter
) -> None:
    async with attached(rig, xma2_position) as module:
        await module.set_port_filter(ports)
        assert await module.port_filter() == ports


async def test_a_channel_is_switched_and_named(rig: Rig, xma2_position: str) -> None:
    async with attached(rig, xma2_position) as module:
        await module.set_channel(1, enabled=False, label="Desk hoot")
        assert (await module.switch_channels())[0] == XmaChannel(
            1, enabled=False, label="Desk hoot"
        )
        await module.set_channel(1, enabled=True)
        assert (await module.switch_channels())[0] == XmaChannel(1, enabled=True, label="Desk hoot")
        with pytest.raises(HalError):
            await module.set_channel(99, enabled=True)


async def test_it_counts_what_it_accepts_and_filters(rig: Rig, xma2_position: str) -> None:
    async with attached(rig, xma2_position) as module:
        assert {"accepted", "filtered"} <= (await module.counters()).keys()
