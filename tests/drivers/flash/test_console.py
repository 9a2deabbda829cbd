import json

from hypothesis import given
from hypothesis import strategies as st

from openturret.drivers.flash.console import BAR_CELLS, Bars, JsonLines, Lines, bar, duration
from openturret.drivers.flash.flashing import Outcome, Phase, Progress, Result
from openturret.drivers.flash.version import Version

from .conftest import SimulatedPace

HALF = Progress("handset-left", Phase.WRITE, 512_000, 1_024_000, 3.2)
DONE = Outcome("handset-left", Result.FLASHED, Version(1), Version(1, 1), 12.34)


def test_a_bar_has_bytes_and_the_time_left() -> None:
    text = bar(HALF)
    assert text.count("█") == BAR_CELLS // 2
    assert "handset-left" in text
    assert text.endswith("50%  512.0 of 1024.0 kB  3 s left")


def test_a_phase_without_bytes_has_no_bar() -> None:
    assert bar(Progress("1-1", Phase.REBOOT)).split() == ["1-1", "reboot"]


@given(st.integers(0, 10**9), st.integers(1, 10**9), st.text(max_size=60))
def test_bars_stand_below_each_other(done: int, total: int, name: str) -> None:
    text = bar(Progress(name, Phase.WRITE, min(done, total), total))
    assert text[29:34] == "write"
    assert text.count("█") + text.count("·") >= BAR_CELLS


def test_times_are_said_as_people_say_them() -> None:
    assert [duration(each) for each in (0.1, 59.4, 60, 3599)] == [
        "1 s",
        "59 s",
        "1 min 0 s",
        "59 min 59 s",
    ]


def test_bars_are_drawn_over_each_other(pace: SimulatedPace) -> None:
    said: list[str] = []
    bars = Bars(said.append, pace)
    bars.progress(HALF)
    bars.progress(Progress("1-2", Phase.ERASE))
    bars.outcome(DONE)
    assert "\x1b[" not in said[0].removesuffix("\x1b[K\n")
    assert said[1].startswith("\x1b[1A")
    assert said[2].startswith("\x1b[2A")
    assert "handset-left: runs 1.1.0 (was 1.0.0), 12.3 s" in said[2]


def test_a_terminal_is_not_flooded(pace: SimulatedPace) -> None:
    said: list[str] = []
    bars = Bars(said.append, pace)
    for done in range(0, 10_000, 10):
        bars.progress(Progress("1-1", Phase.WRITE, done, 10_000))
        pace.wait(0.001)
    assert 5 < len(said) < 20


def test_machines_are_not_flooded_but_hear_of_every_end(pace: SimulatedPace) -> None:
    said: list[str] = []
    lines = JsonLines(said.append, pace)
    for phase in (Phase.WRITE, Phase.VERIFY):
        for done in range(1001):
            lines.progress(Progress("1-1", phase, done, 1000))
    told = [json.loads(line) for line in said]
    assert [(each["phase"], each["done_bytes"]) for each in told] == [
        ("write", 0),
        ("write", 1000),
        ("verify", 0),
        ("verify", 1000),
    ]


def test_an_outcome_is_an_object_on_a_line(pace: SimulatedPace) -> None:
    said: list[str] = []
    JsonLines(said.append, pace).outcome(DONE)
    assert json.loads(said[0]) == {
        "event": "outcome",
        "unit": "handset-left",
        "result": "flashed",
        "before": "1.0.0",
        "running": "1.1.0",
        "seconds": 12.34,
        "error": "",
    }


def test_every_result_has_its_words() -> None:
    said: list[str] = []
    for result in Result:
        Lines(said.append).outcome(Outcome("1-1", result, error="why"))
    assert len({line.partition(": ")[2] for line in said}) == len(Result)
