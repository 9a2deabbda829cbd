"""The self-test through Debian's own HID and sound drivers, with a hand at the twins outside."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from importlib.resources import files
from typing import Final

import pytest

from openturret.drivers.selftest.emulation import Whistle
from openturret.drivers.selftest.exchange import TONE_DBFS, TONE_HZ
from openturret.drivers.selftest.hands import Action, Hearing, Nobody, Play
from openturret.drivers.selftest.run import Bench, selftest
from openturret.drivers.selftest.sound import SILENCE_DBFS, measured, onset, samples_of
from openturret.drivers.selftest.verdict import Outcome, Verdict
from openturret.hal import SystemClock
from openturret.hal.board import DeviceSpec, DeviceType, parse_board
from openturret.hal.registry import Registry
from openturret.lab.hands.wire import WireHand

BOARD: Final = parse_board(files("openturret.hal").joinpath("boards/touchpro.yaml").read_bytes())
TONE: Final = Whistle(TONE_HZ, TONE_DBFS, seconds=1.0)
SETTLING_S: Final = 0.05
ATTEMPTS: Final = 6
CHECKS: Final[Mapping[str, set[str]]] = {
    "handset-left": {"attached", "lamps", "lift", "ptt", "mute", "cradle", "gains"}
    | {"microphone", "loudspeaker"},
    "gooseneck": {"attached", "lamps", "ring", "ptt", "latch", "mute", "gains", "microphone"},
    "speaker-1": {"attached", "lamps", "keys", "volume", "loudspeaker"},
}


class AtUnit(Nobody):
    """Works the twins beyond the guest's wall, speaks to them, listens and looks."""

    patience_s = 10.0
    prompt = True

    def __init__(self, hand: WireHand) -> None:
        self._hand = hand

    async def act(self, spec: DeviceSpec, action: Action) -> None:
        hand, position, channel = self._hand, spec.position, int(spec.type is DeviceType.SPEAKER)
        key = "channel-1" if channel else "key-1"
        acts: dict[Action, Callable[[], Awaitable[None]]] = {
            Action.LIFT: lambda: hand.lift(position),
            Action.CRADLE: lambda: hand.cradle(position),
            Action.MUTE: lambda: hand.mute(position),
            Action.UNMUTE: lambda: hand.mute(position, muted=False),
            Action.TALK: lambda: hand.press(position, "ptt"),
            Action.RELEASE_TALK: lambda: hand.release(position, "ptt"),
            Action.LATCH: lambda: hand.press(position, "latch"),
            Action.UNLATCH: lambda: hand.release(position, "latch"),
            Action.PRESS: lambda: hand.press(position, key),
            Action.RELEASE: lambda: hand.release(position, key),
            Action.LOUDER: lambda: hand.turn(position, 1, channel=channel),
        }
        await acts[action]()

    async def sees(self, spec: DeviceSpec, lamps: Collection[str]) -> bool:
        try:
            async with asyncio.timeout(self.patience_s):
                while set(await self._hand.lamps(spec.position)) != set(lamps):
                    await asyncio.sleep(0.02)
        except TimeoutError:
            return False
        return True

    async def speaks(self, spec: DeviceSpec) -> Whistle:
        await self._hand.tone(spec.position, TONE.frequency_hz, TONE.level_dbfs)
        return TONE

    async def hushes(self, spec: DeviceSpec) -> None:
        await self._hand.silence(spec.position)

    async def hears(self, spec: DeviceSpec, play: Play) -> Hearing:
        await self._hand.listen(spec.position)
        await play()
        heard = await self._hand.stop_listening(spec.position)
        samples = samples_of(heard.pcm)
        start = onset(samples, TONE_DBFS)
        assert start is not None, "nothing was heard"
        sound = measured(samples[start + round(SETTLING_S * heard.rate_hz) :], heard.rate_hz)
        return Hearing(TONE.recognised(sound, SILENCE_DBFS), str(sound), sound.figures)


async def examined(hand: WireHand, position: str) -> dict[str, Verdict]:
    """Tests a device; again where the guest's emulated processor made its sound stumble."""
    bench = Bench(Registry(), SystemClock(), AtUnit(hand), {}, attach_s=30)
    for _ in range(ATTEMPTS):
        run = selftest(bench, [BOARD.devices[position]])
        found = {verdict.check: verdict async for verdict in run}
        await hand.tidy()
        if not stumbled(found.values()):
            break
    return found


def stumbled(verdicts: Iterable[Verdict]) -> bool:
    """Whether a stream came too late; that says something about the emulated processor only."""
    return any(verdict.check == "audio" or verdict.figures.get("xruns") for verdict in verdicts)


@pytest.mark.parametrize("position", CHECKS)
async def test_every_check_of_a_device_passes(hand: WireHand, position: str) -> None:
    found = await examined(hand, position)
    failed = [verdict for verdict in found.values() if verdict.outcome is not Outcome.PASSED]
    assert failed == []
    assert set(found) == CHECKS[position]
