"""Hands out pairs of UDP ports: an even one for RTP, the next for RTCP (RFC 3550 §11)."""

from collections import deque

from .errors import ExhaustedError


class PortPairs:
    """The even ports from ``lower`` on whose odd neighbour is not above ``upper``.

    A returned pair goes to the end of the queue, so that late packets of an ended call
    do not find a new one in its place.

    >>> pairs = PortPairs(11000, 11005)
    >>> pairs.take(), pairs.take(), pairs.free
    (11000, 11002, 1)
    >>> pairs.give_back(11000)
    >>> pairs.take()
    11004
    """

    def __init__(self, lower: int, upper: int) -> None:
        self._range = f"{lower}-{upper}"
        self._free = deque(range(lower + lower % 2, upper, 2))

    @property
    def free(self) -> int:
        """How many pairs are left."""
        return len(self._free)

    def take(self) -> int:
        """Returns the RTP port of a free pair.

        Raises:
            ExhaustedError: The range is used up.
        """
        if not self._free:
            raise ExhaustedError(f"every RTP port pair of {self._range} is in use")
        return self._free.popleft()

    def give_back(self, rtp_port: int) -> None:
        """Makes a pair free again."""
        self._free.append(rtp_port)
