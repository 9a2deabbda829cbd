"""Which of several DHCP offers is taken first."""

import contextlib
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from typing import Final

from ..errors import DhcpError
from ..wire.dhcp import DhcpMessage, Option
from .lease import Lease

logger = logging.getLogger(__name__)

MAX_OFFERS: Final = 8
"""Of more servers than this, the first ones count."""

_HINTS = (Option.VENDOR_SPECIFIC, Option.VENDOR_IDENTIFYING, Option.TFTP_SERVER_LIST,
          Option.TFTP_SERVER, Option.BOOT_FILE)  # fmt: skip


@dataclass(slots=True)
class Offers:
    """The usable offers to one DISCOVER that were not taken yet, one of each server.

    An offer that says where the TSS is was meant for a turret, so it is preferred to the one
    of a router that somebody plugged in, however fast that is.  The server that granted the
    last lease is preferred too.

    Attributes:
        known: The server of the last lease.
        acceptable: Whether an offer may be taken at all.
    """

    known: IPv4Address | None
    acceptable: Callable[[Lease], bool] = lambda _: True
    _good: list[Lease] = field(default_factory=list)
    _other: list[Lease] = field(default_factory=list)
    _seen: set[IPv4Address] = field(default_factory=set)
    _refused: bool = False

    def add(self, message: DhcpMessage, now: float) -> None:
        """Takes note of an offer at a time of day.

        Raises:
            DhcpError: It is not usable; told once, however many there are.
        """
        if self._refused:
            with contextlib.suppress(DhcpError):
                self._add(message, now)
            return
        try:
            self._add(message, now)
        except DhcpError:
            self._refused = True
            raise

    def _add(self, message: DhcpMessage, now: float) -> None:
        lease = Lease.from_ack(message, now)
        if lease.server in self._seen or len(self._seen) >= MAX_OFFERS:
            return
        if not self.acceptable(lease):
            raise DhcpError(
                f"{lease.server} offers {lease.address}, which is no better than the one in use",
                "check that the DHCP server keeps its leases and leads to a TSS",
            )
        self._seen.add(lease.server)
        preferred = lease.server == self.known or bool(message.file) or _hints(message)
        (self._good if preferred else self._other).append(lease)

    @property
    def preferred(self) -> bool:
        """Whether one is here that needs not wait for others."""
        return bool(self._good)

    def take(self) -> Lease | None:
        """Returns the best offer and forgets it; None when there is none."""
        for offers in (self._good, self._other):
            if offers:
                return offers.pop(0)
        return None

    def __bool__(self) -> bool:
        return bool(self._good or self._other)


def _hints(message: DhcpMessage) -> bool:
    return any(code in message.options for code in _HINTS)
