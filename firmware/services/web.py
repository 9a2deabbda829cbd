"""The unit's web server: one listener for administration and panel, and bounds for everybody."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Final

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from .sessions import Lockout, Sessions
from .site import HEARD, Unit, application

HEADER_TIMEOUT_S: Final = 10.0
KEEPALIVE_S: Final = 30.0
CONNECTIONS_MAX: Final = 512


@dataclass(frozen=True, slots=True)
class WebSettings:
    """Where the web server listens; `port` 0 takes any free one."""

    address: str = "0.0.0.0"
    port: int = 80


class WebServer:
    """The unit's web server.

    Args:
        unit: Answers for the runtime.
        sessions: Who is logged in by browser.
        lockout: Who has to wait after wrong passwords.
        settings: Where to listen.
    """

    def __init__(
        self, unit: Unit, sessions: Sessions, lockout: Lockout, settings: WebSettings
    ) -> None:
        self._settings = settings
        self._runner = web.AppRunner(
            application(unit, sessions, lockout),
            access_log=None,
            handle_signals=False,
            keepalive_timeout=KEEPALIVE_S,
            max_line_size=4096,
            max_field_size=4096,
            lingering_time=1.0,
            shutdown_timeout=1.0,
        )
        self._server: asyncio.Server | None = None

    @property
    def port(self) -> int:
        """The port in use; the configured one while the server is stopped."""
        if self._server is None:
            return self._settings.port
        return int(self._server.sockets[0].getsockname()[1])

    async def start(self) -> None:
        """Starts to listen.

        Raises:
            OSError: The port is in use, or too low for this user.
        """
        await self._runner.setup()
        door = _Door(self._runner)
        self._server = await asyncio.get_running_loop().create_server(
            door.protocol, self._settings.address, self._settings.port, reuse_address=True
        )

    async def stop(self) -> None:
        """Closes every connection."""
        if self._server is not None:
            self._server.close()
        await self._runner.cleanup()
        self._server = None


class _Closed(asyncio.Protocol):
    """A connection too many: closed at once."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.close()


class _Door:
    """Gives each connection its handler; closes those that do not ask anything in time."""

    def __init__(self, runner: web.AppRunner) -> None:
        self._runner = runner

    def protocol(self) -> asyncio.Protocol:
        server = self._runner.server
        if server is None or len(server.connections) >= CONNECTIONS_MAX:
            return _Closed()
        handler = server()
        loop = asyncio.get_running_loop()
        loop.call_later(HEADER_TIMEOUT_S, _close_silent, handler, self._runner.app)
        return handler


def _close_silent(handler: RequestHandler, app: web.Application) -> None:
    transport = handler.transport
    if transport is not None and transport not in app[HEARD]:
        transport.abort()
