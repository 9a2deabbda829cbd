"""What happened in the engine, told in the words of OLDCB: digits that came, sources that ended."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from ...c_ext import Event, Happening
from ...hal.matrix import Topic
from .matrix import Matrix
from .parameters import EVENTS

POLL_S: Final = 0.04
POLL_MAX: Final = 1024
"""What the engine keeps: more than this in one go would be a flood that never ends."""
_DIGITS: Final = {event: digit for digit, event in EVENTS.items()}


@dataclass(frozen=True, slots=True)
class News:
    """An event as it is published."""

    topic: Topic
    event: str
    details: Mapping[str, object]


def news(matrix: Matrix) -> Iterator[News]:
    """Yields what happened since the last call; what is about a port that is gone is left out."""
    for _ in range(POLL_MAX):
        event = matrix.engine.next_event()
        if event is None:
            return
        found = _source_ended(matrix, event) if _is_of_source(event) else _digit(matrix, event)
        if found is not None:
            yield found


def _is_of_source(event: Event) -> bool:
    return event.happening is Happening.SOURCE_ENDED


def _source_ended(matrix: Matrix, event: Event) -> News | None:
    source = matrix.sources.find(event.port)
    if source is None:
        return None
    source.says = ""
    return News(Topic.SOURCES, "source.ended", {"name": source.name})


def _digit(matrix: Matrix, event: Event) -> News | None:
    leg = matrix.legs.find(event.port)
    inband = event.happening is Happening.DIGIT_HEARD
    digit = chr(event.value) if inband else _DIGITS.get(event.value)
    if leg is None or digit is None:
        return None
    details = {
        "leg": leg.number,
        "digit": digit,
        "duration_ms": event.duration_ms,
        "ended": event.happening is not Happening.DIGIT_BEGAN,
        "inband": inband,
    }
    return News(Topic.DIGITS, "digit", details)
