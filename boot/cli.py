"""The command ``turret boot``: runs the boot agent, or asks one what it is doing."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from .queries import EXIT_OK, events, retry, status
from .supervision.systemd import unit_file

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
        folders = (options.state, options.factory)
        sys.stdout.write(unit_file(*folders, options.interface, options.slots))
        return EXIT_OK
    from .running import run  # what TLS, TUF and DHCP bring along nobody needs for a question

    return run(options)


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
