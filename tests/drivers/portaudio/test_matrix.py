"""The matrix over PortAudio: a call goes on while its devices are unplugged and come back."""

import asyncio
import dataclasses
import tomllib
from collections.abc import AsyncIterator
from contextlib import aclosing
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from openturret.drivers.emulated.hand import Hand
from openturret.drivers.oldcb import OldcbMatrix
from openturret.firmware.matrix.process import MatrixProcess, Setup
from openturret.firmware.matrix.settings import Settings
from openturret.hal import SystemClock
from openturret.hal.board import Board
from openturret.hal.matrix import AudioDevice, Leg, LegTarget, MatrixEvent, Topic, device_port
from openturret.hal.registry import GROUP, Registry

pytestmark = pytest.mark.alone

PROJECT = Path(__file__).parents[3] / "pyproject.toml"
LOOPBACK = "127.0.0.1"


def declared_drivers() -> list[EntryPoint]:
    points = tomllib.loads(PROJECT.read_text())["project"]["entry-points"][GROUP]
    return [EntryPoint(name=name, value=value, group=GROUP) for name, value in points.items()]


@dataclasses.dataclass(frozen=True, slots=True)
class Call:
    client: OldcbMatrix
    far: Leg
    events: AsyncIterator[MatrixEvent]

    async def told(self, event: str, **details: object) -> None:
        async with asyncio.timeout(20):
            async for each in self.events:
                if each.event == event and details.items() <= each.details.items():
                    return

    async def device(self, position: str) -> AudioDevice:
        return next(d for d in await self.client.device_list() if d.device == position)

    async def heard(self, low_dbfs: float, high_dbfs: float) -> None:
        async with asyncio.timeout(20):
            while not low_dbfs < await self._far_level() < high_dbfs:
                await asyncio.sleep(0.02)

    async def _far_level(self) -> float:
        legs = await self.client.leg_list()
        return next(leg.stats.receive_level_dbfs for leg in legs if leg.leg == self.far.leg)


@pytest.fixture
async def call(hand: Hand, board: Board, tmp_path: Path) -> AsyncIterator[Call]:
    """A call at the left handset, for which the right one stands in; the far end is a leg."""
    left = dataclasses.replace(board.devices["handset-left"], fallback="handset-right")
    named = dataclasses.replace(board, devices={**board.devices, "handset-left": left})
    setup = Setup(tmp_path, Settings(LOOPBACK, 11000, 13000), named, 0, 0)
    process = MatrixProcess(setup, Registry(declared_drivers), SystemClock())
    control, port = await process.open()
    client = OldcbMatrix(control_port=control, event_port=port)
    near, far = await client.leg_open(), await client.leg_open()
    await client.leg_connect(near.leg, LegTarget(far.address, far.rtp_port))
    await client.leg_connect(far.leg, LegTarget(near.address, near.rtp_port))
    async with aclosing(client.events({Topic.DEVICES})) as events:  # type: ignore[type-var]
        found = Call(client, far, events)
        await found.told("connected")
        await client.bus_join("call", device_port("handset-left"), talk_db=0, listen_db=0)
        await client.bus_join("call", f"leg:{near.leg}", talk_db=0, listen_db=0)
        await found.told("device.attached", device="handset-left", rate_hz=48_000)
        yield found
    await client.close()
    await process.close()


@pytest.mark.slow
async def test_a_call_moves_to_the_fallback_and_back_and_its_leg_notices_nothing(
    hand: Hand, call: Call
) -> None:
    before = await call.client.leg_list()
    await hand.tone("handset-left", 1000, -10)
    await call.heard(-20, 0)
    await hand.tone("handset-right", 700, -30)
    await hand.unplug("handset-left")
    await call.told("device.away", device="handset-left")
    await call.told("device.fallback", device="handset-left", stand_in="handset-right")
    await call.heard(-40, -25)
    await hand.plug("handset-left")
    await call.told("device.fallback", device="handset-left", stand_in="")
    await call.heard(-20, 0)
    after = await call.client.leg_list()
    assert [(leg.ssrc, leg.target) for leg in after] == [(leg.ssrc, leg.target) for leg in before]
    assert all(leg.stats.packets_lost == 0 for leg in after)


@pytest.mark.slow
async def test_the_devices_own_rate_and_its_xruns_are_listed(hand: Hand, call: Call) -> None:
    device = await call.device("handset-left")
    assert device.attached
    assert device.rate_hz == 48_000
    assert device.xruns is not None
    assert set(device.xruns) == {"input_overflows", "output_underflows"}
    assert (await call.device("handset-right")).xruns is None
