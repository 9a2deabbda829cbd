import json
from pathlib import Path

import pytest

from openturret.boot.cli import EXIT_FAILED, describe, main

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


def test_a_damaged_factory_folder_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--state", str(tmp_path / "state"), "--factory", str(tmp_path)]
    assert main(arguments) == EXIT_FAILED
    assert "identity.yaml" in capsys.readouterr().err
    assert not (tmp_path / "state").exists()


@pytest.mark.parametrize("arguments", [["--help"], ["status", "--help"]])
def test_the_help_teaches(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 0
    text = capsys.readouterr().out
    assert "example:" in text
    assert "exit:" in text


def test_a_wrong_option_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--nonsense"])
    assert caught.value.code == 2
    assert "usage" in capsys.readouterr().err
