"""The self-test on emulated hardware: with its hand, with a person who acts, with nobody."""

import asyncio
import json
import re
import tempfile
import tomllib
from collections.abc import AsyncIterator, Callable
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any, Final

import pytest

from openturret.drivers.emulated.hand import Hand
from openturret.drivers.emulated.hardware import Hardware
from openturret.drivers.selftest.cli import main
from openturret.drivers.selftest.emulation import Emulation
from openturret.drivers.selftest.hands import Hands, Nobody
from openturret.drivers.selftest.person import Person
from openturret.drivers.selftest.run import Bench, selftest
from openturret.drivers.selftest.verdict import Outcome, Verdict
from openturret.hal import SystemClock
from openturret.hal import board as boards
from openturret.hal.board import Board, load_board
from openturret.hal.registry import GROUP, Registry

pytestmark = pytest.mark.slow

ROOT: Final = Path(__file__).parents[3]
EMULATED: Final = Path(boards.__file__).parent / "boards" / "emulated.yaml"
Checks = dict[tuple[str, str], Verdict]


def declared_drivers() -> list[EntryPoint]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return [
        EntryPoint(name=name, value=value, group=GROUP)
        for name, value in project["entry-points"][GROUP].items()
    ]


REGISTRY: Final = Registry(declared_drivers)


class Desk:
    """Emulated hardware with its board in a file."""

    def __init__(self, folder: Path, text: str) -> None:
        self.folder = folder
        self.path = folder / "board.yaml"
        self.path.write_text(text.replace("/run/openturret/hardware", str(folder)))
        self.board: Board = load_board(self.path)
        self.hardware = Hardware(self.board, folder)

    async def run(self, *words: str) -> tuple[int, str]:
        said: list[str] = []
        arguments = ["--board", str(self.path), *words]
        code = await asyncio.to_thread(main, arguments, said.append, lambda: (), REGISTRY)
        return code, "".join(said)

    async def checks(self, hands: Hands, *positions: str) -> Checks:
        bench = Bench(REGISTRY, SystemClock(), hands, {}, attach_s=0.3)
        specs = [self.board.devices[position] for position in positions]
        return {(v.position, v.check): v async for v in selftest(bench, specs)}


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    with tempfile.TemporaryDirectory(prefix="ot-") as folder:
        desk = Desk(Path(folder), EMULATED.read_text())
        await desk.hardware.open()
        yield desk
        await desk.hardware.close()


@pytest.mark.slow
async def test_the_hand_tries_every_device_and_everything_passes(desk: Desk) -> None:
    code, said = await desk.run("--emulated", str(desk.folder), "--json")
    found = json.loads(said)
    assert (code, found["passed"], found["board"]) == (0, True, "touchpro"), said
    assert [device["position"] for device in found["devices"]] == list(desk.board.devices)
    outcomes = {
        (device["position"], check["check"]): check
        for device in found["devices"]
        for check in device["checks"]
    }
    assert {check["outcome"] for check in outcomes.values()} == {"passed"}
    handset = [check for position, check in outcomes if position == "handset-left"]
    assert handset == [
        "attached", "lamps", "lift", "ptt", "mute", "cradle", "microphone", "loudspeaker",
    ]  # fmt: skip
    for check in ("microphone", "loudspeaker"):
        figures = outcomes["handset-left", check]["figures"]
        assert figures["frequency_hz"] == pytest.approx(1000, abs=1)
        assert figures["level_dbfs"] == pytest.approx(-20, abs=0.5)
    assert outcomes["panel", "keys"]["figures"]["latency_ms"] > 0


@pytest.mark.slow
async def test_the_devices_are_left_as_they_were(desk: Desk) -> None:
    await desk.run("--emulated", str(desk.folder), "handset-left", "panel")
    state = desk.hardware.devices["handset-left"].control.state
    assert (state.off_hook, state.mute, state.ptt) == (False, False, False)
    assert not state.lamps
    assert not desk.hardware.devices["panel"].control.state.keys


async def test_only_the_positions_that_were_named_are_tried_each_once(desk: Desk) -> None:
    code, said = await desk.run("--emulated", str(desk.folder), "gooseneck", "gooseneck")
    assert code == 0
    assert said.count("gooseneck       attached     passed") == 1
    assert "handset" not in said
    assert "1 devices, 5 checks: 5 passed, 0 failed, 0 skipped\n" in said


async def test_a_device_that_is_away_fails_with_the_reason_and_the_rest_is_tried(
    desk: Desk,
) -> None:
    async with await Hand.connect(desk.folder) as hand:
        await hand.unplug("gooseneck")
    code, said = await desk.run("--emulated", str(desk.folder), "gooseneck", "panel")
    assert code == 1
    assert "gooseneck       attached     failed   nobody serves " in said
    assert "→ start python -m openturret.drivers.emulated" in said
    assert "panel           keys         passed" in said
    assert said.endswith("1 failed, 0 skipped: gooseneck\n")


async def test_an_optional_device_may_be_away(desk: Desk) -> None:
    optional = desk.path.read_text().replace("    driver", "    optional: true\n    driver")
    desk.path.write_text(optional)
    async with await Hand.connect(desk.folder) as hand:
        await hand.unplug("gooseneck")
    code, said = await desk.run("--no-hands", "gooseneck")
    assert code == 0
    assert "gooseneck       attached     skipped  optional, and not there: nobody serves" in said


