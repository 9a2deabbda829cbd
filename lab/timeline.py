"""What happened when, told live and kept for the report."""

from collections.abc import Callable
from dataclasses import dataclass

from ..hal.clock import Clock


@dataclass(frozen=True, slots=True)
class Moment:
    """One event; `at_s` counts seconds from the timeline's beginning."""

    at_s: float
    actor: str
    text: str


class Timeline:
    """Tells each moment when it happens and keeps it."""

    def __init__(self, clock: Clock, tell: Callable[[str], None]) -> None:
        self._clock = clock
        self._tell = tell
        self._zero_s = clock.monotonic()
        self.moments: list[Moment] = []

    def now_s(self) -> float:
        """Seconds since the beginning."""
        return self._clock.monotonic() - self._zero_s

    def add(self, actor: str, text: str, at_s: float | None = None) -> Moment:
        """Tell and keep a moment (now, unless it is known when it happened)."""
        moment = Moment(self.now_s() if at_s is None else at_s, actor, text)
        self.moments.append(moment)
        self._tell(f"{moment.at_s:8.2f} s  {actor:<12} {text}")
        return moment
