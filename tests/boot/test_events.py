import json
import logging
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from openturret.boot.errors import TftpRefusedError
from openturret.boot.events import Event, EventLog, read_events
from openturret.hal.syslog import Redactor


def record(event: Event | None, created: float = 0.0) -> logging.LogRecord:
    made = logging.LogRecord("openturret.boot", logging.INFO, "", 0, "text", None, None)
    made.created = created
    if event is not None:
        made.__dict__.update(event.extra())
    return made


def test_an_event_of_an_error_says_which_server_which_file_and_what_to_do(tmp_path: Path) -> None:
    error = TftpRefusedError("not found", "put it there", server="10.1.0.2", file="default.yaml")
    log = EventLog(tmp_path / "events.jsonl", Redactor())
    log.emit(record(Event.of("failed", "tftp", error)))
    assert list(read_events(tmp_path / "events.jsonl")) == [
        {
            "time": "1970-01-01T00:00:00.000+00:00",
            "event": "failed",
            "stage": "tftp",
            "code": "tftp_refused",
            "message": "10.1.0.2: default.yaml: not found",
            "remedy": "put it there",
            "server": "10.1.0.2",
            "file": "default.yaml",
        }
    ]


def test_what_is_no_event_is_left_to_the_other_logs(tmp_path: Path) -> None:
    EventLog(tmp_path / "events.jsonl", Redactor()).emit(record(None))
    assert list(read_events(tmp_path / "events.jsonl")) == []


@given(st.text())
def test_an_event_is_one_line_whatever_it_says(text: str) -> None:
    line = json.dumps(Event("x", detail=text).members())
    assert len(line.splitlines()) == 1


def test_the_file_is_bounded_and_both_halves_are_read_in_order(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    log = EventLog(path, Redactor(), max_bytes=1000)
    for number in range(200):
        log.emit(record(Event("noted", "dhcp", f"attempt {number}")))
    details = [event["detail"] for event in read_events(path)]
    assert details[-1] == "attempt 199"
    assert 8 < len(details) < 30
    assert details == [f"attempt {number}" for number in range(200 - len(details), 200)]


def test_a_line_that_a_power_cut_tore_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    whole = b'{"event": "running"}\n'
    for cut in range(len(whole) - 1):
        path.write_bytes(whole + whole[:cut] + b"\n[1]\n" + whole)
        assert list(read_events(path)) == [{"event": "running"}] * 2
