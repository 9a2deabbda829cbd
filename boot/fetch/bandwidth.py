"""Limits how fast a unit takes bytes from the network, so that an update never disturbs voice."""

import threading
import time
from collections.abc import Callable
from typing import Final

from ...hal.clock import Clock

_BUFFERED_S: Final = 0.25
_SMALLEST_BUFFER_BYTES: Final = 8192
_BURST_S: Final = 0.1


class Bandwidth:
    """A pace that everything a unit fetches shares; any thread may use it.

    TCP slows the server down as soon as nobody reads, but for what its windows hold: a limited
    connection has a small receive buffer, so that no burst comes through at the link's speed.
    """

    def __init__(
        self, kbit_s: int, clock: Clock, sleep: Callable[[float], object] = time.sleep
    ) -> None:
        """Sets the pace.

        Args:
            kbit_s: Thousands of bits per second, above 0.
            clock: Its monotonic time is used.
            sleep: Waits for some seconds.
        """
        self._bytes_s = kbit_s * 125.0
        self._clock = clock
        self._sleep = sleep
        self._free_at = clock.monotonic()
        self._lock = threading.Lock()

    @property
    def buffer_bytes(self) -> int:
        """How large the receive buffer of a connection may be: a quarter of a second."""
        return max(_SMALLEST_BUFFER_BYTES, int(self._bytes_s * _BUFFERED_S))

    def take(self, size: int) -> float:
        """Waits until bytes that have come were due; returns how long that was, in seconds."""
        pause_s = self._pause_s(size)
        if pause_s > 0:
            self._sleep(pause_s)
        return pause_s

    def _pause_s(self, size: int) -> float:
        """What was not used for a while is lost but for a tenth of a second's worth."""
        with self._lock:
            now = self._clock.monotonic()
            self._free_at = max(self._free_at, now - _BURST_S) + size / self._bytes_s
            return max(0.0, self._free_at - now)
