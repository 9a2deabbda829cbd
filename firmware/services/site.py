"""The answers of the unit's web server: REST, and a WebSocket for what changes.

Commands need a session (cookie or bearer token).  A cookie alone is not enough: the panel also
sends a header of its own, which a page from elsewhere cannot, and a foreign Origin is refused.
"""

from __future__ import annotations

import asyncio
import json
import logging
import weakref
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing
from typing import Final, Protocol, TypeAlias

from aiohttp import WSMsgType, web

from ...hal.errors import HalError
from ...hal.wire.json_lines import JsonObject, JsonValue
from ..errors import FirmwareError
from ..panel import page
from .errors import BootGoneError, LoginRefusedError, RequestRefusedError, ServiceError
from .sessions import Lockout, Sessions

logger = logging.getLogger(__name__)

COOKIE: Final = "turret_session"
PANEL_HEADER: Final = "X-OpenTurret"
"""Header without which a cookie is not believed."""

BODY_BYTES_MAX: Final = 16_384
BODY_TIMEOUT_S: Final = 10.0
BROWSERS_MAX: Final = 32
LOGINS_WAITING_MAX: Final = 4
STATE_INTERVAL_S: Final = 0.1
SLOW_BROWSER_S: Final = 5.0

_HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        "connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'self'; "
        "frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Cache-Control": "no-store",
}

Handler: TypeAlias = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Desk(Protocol):
    """What a browser may ask of the calls; each method raises to refuse."""

    async def set_hook(self, side: str, off_hook: bool) -> None:
        """Lifts or puts back a handset."""
        ...

    async def dial(self, side: str, number: str) -> str:
        """Calls a number from a handset; returns the id of the call."""
        ...

    async def hang_up(self, side: str) -> None:
        """Ends the call of a handset."""
        ...

    async def hang_up_call(self, call_id: str) -> None:
        """Ends or refuses a call, wherever it is."""
        ...

    async def answer(self, call_id: str, side: str | None = None) -> None:
        """Takes an incoming call, onto any free handset when `side` is None."""
        ...

    async def hold(self, call_id: str) -> None:
        """Puts a call on hold."""
        ...

    async def resume(self, call_id: str, side: str | None = None) -> None:
        """Takes a held call back."""
        ...

    async def move(self, call_id: str, side: str) -> None:
        """Moves a call to the other handset."""
        ...

    async def set_volume(self, channel: int, gain_db: float) -> None:
        """Sets the volume of a speaker channel."""
        ...

    async def set_mute(self, channel: int, muted: bool) -> None:
        """Silences a speaker channel, or lets it be heard again."""
        ...

    async def talk(self, channel: int, on: bool) -> None:
        """Talks into a speaker channel, or stops."""
        ...


class Unit(Protocol):
    """The runtime as the web sees it."""

    @property
    def desk(self) -> Desk | None:
        """The calls of who is logged in; None while nobody is."""
        ...

    def allows_calls(self) -> bool:
        """Whether new calls may be made, for a policy may forbid them unrecorded."""
        ...

    def public_state(self) -> JsonObject:
        """What everybody may see: unit, boot and alarms."""
        ...

    def state(self) -> JsonObject:
        """Everything."""
        ...

    async def legs(self) -> list[JsonValue]:
        """Every RTP leg of the matrix, with its counters."""
        ...

    async def login(self, user: str, password: str) -> str:
        """Logs a user in; returns the name to show.  Raises LoginRefusedError, BootGoneError."""
        ...

    async def logout(self) -> None:
        """Logs the user out."""
        ...

    def changes(self) -> AsyncGenerator[None, None]:
        """Wakes whenever the state may have changed; changes in between are taken together."""
        ...

    def live(self) -> AsyncGenerator[JsonObject, None]:
        """Levels and alarms as they happen, as messages for the browser."""
        ...


HEARD: web.AppKey[weakref.WeakSet[object]] = web.AppKey("heard", weakref.WeakSet)
"""The connections that have asked something."""


def application(unit: Unit, sessions: Sessions, lockout: Lockout) -> web.Application:
    """Everything that the unit answers over HTTP.

    Args:
        unit: Answers for the runtime.
        sessions: Who is logged in by browser.
        lockout: Who has to wait after wrong passwords.
    """
    site = Site(unit, sessions, lockout)
    app = web.Application(middlewares=[_guard], client_max_size=BODY_BYTES_MAX)
    app[HEARD] = weakref.WeakSet()
    app.on_response_prepare.append(_add_headers)
    app.on_shutdown.append(site.close)
    app.add_routes(site.routes())
    app.add_routes(
        web.get(f"/{name}" if name != "index.html" else "/", _static(content))
        for name, content in page.files().items()
    )
    return app


