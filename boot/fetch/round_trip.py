"""How long to wait for an answer before a packet is sent again: the estimate of RFC 6298."""

from typing import Final

MARGIN_S: Final = 0.02
"""Least time beyond the usual one: scheduling of two busy machines."""


class RoundTrip:
    """Learns how long answers take.

    Args:
        first_s: The wait while no answer has been measured, and the longest one learnt.
        longest_s: The wait after many packets without an answer.
    """

    def __init__(self, first_s: float, longest_s: float) -> None:
        self._base_s = self._first_s = first_s
        self._longest_s = longest_s
        self._usual_s: float | None = None
        self._spread_s = 0.0
        self._factor = 1

    @property
    def wait_s(self) -> float:
        """The seconds to wait now."""
        return min(self._base_s * self._factor, self._longest_s)

    @property
    def usual_s(self) -> float:
        """The seconds that an answer usually takes; the first wait until one was measured."""
        return self._first_s if self._usual_s is None else self._usual_s

    def measure(self, took_s: float) -> None:
        """Takes note of an answer to a packet that was sent only once (Karn's rule)."""
        if self._usual_s is None:
            self._usual_s, self._spread_s = took_s, took_s / 2
        else:
            self._spread_s += (abs(took_s - self._usual_s) - self._spread_s) / 4
            self._usual_s += (took_s - self._usual_s) / 8
        learnt_s = self._usual_s + max(MARGIN_S, 4 * self._spread_s)
        self._base_s = min(learnt_s, self._first_s)

    def progress(self) -> None:
        """Something came: silence is counted anew."""
        self._factor = 1

    def back_off(self) -> None:
        """Nothing came: the next wait is twice as long."""
        self._factor = min(self._factor * 2, 1 << 16)
