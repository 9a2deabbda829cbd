"""The self-test of a light ring and of an XMA2's console, on the twins of both."""

import asyncio
import dataclasses
import tempfile
import tomllib
from collections.abc import AsyncIterator, Collection, Iterator
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Final

import pytest

from openturret.drivers.emulated.port_gate import PortGate
from openturret.drivers.emulated.serial_box import SerialBoxTwin
from openturret.drivers.emulated.serial_ports import PtyPort
from openturret.drivers.emulated.xma2 import Xma2Twin
from openturret.drivers.selftest.hands import Action, Hands, Nobody
from openturret.drivers.selftest.person import Person
from openturret.drivers.selftest.run import Bench, selftest
from openturret.drivers.selftest.verdict import Outcome, Verdict
from openturret.drivers.serial.messages import Change
from openturret.hal import Colour, RingLight, SystemClock
from openturret.hal.board import Capability, DeviceSpec, DeviceType, parse_board
from openturret.hal.registry import GROUP, Registry
from openturret.hal.xma import RANGES

pytestmark = pytest.mark.slow

ROOT: Final = Path(__file__).parents[3]
SECRET: Final = b"5e71a0c4d2b94f0f8d3e6c1b7a925a44"
CHANGES: Final = {
    Action.TALK: Change("ptt", on=True),
    Action.RELEASE_TALK: Change("ptt", on=False),
    Action.LATCH: Change("latch", on=True),
    Action.UNLATCH: Change("latch", on=False),
}


def declared_drivers() -> list[EntryPoint]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return [
        EntryPoint(name=name, value=value, group=GROUP)
        for name, value in project["entry-points"][GROUP].items()
    ]


class AtBox(Nobody):
    """Works a gooseneck's box, and looks at it."""

    patience_s = 5.0
    prompt = True

    def __init__(self, box: SerialBoxTwin) -> None:
        self._box = box

    async def act(self, spec: DeviceSpec, action: Action) -> None:
        self._box.move(CHANGES[action])

    async def sees(self, spec: DeviceSpec, lamps: Collection[str]) -> bool:
        rings = [lamp.removeprefix("the ring ") for lamp in lamps if lamp.startswith("the ring ")]
        ring = RingLight(Colour(rings[0])) if rings else RingLight()
        shown = frozenset(() if rings else lamps)
        try:
            async with asyncio.timeout(self.patience_s):
                await self._box.until_shown(shown, ring)
        except TimeoutError:
            return False
        return True


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="ot-") as name:
        yield Path(name)


@pytest.fixture
async def box(folder: Path) -> AsyncIterator[SerialBoxTwin]:
    twin = SerialBoxTwin(DeviceType.GOOSENECK, "GN-0001", PtyPort(folder / "tty"))
    await twin.plug()
    yield twin
    await twin.pull()


@pytest.fixture
async def xma(folder: Path) -> AsyncIterator[Xma2Twin]:
    (folder / "secret").write_bytes(SECRET + b"\n")
    (folder / "secret").chmod(0o600)
    gate = PortGate("127.0.0.2", "127.0.0.1", RANGES[0])
    twin = Xma2Twin("XM-0007", SECRET, PtyPort(folder / "console"), gate)
    await twin.plug()
    yield twin
    await twin.pull()


def gooseneck(box: SerialBoxTwin) -> DeviceSpec:
    text = f"board: x\ndevices: {{g: {{type: gooseneck, driver: serial, match: {{url: '{box.url}'}}"
    return parse_board(f"{text}, capabilities: [ptt, latch, lamp, ring]}}}}".encode()).devices["g"]


def module(xma: Xma2Twin, folder: Path, channels: int) -> DeviceSpec:
    match = f"{{url: '{xma.url}', secret: {folder}/secret}}"
    text = f"board: x\ndevices: {{x: {{type: xma2, driver: xma2, match: {match}"
    text += f", channels: {channels}, capabilities: [lamp]}}}}"
    return parse_board(text.encode()).devices["x"]


async def verdicts(spec: DeviceSpec, hands: Hands) -> dict[str, Verdict]:
    bench = Bench(Registry(declared_drivers), SystemClock(), hands, {}, attach_s=10)
    return {verdict.check: verdict async for verdict in selftest(bench, [spec])}


async def test_a_gooseneck_shows_every_colour_and_reports_its_latch(box: SerialBoxTwin) -> None:
    found = await verdicts(gooseneck(box), AtBox(box))
    assert {name: verdict.outcome for name, verdict in found.items()} == dict.fromkeys(
        ("attached", "lamps", "ring", "ptt", "latch"), Outcome.PASSED
    )
    assert found["ring"].text == "red, green, amber, then dark"
    assert found["latch"].figures["latency_ms"] > 0


async def test_a_ring_that_nobody_looks_at_is_shown_and_left_dark(box: SerialBoxTwin) -> None:
    found = await verdicts(gooseneck(box), Nobody())
    assert found["ring"].outcome is Outcome.SKIPPED
    assert found["ring"].text == "3 colours shown; nobody was there to look"


async def test_a_ring_in_which_a_person_sees_another_colour_fails(box: SerialBoxTwin) -> None:
    asked: list[str] = []

    async def ask(question: str) -> str:
        asked.append(question)
        return "no" if "green" in question else ""

    only_ring = dataclasses.replace(gooseneck(box), capabilities=frozenset({Capability.RING}))
    ring = (await verdicts(only_ring, Person(ask, asked.append)))["ring"]
    assert (ring.outcome, ring.text) == (Outcome.FAILED, "it is not green")
    assert asked[0] == "  g: is the ring red lit, and nothing else? [Y/n] "


async def test_a_console_is_read_and_its_channels_are_counted(xma: Xma2Twin, folder: Path) -> None:
    console = (await verdicts(module(xma, folder, 8), Nobody()))["console"]
    assert (console.outcome, console.text) == (Outcome.PASSED, "8 channels, RTP 10240-12286")
    assert console.figures == {"channels": 8, "ports": 2048}


async def test_a_board_that_counts_other_channels_than_the_module_is_told(
    xma: Xma2Twin, folder: Path
) -> None:
    console = (await verdicts(module(xma, folder, 6), Nobody()))["console"]
    assert console.outcome is Outcome.FAILED
    assert console.text.endswith("; the board says 6 channels")
    assert console.remedy == "correct channels on the board"
