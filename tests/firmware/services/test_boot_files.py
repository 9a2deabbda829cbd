import json
from pathlib import Path

import pytest

from openturret.firmware.services.boot_files import LOOPBACK, BootFiles


def test_nothing_is_known_before_boot_has_written_anything(tmp_path: Path) -> None:
    files = BootFiles(tmp_path)
    assert files.address() == LOOPBACK
    assert files.boot() == {"stage": None, "stages": []}
    assert files.alarms() == []
    assert files.profile_mark() is None


def test_what_boot_writes_is_shown(tmp_path: Path) -> None:
    status = {
        "stage": "running",
        "stages": [{"name": "dhcp", "state": "done"}],
        "alarms": [{"code": "tss.unavailable"}],
        "serial": "TP-1",
        "model": "TouchPro",
        "config_version": 7,
        "secret": "not shown",
    }
    (tmp_path / "status.json").write_text(json.dumps(status))
    (tmp_path / "network.json").write_text('{"address": "10.1.0.101"}')
    files = BootFiles(tmp_path)
    assert files.boot()["stages"] == status["stages"]
    assert files.alarms() == status["alarms"]
    assert files.unit() == {
        "serial": "TP-1",
        "model": "TouchPro",
        "firmware_version": None,
        "config_version": 7,
        "address": "10.1.0.101",
    }


def test_a_file_that_was_replaced_is_read_again(tmp_path: Path) -> None:
    files = BootFiles(tmp_path)
    for stage in ("dhcp", "running"):
        new = tmp_path / "status.new"
        new.write_text(json.dumps({"stage": stage}))
        marks = files.marks()
        new.replace(tmp_path / "status.json")
        assert files.marks() != marks
        assert files.boot()["stage"] == stage


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", '{"address": 7}', '{"address": "x"}', "\x00"]
)
def test_a_damaged_file_is_as_good_as_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "status.json").write_text(text)
    (tmp_path / "network.json").write_text(text)
    files = BootFiles(tmp_path)
    assert files.address() == LOOPBACK
    assert files.boot()["stages"] == []
