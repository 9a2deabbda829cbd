from openturret.boot.table import describe
from openturret.hal.wire.json_lines import JsonObject

STATUS: JsonObject = {
    "model": "TouchPro",
    "serial": "OT-1",
    "stage": "running",
    "firmware_version": "2.0",
    "config_version": 7,
    "stages": [],
    "alarms": [],
}


def test_the_slots_stand_below_the_headline() -> None:
    slots: JsonObject = {
        "a": {"version": "1.0", "state": "good"},
        "b": {"version": "2.0", "state": "trying"},
    }
    lines = describe({**STATUS, "slots": slots}).splitlines()
    assert lines[:4] == [
        "TouchPro OT-1: running, firmware 2.0, configuration 7",
        "slot a: 1.0, good",
        "slot b: 2.0, trying",
        "",
    ]


def test_a_status_without_slots_or_with_nonsense_is_shown_too() -> None:
    for slots in (None, 7, {"a": 7}, {}):
        assert "slot" not in describe({**STATUS, "slots": slots})  # type: ignore[dict-item]
