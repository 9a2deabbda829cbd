"""Waiting, which can be stopped and which tests do without."""

import threading
from typing import Protocol

from ...hal.clock import Clock, SystemClock
from ..errors import FlashStoppedError


class Pace(Clock, Protocol):
    """A clock by which one can wait."""

    def wait(self, seconds: float) -> None:
        """Returns after that time, at once for 0.

        Raises:
            FlashStoppedError: Somebody asked to stop, before or meanwhile.
        """
        ...


class SystemPace(SystemClock):
    """Waits by the operating system's clock, in any number of threads, until it is stopped."""

    def __init__(self) -> None:
        self._stopping = threading.Event()

    def stop(self) -> None:
        """Ends every wait, now and from now on."""
        self._stopping.set()

    def wait(self, seconds: float) -> None:
        """As :meth:`Pace.wait`."""
        if self._stopping.wait(seconds):
            raise FlashStoppedError("stopped on request", "flash it again when you like")
