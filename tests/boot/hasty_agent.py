"""A boot agent as ``turret boot`` runs it, but ten times less patient: arguments STATE FACTORY.

``SUICIDE`` in the environment is ``stage,stage,…:signal``: the agent sends itself the signal when
one of these stages begins, once for each.  ``CLOCK_OFFSET_S`` is how far the time of day is off.
"""

import asyncio
import logging
import os
import random
import signal
import sys
from dataclasses import replace
from pathlib import Path

from openturret.boot.agent import BootAgent
from openturret.boot.folder import StateFolder
from openturret.boot.identity import Identity
from openturret.boot.lan.binding import Timing
from openturret.boot.lan.interface import IpInterface, run_ip
from openturret.boot.lan.link import InterfacePorts
from openturret.boot.log import start_log
from openturret.boot.slots.health import Pace
from openturret.boot.surroundings import surroundings
from openturret.hal.backoff import Backoff
from openturret.hal.clock import SystemClock


async def main(state: Path, factory: Path) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    interface = IpInterface("eth0", run_ip)
    rng = random.SystemRandom()
    ports = InterfacePorts(interface.name, interface.mac)
    patient = surroundings(interface, ports, WrongClock(), rng)
    hasty = replace(
        patient,
        dhcp=Timing(Backoff(first_s=0.4, cap_s=0.8, jitter=0.25, rng=rng), reboot_s=(0.2, 0.4)),
        health=Pace(look_s=0.02, hold_s=0.2, limit_s=1.5),
        retry=Backoff(first_s=0.2, cap_s=30, jitter=0.25, rng=rng),
        restart=Backoff(first_s=0.02, cap_s=0.1, jitter=0.25, rng=rng),
        safe=Backoff(first_s=600, cap_s=600, jitter=0, rng=rng),
    )
    start_log(StateFolder(state), "OT-0001", hasty.redactor, verbose=False)
    agent = BootAgent(Identity.read(factory), StateFolder(state), hasty)
    logging.getLogger("openturret").addHandler(Suicide(state))
    await agent.run(stop)


class WrongClock(SystemClock):
    """A clock whose time of day is off."""

    def unix(self) -> float:
        return super().unix() + float(os.environ.get("CLOCK_OFFSET_S", "0"))


class Suicide(logging.Handler):
    """Sends this process a signal when certain stages begin, by the events that say so."""

    def __init__(self, state: Path) -> None:
        super().__init__()
        stages, _, number = os.environ.get("SUICIDE", ":9").partition(":")
        self._stages, self._signal = stages.split(","), int(number)
        self._state = state

    def emit(self, record: logging.LogRecord) -> None:
        event = getattr(record, "structured", {})
        stage = event.get("stage", "")
        done = self._state / f"{stage}.suicide"
        if event.get("event") == "started" and stage in self._stages and not done.exists():
            done.touch()
            os.kill(os.getpid(), self._signal)


if __name__ == "__main__":
    asyncio.run(main(*map(Path, sys.argv[1:])))
