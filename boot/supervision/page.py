"""A page of the boot, on the panel's port, for as long as the panel itself does not answer.

While a unit boots, or is in safe mode, it shows what ``turret boot status`` shows, and the logs.
It is read only but for one button, "try again now", which does no more than shorten a wait.
Whoever can reach the panel can see it: there is nothing secret in it.
"""

import asyncio
import html
import json
import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Final

from ...hal.syslog import Redactor
from ...hal.wire.json_lines import JsonObject
from ..table import alarms_of, stages_of

logger = logging.getLogger(__name__)

CLIENTS_MAX: Final = 16
HEAD_BYTES_MAX: Final = 8192
PATIENCE_S: Final = 5.0
"""How long a client may take to ask, and how long to take the answer."""

LOG_BYTES_MAX: Final = 65_536
"""How much of the end of a log is shown."""

LOGS: Final = ("boot", "matrix", "runtime")
REFRESH_S: Final = 2

_STYLE = """\
body { font: 16px system-ui, sans-serif; background: #10151c; color: #dfe6ee; margin: 2rem; }
table { border-collapse: collapse; } td, th { padding: .3rem .9rem; text-align: left; }
.failed td, .error { color: #ff9b9b; } .done { color: #8fd19e; } .running { color: #7fb7ff; }
.remedy { color: #ffd479; } a { color: #7fb7ff; }
button { font: inherit; padding: .5rem 1.2rem; }
"""
_HEADERS = """\
Connection: close\r
Cache-Control: no-store\r
Content-Security-Policy: default-src 'none'; style-src 'self'; form-action 'self'; \
frame-ancestors 'none'\r
X-Content-Type-Options: nosniff\r
Referrer-Policy: no-referrer\r
"""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a client gets.

    Attributes:
        headers: Further lines, each with its CRLF.
    """

    status: HTTPStatus
    body: str = ""
    kind: str = "text/html"
    headers: str = ""

    def __bytes__(self) -> bytes:
        """The whole answer (RFC 9112)."""
        body = self.body.encode("utf-8", "replace")
        head = (
            f"HTTP/1.1 {self.status.value} {self.status.phrase}\r\n{_HEADERS}{self.headers}"
            f"Content-Type: {self.kind}; charset=utf-8\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        return head.encode("ascii") + body


@dataclass(frozen=True, slots=True)
class View:
    """What the page shows, and the one thing that it may ask for.

    Attributes:
        status: Stages and alarms, as the control socket shows them.
        logs: The folder of the logs.
        redactor: Takes secrets out of the logs.
        retry: Asks for another attempt now.
    """

    status: Callable[[], Mapping[str, object]]
    logs: Path
    redactor: Redactor
    retry: Callable[[], None]


class StatusPage:
    """Serves the page on a port until the panel wants it.

    Args:
        view: What it shows.
    """

    def __init__(self, view: View) -> None:
        self._view = view
        self._server: asyncio.Server | None = None
        self._clients: set[asyncio.Task[None]] = set()

    @property
    def port(self) -> int | None:
        """The port that it answers on, None while it is closed."""
        return self._server.sockets[0].getsockname()[1] if self._server else None

    async def open(self, port: int) -> None:
        """Serves on a port of every address of the unit; nothing when it is in use or forbidden."""
        await self.close()
        try:
            self._server = await asyncio.start_server(
                self._welcome, "0.0.0.0", port, limit=HEAD_BYTES_MAX
            )
        except OSError as error:
            logger.info("no page of the boot on port %d: %s", port, error)

    async def close(self) -> None:
        """Frees the port and sends every client away."""
        if self._server is None:
            return
        self._server.close()
        self._server = None
        for client in tuple(self._clients):
            client.cancel()
        await asyncio.gather(*self._clients, return_exceptions=True)

    async def _welcome(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is None or len(self._clients) >= CLIENTS_MAX:
            writer.transport.abort()
            return
        self._clients.add(task)
        try:
            async with asyncio.timeout(PATIENCE_S):
                writer.write(bytes(await self._answer(reader)))
                await writer.drain()
                writer.close()
                await writer.wait_closed()
        except (OSError, TimeoutError, asyncio.CancelledError):
            writer.transport.abort()
        finally:
            self._clients.discard(task)

    async def _answer(self, reader: asyncio.StreamReader) -> Answer:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            return Answer(HTTPStatus.BAD_REQUEST)
        request, *lines = head.split("\r\n")
        method, _, rest = request.partition(" ")
        path = rest.partition(" ")[0].partition("?")[0]
        fields = {name.strip().lower(): value.strip()
                  for name, _, value in (line.partition(":") for line in lines)}  # fmt: skip
        if method in ("GET", "HEAD"):
            return _without_body(self._show(path)) if method == "HEAD" else self._show(path)
        if method == "POST" and path == "/retry":
            return self._retry(fields)
        return Answer(HTTPStatus.METHOD_NOT_ALLOWED, headers="Allow: GET, HEAD\r\n")

    def _show(self, path: str) -> Answer:
        if path == "/":
            return Answer(HTTPStatus.OK, page(self._shown()))
        if path == "/boot.css":
            return Answer(HTTPStatus.OK, _STYLE, "text/css")
        if path == "/status.json":
            return Answer(HTTPStatus.OK, json.dumps(self._shown(), indent=1), "application/json")
        name = path.removeprefix("/log/")
        if path.startswith("/log/") and name in LOGS:
            return Answer(HTTPStatus.OK, self._log(name), "text/plain")
        if path.startswith("/api/"):
            return _not_yet(self._shown())
        return Answer(HTTPStatus.NOT_FOUND)

    def _retry(self, fields: Mapping[str, str]) -> Answer:
        """Tries again; a page from elsewhere may not ask for that."""
        origin = fields.get("origin")
        if origin is not None and origin.partition("://")[2] != fields.get("host"):
            return Answer(HTTPStatus.FORBIDDEN)
        self._view.retry()
        return Answer(HTTPStatus.SEE_OTHER, headers="Location: /\r\n")

    def _shown(self) -> JsonObject:
        shown: JsonObject = json.loads(json.dumps(self._view.status()))
        return shown

    def _log(self, name: str) -> str:
        try:
            with (self._view.logs / f"{name}.log").open("rb") as file:
                size = file.seek(0, 2)
                file.seek(max(0, size - LOG_BYTES_MAX))
                text = file.read(LOG_BYTES_MAX).decode("utf-8", "replace")
        except OSError:
            return ""
        return self._view.redactor.clean(text)


def page(status: JsonObject) -> str:
    """Returns the page of a status: stages, durations, errors, remedies, alarms."""
    title = f"{status.get('model')} {status.get('serial')}: {status.get('stage')}"
    logs = " · ".join(f'<a href="/log/{name}">log of {name}</a>' for name in LOGS)
    return "".join(
        [
            '<!doctype html><html lang="en"><head><meta charset="utf-8">',
            f'<meta http-equiv="refresh" content="{REFRESH_S}">',
            '<meta name="viewport" content="width=device-width">',
            f'<link rel="stylesheet" href="/boot.css"><title>{html.escape(title)}</title></head>',
            f"<body><h1>{html.escape(title)}</h1><table>",
            "<tr><th>stage</th><th>state</th><th>seconds</th><th>round trips</th><th></th></tr>",
            *_rows(status),
            "</table>",
            *_alarms(status),
            '<form method="post" action="/retry"><p><button>Try again now</button></p></form>',
            f'<p>{logs} · <a href="/status.json">status.json</a></p></body></html>',
        ]
    )


def _rows(status: JsonObject) -> Iterable[str]:
    for row in stages_of(status):
        cells = (row.name, row.state, row.seconds, row.round_trips, row.detail)
        inner = "".join(f"<td>{html.escape(cell)}</td>" for cell in cells)
        yield f'<tr class="{html.escape(row.state)}">{inner}</tr>'
        if row.error:
            error, remedy = html.escape(row.error), html.escape(row.remedy)
            yield f'<tr><td></td><td colspan="4" class="error">{error}</td></tr>'
            yield f'<tr><td></td><td colspan="4" class="remedy">what to do: {remedy}</td></tr>'


def _alarms(status: JsonObject) -> Iterable[str]:
    for alarm in alarms_of(status):
        words = f"alarm {alarm.code}: {alarm.message}"
        yield f'<p class="error">{html.escape(words)}</p>'
        yield f'<p class="remedy">what to do: {html.escape(alarm.remedy)}</p>'


def _not_yet(status: JsonObject) -> Answer:
    """Tells a program that the panel is not there yet, in the panel's own form."""
    doing = next((row.error or row.detail for row in stages_of(status) if row.state != "done"), "")
    error = {"code": "booting", "message": f"the unit boots: {status.get('stage')}",
             "remedy": doing or "wait for the end of the boot"}  # fmt: skip
    return Answer(
        HTTPStatus.SERVICE_UNAVAILABLE,
        json.dumps({"error": error}),
        "application/json",
        f"Retry-After: {REFRESH_S}\r\n",
    )


def _without_body(answer: Answer) -> Answer:
    return Answer(answer.status, "", answer.kind, answer.headers)
