"""Runs a command in the guest: `python -m openturret.lab.guest -- pytest tests/contract`."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import sys
import tempfile
import time
from pathlib import Path

from ...hal.errors import HalError
from ..errors import LabError
from ..stopping import stoppable
from .guest import HAND, Command, Outside, run
from .twins import Twins

EXIT_BROKEN = 3
EXIT_INTERRUPTED = 130
DEADLINE_S = 900.0


def main(argv: list[str] | None = None) -> int:
    """Run the command in a guest.

    Returns:
        The exit status of the command; 2 for wrong usage, 3 when there is no guest or it broke
        off, 130 after Ctrl-C.
    """
    options = _parser().parse_args(argv)
    command = Command(
        tuple(options.command), Path.cwd(), options.deadline, {"OPENTURRET_HAND": HAND}
    )
    try:
        status = asyncio.run(stoppable(_run(command)))
    except (LabError, HalError, OSError) as error:
        sys.stderr.write(f"guest: {error}\n")
        return EXIT_BROKEN
    return EXIT_INTERRUPTED if status is None else status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m openturret.lab.guest",
        description="Boots Debian's own kernel in QEMU with the twins of a TouchPro on its USB "
        "ports, runs a command of this checkout in it, and returns its exit status. The guest "
        "reads this machine's /usr, the checkout and the Python environment, and writes nothing.",
        epilog="example: python -m openturret.lab.guest -- pytest tests/contract --place guest",
    )
    parser.add_argument(
        "--deadline",
        type=float,
        default=DEADLINE_S,
        metavar="SECONDS",
        help=f"longest time that the command may take (default: {DEADLINE_S:g})",
    )
    parser.add_argument("command", nargs="+", help="what to run, after `--`")
    return parser


async def _run(command: Command) -> int:
    started = time.monotonic()

    def progress(text: str) -> None:
        sys.stderr.write(f"guest {time.monotonic() - started:5.1f} s: {text}\n")

    with tempfile.TemporaryDirectory(prefix="ot-twins-") as folder:
        async with Twins(Path(folder)) as twins:
            outside = Outside(command.cwd, twins.ports, twins.hand, sys.stdout.buffer, progress)
            return await run(command, outside)


if __name__ == "__main__":
    with contextlib.suppress(BrokenPipeError):
        sys.exit(main())
