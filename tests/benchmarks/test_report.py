"""What becomes of a benchmark's rows: the table of goals, the page, the drawing."""

import json
from dataclasses import asdict
from pathlib import Path
from xml.etree import ElementTree

import pytest

from benchmarks import report
from benchmarks.__main__ import PARTS, load, merge
from benchmarks.figures import BenchmarkError, Figure, Missing, Row, parse_row

RATIO = Figure(
    "engine ratio", "engine, two recorders ÷ bare, two recorders", 66, 1.25, 1.1, 1.3, "times"
)
ENGINE = Figure("engine", "engine, two recorders", 66, 8000.0, 7000.0, 9000.0, "ns")
ABSENT = Missing("engine", "rtpengine, user space", "not unpacked | (remedy: make peers)")


def goal_line(rows: list[Row], what: str) -> str:
    return next(line for line in report.goals_table(rows) if what in line)


def test_a_missed_goal_says_by_how_much() -> None:
    assert goal_line([RATIO], "two recorders ÷ bare").endswith("| ≤ 1.2 | missed by 4 % |")


def test_a_goal_that_is_met_to_the_digit_is_reached() -> None:
    exact = Figure(RATIO.benchmark, RATIO.subject, RATIO.n, 1.2, 1.2, 1.2, "times")
    assert goal_line([exact], "two recorders ÷ bare").endswith("| reached |")


def test_what_was_not_measured_is_neither_reached_nor_missed() -> None:
    line = goal_line([], "two recorders ÷ bare")
    assert "not measured" in line
    assert "reached" not in line
    assert "missed" not in line


def test_every_goal_is_of_a_section_that_says_how_to_repeat_it() -> None:
    told = {name for _, _, benchmarks, _ in report.SECTIONS.values() for name in benchmarks}
    assert {goal.benchmark for goal in report.GOALS} <= told


def test_an_absent_peer_is_a_row_with_its_remedy_that_keeps_the_table_whole() -> None:
    page = report.page([ENGINE, ABSENT], "here")
    line = next(line for line in page.splitlines() if "rtpengine, user" in line)
    assert "remedy: make peers" in line
    assert line.replace(r"\|", "").count("|") == 5


def test_the_drawing_is_well_formed_and_names_every_subject() -> None:
    growth = [Figure("growth", "engine, <two>", n, 9000.0 / n, 1.0, 9000.0, "ns") for n in (2, 64)]
    mixing = Figure("mixing", "memcpy & co", 64, 1.8, 1.7, 2.0, "ns")
    drawn = ElementTree.fromstring(report.drawing([ENGINE, ABSENT, *growth, mixing]))
    words = {element.text for element in drawn.iter("{http://www.w3.org/2000/svg}text")}
    assert {"engine, two recorders", "engine, <two>", "memcpy & co", "1.80"} <= words


def test_page_and_drawing_are_written(tmp_path: Path) -> None:
    report.write(tmp_path, [ENGINE], realtime=False)
    assert "SCHED_FIFO not granted" in (tmp_path / "performance.md").read_text()
    assert (tmp_path / "performance.svg").read_text().startswith("<svg")


@pytest.mark.parametrize("row", [ENGINE, ABSENT])
def test_a_row_survives_json(row: Row) -> None:
    assert parse_row(json.loads(json.dumps(asdict(row)))) == row


@pytest.mark.parametrize(
    "row", [None, {}, {"benchmark": "x"}, {**asdict(ENGINE), "median": "fast"}]
)
def test_what_is_no_row_is_refused(row: object) -> None:
    with pytest.raises(BenchmarkError, match="not a row"):
        parse_row(row)


def test_a_part_that_is_repeated_replaces_its_own_rows_only() -> None:
    engine = next(part for part in PARTS if part.name == "engine")
    growth = Figure("growth", "engine, two recorders", 64, 8000.0, 1.0, 9000.0, "ns")
    again = Figure(ENGINE.benchmark, ENGINE.subject, 66, 7000.0, 7000.0, 7000.0, "ns")
    assert merge([ENGINE, RATIO, growth], engine, [again]) == [growth, again]


@pytest.mark.parametrize("text", ["", "{}", "[{}]", '{"a": 1}'])
def test_kept_rows_of_another_form_are_forgotten(tmp_path: Path, text: str) -> None:
    kept = tmp_path / "rows.json"
    kept.write_text(text)
    assert load(kept) == []
    assert load(tmp_path / "absent.json") == []
