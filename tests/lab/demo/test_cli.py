"""The demonstration from end to end, as `make demo` runs it: judged by what was heard."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from openturret.lab import namespace, plan, speech
from openturret.lab.errors import NamespaceError, ToolMissingError
from openturret.lab.listening import compare, read_wav
from openturret.lab.rtp_capture import rtp_streams

pytestmark = [pytest.mark.bench, pytest.mark.slow]

DEADLINE_S = 150


@dataclass(frozen=True)
class Run:
    """One run of the demonstration: its JSON and its report folder."""

    status: int
    result: dict[str, Any]
    report: Path

    def rows(self, section: str) -> list[dict[str, Any]]:
        return [row for row in self.result["rows"] if row["section"] == section]

    def wav(self, name: str) -> Path:
        return self.report / "audio" / f"{name}.wav"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    try:
        namespace.check()
    except (NamespaceError, ToolMissingError) as error:
        pytest.skip(str(error))
    report = tmp_path_factory.mktemp("demo") / "report"
    command = [sys.executable, "-m", "openturret.lab.demo.cli", "--json", "--report", str(report)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE_S, check=False)
    assert done.stdout, done.stderr
    return Run(done.returncode, json.loads(done.stdout), report)


def test_every_line_of_the_table_passes_that_no_busy_machine_can_spoil(run: Run) -> None:
    failed = [row for row in run.result["rows"] if not row["passed"] and not row["timed"]]
    assert failed == []


def test_the_exit_status_is_that_of_the_table(run: Run) -> None:
    assert run.result["passed"] == all(row["passed"] for row in run.result["rows"])
    assert run.status == (0 if run.result["passed"] else 1)


def test_the_table_speaks_of_every_part_of_the_story(run: Run) -> None:
    sections = {row["section"] for row in run.result["rows"]}
    assert len(sections) == 6
    assert len(run.rows("power-on")) > 10


@pytest.mark.parametrize(
    ("ear", "sentence"),
    [
        ("at-the-unit-handset-left", "party-2001"),
        ("at-the-unit-handset-right", "party-2002"),
        ("at-the-far-end-2001-call-1", "dealer-left"),
        ("at-the-far-end-2002-call-1", "dealer-right"),
    ],
)
def test_the_words_were_heard(run: Run, ear: str, sentence: str) -> None:
    heard = compare(speech.make_all()[sentence], run.wav(ear))
    assert heard.correlation > 0.95
    assert heard.snr_db > 20
    assert heard.times >= 2


@pytest.mark.parametrize("hoot", plan.HOOTS)
def test_every_hoot_was_heard_from_the_speaker(run: Run, hoot: str) -> None:
    heard = compare(speech.make_all()[hoot], run.wav("at-the-unit-speaker-1"))
    assert heard.correlation > 0.35


@pytest.mark.parametrize("stream", ["handsets", "speakers-1"])
def test_both_recorders_kept_the_same_samples(run: Run, stream: str) -> None:
    kept = [read_wav(run.wav(f"recorder-{name}-{stream}"))[0] for name in "ab"]
    assert min(len(samples) for samples in kept) > 15 * 8000


def test_nobody_hears_the_other_handset(run: Run) -> None:
    heard = compare(speech.make_all()["party-2002"], run.wav("at-the-unit-handset-left"))
    assert heard.correlation < 0.3


def test_the_capture_holds_the_voice_of_five_calls_and_four_recordings(run: Run) -> None:
    streams = rtp_streams(run.report / "files" / "captures" / "touchpro-1-eth0.pcap")
    sent = [stream for stream in streams if stream.source[0].startswith("10.1.")]
    assert len(sent) == 5 + 4
    assert all(11000 <= stream.source[1] <= 13000 for stream in sent)


def test_the_report_is_a_page_with_players(run: Run) -> None:
    page = (run.report / "index.html").read_text()
    assert page.count("<audio") == len(list((run.report / "audio").glob("*.wav"))) >= 9


def test_help_teaches_by_example() -> None:
    command = [sys.executable, "-m", "openturret.lab.demo.cli", "--help"]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "turret demo --stay" in shown
