import json
import logging
from dataclasses import dataclass
from pathlib import Path

import pytest

from openturret.boot.errors import BootError, TftpError
from openturret.boot.status import SEQUENCE, StatusBoard
from openturret.hal.syslog import Redactor


@dataclass
class Clock:
    """Both clocks, moved by the test."""

    now: float = 1000.0

    def monotonic(self) -> float:
        return self.now

    def unix(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def board(tmp_path: Path, clock: Clock) -> StatusBoard:
    return StatusBoard(tmp_path / "status.json", clock, {"serial": "OT-0001"})


def test_all_stages_wait_at_first(board: StatusBoard) -> None:
    status = board.as_json()
    assert isinstance(status["stages"], list)
    assert [entry["name"] for entry in status["stages"]] == list(SEQUENCE)
    assert {entry["state"] for entry in status["stages"]} == {"waiting"}
    assert status["serial"] == "OT-0001"


def test_a_stage_has_duration_round_trips_and_detail(
    board: StatusBoard, clock: Clock, tmp_path: Path
) -> None:
    with board.step("tftp") as step:
        step.count()
        step.count(2)
        clock.now += 0.25
        step.detail = "tss1"
    written = json.loads((tmp_path / "status.json").read_text())
    tftp = next(entry for entry in written["stages"] if entry["name"] == "tftp")
    assert tftp == {
        "name": "tftp", "state": "done", "started": 1000.0, "duration_s": 0.25, "round_trips": 3,
        "code": None, "error": None, "remedy": None, "server": "", "file": "", "detail": "tss1",
    }  # fmt: skip


def test_a_failed_stage_says_why_and_what_to_do(board: StatusBoard) -> None:
    with pytest.raises(TftpError), board.step("tftp"):
        raise TftpError("no answer", "start the server")
    stage = board.stage("tftp").as_json()
    assert (stage["state"], stage["error"], stage["remedy"]) == (
        "failed", "no answer", "start the server",
    )  # fmt: skip


def test_time_and_round_trips_of_a_resumed_stage_add_up_until_the_next_attempt(
    board: StatusBoard, clock: Clock
) -> None:
    for _ in range(2):
        with board.step("dns") as step:
            step.count()
            clock.now += 1
    assert (board.stage("dns").duration_s, board.stage("dns").round_trips) == (2, 2)
    board.reset(["dns"])
    assert (board.stage("dns").duration_s, board.stage("dns").round_trips) == (None, 0)


def test_a_running_unit_stays_running_when_somebody_logs_in(board: StatusBoard) -> None:
    board.running()
    with board.step("login"):
        assert board.as_json()["stage"] == "running"
    stages = board.as_json()["stages"]
    assert isinstance(stages, list)
    assert stages[-1]["name"] == "login"


def test_an_alarm_keeps_its_first_time_until_it_is_cleared(
    board: StatusBoard, clock: Clock
) -> None:
    board.raise_alarm("tss.unavailable", "no answer", "start it")
    clock.now += 5
    board.raise_alarm("tss.unavailable", "still no answer", "start it")
    assert board.as_json()["alarms"] == [
        {
            "code": "tss.unavailable",
            "message": "still no answer",
            "remedy": "start it",
            "since": 1000.0,
        }
    ]
    board.clear_alarm("tss.unavailable")
    board.clear_alarm("tss.unavailable")
    assert board.as_json()["alarms"] == []


def test_another_process_reports_its_own_stage(board: StatusBoard, clock: Clock) -> None:
    board.report("register", "running", "both PBXs", None)
    clock.now += 2
    board.report("register", "done", "2 of 2", None)
    assert board.stage("register").duration_s == 2
    board.report("register", "done", "2 of 2", 0.5)
    assert board.stage("register").duration_s == 0.5
    with pytest.raises(ValueError, match="state"):
        board.report("register", "perhaps", "", None)


def test_a_full_medium_does_not_stop_the_boot(
    board: StatusBoard, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "status.json").mkdir()
    board.note("dhcp", "attempt 2")
    assert "status.json is not written" in caplog.text


def test_trouble_leaves_the_stage_running(board: StatusBoard) -> None:
    board.begin("dhcp")
    board.trouble("dhcp", BootError("no answer", "plug it in"), "attempt 1")
    stage = board.stage("dhcp").as_json()
    assert (stage["state"], stage["error"], stage["detail"]) == (
        "running",
        "no answer",
        "attempt 1",
    )


def test_what_an_earlier_boot_left_is_over_when_a_new_one_starts(
    board: StatusBoard, clock: Clock, tmp_path: Path
) -> None:
    board.running()
    StatusBoard(tmp_path / "status.json", clock, {}).starting()
    assert json.loads((tmp_path / "status.json").read_text())["stage"] == "starting"


def test_an_error_that_names_no_server_or_file_is_told_of_those_of_its_stage(
    board: StatusBoard,
) -> None:
    with (
        pytest.raises(TftpError),
        board.step("tftp", server="10.1.0.2", file="units/x.yaml"),
    ):
        raise TftpError("no answer")
    stage = board.stage("tftp").as_json()
    assert stage["error"] == "10.1.0.2: units/x.yaml: no answer"
    assert (stage["code"], stage["server"], stage["file"]) == ("tftp", "10.1.0.2", "units/x.yaml")
    assert stage["remedy"] == TftpError.usual_remedy


def test_a_secret_is_not_shown(tmp_path: Path, clock: Clock) -> None:
    redactor = Redactor()
    redactor.learn("canary")
    board = StatusBoard(tmp_path / "status.json", clock, {}, redactor)
    board.trouble("ftpes", BootError("530 canary is wrong", "not canary"), "canary")
    board.raise_alarm("x", "canary", "canary")
    assert "canary" not in json.dumps(board.as_json())
    assert "canary" not in (tmp_path / "status.json").read_text()


def test_every_change_is_an_event(
    board: StatusBoard, caplog: pytest.LogCaptureFixture, clock: Clock
) -> None:
    caplog.set_level(logging.INFO, "openturret")
    board.starting()
    with board.step("dns", server="10.1.0.2") as step:
        step.count()
        clock.now += 0.5
        step.detail = "tss1"
    board.fail("ftpes", TftpError("no", "yes", server="s", file="f", option="66"))
    board.raise_alarm("a", "b", "c")
    board.clear_alarm("a")
    board.report("register", "done", "2 of 2", 0.25)
    board.running()
    said = [getattr(record, "structured", None) for record in caplog.records]
    assert said == [
        {"event": "boot started"},
        {"event": "started", "stage": "dns"},
        {"event": "done", "stage": "dns", "detail": "tss1", "duration_s": 0.5, "round_trips": 1,
         "server": "10.1.0.2"},
        {"event": "failed", "stage": "ftpes", "code": "tftp", "message": "s: f: 66: no",
         "remedy": "yes", "server": "s", "file": "f", "option": "66"},
        {"event": "alarm raised", "code": "a", "message": "b", "remedy": "c"},
        {"event": "alarm cleared", "code": "a"},
        {"event": "done", "stage": "register", "detail": "2 of 2", "duration_s": 0.25},
        {"event": "running"},
    ]  # fmt: skip
