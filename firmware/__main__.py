"""Runs the runtime of a unit: ``python -m openturret.firmware --state DIR``."""

from __future__ import annotations

import argparse
import asyncio
import faulthandler
import logging
import random
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from ..hal.clock import SystemClock
from ..hal.errors import HalError
from ..hal.registry import Registry
from .app import Runtime, Setup
from .errors import FirmwareError
from .services.log import Log

logger = logging.getLogger(__name__)

_EPILOG = """examples:
  turret run --state /var/lib/openturret
  turret run --state state --board board.yaml --verbose

The state folder is the one that `turret boot` keeps: config/unit.yaml, profile/current.yaml,
network.json, board.yaml. Without a configuration the defaults apply (`turret config list`).
The mixing matrix must run beside it (`turret matrix`); calls that it carries are taken back.
SIGTERM hangs up, unregisters and ends; SIGKILL leaves the calls to the matrix and the next start.

exit codes: 0 ended by a signal, 1 could not start, 2 wrong usage"""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs until SIGTERM or SIGINT; returns the exit code."""
    options = _parser().parse_args(argv)
    faulthandler.enable()
    level = logging.DEBUG if options.verbose else logging.INFO
    log = Log("runtime", sys.stderr, level)
    board = options.board or options.state / "board.yaml"
    setup = Setup(options.state, board, options.control_port, options.event_port)
    try:
        asyncio.run(_serve(setup, log))
    except (FirmwareError, HalError, OSError) as error:
        logger.critical("the runtime cannot start: %s", error)
        return 1
    finally:
        log.close()
    return 0


async def _serve(setup: Setup, log: Log) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    runtime = Runtime(setup, Registry(), SystemClock(), random.Random(), log)
    await runtime.run(stop)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="turret run",
        description="The runtime of a unit: SIP, lines, recording, panel.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--state", type=Path, required=True, help="the unit's state folder")
    parser.add_argument("--board", type=Path, help="board description [STATE/board.yaml]")
    parser.add_argument("--control-port", type=int, default=4250, help="OLDCB control port")
    parser.add_argument("--event-port", type=int, default=4251, help="OLDCB event port")
    parser.add_argument("--verbose", action="store_true", help="log what debugging needs, too")
    return parser


if __name__ == "__main__":
    sys.exit(main())
