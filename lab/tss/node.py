"""One TSS node: FTPES and HTTPS over the same folder."""

from __future__ import annotations

import argparse
import asyncio
import logging
import signal
import threading
from collections.abc import Sequence
from pathlib import Path

from aiohttp import web

from ..plan import TSS_PORTS
from . import ftpes, https
from .database import open_database
from .enrolment import EnrolmentAuthority, Files

logger = logging.getLogger(__name__)


def main(argv: Sequence[str] | None = None) -> None:
    """``python -m openturret.lab.tss``."""
    options = _parser().parse_args(argv)
    logging.basicConfig(level=logging.INFO)
    asyncio.run(_serve(options))


async def _serve(options: argparse.Namespace) -> None:
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    _start_ftpes(options)
    runner = await _start_https(options)
    logger.info("TSS node on %s", options.address)
    await stopped.wait()
    await runner.cleanup()


def _start_ftpes(options: argparse.Namespace) -> None:
    server = ftpes.serve(
        address=options.address,
        port=options.ftpes_port,
        tree=options.directory / "tree",
        certificate=options.certificate,
        database=open_database(options.directory / "tss.db"),
        units=Files.below(options.directory).certificate,
    )
    threading.Thread(
        target=server.serve_forever, kwargs={"handle_exit": False}, name="ftpes", daemon=True
    ).start()


async def _start_https(options: argparse.Namespace) -> web.AppRunner:
    database = open_database(options.directory / "tss.db")
    files = Files.below(options.directory)
    authority = EnrolmentAuthority(files, database)
    runner = web.AppRunner(https.application(options.directory / "tree", database, authority))
    await runner.setup()
    tls = https.context(options.certificate, units=files.certificate)
    site = web.TCPSite(runner, options.address, options.https_port, ssl_context=tls)
    await site.start()
    return runner


def _parser() -> argparse.ArgumentParser:
    ftpes_port, https_port = TSS_PORTS
    parser = argparse.ArgumentParser(prog="python -m openturret.lab.tss", description=__doc__)
    parser.add_argument("--address", default="127.0.0.1", help="where to listen")
    parser.add_argument("--directory", type=Path, required=True, help="the TSS's folder")
    parser.add_argument(
        "--certificate", type=Path, required=True, help="key and certificate in one PEM file"
    )
    parser.add_argument("--ftpes-port", type=int, default=ftpes_port)
    parser.add_argument("--https-port", type=int, default=https_port)
    return parser
