"""Everything outside the boot agent that it needs, so that a test can bring its own."""

import asyncio
import os
import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ..hal.backoff import Backoff
from ..hal.clock import Clock
from ..hal.syslog import Redactor
from .bell import Bell
from .lan.binding import Timing
from .lan.interface import Interface
from .lan.link import Ports
from .lan.timekeeper import CorrectedClock, LinuxTime
from .slots.files import FileSlots
from .slots.health import Pace
from .slots.manager import SlotManager


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
        safe: Delays between attempts in safe mode.
        slots: Makes the keeper of the firmware, given a folder of its own, and who says whether an
            image was signed.
        health: How closely new firmware is looked at.
        restart_unit: Restarts the whole unit.
        bell: Ends waits between attempts, because somebody asks for one now.
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
    safe: Backoff
    slots: Callable[[Path, Callable[[str], bool]], SlotManager]
    health: Pace
    restart_unit: Callable[[], Awaitable[None]]
    bell: Bell = field(default_factory=Bell)
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
        safe=Backoff(first_s=60, cap_s=3600, jitter=0.25, rng=rng),
        slots=FileSlots,
        health=Pace(),
        restart_unit=_restart_unit,
    )


async def _restart_unit() -> None:
    """Asks systemd for a restart; a unit that takes another slot has to start anew."""
    process = await asyncio.create_subprocess_exec("systemctl", "reboot")
    await process.wait()
