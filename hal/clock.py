"""The one place where time is read; logic takes a Clock as an argument."""

import time
from typing import Protocol


class Clock(Protocol):
    """Tells the time of day and the time that never jumps."""

    def monotonic(self) -> float:
        """Returns seconds since an arbitrary start; never goes back."""
        ...

    def unix(self) -> float:
        """Returns seconds since 1970-01-01 UTC; may be set back."""
        ...


class SystemClock:
    """The operating system's clocks."""

    def monotonic(self) -> float:
        """Returns CLOCK_MONOTONIC in seconds."""
        return time.monotonic()

    def unix(self) -> float:
        """Returns CLOCK_REALTIME in seconds."""
        return time.time()
