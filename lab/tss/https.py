"""The HTTPS side of a TSS node: the same tree as FTPES, under the same rule.

A unit proves itself by HTTP basic authentication over TLS (RFC 7617); its user name is its
MAC with dashes, because a colon ends the user name.
"""

from __future__ import annotations

import ssl
from pathlib import Path

from aiohttp import BasicAuth, web
from aiohttp.typedefs import Handler, Middleware
from sqlalchemy import Engine

from .access import may_read
from .database import unit_may_fetch

_REALM = {"WWW-Authenticate": 'Basic realm="TSS"'}


def application(tree: Path, database: Engine) -> web.Application:
    """The web application of a node."""
    app = web.Application(middlewares=[_guard(database)])
    app.router.add_get("/health", _health)
    app.router.add_static("/metadata", tree / "metadata")
    app.router.add_static("/targets", tree / "targets")
    return app


def context(certificate: Path) -> ssl.SSLContext:
    """A server's TLS context: TLS 1.2 at least.

    Args:
        certificate: key and certificate, PEM.
    """
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    made.load_cert_chain(certificate)
    return made


async def _health(_request: web.Request) -> web.Response:
    return web.json_response({"status": "ok"})


def _guard(database: Engine) -> Middleware:
    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path == "/health":
            return await handler(request)
        mac = _authenticated(request, database)
        if not may_read(mac, request.path.lstrip("/")):
            raise web.HTTPNotFound
        return await handler(request)

    return guard


def _authenticated(request: web.Request, database: Engine) -> str:
    try:
        credentials = BasicAuth.decode(request.headers.get("Authorization", ""))
    except ValueError as error:
        raise web.HTTPUnauthorized(headers=_REALM) from error
    if not unit_may_fetch(database, credentials.login, credentials.password):
        raise web.HTTPUnauthorized(headers=_REALM)
    login: str = credentials.login
    return login
