"""``turret rig hold`` and ``turret rig janitor``: see `lease`."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import Sequence

from ..stopping import stoppable
from .errors import RigError
from .lease import hold, watch

BEAT_S = 5.0
LEASE_S = 20.0
EXIT_INTERRUPTED = 130
_HOLD_EXAMPLES = """examples:
  turret rig hold board=touchpro -- pytest --lg-env emulated.yaml
  turret rig hold name=touchpro-2 -- labgrid-client -c emulated.yaml power cycle

It waits for a free place with these tags, holds it while the command runs, and lets go of it
however the command ends. The command finds the place in $LG_PLACE.
"""


def hold_main(argv: Sequence[str] | None = None) -> int:
    """Hold a place while a command runs.

    Returns:
        The exit status of the command; 1 when no place could be had.
    """
    parser = _parser("hold", "Reserve a place, hold it while a command runs, let go of it.")
    parser.epilog = _HOLD_EXAMPLES
    parser.add_argument(
        "--beat-s", type=float, default=BEAT_S, help="seconds between signs of life"
    )
    parser.add_argument("filters", nargs="+", metavar="TAG=VALUE", help="tags of the place")
    arguments = list(sys.argv[1:] if argv is None else argv)
    ours, command = _split(arguments)
    options = parser.parse_args(ours)
    if not command:
        parser.error("no command; write it after --")
    filters = dict(_pair(parser, text) for text in options.filters)
    work = hold(options.coordinator, filters, command, beat_s=options.beat_s)
    try:
        status = asyncio.run(stoppable(work))
    except RigError as error:
        sys.stderr.write(f"turret rig hold: {error}\n")
        return 1
    return EXIT_INTERRUPTED if status is None else status


def janitor_main(argv: Sequence[str] | None = None) -> int:
    """Take places back whose holders are gone, until Ctrl-C.

    Returns:
        0 after Ctrl-C, 1 when the coordinator does not answer.
    """
    parser = _parser("janitor", "Takes places back whose `turret rig hold` is gone.")
    parser.add_argument(
        "--lease-s", type=float, default=LEASE_S, help="how long a sign of life is good"
    )
    options = parser.parse_args(list(sys.argv[1:] if argv is None else argv))
    try:
        asyncio.run(stoppable(watch(options.coordinator, lease_s=options.lease_s, say=_say)))
    except RigError as error:
        sys.stderr.write(f"turret rig janitor: {error}\n")
        return 1
    return 0


def _split(arguments: list[str]) -> tuple[list[str], list[str]]:
    """What stands before and after the first ``--``."""
    if "--" not in arguments:
        return arguments, []
    middle = arguments.index("--")
    return arguments[:middle], arguments[middle + 1 :]


def _pair(parser: argparse.ArgumentParser, text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not (key and equals and value):
        parser.error(f"{text!r} is not TAG=VALUE")
    return key, value


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _parser(name: str, description: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=f"turret rig {name}",
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--coordinator",
        metavar="HOST:PORT",
        default=os.environ.get("LG_COORDINATOR", "127.0.0.1:20408"),
        help="labgrid's coordinator ($LG_COORDINATOR, else 127.0.0.1:20408)",
    )
    return parser