async def _add_headers(_: web.Request, response: web.StreamResponse) -> None:
    response.headers["Server"] = "OpenTurret"
    for name, value in _HEADERS.items():
        response.headers.setdefault(name, value)


def _static(content: page.Content) -> Handler:
    async def answer(request: web.Request) -> web.StreamResponse:
        headers = {"ETag": content.etag, "Cache-Control": "no-cache"}
        if request.headers.get("If-None-Match") == content.etag:
            return web.Response(status=304, headers=headers)
        return web.Response(
            body=content.body, content_type=content.type, charset="utf-8", headers=headers
        )

    return answer


@web.middleware
async def _guard(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuses what comes from a foreign page; turns every refusal into JSON."""
    if request.transport is not None:
        request.app[HEARD].add(request.transport)
    try:
        _refuse_foreign(request)
        return await handler(request)
    except web.HTTPException as error:
        return _error(error.status, "http", error.reason, headers=_allow(error))
    except RequestRefusedError as error:
        return _error(error.status, error.code, str(error), error.remedy, error.headers)
    except ServiceError as error:
        return _error(503, error.code, str(error), error.remedy)
    except FirmwareError as error:
        return _error(409, "refused", str(error), getattr(error, "remedy", ""))
    except HalError as error:
        return _error(503, getattr(error, "code", "hardware"), str(error))
    except (asyncio.CancelledError, ConnectionError):
        raise
    except Exception:
        logger.exception("%s %s failed", request.method, request.path)
        return _error(500, "internal", "the unit made a mistake; its log says more")


def _allow(error: web.HTTPException) -> dict[str, str]:
    return {"Allow": error.headers["Allow"]} if "Allow" in error.headers else {}


def _error(
    status: int, code: str, message: str, remedy: str = "", headers: Mapping[str, str] | None = None
) -> web.Response:
    body = {"error": {"code": code, "message": message, "remedy": remedy}}
    return web.json_response(body, status=status, headers=headers)


def _refuse_foreign(request: web.Request) -> None:
    origin = request.headers.get("Origin")
    if origin is not None and origin.partition("://")[2] != request.host:
        raise RequestRefusedError("this page may not command the unit", status=403, code="origin")


def _token(request: web.Request) -> str:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return token if scheme.lower() == "bearer" else request.cookies.get(COOKIE, "")


def _is_believed(request: web.Request) -> bool:
    """Whether the request proves that it is no page from elsewhere: a header no form can send."""
    return "Authorization" in request.headers or PANEL_HEADER in request.headers


async def _body(request: web.Request) -> JsonObject:
    """The JSON object of a request; an absent body is an empty object."""
    try:
        async with asyncio.timeout(BODY_TIMEOUT_S):
            text = await request.text()
        found = json.loads(text) if text else {}
    except TimeoutError as error:
        raise RequestRefusedError("the request came too slowly", status=408) from error
    except (ValueError, LookupError, RecursionError) as error:
        raise RequestRefusedError("the request is not JSON") from error
    if text and request.content_type != "application/json":
        raise RequestRefusedError("send Content-Type: application/json", status=415)
    if not isinstance(found, dict):
        raise RequestRefusedError("the request is not a JSON object")
    return found


def _flag(body: JsonObject, name: str) -> bool:
    value = body.get(name)
    if not isinstance(value, bool):
        raise RequestRefusedError(f"{name} must be true or false")
    return value


def _text(body: JsonObject, name: str, length_max: int) -> str:
    value = body.get(name)
    if not isinstance(value, str) or not 0 < len(value) <= length_max or not value.isprintable():
        raise RequestRefusedError(f"{name} must be a text of 1 to {length_max} characters")
    return value


def _side(body: JsonObject) -> str | None:
    """The handset that a body names; None when it names none."""
    value = body.get("side")
    if value is not None and (not isinstance(value, str) or value not in {"left", "right"}):
        raise RequestRefusedError("side must be left or right")
    return value


def _gain_db(body: JsonObject) -> float:
    value = body.get("gain_db")
    if isinstance(value, bool) or not isinstance(value, int | float) or not -60 <= value <= 12:
        raise RequestRefusedError("gain_db must be a number from -60 to 12")
    return float(value)


class Site:
    """The answers, one method for each path."""

    def __init__(self, unit: Unit, sessions: Sessions, lockout: Lockout) -> None:
        self._unit = unit
        self._sessions = sessions
        self._lockout = lockout
        self._browsers: set[web.WebSocketResponse] = set()
        self._login_lock = asyncio.Lock()
        self._logins_waiting = 0

    def routes(self) -> list[web.RouteDef]:
        """Every path of the interface."""
        side, call, channel = "{side:left|right}", "{call:[^/]{1,128}}", "{channel:[1-9][0-9]?}"
        return [
            web.get("/api/state", self._get_state),
            web.get("/api/legs", self._get_legs),
            web.get("/api/events", self._get_events),
            web.post("/api/login", self._login),
            web.post("/api/logout", self._command(self._logout)),
            web.post(f"/api/handsets/{side}/hook", self._command(self._hook)),
            web.post(f"/api/handsets/{side}/dial", self._command(self._dial)),
            web.post(f"/api/handsets/{side}/hangup", self._command(self._hang_up)),
            web.post(f"/api/calls/{call}/answer", self._command(self._answer)),
            web.post(f"/api/calls/{call}/hangup", self._command(self._hang_up_call)),
            web.post(f"/api/calls/{call}/hold", self._command(self._hold)),
            web.post(f"/api/calls/{call}/resume", self._command(self._resume)),
            web.post(f"/api/calls/{call}/move", self._command(self._move)),
            web.post(f"/api/speakers/{channel}/volume", self._command(self._volume)),
            web.post(f"/api/speakers/{channel}/mute", self._command(self._mute)),
            web.post(f"/api/speakers/{channel}/talk", self._command(self._talk)),
        ]

    async def close(self, _: web.Application) -> None:
        """Sends every browser away; it comes back by itself."""
        for browser in tuple(self._browsers):
            await browser.close(code=1001, message=b"the runtime stops")

    def _user(self, request: web.Request) -> str | None:
        return self._sessions.user(_token(request))

    def _command(self, handler: Handler) -> Handler:
        """The handler, for who is logged in and comes from the panel itself."""

        async def guarded(request: web.Request) -> web.StreamResponse:
            self._require_user(request)
            if not _is_believed(request):
                raise RequestRefusedError(f"{PANEL_HEADER} is missing", status=403, code="header")
            return await handler(request)

        return guarded

    def _require_user(self, request: web.Request) -> None:
        if self._user(request) is None:
            raise RequestRefusedError(
                "log in first", status=401, code="no_session", remedy="POST /api/login"
            )

    @property
    def _desk(self) -> Desk:
        if self._unit.desk is None:
            raise RequestRefusedError("nobody is logged in at the unit", status=409, code="no_user")
        return self._unit.desk

    def _refuse_unrecorded(self) -> None:
        if not self._unit.allows_calls():
            raise RequestRefusedError(
                "both recorders are lost and the policy forbids calls that nobody records",
                status=409,
                code="unrecorded",
                remedy="bring a recorder back, or ask for another application.recording.policy",
            )

    def _state(self, request: web.Request) -> JsonObject:
        return self._unit.state() if self._user(request) else self._unit.public_state()

    async def _get_state(self, request: web.Request) -> web.StreamResponse:
        return web.json_response(self._state(request))

    async def _get_legs(self, request: web.Request) -> web.StreamResponse:
        self._require_user(request)
        return web.json_response({"legs": await self._unit.legs()})

    async def _login(self, request: web.Request) -> web.StreamResponse:
        body = await _body(request)
        user, password = _text(body, "user", 128), _text(body, "password", 256)
        if self._logins_waiting >= LOGINS_WAITING_MAX:
            raise RequestRefusedError("others are logging in", status=503, code="busy")
        self._logins_waiting += 1
        try:
            async with self._login_lock:
                name = await self._admit(request.remote or "", user, password)
        finally:
            self._logins_waiting -= 1
        return self._welcome(user, name)

    async def _admit(self, address: str, user: str, password: str) -> str:
        wait_s = self._lockout.wait_s(address)
        if wait_s > 0:
            raise _locked_out(wait_s)
        try:
            name = await self._unit.login(user, password)
        except LoginRefusedError as error:
            if error.code == "bad_credentials":
                self._lockout.failed(address)
                raise _refused(error, 401) from error
            raise _refused(error, 429 if error.code == "locked_out" else 503) from error
        except BootGoneError as error:
            raise _refused(error, 503) from error
        self._lockout.succeeded(address)
        return name

    def _welcome(self, user: str, name: str) -> web.Response:
        token = self._sessions.create(user)
        response = web.json_response({"token": token, "user": user, "name": name})
        response.set_cookie(COOKIE, token, httponly=True, samesite="Strict", path="/")
        return response

    async def _logout(self, _: web.Request) -> web.StreamResponse:
        await self._unit.logout()
        self._sessions.end_all()
        response = _done()
        response.del_cookie(COOKIE, httponly=True, samesite="Strict", path="/")
        return response

    async def _hook(self, request: web.Request) -> web.StreamResponse:
        off_hook = _flag(await _body(request), "off_hook")
        await self._desk.set_hook(request.match_info["side"], off_hook)
        return _done()

    async def _dial(self, request: web.Request) -> web.StreamResponse:
        number = _text(await _body(request), "number", 128)
        self._refuse_unrecorded()
        call = await self._desk.dial(request.match_info["side"], number)
        return _done({"call": call})

    async def _hang_up(self, request: web.Request) -> web.StreamResponse:
        await self._desk.hang_up(request.match_info["side"])
        return _done()

    async def _hang_up_call(self, request: web.Request) -> web.StreamResponse:
        await self._desk.hang_up_call(request.match_info["call"])
        return _done()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        side = _side(await _body(request))
        self._refuse_unrecorded()
        await self._desk.answer(request.match_info["call"], side)
        return _done()

    async def _hold(self, request: web.Request) -> web.StreamResponse:
        await self._desk.hold(request.match_info["call"])
        return _done()

    async def _resume(self, request: web.Request) -> web.StreamResponse:
        side = _side(await _body(request))
        await self._desk.resume(request.match_info["call"], side)
        return _done()

    async def _move(self, request: web.Request) -> web.StreamResponse:
        side = _side(await _body(request))
        if side is None:
            raise RequestRefusedError("side must be left or right")
        await self._desk.move(request.match_info["call"], side)
        return _done()

    async def _volume(self, request: web.Request) -> web.StreamResponse:
        gain_db = _gain_db(await _body(request))
        await self._desk.set_volume(_channel(request), gain_db)
        return _done()

    async def _mute(self, request: web.Request) -> web.StreamResponse:
        muted = _flag(await _body(request), "muted")
        await self._desk.set_mute(_channel(request), muted)
        return _done()

    async def _talk(self, request: web.Request) -> web.StreamResponse:
        on = _flag(await _body(request), "on")
        await self._desk.talk(_channel(request), on)
        return _done()

    async def _get_events(self, request: web.Request) -> web.StreamResponse:
        if len(self._browsers) >= BROWSERS_MAX:
            raise RequestRefusedError("too many browsers are connected", status=503, code="busy")
        browser = web.WebSocketResponse(heartbeat=20.0, max_msg_size=1024, compress=False)
        await browser.prepare(request)
        self._browsers.add(browser)
        try:
            await self._serve(browser, request)
        finally:
            self._browsers.discard(browser)
        return browser

    async def _serve(self, browser: web.WebSocketResponse, request: web.Request) -> None:
        tasks = [asyncio.create_task(self._send_states(browser, request))]
        if self._user(request):
            tasks.append(asyncio.create_task(self._send_live(browser)))
        tasks.append(asyncio.create_task(_ignore_messages(browser)))
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await browser.close()

    async def _send_states(self, browser: web.WebSocketResponse, request: web.Request) -> None:
        """Sends the state now and after every change; ends when the session ends or begins."""
        user = self._user(request)
        await _send(browser, {"type": "state", "state": self._state(request)})
        async with aclosing(self._unit.changes()) as changes:
            async for _ in changes:
                if self._user(request) != user:
                    return
                await _send(browser, {"type": "state", "state": self._state(request)})
                await asyncio.sleep(STATE_INTERVAL_S)

    async def _send_live(self, browser: web.WebSocketResponse) -> None:
        async with aclosing(self._unit.live()) as messages:
            async for message in messages:
                await _send(browser, message)


async def _send(browser: web.WebSocketResponse, message: JsonObject) -> None:
    """Sends a message, to a browser that takes it within a few seconds."""
    async with asyncio.timeout(SLOW_BROWSER_S):
        await browser.send_str(json.dumps(message, separators=(",", ":")))


async def _ignore_messages(browser: web.WebSocketResponse) -> None:
    async for message in browser:
        if message.type is not WSMsgType.TEXT:
            return


def _channel(request: web.Request) -> int:
    return int(request.match_info["channel"])


def _done(extra: JsonObject | None = None) -> web.Response:
    return web.json_response({"ok": True, **(extra or {})})


def _locked_out(wait_s: float) -> RequestRefusedError:
    seconds = int(wait_s) + 1
    return RequestRefusedError(
        f"too many wrong passwords: try again in {seconds} s",
        status=429,
        code="locked_out",
        remedy="wait, then check user and password",
        headers={"Retry-After": str(seconds)},
    )


def _refused(error: ServiceError, status: int) -> RequestRefusedError:
    return RequestRefusedError(str(error), status=status, code=error.code, remedy=error.remedy)
