import asyncio
import json
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from openturret.boot.cli import main
from openturret.boot.control import ControlServer
from openturret.boot.queries import EXIT_ATTENTION, EXIT_FAILED, EXIT_OK
from openturret.boot.table import describe

STATUS = {
    "model": "TouchPro",
    "serial": "OT-0001",
    "stage": "dhcp",
    "firmware_version": "0.1.0",
    "config_version": None,
    "stages": [
        {
            "name": "dhcp", "state": "running", "started": 1.0, "duration_s": None,
            "round_trips": 0, "error": "no DHCP server answered", "remedy": "check the cable",
            "detail": "attempt 3; the next one in 15.2 s",
        }
    ],
    "alarms": [{"code": "tss.unavailable", "message": "no TSS", "remedy": "start it", "since": 1}],
}  # fmt: skip


def test_a_person_reads_stage_error_remedy_and_alarms() -> None:
    text = describe(json.loads(json.dumps(STATUS)))
    for words in ("TouchPro OT-0001: dhcp, firmware 0.1.0", "attempt 3", "no DHCP server answered",
                  "what to do: check the cable", "alarm tss.unavailable: no TSS",
                  "what to do: start it"):  # fmt: skip
        assert words in text


def test_without_an_agent_its_last_words_are_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["status", "--state", str(tmp_path)]) == EXIT_FAILED
    assert "no boot agent" in capsys.readouterr().err
    (tmp_path / "status.json").write_text(json.dumps(STATUS))
    assert main(["status", "--state", str(tmp_path)]) == EXIT_FAILED
    assert "as it was last" in capsys.readouterr().out
    assert main(["status", "--state", str(tmp_path), "--json"]) == EXIT_FAILED
    assert json.loads(capsys.readouterr().out) == STATUS


async def asked(state: Path, status: dict[str, object], *arguments: str) -> int:
    """Runs a command against an agent that is played here."""
    calls: list[str] = []

    async def say_status(_: object) -> dict[str, object]:
        return status

    async def retry(_: object) -> dict[str, object]:
        calls.append("retry")
        return {}

    agent = ControlServer(state / "run" / "boot.sock", {"status": say_status, "retry": retry})
    await agent.start()
    code = await asyncio.to_thread(main, [*arguments, "--state", str(state)])
    await agent.stop()
    assert calls == (["retry"] if arguments == ("retry",) else [])
    return code


async def test_the_exit_code_says_how_the_unit_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good: dict[str, object] = {**STATUS, "stage": "running", "alarms": []}
    assert await asked(tmp_path, good, "status", "--json") == EXIT_OK
    assert json.loads(capsys.readouterr().out) == good
    assert await asked(tmp_path, dict(STATUS), "status") == EXIT_ATTENTION
    assert await asked(tmp_path, {**good, "stage": "safe mode"}, "status") == EXIT_ATTENTION


async def test_a_person_may_ask_for_another_attempt(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await asyncio.to_thread(main, ["retry", "--state", str(tmp_path)]) == EXIT_FAILED
    assert await asked(tmp_path, {}, "retry") == EXIT_OK
    assert "tries again" in capsys.readouterr().out


EVENTS = (
    {"time": "2026-01-05T08:00:00.000+00:00", "event": "done", "stage": "dhcp",
     "detail": "10.1.0.101", "duration_s": 0.25, "round_trips": 2},
    {"time": "2026-01-05T08:00:01.000+00:00", "event": "failed", "stage": "tftp",
     "code": "tftp", "message": "10.1.0.2 does not answer", "remedy": "start it"},
)  # fmt: skip


def write_events(state: Path, *events: Mapping[str, object]) -> None:
    (state / "log").mkdir(exist_ok=True)
    with (state / "log" / "events.jsonl").open("a") as file:
        file.writelines(json.dumps(event) + "\n" for event in events)


def test_events_are_shown_to_people_and_machines(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["events", "--state", str(tmp_path)]) == EXIT_FAILED
    assert "no " in capsys.readouterr().err
    write_events(tmp_path, *EVENTS)
    assert main(["events", "--state", str(tmp_path)]) == EXIT_OK
    text = capsys.readouterr().out
    assert "10.1.0.101 (0.250 s, 2 round trips)" in text
    assert "what to do: start it" in text
    assert main(["events", "--state", str(tmp_path), "--json"]) == EXIT_OK
    assert [json.loads(line) for line in capsys.readouterr().out.splitlines()] == list(EVENTS)


@pytest.fixture
def at_every_look(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Says what happens while a command sleeps between its looks; then it is interrupted."""

    def plan(*steps: Callable[[], object]) -> None:
        left = iter(steps)

        def sleep(_: float) -> None:
            try:
                next(left)()
            except StopIteration:
                raise KeyboardInterrupt from None

        monkeypatch.setattr("openturret.boot.queries.time.sleep", sleep)

    return plan


def test_following_shows_what_comes_also_when_the_log_was_moved_aside(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], at_every_look: Callable[..., None]
) -> None:
    write_events(tmp_path, EVENTS[0])
    path = tmp_path / "log" / "events.jsonl"
    at_every_look(
        lambda: write_events(tmp_path, EVENTS[1]),
        lambda: None,
        lambda: path.write_text(""),
        lambda: write_events(tmp_path, EVENTS[1]),
    )
    assert main(["events", "--state", str(tmp_path), "--json", "--follow"]) == EXIT_OK
    shown = [json.loads(line)["event"] for line in capsys.readouterr().out.splitlines()]
    assert shown == ["done", "failed", "failed"]


def test_watching_shows_every_change_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], at_every_look: Callable[..., None]
) -> None:
    path = tmp_path / "status.json"
    at_every_look(
        lambda: path.write_text(json.dumps(STATUS)),
        lambda: None,
        lambda: path.write_text("{"),
        lambda: path.write_text(json.dumps({**STATUS, "stage": "running"})),
    )
    assert main(["status", "--state", str(tmp_path), "--json", "--watch"]) == EXIT_OK
    shown = [json.loads(line)["stage"] for line in capsys.readouterr().out.splitlines()]
    assert shown == ["dhcp", "running"]
