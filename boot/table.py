"""A status as rows that a person reads: the same for the terminal and for the page."""

from collections.abc import Iterator
from dataclasses import dataclass

from ..hal.wire.json_lines import JsonObject, JsonValue


@dataclass(frozen=True, slots=True)
class StageRow:
    """One stage, every cell as text."""

    name: str
    state: str
    seconds: str
    round_trips: str
    detail: str
    error: str
    remedy: str


@dataclass(frozen=True, slots=True)
class AlarmRow:
    """One alarm."""

    code: str
    message: str
    remedy: str


def stages_of(status: JsonObject) -> Iterator[StageRow]:
    """Yields the stages of a status in their order."""
    for stage in objects(status.get("stages")):
        duration = stage.get("duration_s")
        yield StageRow(
            name=_text(stage, "name"),
            state=_text(stage, "state"),
            seconds=f"{duration:.3f}" if isinstance(duration, float | int) else "-",
            round_trips=_text(stage, "round_trips"),
            detail=_text(stage, "detail"),
            error=_text(stage, "error"),
            remedy=_text(stage, "remedy"),
        )


def alarms_of(status: JsonObject) -> Iterator[AlarmRow]:
    """Yields the alarms of a status."""
    for alarm in objects(status.get("alarms")):
        yield AlarmRow(_text(alarm, "code"), _text(alarm, "message"), _text(alarm, "remedy"))


def describe(status: JsonObject) -> str:
    """Returns a status as a table that a person can read, alarms and remedies included."""
    head = [_headline(status), *_slot_lines(status), ""]
    return "\n".join([*head, *_stage_lines(status), *_alarm_lines(status), ""])


def _headline(status: JsonObject) -> str:
    words = [f"{status.get('model')} {status.get('serial')}: {status.get('stage')}"]
    words += [
        f"{name} {status[key]}"
        for key, name in (("firmware_version", "firmware"), ("config_version", "configuration"))
        if status.get(key) is not None
    ]
    return ", ".join(words)


def _slot_lines(status: JsonObject) -> Iterator[str]:
    slots = status.get("slots")
    for name, slot in slots.items() if isinstance(slots, dict) else ():
        if isinstance(slot, dict):
            yield f"slot {name}: {_text(slot, 'version')}, {_text(slot, 'state')}"


def _stage_lines(status: JsonObject) -> Iterator[str]:
    yield f"{'stage':<10}{'state':<10}{'seconds':>9}{'round trips':>13}  detail"
    for row in stages_of(status):
        yield f"{row.name:<10}{row.state:<10}{row.seconds:>9}{row.round_trips:>13}  {row.detail}"
        if row.error:
            yield f"{'':<10}{row.error}"
            yield f"{'':<10}what to do: {row.remedy}"


def _alarm_lines(status: JsonObject) -> Iterator[str]:
    for alarm in alarms_of(status):
        yield f"\nalarm {alarm.code}: {alarm.message}"
        yield f"      what to do: {alarm.remedy}"


def objects(value: JsonValue) -> list[JsonObject]:
    """Returns the objects in a list; none where there is no list."""
    entries = value if isinstance(value, list) else []
    return [entry for entry in entries if isinstance(entry, dict)]


def _text(holder: JsonObject, name: str) -> str:
    value = holder.get(name)
    return "" if value is None else str(value)
