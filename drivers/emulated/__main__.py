"""Runs the emulated hardware of a board: ``python -m openturret.drivers.emulated``."""

import argparse
import asyncio
import logging
import signal
import sys
from pathlib import Path

from ...hal.board import Board, load_board
from ...hal.errors import HalError
from .hardware import Hardware

logger = logging.getLogger(__name__)


def main(arguments: list[str] | None = None) -> int:
    """Serves the devices of ``--board`` under ``--sockets`` until SIGTERM or SIGINT."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    try:
        asyncio.run(_serve(load_board(options.board), options.sockets))
    except (HalError, OSError) as error:
        sys.stderr.write(f"emulated hardware: {error}\n")
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m openturret.drivers.emulated",
        description="The hardware of a turret, emulated: handsets, microphones, loudspeakers, "
        "keys and lamps behind Unix sockets, and hand.sock to work them.",
    )
    parser.add_argument("--board", type=Path, required=True, help="board description (YAML)")
    parser.add_argument("--sockets", type=Path, required=True, help="folder for the sockets")
    return parser


async def _serve(board: Board, folder: Path) -> None:
    hardware = Hardware(board, folder)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await hardware.open()
    logger.info("%s: %d devices in %s", board.name, len(board.devices), folder)
    await stop.wait()
    await hardware.close()


if __name__ == "__main__":
    sys.exit(main())
