"""Hands out pairs of UDP ports: an even one for RTP, the next for RTCP (RFC 3550 §11)."""

import contextlib
import errno
import socket
from collections import deque

from .errors import ExhaustedError


class HeldPair:
    """A pair that is bound, so that nobody takes it before the engine does.

    Raises:
        OSError: One of the two ports is taken, or the address is not ours.
    """

    def __init__(self, address: str, rtp_port: int) -> None:
        with contextlib.ExitStack() as stack:
            for port in (rtp_port, rtp_port + 1):
                held = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
                held.bind((address, port))
            self._sockets = stack.pop_all()
        self.rtp_port = rtp_port

    def release(self) -> None:
        """Lets go of the ports, for whoever binds them next."""
        self._sockets.close()


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

    def hold(self, address: str) -> HeldPair:
        """Returns a free pair, bound; pairs that somebody else has are passed over.

        Raises:
            ExhaustedError: The range is used up.
        """
        for _ in range(self.free):
            rtp_port = self.take()
            try:
                return HeldPair(address, rtp_port)
            except OSError as error:
                self.give_back(rtp_port)
                if error.errno != errno.EADDRINUSE:
                    raise
        raise ExhaustedError(f"every RTP port pair of {self._range} is in use")

    def give_back(self, rtp_port: int) -> None:
        """Makes a pair free again."""
        self._free.append(rtp_port)
