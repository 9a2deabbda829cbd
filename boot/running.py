"""Runs the boot agent of a real unit until a signal ends it."""

import argparse
import asyncio
import logging
import random
import signal
import sys
from dataclasses import replace

from ..hal.clock import SystemClock
from .agent import BootAgent
from .errors import BootError, SlotError
from .folder import StateFolder
from .identity import Identity
from .lan.interface import IpInterface, run_ip
from .lan.link import InterfacePorts
from .log import start_log
from .queries import EXIT_FAILED, EXIT_OK
from .surroundings import Surroundings, surroundings


def run(options: argparse.Namespace) -> int:
    """Runs the agent that the options of ``turret boot`` describe; returns the exit code."""
    try:
        identity = Identity.read(options.factory)
    except BootError as error:
        sys.stderr.write(f"boot: {error}; {error.remedy}\n")
        return EXIT_FAILED
    folder = StateFolder(options.state.absolute())
    interface = IpInterface(options.interface, run_ip)
    ports = InterfacePorts(interface.name, interface.mac)
    around = surroundings(interface, ports, SystemClock(), random.SystemRandom())
    start_log(folder, identity.serial, around.redactor, verbose=options.verbose)
    try:
        asyncio.run(_run(BootAgent(identity, folder, _with_slots(around, options.slots))))
    except (BootError, OSError) as error:
        logging.getLogger(__name__).exception("the agent ends")
        sys.stderr.write(f"boot: {error}\n")
        return EXIT_FAILED
    return EXIT_OK


def _with_slots(around: Surroundings, keeper: str) -> Surroundings:
    """Returns the surroundings with who keeps the firmware.

    Raises:
        SlotError: What RAUC needs is not installed.
    """
    if keeper == "files":
        return around
    try:
        from .slots.rauc import RaucSlots  # D-Bus is for units that have RAUC
    except ImportError as error:
        remedy = "pip install 'openturret[rauc]'"
        raise SlotError(f"no D-Bus for --slots rauc: {error}; {remedy}", remedy) from error
    return replace(around, slots=lambda directory, _: RaucSlots(directory))


async def _run(agent: BootAgent) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await agent.run(stop)
