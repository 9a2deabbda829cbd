"""Who stands in for a device that is away: the rules alone, then by what is heard."""

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openturret.drivers.emulated.hand import Hand
from openturret.drivers.oldcb import OldcbMatrix
from openturret.firmware.matrix.fallback import Fallbacks, Gains, Whereabouts
from openturret.firmware.matrix.process import MatrixProcess, Setup
from openturret.firmware.matrix.settings import Settings
from openturret.hal import SystemClock
from openturret.hal.board import Board
from openturret.hal.matrix import (
    AudioDevice,
    Leg,
    LegTarget,
    MatrixEvent,
    Membership,
    Topic,
    device_port,
    leg_port,
)
from openturret.hal.registry import Registry

AWAY, THERE = Whereabouts.AWAY, Whereabouts.THERE
CHAIN = {"handset": "speakerphone", "speakerphone": "speaker"}


def fallbacks(
    fallback_of: Mapping[str, str],
    known: Mapping[str, Whereabouts],
    muted: tuple[bool, bool] = (False, False),
) -> Fallbacks:
    return Fallbacks(fallback_of, lambda p: known.get(p, Whereabouts.CLOSED), lambda _: muted)


def test_a_device_that_is_there_needs_nobody() -> None:
    found = fallbacks(CHAIN, {"handset": THERE, "speakerphone": THERE})
    assert found.chain("handset") == ("handset",)
    assert found.stand_in("handset") == ""


def test_a_fallback_is_opened_first_and_stands_in_when_it_is_there() -> None:
    assert fallbacks(CHAIN, {"handset": AWAY}).chain("handset") == ("handset", "speakerphone")
    assert fallbacks(CHAIN, {"handset": AWAY}).stand_in("handset") == ""
    assert fallbacks(CHAIN, {"handset": AWAY, "speakerphone": THERE}).stand_in("handset") == (
        "speakerphone"
    )


def test_a_fallback_that_is_away_passes_on_to_its_own() -> None:
    known = {"handset": AWAY, "speakerphone": AWAY, "speaker": THERE}
    assert fallbacks(CHAIN, known).stand_in("handset") == "speaker"


@given(
    st.dictionaries(st.sampled_from("abcdef"), st.sampled_from(["", *"abcdefg"])),
    st.dictionaries(st.sampled_from("abcdef"), st.sampled_from(Whereabouts)),
)
def test_no_board_makes_a_chain_longer_than_itself_or_a_loop(
    fallback_of: dict[str, str], known: dict[str, Whereabouts]
) -> None:
    for position in "abcdef":
        chain = fallbacks(fallback_of, known).chain(position)
        assert chain[0] == position
        assert len(set(chain)) == len(chain) <= 7
        assert all(known.get(each) is AWAY for each in chain[:-1])


def test_a_stand_in_has_the_gains_of_the_device_beside_its_own() -> None:
    found = fallbacks(CHAIN, {"handset": AWAY, "speakerphone": THERE})
    members = [
        Membership("device:handset", talk_db=-3, listen_db=0),
        Membership("device:speakerphone", talk_db=None, listen_db=-6),
        Membership("leg:1", talk_db=0, listen_db=0),
    ]
    assert found.gains(members) == {
        "device:handset": Gains(-3, 0),
        "device:speakerphone": Gains(-3, 0),
        "leg:1": Gains(0, 0),
    }


def test_what_the_device_is_muted_in_its_stand_in_does_not_pass_on() -> None:
    known = {"handset": AWAY, "speakerphone": THERE}
    member = Membership("device:handset", talk_db=0, listen_db=0)
    muted = fallbacks(CHAIN, known, (True, False)).gains([member])
    assert muted["device:speakerphone"] == Gains(None, 0)
    deaf = fallbacks(CHAIN, known, (False, True)).gains([member])
    assert deaf["device:speakerphone"] == Gains(0, None)


@dataclasses.dataclass(frozen=True, slots=True)
class Call:
    """A call at the left handset, whose other end is a leg that hears what it says."""

    client: OldcbMatrix
    hand: Hand
    near: Leg
    far: Leg
    events: AsyncIterator[MatrixEvent]

    async def told(self, event: str, **details: object) -> None:
        async with asyncio.timeout(10):
            async for each in self.events:
                if each.event == event and details.items() <= each.details.items():
                    return

    async def device(self, position: str) -> AudioDevice:
        return next(d for d in await self.client.device_list() if d.device == position)

    async def heard(self, low_dbfs: float, high_dbfs: float) -> None:
        """Waits until the far end hears as much as that."""
        async with asyncio.timeout(10):
            while True:
                far = next(x for x in await self.client.leg_list() if x.leg == self.far.leg)
                if low_dbfs < far.stats.receive_level_dbfs < high_dbfs:
                    return
                await asyncio.sleep(0.02)


def with_fallbacks(board: Board, fallback_of: Mapping[str, str]) -> Board:
    devices = {
        position: dataclasses.replace(spec, fallback=fallback_of.get(position, ""))
        for position, spec in board.devices.items()
    }
    return dataclasses.replace(board, devices=devices)


def towards(leg: Leg) -> LegTarget:
    return LegTarget(address=leg.address, rtp_port=leg.rtp_port)


