"""How flashing is told: bars on a terminal, lines in a log, JSON lines for rigs."""

import json
import threading
from collections.abc import Callable
from dataclasses import asdict
from typing import Final, Protocol, TypeAlias

from ...hal.clock import Clock
from .flashing import Outcome, Progress, Result
from .version import Version

Say: TypeAlias = Callable[[str], object]

REDRAW_S: Final = 0.1
BAR_CELLS: Final = 24
_MAX_NAME: Final = 28
_UP, _CLEAR = "\x1b[{}A", "\x1b[K"


class Teller(Protocol):
    """Takes what happens, from any thread."""

    def progress(self, progress: Progress) -> None:
        """A unit came further."""
        ...

    def outcome(self, outcome: Outcome) -> None:
        """A unit is done."""
        ...


class Bars:
    """One line a unit, drawn over and over; for a terminal that knows ANSI's cursor."""

    def __init__(self, say: Say, clock: Clock) -> None:
        self._say = say
        self._clock = clock
        self._lock = threading.Lock()
        self._lines: dict[str, str] = {}
        self._drawn = 0
        self._drawn_at = -REDRAW_S

    def progress(self, progress: Progress) -> None:
        """Draws, unless it has just been drawn."""
        with self._lock:
            known = self._lines.get(progress.unit, "")
            self._lines[progress.unit] = bar(progress)
            changed = known[: _MAX_NAME + 10] != self._lines[progress.unit][: _MAX_NAME + 10]
            if changed or self._clock.monotonic() - self._drawn_at >= REDRAW_S:
                self._draw()

    def outcome(self, outcome: Outcome) -> None:
        """Draws the unit's last line."""
        with self._lock:
            self._lines[outcome.unit] = sentence(outcome)
            self._draw()

    def _draw(self) -> None:
        up = _UP.format(self._drawn) if self._drawn else ""
        self._say(up + "".join(f"{line}{_CLEAR}\n" for line in self._lines.values()))
        self._drawn = len(self._lines)
        self._drawn_at = self._clock.monotonic()


class Lines:
    """One line for each phase of each unit."""

    def __init__(self, say: Say) -> None:
        self._say = say
        self._lock = threading.Lock()
        self._phases: dict[str, str] = {}

    def progress(self, progress: Progress) -> None:
        """Says that a phase begins."""
        with self._lock:
            if self._phases.get(progress.unit) != progress.phase:
                self._phases[progress.unit] = progress.phase
                self._say(f"{progress.unit}: {progress.phase}{_of(progress)}\n")

    def outcome(self, outcome: Outcome) -> None:
        """Says how it ended."""
        with self._lock:
            self._say(sentence(outcome) + "\n")


class JsonLines:
    """One JSON object a line: ``{"event": "progress", …}`` and ``{"event": "outcome", …}``."""

    def __init__(self, say: Say, clock: Clock) -> None:
        self._say = say
        self._clock = clock
        self._lock = threading.Lock()
        self._told: dict[str, tuple[str, float]] = {}

    def progress(self, progress: Progress) -> None:
        """Says every phase, its end, and what lies between now and then."""
        with self._lock:
            phase, at = self._told.get(progress.unit, ("", 0.0))
            now = self._clock.monotonic()
            done = progress.done_bytes == progress.total_bytes
            if phase != progress.phase or done or now - at >= REDRAW_S:
                self._told[progress.unit] = (progress.phase, now)
                self._write("progress", asdict(progress))

    def outcome(self, outcome: Outcome) -> None:
        """Says how it ended."""
        with self._lock:
            versions = {"before": _text(outcome.before), "running": _text(outcome.running)}
            self._write("outcome", asdict(outcome) | versions)

    def _write(self, event: str, fields: dict[str, object]) -> None:
        self._say(json.dumps({"event": event} | fields) + "\n")


def bar(progress: Progress) -> str:
    """Returns a line: name, phase, bar, bytes and the time left."""
    head = f"{_cut(progress.unit):<{_MAX_NAME}} {progress.phase:<8}"
    if not progress.total_bytes:
        return head
    share = progress.done_bytes / progress.total_bytes
    cells = "█" * int(share * BAR_CELLS)
    left = "" if progress.left_s is None else f"  {duration(progress.left_s)} left"
    return f"{head} {cells:·<{BAR_CELLS}} {share:4.0%}{_of(progress)}{left}"


def sentence(outcome: Outcome) -> str:
    """Returns how it ended, in words."""
    return f"{_cut(outcome.unit)}: {_ENDINGS[outcome.result](outcome)}"


def duration(seconds: float) -> str:
    """Returns a time as people say it.

    >>> duration(0.4), duration(75)
    ('1 s', '1 min 15 s')
    """
    whole = max(1, round(seconds))
    return f"{whole} s" if whole < 60 else f"{whole // 60} min {whole % 60} s"


_ENDINGS: Final[dict[Result, Callable[[Outcome], str]]] = {
    Result.FLASHED: lambda it: (
        f"runs {it.running} (was {_text(it.before) or 'without firmware'}), {it.seconds:.1f} s"
    ),
    Result.CURRENT: lambda it: f"runs {it.running} already; nothing was written",
    Result.POSSIBLE: lambda it: f"can be flashed; runs {_text(it.running) or 'no firmware'} now",
    Result.FAILED: lambda it: f"FAILED: {it.error}",
    Result.ROLLED_BACK: lambda it: it.error,
    Result.STOPPED: lambda it: f"stopped: {it.error}",
}


def _of(progress: Progress) -> str:
    if not progress.total_bytes:
        return ""
    return f"  {progress.done_bytes / 1000:.1f} of {progress.total_bytes / 1000:.1f} kB"


def _cut(name: str) -> str:
    return name if len(name) <= _MAX_NAME else f"…{name[1 - _MAX_NAME :]}"


def _text(version: Version | None) -> str | None:
    return None if version is None else str(version)
