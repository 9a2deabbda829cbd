"""When a unit cannot run it stops trying so hard: it says why, waits, and tries again.

Two things count.  A service that dies too often in a short time is held back.  A boot that does
not last is counted over reboots, on the medium: after too many in a row the next one starts
nothing before it has waited.  Nothing here, or anywhere in the boot, ever restarts the unit.
"""

import json
import logging
from collections import deque
from pathlib import Path
from typing import Final

from ...hal.clock import Clock
from ..cache import read_bounded, write_atomically

logger = logging.getLogger(__name__)

DEATHS_MAX: Final = 5
WINDOW_S: Final = 600.0
"""A service that dies this often within this time is held back."""

BOOTS_MAX: Final = 5
"""So many boots in a row may fail before the next one is careful."""

SHORT_BOOTS_MAX: Final = 20
"""The same for boots after which the unit ran, but not for long: rigs pull plugs."""

LASTS_S: Final = 10.0
"""A unit that has run for so long has been booted."""


_BEGUN = SHORT_BOOTS_MAX // BOOTS_MAX


class Deaths:
    """How often services have died of late.

    Args:
        clock: Tells how long ago.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._times: dict[str, deque[float]] = {}

    def count(self, name: str) -> int:
        """Counts one more death; returns how many there were within the window."""
        times = self._times.setdefault(name, deque(maxlen=DEATHS_MAX))
        now = self._clock.monotonic()
        times.append(now)
        while now - times[0] > WINDOW_S:
            times.popleft()
        return len(times)

    def forget(self) -> None:
        """Starts to count anew, because something has changed."""
        self._times.clear()


class Attempts:
    """How much boots in a row have failed to last: a count that survives them.

    A boot that has not come to its end counts ``SHORT_BOOTS_MAX / BOOTS_MAX`` times as much as one
    after which the unit ran.

    Args:
        path: Where it is kept.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def begin(self) -> bool:
        """Counts this boot; returns whether those before it ask for care.

        On a medium that cannot be written the count stands still; a unit is not refused its
        boot for that.
        """
        before = self._read()
        self._write(before + _BEGUN)
        return before >= SHORT_BOOTS_MAX

    def ran(self) -> None:
        """Counts this boot less: the unit runs."""
        self._write(max(self._read() - _BEGUN, 0) + 1)

    def lasted(self) -> None:
        """Forgets them all: this boot has lasted."""
        self._write(0)

    def _read(self) -> int:
        try:
            found = json.loads(read_bounded(self._path, 64) or b"0")
        except (OSError, ValueError):
            return 0
        return found if isinstance(found, int) and 0 <= found < 1_000_000 else 0

    def _write(self, number: int) -> None:
        try:
            write_atomically(self._path, b"%d\n" % number)
        except OSError as error:
            logger.warning("boots that do not last are not counted: %s", error)
