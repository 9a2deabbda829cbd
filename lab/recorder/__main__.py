"""Run a recorder: ``python -m openturret.lab.recorder --address A --directory D --name A``."""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys
from pathlib import Path

from ...hal.clock import SystemClock
from ..stopping import serve
from .server import RecorderServer
from .session import Where


def _arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m openturret.lab.recorder",
        description="A SIPREC recorder: keeps every stream as WAV, raw payload and metadata.",
    )
    parser.add_argument("--address", default="127.0.0.1", help="address of SIP and RTP")
    parser.add_argument("--port", type=int, default=5060, help="SIP port, UDP and TCP")
    parser.add_argument("--directory", type=Path, required=True, help="where the sessions go")
    parser.add_argument("--name", default="A", help="name of this recorder in files and reports")
    parser.add_argument("--rtp-low", type=int, default=30_000, help="first RTP port")
    parser.add_argument("--rtp-high", type=int, default=30_999, help="last RTP port")
    parser.add_argument("--rtcp-interval", type=float, default=5.0, help="seconds between reports")
    parser.add_argument(
        "--no-replaces",
        action="store_true",
        help="be a recorder whose sessions cannot be taken over (RFC 3891)",
    )
    parser.add_argument("--verbose", action="store_true", help="log what happens")
    return parser.parse_args(argv)


async def _serve(arguments: argparse.Namespace) -> None:
    where = Where(
        arguments.name,
        arguments.address,
        range(arguments.rtp_low, arguments.rtp_high + 1),
        arguments.directory,
        arguments.rtcp_interval,
    )
    server = RecorderServer(
        where, port=arguments.port, clock=SystemClock(), replaces=not arguments.no_replaces
    )
    await serve(server, lambda: f"recorder {where.name} ready at {where.address}:{server.sip.port}")


def main(argv: list[str] | None = None) -> int:
    """Run until SIGINT or SIGTERM; 1 when the address or folder cannot be had."""
    arguments = _arguments(argv)
    level = logging.INFO if arguments.verbose else logging.WARNING
    logging.basicConfig(level=level, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    try:
        asyncio.run(_serve(arguments))
    except OSError as error:
        sys.stderr.write(f"the recorder cannot start: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
