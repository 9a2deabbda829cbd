"""The HTTPS side of a TSS node: the same tree as FTPES, under the same rule.

A unit proves itself by the certificate that it got here (RFC 7030, `est`), or by HTTP basic
authentication over TLS (RFC 7617) while the TSS does not demand certificates.
"""

from __future__ import annotations

import ssl
from pathlib import Path

from aiohttp import web
from aiohttp.abc import AbstractAccessLogger
from aiohttp.typedefs import Handler, Middleware
from sqlalchemy import Engine

from .access import by_certificate, by_password, may_read
from .database import unit_may_fetch
from .enrolment import EnrolmentAuthority
from .est import MAX_REQUEST_BYTES, PREFIX, EstServer
from .request import Request, Tell

_UNIT = web.RequestKey("unit", str)
"""Who a request was let in as: the MAC."""


def application(tree: Path, database: Engine, authority: EnrolmentAuthority) -> web.Application:
    """The web application of a node."""
    app = web.Application(middlewares=[_guard(database)], client_max_size=MAX_REQUEST_BYTES)
    app.router.add_get("/health", _health)
    app.router.add_static("/metadata", tree / "metadata")
    app.router.add_static("/targets", tree / "targets")
    EstServer(authority, database).add_to(app)
    return app


def context(certificate: Path, *, units: Path) -> ssl.SSLContext:
    """A server's TLS context: TLS 1.2 at least, and a unit may show its certificate.

    Args:
        certificate: key and certificate, PEM.
        units: the certificate of the authority that enrols units, PEM.
    """
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    made.load_cert_chain(certificate)
    made.load_verify_locations(cafile=str(units))
    made.verify_mode = ssl.CERT_OPTIONAL
    return made


def teller(tell: Tell) -> type[AbstractAccessLogger]:
    """What tells of every answered request.

    Args:
        tell: told it.
    """

    class Teller(AbstractAccessLogger):
        """Called by aiohttp once an answer is sent."""

        @property
        def enabled(self) -> bool:
            """Whether anything is to be told; never asks the log's level."""
            return True

        def log(self, request: web.BaseRequest, response: web.StreamResponse, time: float) -> None:
            """Tells of one request; what nobody logged in for has no unit."""
            good = response.status in (200, 206, 304)
            tell(
                Request(
                    "https", request.remote or "", request.get(_UNIT, ""),
                    request.path.lstrip("/"),
                    "ok" if good else f"{response.status} {response.reason}".lower(),
                    (response.content_length or 0) if good else 0,
                )
            )  # fmt: skip

    return Teller


async def _health(_request: web.Request) -> web.Response:
    return web.json_response({"status": "ok"})


def _guard(database: Engine) -> Middleware:
    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path == "/health" or request.path.startswith(f"{PREFIX}/"):
            return await handler(request)
        mac = by_certificate(request, database) or by_password(request, database, unit_may_fetch)
        request[_UNIT] = mac
        if not may_read(mac, request.path.lstrip("/")):
            raise web.HTTPNotFound
        return await handler(request)

    return guard
