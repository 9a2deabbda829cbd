"""Run a turret proxy: ``python -m openturret.lab.tpo --address A --hoot hoot-1=speech.wav``."""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys
from pathlib import Path

from ...hal.clock import SystemClock
from ..errors import LabError
from ..stopping import serve
from .call import Where
from .hoot import Hoot
from .server import TurretProxy


def _hoot(text: str) -> tuple[str, Path]:
    user, equals, path = text.partition("=")
    if not equals or not user:
        raise argparse.ArgumentTypeError(f"{text!r} must be NAME=FILE.wav")
    return user, Path(path)


def _arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m openturret.lab.tpo",
        description="A turret proxy: hoot lines that speak a WAV file over and over.",
    )
    parser.add_argument("--address", default="127.0.0.1", help="address of SIP and RTP")
    parser.add_argument("--port", type=int, default=5060, help="SIP port, UDP and TCP")
    parser.add_argument("--hoot", type=_hoot, action="append", required=True, metavar="NAME=WAV")
    parser.add_argument("--directory", type=Path, default=Path(), help="where heard WAV files go")
    parser.add_argument("--status", type=Path, help="JSON file kept up to date, for tools")
    parser.add_argument("--rtp-low", type=int, default=10_000, help="first RTP port")
    parser.add_argument("--rtp-high", type=int, default=30_000, help="last RTP port")
    parser.add_argument("--verbose", action="store_true", help="log what happens")
    return parser.parse_args(argv)


async def _serve(arguments: argparse.Namespace) -> None:
    ports = range(arguments.rtp_low, arguments.rtp_high + 1)
    proxy = TurretProxy(
        [Hoot.load(user, path) for user, path in arguments.hoot],
        Where(arguments.address, ports, arguments.directory),
        port=arguments.port,
        clock=SystemClock(),
        status=arguments.status,
    )
    await serve(proxy, lambda: f"tpo ready at {arguments.address}:{proxy.sip.port}")


def main(argv: list[str] | None = None) -> int:
    """Run until SIGINT or SIGTERM; 1 when a file, the address or a port cannot be had."""
    arguments = _arguments(argv)
    level = logging.INFO if arguments.verbose else logging.WARNING
    logging.basicConfig(level=level, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    try:
        asyncio.run(_serve(arguments))
    except (LabError, OSError) as error:
        sys.stderr.write(f"the turret proxy cannot start: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
