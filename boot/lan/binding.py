"""The terms of the DHCP client: its states, a lease in use, its patience, who is told."""

import enum
import random
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from typing import Protocol

from ...hal.backoff import Backoff
from ...hal.clock import Clock
from ..errors import BootError
from .conflict import ArpTiming
from .dhcp_messages import Requester
from .lease import Lease
from .link import Ports


class DhcpState(enum.Enum):
    """The states of RFC 2131 §4.4, figure 5."""

    INIT = "INIT"
    SELECTING = "SELECTING"
    REQUESTING = "REQUESTING"
    INIT_REBOOT = "INIT-REBOOT"
    REBOOTING = "REBOOTING"
    BOUND = "BOUND"
    RENEWING = "RENEWING"
    REBINDING = "REBINDING"


class Listener(Protocol):
    """Who is told how the client gets on."""

    def count(self, round_trips: int, /) -> None:
        """Takes note of answered requests."""

    def enter(self, state: DhcpState, address: IPv4Address | None, detail: str = "") -> None:
        """Takes note of a state, of the address that it is about, and of how it goes on."""

    def trouble(self, error: BootError, detail: str) -> None:
        """Takes note of a failure and of what happens next."""


@dataclass(frozen=True, slots=True)
class Timing:
    """How long the client waits, in seconds.

    Attributes:
        backoff: Delays between DISCOVERs; RFC 2131 §4.1 asks for 4 to 64 s, ±1 s.
        arp: How an address is probed and defended.
        offer_s: How long an offer that says nothing about a TSS waits for one that does.
        request_s: Waits for the answer to a REQUEST, which is sent once for each.
        reboot_s: The same for the stored lease, which is used unconfirmed after them.
        contradiction_s: How long after a NAK an ACK may contradict it.
        decline_s: Least time between a DECLINE and the next DISCOVER (RFC 2131 §3.1.5).
        renew_floor_s: Least time between two renewals (RFC 2131 §4.4.5 asks for 60 s).
        spread: T1 and T2 come earlier by up to this share, so that a thousand units that
            were powered on together do not renew together.
    """

    backoff: Backoff
    arp: ArpTiming = field(default_factory=ArpTiming)
    offer_s: float = 0.5
    request_s: tuple[float, ...] = (1.0, 2.0)
    reboot_s: tuple[float, ...] = (1.0, 2.0)
    contradiction_s: float = 0.25
    decline_s: float = 10.0
    renew_floor_s: float = 60.0
    spread: float = 0.05

    @classmethod
    def standard(cls, rng: random.Random) -> "Timing":
        """Returns the timing of a unit."""
        return cls(Backoff(first_s=4, cap_s=64, jitter=0.25, rng=rng))


@dataclass(frozen=True, slots=True)
class Binding:
    """A lease in use.

    Attributes:
        bound_at: When it began, on the monotonic clock.
        confirmed: False when no server has confirmed a stored lease yet.
    """

    lease: Lease
    bound_at: float
    confirmed: bool = True


@dataclass(frozen=True, slots=True)
class Situation:
    """Everything outside the client that it needs."""

    ports: Ports
    requester: Requester
    clock: Clock
    rng: random.Random
    timing: Timing
    listener: Listener

    def xid(self) -> int:
        """Returns a number that tells the answers to one question from others."""
        return self.rng.getrandbits(32)