@pytest.mark.slow
async def test_what_nobody_could_see_or_hear_is_skipped_and_never_passed(desk: Desk) -> None:
    found = await desk.checks(Nobody(), "handset-left", "panel")
    assert {check for (_, check), v in found.items() if v.outcome is Outcome.PASSED} == {"attached"}
    assert found["handset-left", "lift"].text == "nobody was there to lift it"
    assert "nobody was there to look" in found["panel", "lamps"].text
    assert "nothing else than zeros" in found["handset-left", "microphone"].text
    assert not desk.hardware.devices["handset-left"].control.state.lamps


async def test_a_microphone_with_noise_needs_nobody(desk: Desk) -> None:
    async with await Hand.connect(desk.folder) as hand:
        await hand.tone("gooseneck", 300, -70)
    found = await desk.checks(Nobody(), "gooseneck")
    microphone = found["gooseneck", "microphone"]
    assert microphone.outcome is Outcome.PASSED
    assert microphone.figures["noise_dbfs"] == pytest.approx(-70, abs=0.5)


async def test_a_microphone_that_stays_mute_fails_when_somebody_speaks(desk: Desk) -> None:
    without_mute = "type: gooseneck\n    capabilities: [capture]\n"
    desk.path.write_text(desk.path.read_text().replace("type: gooseneck\n", without_mute))
    async with await Hand.connect(desk.folder) as hand:
        await hand.mute("gooseneck")
    code, said = await desk.run("--emulated", str(desk.folder), "gooseneck")
    assert code == 1
    assert "microphone   failed   what was said did not arrive; there was " in said
    assert "→ unmute it; then look at its gain and its cable\n" in said


async def test_afterwards_nobody_speaks_and_no_driver_goes_on(desk: Desk) -> None:
    async with await Hand.connect(desk.folder) as hand:
        spoken = await desk.checks(Emulation(hand), "gooseneck")
        quiet = await desk.checks(Nobody(), "gooseneck")
    assert spoken["gooseneck", "microphone"].outcome is Outcome.PASSED
    assert "nothing else than zeros" in quiet["gooseneck", "microphone"].text
    assert not [task for task in asyncio.all_tasks() if task.get_name().startswith("control ")]


async def test_a_handset_that_lies_beside_its_cradle_is_put_back_first(desk: Desk) -> None:
    only_hook = "type: handset\n    capabilities: [hook]\n"
    text = re.sub(r" +fallback: .*\n", "", desk.path.read_text())
    desk.path.write_text(text.replace("type: handset\n", only_hook))
    desk.board = load_board(desk.path)
    async with await Hand.connect(desk.folder) as hand:
        await hand.lift("handset-left")
        actor = Actor(hand)
        found = await desk.checks(Person(actor.ask, actor.tell), "handset-left")
    assert [line.strip() for line in actor.told] == [
        "handset-left: put it back now", "handset-left: lift it now",
        "handset-left: put it back now",
    ]  # fmt: skip
    assert found["handset-left", "lift"].outcome is Outcome.PASSED


class Actor:
    """A person who does what the terminal asks, with the hand of the emulated hardware."""

    def __init__(self, hand: Hand, *, agrees: bool = True) -> None:
        self.asked: list[str] = []
        self.told: list[str] = []
        self._hand = hand
        self._agrees = agrees
        self._acts: list[asyncio.Task[None]] = []

    async def ask(self, question: str) -> str:
        self.asked.append(question)
        return "\n" if self._agrees else "no\n"

    def tell(self, line: str) -> None:
        self.told.append(line)
        position, _, wanted = line.strip().partition(": ")
        for words, act in self._habits(position).items():
            if wanted.startswith(words):
                self._acts.append(asyncio.ensure_future(act()))

    def _habits(self, position: str) -> dict[str, Callable[[], Any]]:
        hand = self._hand
        return {
            "lift it": lambda: hand.lift(position),
            "put it back": lambda: hand.cradle(position),
            "mute it": lambda: hand.mute(position),
            "unmute it": lambda: hand.mute(position, muted=False),
            "press and hold its talk key": lambda: hand.press(position, "ptt"),
            "let go of its talk key": lambda: hand.release(position, "ptt"),
            "press and hold a key": lambda: hand.press(position, "line-7"),
            "let go of the key": lambda: hand.release(position, "line-7"),
            "speak into it": lambda: hand.tone(position, 440, -25),
            "thank you": lambda: hand.silence(position),
        }


@pytest.mark.slow
async def test_a_person_does_what_is_asked_and_says_what_is_seen_and_heard(desk: Desk) -> None:
    async with await Hand.connect(desk.folder) as hand:
        actor = Actor(hand)
        found = await desk.checks(Person(actor.ask, actor.tell), "handset-left", "panel")
    assert {verdict.outcome for verdict in found.values()} == {Outcome.PASSED}
    assert found["handset-left", "microphone"].figures["frequency_hz"] == pytest.approx(440, abs=1)
    assert "latency_ms" not in found["handset-left", "lift"].figures
    assert actor.asked[0] == (
        "  handset-left: is hold, mute, off_hook, ring, talk lit, and nothing else? [Y/n] "
    )
    assert "  handset-left: is nothing lit, and nothing else? [Y/n] " in actor.asked
    assert actor.asked[2] == "  handset-left: did you hear a tone? [Y/n] "


async def test_a_person_who_sees_and_hears_nothing_fails_the_device(desk: Desk) -> None:
    async with await Hand.connect(desk.folder) as hand:
        actor = Actor(hand, agrees=False)
        found = await desk.checks(Person(actor.ask, actor.tell), "speaker-1")
    assert found["speaker-1", "lamps"].outcome is Outcome.FAILED
    assert found["speaker-1", "loudspeaker"].text == "the person heard nothing"
    assert found["speaker-1", "loudspeaker"].remedy == "turn it up; then look at its cable"
