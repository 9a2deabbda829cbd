"""The command ``turret boot``: runs the boot agent, or asks one what it is doing."""

import argparse
import asyncio
import logging
import random
import signal
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from ..hal.clock import SystemClock
from .agent import BootAgent
from .errors import BootError, SlotError
from .folder import StateFolder
from .identity import Identity
from .interface import IpInterface, run_ip
from .link import InterfacePorts
from .log import start_log
from .queries import EXIT_FAILED, EXIT_OK, events, retry, status
from .surroundings import Surroundings, surroundings
from .systemd import unit_file

_BOOT_HELP: Final = """\
Takes a unit from power-on to running, and keeps it so:

  link     waits for the cable
  dhcp     gets an address, for ever if need be; renews it
  dns      finds the servers' addresses
  tftp     asks where the TSS is (a hint, nothing more)
  tss      reaches the TSS over verified TLS
  trust    takes over only what the factory's root of trust signed
  slot     unpacks new firmware beside the old one
  matrix   starts the mixing matrix, OLDCB on TCP 4250
  runtime  starts signalling and panel, TCP 80

What the network cannot give is taken from what it gave last time, with an alarm.
SIGTERM stops agent, matrix and runtime; the address stays, or is released. A killed agent leaves
matrix and runtime alone, and the next agent takes them over.
"""
_BOOT_EPILOG: Final = """\
see also:  turret boot status [--json] [--watch]    stages, durations, errors, what to do
           turret boot events [--json] [--follow]   what happens, as it happens
           turret boot retry                        do not wait any longer
needs:     CAP_NET_RAW (DHCP), CAP_NET_ADMIN (address and routes), CAP_SYS_TIME (clock)
exit:      0 stopped by SIGTERM or SIGINT; 1 the factory folder is damaged; 2 usage
example:   turret boot --state /var/lib/turret --factory /factory --interface eth0
           turret boot --state /var/lib/turret --factory /factory --systemd-unit
"""
_QUERIES: Final = {"status": status, "events": events, "retry": retry}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs ``turret boot`` with these arguments and returns the exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments and arguments[0] in _QUERIES:
        return _QUERIES[arguments[0]](arguments[1:], sys.stdout.write)
    return _boot(_boot_parser().parse_args(arguments))


def _boot(options: argparse.Namespace) -> int:
    if options.systemd_unit:
        sys.stdout.write(unit_file(options.state, options.factory, options.interface))
        return EXIT_OK
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


def _boot_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="turret boot",
        description=_BOOT_HELP,
        epilog=_BOOT_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--state", type=Path, required=True, help="folder that the unit writes")
    parser.add_argument("--factory", type=Path, required=True, help="folder from manufacture")
    parser.add_argument("--interface", default="eth0", help="network interface [%(default)s]")
    parser.add_argument(
        "--slots",
        choices=("files", "rauc"),
        default="files",
        help="who keeps the two firmwares: this agent, or RAUC with a bootloader [%(default)s]",
    )
    parser.add_argument(
        "--systemd-unit", action="store_true", help="print the unit file of such an agent and end"
    )
    parser.add_argument("--verbose", action="store_true", help="log every packet's outcome")
    return parser
