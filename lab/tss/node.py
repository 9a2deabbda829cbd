"""One TSS node: FTPES and HTTPS over the same folder."""

from __future__ import annotations

import argparse
import asyncio
import logging
import resource
from collections.abc import Sequence
from pathlib import Path

from aiohttp import web

from ..plan import TSS_PORTS
from ..stopping import stoppable
from . import https
from .database import open_database
from .enrolment import EnrolmentAuthority, Files
from .ftpes import CONNECTIONS_MAX, FtpesServer
from .request import Tell, ignore

logger = logging.getLogger(__name__)

_BACKLOG = 1024
_OPEN_FILES = 4 * CONNECTIONS_MAX
_IDLE_SECONDS = 30.0


class Node:
    """Serves what the `Administration` of a folder published.

    Args:
        address: where it listens.
        folder: the administration's folder.
        certificate: key and certificate of this node, PEM.
        ports: FTPES and HTTPS.
        tell: told every request, from any thread.
    """

    def __init__(
        self,
        address: str,
        folder: Path,
        certificate: Path,
        *,
        ports: tuple[int, int] = TSS_PORTS,
        tell: Tell = ignore,
    ) -> None:
        self._address = address
        self._folder = folder
        self._certificate = certificate
        self._ports = ports
        self._tell = tell
        self._ftpes: FtpesServer | None = None
        self._https: web.AppRunner | None = None

    async def start(self) -> None:
        """Listen on both ports.

        Raises:
            OSError: a port is taken, or may not be used.
        """
        _allow_many_files()
        self._ftpes = self._make_ftpes()
        self._https = self._make_https()
        await self._https.setup()
        tls = https.context(self._certificate, units=Files.below(self._folder).certificate)
        site = web.TCPSite(
            self._https, self._address, self._ports[1], ssl_context=tls, backlog=_BACKLOG
        )
        await site.start()
        self._ftpes.start()

    async def close(self) -> None:
        """End every connection and free both ports."""
        if self._ftpes is not None:
            await asyncio.to_thread(self._ftpes.close)
        if self._https is not None:
            await self._https.cleanup()

    def _make_ftpes(self) -> FtpesServer:
        return FtpesServer(
            address=self._address,
            port=self._ports[0],
            tree=self._folder / "tree",
            certificate=self._certificate,
            database=open_database(self._folder / "tss.db"),
            units=Files.below(self._folder).certificate,
            tell=self._tell,
        )

    def _make_https(self) -> web.AppRunner:
        database = open_database(self._folder / "tss.db")
        authority = EnrolmentAuthority(Files.below(self._folder), database)
        return web.AppRunner(
            https.application(self._folder / "tree", database, authority),
            access_log_class=https.teller(self._tell),
            keepalive_timeout=_IDLE_SECONDS,
        )


def main(argv: Sequence[str] | None = None) -> None:
    """``python -m openturret.lab.tss``."""
    options = _parser().parse_args(argv)
    logging.basicConfig(level=logging.INFO)
    asyncio.run(stoppable(_serve(options)))


async def _serve(options: argparse.Namespace) -> None:
    ports = options.ftpes_port, options.https_port
    node = Node(options.address, options.directory, options.certificate, ports=ports)
    await node.start()
    logger.info("TSS node on %s", options.address)
    try:
        await asyncio.Event().wait()
    finally:
        await node.close()


def _allow_many_files() -> None:
    """Raise this process's limit of open files towards what a storm of units needs."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _OPEN_FILES if hard == resource.RLIM_INFINITY else min(_OPEN_FILES, hard)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


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
