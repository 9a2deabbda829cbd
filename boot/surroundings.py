"""Everything outside the boot agent that it needs, so that a test can bring its own."""

import os
import random
from collections.abc import Mapping
from dataclasses import dataclass, field

from ..hal.backoff import Backoff
from ..hal.clock import Clock
from ..hal.syslog import Redactor
from .binding import Timing
from .interface import Interface
from .link import Ports
from .timekeeper import CorrectedClock, LinuxTime


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What an agent stands in.

    Attributes:
        interface: The network interface.
        ports: Opens the DHCP client's sockets.
        clock: Tells the time, and is corrected by NTP.
        rng: Jitter and identifiers.
        environment: Passed on to the services, with the slot put first on PYTHONPATH.
        dhcp: How patient the DHCP client is.
        retry: Delays between attempts at the interface and at the TSS.
        restart: Delays between repeated deaths of a service.
        redactor: Takes secrets out of whatever is written or shown.
    """

    interface: Interface
    ports: Ports
    clock: CorrectedClock
    rng: random.Random
    environment: Mapping[str, str]
    dhcp: Timing
    retry: Backoff
    restart: Backoff
    redactor: Redactor = field(default_factory=Redactor)


def surroundings(
    interface: Interface, ports: Ports, clock: Clock, rng: random.Random
) -> Surroundings:
    """Returns the surroundings of a real unit."""
    return Surroundings(
        interface=interface,
        ports=ports,
        clock=CorrectedClock(clock, LinuxTime()),
        rng=rng,
        environment=os.environ,
        dhcp=Timing.standard(rng),
        retry=Backoff(first_s=2, cap_s=300, jitter=0.25, rng=rng),
        restart=Backoff(first_s=0.5, cap_s=30, jitter=0.25, rng=rng),
    )
