"""Runs the mixing matrix of a unit: ``python -m openturret.firmware.matrix --state DIR``."""

import argparse
import asyncio
import faulthandler
import logging
import sys
from pathlib import Path

from ...hal.clock import SystemClock
from ...hal.errors import HalError
from ...hal.registry import Registry
from .process import CONTROL_PORT, EVENT_PORT, Setup, serve
from .settings import read_board, read_settings


def main(arguments: list[str] | None = None) -> int:
    """Serves OLDCB until SIGTERM; returns the exit code."""
    options = _parser().parse_args(arguments)
    faulthandler.enable()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    try:
        asyncio.run(serve(_setup(options), Registry(), SystemClock()))
    except (HalError, OSError) as error:
        sys.stderr.write(f"matrix: {error}\n")
        return 1
    return 0


def _setup(options: argparse.Namespace) -> Setup:
    state: Path = options.state
    return Setup(
        state=state,
        settings=read_settings(options.config or state / "config" / "unit.yaml"),
        board=read_board(options.board or state / "board.yaml"),
        control_port=options.control_port,
        event_port=options.event_port,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="turret matrix",
        description="The mixing matrix of a unit: every RTP port and audio device, worked over "
        "OLDCB. It goes on when its clients die; a newcomer lists what is running.",
    )
    parser.add_argument("--state", type=Path, required=True, help="the unit's state folder")
    parser.add_argument("--board", type=Path, help="board description [STATE/board.yaml]")
    parser.add_argument("--config", type=Path, help="configuration [STATE/config/unit.yaml]")
    parser.add_argument(
        "--control-port", type=int, default=CONTROL_PORT, help="TCP port for requests [%(default)s]"
    )
    parser.add_argument(
        "--event-port", type=int, default=EVENT_PORT, help="TCP port for events [%(default)s]"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
