"""The self-test of a USB handset on its twin: orders are acknowledged, mute works off hook."""

import asyncio
import sys
from collections.abc import Callable, Collection, Iterator
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Final

import pytest

from openturret.drivers.emulated.usb.backend import EmulatedBackend
from openturret.drivers.emulated.usb.bus import EmulatedBus
from openturret.drivers.emulated.usb.handset import HandsetModel
from openturret.drivers.selftest.hands import Action, Nobody
from openturret.drivers.selftest.run import Bench, selftest
from openturret.drivers.selftest.verdict import Outcome, Verdict
from openturret.hal import SystemClock
from openturret.hal.board import DeviceSpec, parse_board
from openturret.hal.registry import GROUP, Registry

pytestmark = pytest.mark.slow

DRIVER: Final = """
from openturret.drivers.usb.bus import UsbBus
from openturret.drivers.usb.handset import UsbHandset

backend = None


def handset(spec, clock):
    return UsbHandset(spec, clock, UsbBus(backend))
"""
SPEC: Final = parse_board(
    b"""board: x
devices:
  handset-left:
    type: handset
    driver: twin
    match: {vid: 0x1209, pid: 0x7701, port: "1-1"}
    capabilities: [hook, ptt, mute, latch, volume, lamp]
"""
).devices["handset-left"]


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HandsetModel]:
    """A handset on port 1-1 of the bus that the driver ``twin.handset`` looks at."""
    (tmp_path / "twin_driver.py").write_text(DRIVER)
    monkeypatch.syspath_prepend(str(tmp_path))
    made = HandsetModel()
    bus = EmulatedBus()
    bus.connect(made, "1-1")
    point = EntryPoint("twin.handset", "twin_driver:handset", GROUP)
    point.load()
    monkeypatch.setattr("twin_driver.backend", EmulatedBackend(bus))
    yield made
    sys.modules.pop("twin_driver", None)


class AtTwin(Nobody):
    """Works a twin, and looks at it."""

    patience_s = 5.0
    prompt = True

    def __init__(self, model: HandsetModel) -> None:
        self._model = model

    async def act(self, spec: DeviceSpec, action: Action) -> None:
        model = self._model
        acts: dict[Action, Callable[[], None]] = {
            Action.LIFT: model.lift,
            Action.CRADLE: model.cradle,
            Action.MUTE: model.mute,
            Action.UNMUTE: lambda: model.mute(muted=False),
            Action.TALK: lambda: model.press("ptt"),
            Action.RELEASE_TALK: lambda: model.release("ptt"),
            Action.LATCH: lambda: model.press("latch"),
            Action.UNLATCH: lambda: model.release("latch"),
            Action.LOUDER: lambda: model.turn(1),
        }
        acts[action]()

    async def sees(self, spec: DeviceSpec, lamps: Collection[str]) -> bool:
        try:
            await self._until(lambda: self._model.lamps == set(lamps))
        except TimeoutError:
            return False
        return True

    async def _until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(self.patience_s):
            while not condition():
                await asyncio.sleep(0.01)


async def verdicts(hands: AtTwin) -> dict[str, Verdict]:
    point = EntryPoint("twin.handset", "twin_driver:handset", GROUP)
    bench = Bench(Registry(lambda: [point]), SystemClock(), hands, {}, attach_s=5)
    return {verdict.check: verdict async for verdict in selftest(bench, [SPEC])}


async def test_a_usb_handset_passes_with_a_hand_at_its_twin(model: HandsetModel) -> None:
    found = await verdicts(AtTwin(model))
    assert {name: verdict.outcome for name, verdict in found.items()} == dict.fromkeys(
        ("attached", "lamps", "lift", "ptt", "mute", "latch", "volume", "cradle"), Outcome.PASSED
    )


async def test_a_usb_handset_whose_lamps_obey_nothing_fails(model: HandsetModel) -> None:
    model.misbehaviour.deaf = True
    hands = AtTwin(model)
    hands.patience_s = 0.5
    lamps = (await verdicts(hands))["lamps"]
    assert (lamps.outcome, lamps.text) == (Outcome.FAILED, "not every lamp is lit")
