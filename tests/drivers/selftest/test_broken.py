"""Devices that no twin is as broken as: audio that stands still, xruns, a driver that cannot."""

import asyncio
import os
from collections.abc import AsyncIterator
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Final

import pytest

from openturret.drivers.selftest import exchange
from openturret.drivers.selftest.cli import main
from openturret.drivers.selftest.hands import Nobody
from openturret.drivers.selftest.person import Terminal
from openturret.drivers.selftest.run import Bench, selftest
from openturret.drivers.selftest.verdict import Outcome, Verdict
from openturret.hal import SystemClock
from openturret.hal.board import DeviceSpec, parse_board
from openturret.hal.errors import DeviceGoneError
from openturret.hal.registry import GROUP, Registry

DRIVERS: Final = '''
import threading
from openturret.hal import AttachedEvent, EventHub
from openturret.hal.audio import Xruns
from openturret.hal.errors import DeviceGoneError


class Box:
    """Answers at once and never does anything."""

    channels = 2

    def __init__(self, spec, clock):
        self.position, self.attached, self._hub = spec.position, False, EventHub()

    def events(self):
        return self._hub.subscribe()

    async def open(self):
        self.attached = True
        self._hub.publish(AttachedEvent(0.0, self.position))

    async def close(self):
        self._hub.close()

    async def set_lamp(self, lamp, *, lit):
        pass


class Refusing(Box):
    async def open(self):
        raise DeviceGoneError("the cable is cut")


class Stalled:
    """A stream that opens and then gives nothing."""

    rate_hz, frame_samples = 8000, 160

    def __init__(self, spec):
        self._closed = threading.Event()

    def open(self):
        self._closed.clear()

    def read(self):
        self._closed.wait()
        raise DeviceGoneError("closed")

    def write(self, frame):
        pass

    def close(self):
        self._closed.set()


class Late(Stalled):
    """A loudspeaker that runs dry at every frame."""

    underflows = 0

    @property
    def xruns(self):
        return Xruns(0, self.underflows)

    def read(self):
        self.underflows += 1
        return bytes(320)
'''


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Registry:
    (tmp_path / "broken_drivers.py").write_text(DRIVERS)
    monkeypatch.syspath_prepend(str(tmp_path))
    classes = {
        "stalled.speaker": "Box", "stalled.audio": "Stalled", "late.speaker": "Box",
        "late.audio": "Late", "cut.speaker": "Refusing", "cut.audio": "Late", "plain.xma2": "Box",
        "plain.gooseneck": "Box", "mute.speaker": "Box",
    }  # fmt: skip
    points = [EntryPoint(n, f"broken_drivers:{c}", GROUP) for n, c in classes.items()]
    return Registry(lambda: points)


def spec(driver: str, kind: str = "speaker", capabilities: str = "playback") -> DeviceSpec:
    text = f"board: x\ndevices: {{it: {{type: {kind}, driver: {driver}, capabilities: "
    return parse_board(f"{text}[{capabilities}]}}}}".encode()).devices["it"]


async def verdicts(registry: Registry, described: DeviceSpec) -> dict[str, Verdict]:
    bench = Bench(registry, SystemClock(), Nobody(), {}, attach_s=5)
    return {verdict.check: verdict async for verdict in selftest(bench, [described])}


async def test_audio_that_stands_still_fails_and_does_not_hold_the_test(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exchange, "PATIENCE_S", 0.05)
    audio = (await verdicts(registry, spec("stalled")))["audio"]
    assert (audio.outcome, audio.text) == (Outcome.FAILED, "its audio stands still")


async def test_a_loudspeaker_with_xruns_fails_with_their_number(registry: Registry) -> None:
    loudspeaker = (await verdicts(registry, spec("late")))["loudspeaker"]
    assert loudspeaker.outcome is Outcome.FAILED
    assert loudspeaker.figures["xruns"] == 40
    assert "look at the load of the machine" in loudspeaker.remedy


async def test_a_device_that_cannot_be_opened_fails_with_its_reason(registry: Registry) -> None:
    found = await verdicts(registry, spec("cut"))
    assert list(found) == ["attached"]
    assert found["attached"].text == "the cable is cut"


@pytest.mark.parametrize(
    ("kind", "capability", "check", "says"),
    [
        ("gooseneck", "ring", "ring", "its driver has no light ring"),
        ("gooseneck", "gain", "gains", "it has no gains of its own"),
        ("xma2", "lamp", "console", "its driver has no switch administration"),
    ],
)
async def test_a_board_that_promises_what_the_driver_cannot_is_told(
    registry: Registry, kind: str, capability: str, check: str, says: str
) -> None:
    verdict = (await verdicts(registry, spec("plain", kind, capability)))[check]
    assert (verdict.outcome, verdict.text) == (Outcome.FAILED, says)
    assert verdict.remedy


async def test_a_driver_that_is_not_installed_fails_its_device(registry: Registry) -> None:
    found = await verdicts(registry, spec("mute"))
    assert found["attached"].outcome is Outcome.FAILED
    assert "no driver 'mute.audio' is installed" in found["attached"].text


def test_a_position_that_is_not_on_the_board_is_wrong_usage(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "board.yaml"
    path.write_text("board: x\ndevices: {panel: {type: panel, driver: y}}\n")
    assert main(["--board", str(path), "--no-hands", "pannel"]) == 2
    assert "there is no position 'pannel'; use one of panel" in capsys.readouterr().err
    assert main(["--board", str(path)]) == 2
    assert "no terminal to ask at: give --no-hands" in capsys.readouterr().err
    assert main(["--board", str(tmp_path / "none.yaml"), "--no-hands"]) == 2


def test_hardware_that_is_not_there_ends_the_test_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "board.yaml"
    path.write_text("board: x\ndevices: {}\n")
    monkeypatch.setattr("openturret.drivers.selftest.cli.HAND_S", 0.05)
    assert main(["--board", str(path), "--emulated", str(tmp_path)]) == 1
    assert "turret selftest: no emulated hardware at" in capsys.readouterr().err


@pytest.fixture
async def pipe() -> AsyncIterator[tuple[int, int]]:
    ends = os.pipe()
    yield ends
    for end in ends:
        os.close(end)


async def test_a_question_is_answered_by_a_line(
    pipe: tuple[int, int], capsys: pytest.CaptureFixture[str]
) -> None:
    asking = asyncio.create_task(Terminal(pipe[0]).ask("lit? "))
    os.write(pipe[1], b"no\xff\n")
    assert await asking == "no�\n"
    assert capsys.readouterr().err == "lit? "


async def test_a_terminal_that_ended_is_no_person() -> None:
    reading, writing = os.pipe()
    os.close(writing)
    with pytest.raises(DeviceGoneError, match="use --no-hands without a person"):
        await Terminal(reading).ask("lit? ")
    os.close(reading)
