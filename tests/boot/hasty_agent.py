"""A boot agent as ``turret boot`` runs it, but ten times less patient: arguments STATE FACTORY."""

import asyncio
import logging
import random
import signal
import sys
from dataclasses import replace
from pathlib import Path

from openturret.boot.agent import BootAgent
from openturret.boot.binding import Timing
from openturret.boot.folder import StateFolder
from openturret.boot.health import Pace
from openturret.boot.identity import Identity
from openturret.boot.interface import IpInterface, run_ip
from openturret.boot.link import InterfacePorts
from openturret.boot.surroundings import surroundings
from openturret.hal.backoff import Backoff
from openturret.hal.clock import SystemClock


async def main(state: Path, factory: Path) -> None:
    logging.basicConfig(level=logging.INFO)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    interface = IpInterface("eth0", run_ip)
    rng = random.SystemRandom()
    ports = InterfacePorts(interface.name, interface.mac)
    patient = surroundings(interface, ports, SystemClock(), rng)
    hasty = replace(
        patient,
        dhcp=Timing(Backoff(first_s=0.4, cap_s=0.8, jitter=0.25, rng=rng), reboot_s=(0.2, 0.4)),
        health=Pace(look_s=0.02, hold_s=0.2, limit_s=1.5),
        retry=Backoff(first_s=0.2, cap_s=30, jitter=0.25, rng=rng),
    )
    await BootAgent(Identity.read(factory), StateFolder(state), hasty).run(stop)


if __name__ == "__main__":
    asyncio.run(main(*map(Path, sys.argv[1:])))
