"""The time below which this unit's clock is not believed."""

from pathlib import Path

from ...hal.clock import Clock
from ..cache import read_bounded, write_atomically

_MAX_BYTES = 32


class ClockFloor:
    """Keeps the latest moment at which something verified was current.

    Time before the first verified answer can be forged.  What was accepted once was
    not expired at that moment, so no later check may use an earlier time: expired
    metadata does not come back to life because somebody set the clock back.  A clock
    that was set ahead raises the floor too, but never beyond the expiry of what was
    accepted: days, not years.
    """

    def __init__(self, path: Path, clock: Clock) -> None:
        self._path = path
        self._clock = clock

    def now(self) -> float:
        """Returns seconds since 1970, never before `least`."""
        return max(self._clock.unix(), self.least())

    def least(self) -> float:
        """Returns the floor in seconds since 1970; 0 when nothing was verified yet."""
        data = read_bounded(self._path, _MAX_BYTES) or b"0"
        return float(data) if data.strip().isdigit() else 0.0

    def raise_to(self, moment: float) -> None:
        """Keeps a moment at which verified metadata was current.

        Raises:
            OSError: The medium refuses it.
        """
        if moment > self.least():
            write_atomically(self._path, b"%d\n" % int(moment))
