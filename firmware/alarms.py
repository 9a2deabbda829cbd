"""What is wrong with the unit right now: one board, read by panel, log and event stream.

>>> from openturret.hal.clock import SystemClock
>>> board = AlarmBoard(SystemClock())
>>> board.raise_("recording.lost", "a", "recorder A does not answer", "check its network")
True
>>> [alarm.subject for alarm in board.active]
['a']
>>> board.clear("recording.lost", "a")
True
"""

from __future__ import annotations

import asyncio
import logging
import weakref
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass

from ..hal.clock import Clock
from ..hal.wire.json_lines import JsonObject

logger = logging.getLogger(__name__)

QUEUE_LIMIT = 256


@dataclass(frozen=True, slots=True)
class Alarm:
    """Something that somebody has to do something about.

    Attributes:
        code: What kind, machine-readable, such as ``recording.lost``.
        subject: Which one, such as recorder ``a``; empty where there is only one.
        message: What happened, for people.
        remedy: What to do about it, for people.
        since: When it began, Unix seconds.
    """

    code: str
    subject: str
    message: str
    remedy: str
    since: float

    def as_json(self) -> JsonObject:
        """Returns the alarm as panel and event stream show it."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class AlarmChange:
    """An alarm was raised, said anew in other words, or cleared."""

    alarm: Alarm
    raised: bool

    def as_json(self) -> JsonObject:
        """Returns the change as the event stream sends it."""
        return {"type": "alarm", "raised": self.raised, **self.alarm.as_json()}


class AlarmBoard:
    """Every alarm that stands, and a stream of what changes.

    Args:
        clock: Says since when.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._standing: dict[tuple[str, str], Alarm] = {}
        self._readers: weakref.WeakSet[_Reader] = weakref.WeakSet()

    @property
    def active(self) -> tuple[Alarm, ...]:
        """The alarms that stand, oldest first."""
        return tuple(self._standing.values())

    def has(self, code: str, subject: str = "") -> bool:
        """Returns whether this alarm stands."""
        return (code, subject) in self._standing

    def raise_(self, code: str, subject: str, message: str, remedy: str) -> bool:
        """Raises an alarm; False when it stood already (its words may be new).

        The log has it before this returns.
        """
        before = self._standing.get((code, subject))
        since = self._clock.unix() if before is None else before.since
        alarm = Alarm(code, subject, message, remedy, since)
        if alarm == before:
            return False
        self._standing[code, subject] = alarm
        logger.warning("alarm %s %s: %s (%s)", code, subject, message, remedy)
        self._tell(AlarmChange(alarm, raised=True))
        return before is None

    def clear(self, code: str, subject: str = "") -> bool:
        """Clears an alarm; False when it did not stand."""
        alarm = self._standing.pop((code, subject), None)
        if alarm is None:
            return False
        logger.info("alarm %s %s cleared", code, subject)
        self._tell(AlarmChange(alarm, raised=False))
        return True

    async def changes(self) -> AsyncIterator[AlarmChange]:
        """Yields every change from now on; a slow reader misses the oldest ones."""
        reader = _Reader()
        self._readers.add(reader)
        while True:
            await reader.wake.wait()
            reader.wake.clear()
            while reader.changes:
                yield reader.changes.popleft()

    def _tell(self, change: AlarmChange) -> None:
        for reader in tuple(self._readers):
            reader.changes.append(change)
            reader.wake.set()


class _Reader:
    def __init__(self) -> None:
        self.changes: deque[AlarmChange] = deque(maxlen=QUEUE_LIMIT)
        self.wake = asyncio.Event()