@asynccontextmanager
async def calling(process: MatrixProcess, hand: Hand) -> AsyncIterator[Call]:
    control, port = await process.open()
    client = OldcbMatrix(control_port=control, event_port=port)
    near, far = await client.leg_open(), await client.leg_open()
    await client.leg_connect(near.leg, towards(far))
    await client.leg_connect(far.leg, towards(near))
    async with aclosing(client.events({Topic.DEVICES})) as events:  # type: ignore[type-var]
        call = Call(client, hand, near, far, events)
        await call.told("connected")
        await client.bus_join("call", device_port("handset-left"), talk_db=0, listen_db=0)
        await client.bus_join("call", leg_port(near.leg), talk_db=0, listen_db=0)
        await call.told("device.attached", device="handset-left")
        yield call
    await client.close()
    await process.close()


@pytest.fixture
async def call(
    folder: Path, board: Board, hand: Hand, settings: Settings, registry: Registry
) -> AsyncIterator[Call]:
    fallback_of = {"handset-left": "speakerphone", "speakerphone": "handset-right"}
    setup = Setup(folder, settings, with_fallbacks(board, fallback_of), 0, 0)
    process = MatrixProcess(setup, registry, SystemClock())
    async with calling(process, hand) as found:
        yield found


async def test_unplugged_in_mid_call_the_fallback_speaks_and_the_device_comes_back(
    call: Call,
) -> None:
    await call.hand.tone("handset-left", 1000, -10)
    await call.heard(-20, 0)
    await call.hand.tone("speakerphone", 700, -30)
    await call.hand.unplug("handset-left")
    await call.told("device.away", device="handset-left")
    await call.told("device.fallback", device="handset-left", stand_in="speakerphone")
    await call.heard(-40, -25)
    assert (await call.device("handset-left")).stand_in == "speakerphone"
    await call.hand.plug("handset-left")
    await call.told("device.fallback", device="handset-left", stand_in="")
    await call.heard(-20, 0)
    assert not (await call.device("speakerphone")).open


async def test_the_leg_of_the_call_never_hears_of_it(call: Call) -> None:
    await call.hand.unplug("handset-left")
    await call.told("device.fallback", stand_in="speakerphone")
    await call.hand.plug("handset-left")
    await call.told("device.fallback", stand_in="")
    near, far = await call.client.leg_list()
    assert (near.ssrc, near.rtp_port, near.target) == (
        call.near.ssrc,
        call.near.rtp_port,
        near.target,
    )
    assert far.stats.packets_lost == 0
    assert far.stats.receive_gap_max_ms < 200


async def test_what_the_far_end_says_is_heard_at_the_fallback(call: Call, folder: Path) -> None:
    await call.client.source_open("far", rate_hz=8000)
    await call.client.source_tone("far", "dial")
    await call.client.bus_join("far", "source:far", talk_db=0)
    await call.client.bus_join("far", leg_port(call.far.leg), listen_db=0)
    await call.hand.unplug("handset-left")
    await call.told("device.fallback", stand_in="speakerphone")
    async with asyncio.timeout(10):
        while (await playback_dbfs(call, "speakerphone")) < -40:
            await asyncio.sleep(0.02)


async def playback_dbfs(call: Call, position: str) -> float:
    level = (await call.device(position)).stats["playback_level_dbfs"]
    return level if isinstance(level, float) else -127.0


async def test_a_mute_goes_along_with_the_call(call: Call) -> None:
    await call.hand.tone("speakerphone", 700, -20)
    await call.client.device_mute("handset-left", capture=True, playback=False)
    await call.hand.unplug("handset-left")
    await call.told("device.fallback", stand_in="speakerphone")
    assert (await call.device("speakerphone")).attached
    await call.heard(-128, -80)
    await call.client.device_mute("handset-left", capture=False, playback=False)
    await call.heard(-40, 0)


async def test_a_fallback_that_is_away_too_passes_on_and_takes_over_when_it_comes(
    call: Call,
) -> None:
    await call.hand.unplug("speakerphone")
    await call.hand.unplug("handset-left")
    await call.told("device.fallback", device="handset-left", stand_in="handset-right")
    await call.hand.plug("speakerphone")
    await call.told("device.fallback", device="handset-left", stand_in="speakerphone")
    assert not (await call.device("handset-right")).open


async def test_a_fallback_in_a_call_of_its_own_keeps_it(call: Call) -> None:
    await call.client.bus_join("other", device_port("speakerphone"), talk_db=0, listen_db=0)
    await call.hand.tone("speakerphone", 700, -20)
    await call.hand.unplug("handset-left")
    await call.told("device.fallback", stand_in="speakerphone")
    await call.heard(-40, 0)
    await call.hand.plug("handset-left")
    await call.told("device.fallback", stand_in="")
    await call.heard(-128, -80)
    assert (await call.device("speakerphone")).open
    assert [bus.bus for bus in await call.client.bus_list()] == ["call", "other"]


async def test_why_a_device_is_away_is_listed(call: Call) -> None:
    await call.hand.unplug("handset-left")
    await call.told("device.away", device="handset-left")
    device = await call.device("handset-left")
    assert not device.attached
    assert "handset-left" in device.why_away


async def test_leaving_the_bus_ends_the_stand_in(call: Call) -> None:
    await call.hand.unplug("handset-left")
    await call.told("device.fallback", stand_in="speakerphone")
    await call.client.bus_leave("call", device_port("handset-left"))
    await call.told("device.fallback", device="handset-left", stand_in="")
    assert not any(device.open for device in await call.client.device_list())
