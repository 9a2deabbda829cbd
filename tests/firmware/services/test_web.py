import asyncio
import contextlib
import json
import re
from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from openturret.firmware.errors import FirmwareError
from openturret.firmware.panel import page
from openturret.firmware.services import site, web
from openturret.firmware.services.errors import BootGoneError, LoginRefusedError
from openturret.firmware.services.sessions import Lockout, Sessions
from openturret.firmware.services.web import WebServer, WebSettings
from openturret.hal.clock import SystemClock
from openturret.hal.wire.json_lines import JsonObject, JsonValue

PANEL = {"X-OpenTurret": "panel"}


class RecordingDesk:
    """Notes what reaches the desk; REST validation ends there."""

    def __init__(self) -> None:
        self.asked: list[tuple[object, ...]] = []

    async def set_hook(self, side: str, off_hook: bool) -> None:
        self.asked.append(("hook", side, off_hook))

    async def dial(self, side: str, number: str) -> str:
        if number == "busy":
            raise FirmwareError("the handset has a call already")
        self.asked.append(("dial", side, number))
        return "call-1"

    async def hang_up(self, side: str) -> None:
        self.asked.append(("hang_up", side))

    async def answer(self, call_id: str, side: str | None = None) -> None:
        self.asked.append(("answer", call_id, side))

    async def hang_up_call(self, call_id: str) -> None:
        self.asked.append(("hang_up_call", call_id))

    async def hold(self, call_id: str) -> None:
        self.asked.append(("hold", call_id))

    async def resume(self, call_id: str, side: str | None = None) -> None:
        self.asked.append(("resume", call_id, side))

    async def move(self, call_id: str, side: str) -> None:
        self.asked.append(("move", call_id, side))

    async def set_volume(self, channel: int, gain_db: float) -> None:
        self.asked.append(("volume", channel, gain_db))

    async def set_mute(self, channel: int, muted: bool) -> None:
        self.asked.append(("mute", channel, muted))

    async def talk(self, channel: int, on: bool) -> None:
        self.asked.append(("talk", channel, on))


class OneUnit:
    """A unit with one user, alice, whose password is "correct horse"."""

    def __init__(self) -> None:
        self.user: str | None = None
        self.recording_desk = RecordingDesk()
        self.changed = asyncio.Condition()
        self.level_readers = 0
        self.boot_is_gone = False
        self.is_recorded = True

    @property
    def desk(self) -> RecordingDesk | None:
        return self.recording_desk if self.user else None

    def allows_calls(self) -> bool:
        return self.is_recorded

    def public_state(self) -> JsonObject:
        return {"unit": {"serial": "TP-1"}, "alarms": []}

    def state(self) -> JsonObject:
        return {**self.public_state(), "user": self.user}

    async def legs(self) -> list[JsonValue]:
        return [{"leg": 1}]

    async def login(self, user: str, password: str) -> str:
        if self.boot_is_gone:
            raise BootGoneError("the boot agent does not answer")
        if password == "no directory":
            raise LoginRefusedError("no directory answers", code="no_directory")
        if (user, password) != ("alice", "correct horse"):
            raise LoginRefusedError("wrong user or password", code="bad_credentials")
        self.user = user
        return "Alice"

    async def logout(self) -> None:
        self.user = None
        await self.touch()

    async def touch(self) -> None:
        async with self.changed:
            self.changed.notify_all()

    async def changes(self) -> AsyncGenerator[None, None]:
        while True:
            async with self.changed:
                await self.changed.wait()
            yield

    async def live(self) -> AsyncGenerator[JsonObject, None]:
        self.level_readers += 1
        try:
            yield {"type": "levels", "levels": {"leg:1": [-20, -96]}}
            await asyncio.Event().wait()
        finally:
            self.level_readers -= 1


@pytest.fixture
def unit() -> OneUnit:
    return OneUnit()


@pytest.fixture
async def server(unit: OneUnit, tmp_path: Path) -> AsyncIterator[WebServer]:
    clock = SystemClock()
    running = WebServer(
        unit,
        Sessions(tmp_path / "sessions.json", clock, 60),
        Lockout(3, 60, clock),
        WebSettings("127.0.0.1", 0),
    )
    await running.start()
    yield running
    await running.stop()


@pytest.fixture
async def browser(server: WebServer) -> AsyncIterator[aiohttp.ClientSession]:
    jar = aiohttp.CookieJar(unsafe=True)
    async with aiohttp.ClientSession(f"http://127.0.0.1:{server.port}", cookie_jar=jar) as session:
        yield session


async def log_in(browser: aiohttp.ClientSession) -> str:
    body = {"user": "alice", "password": "correct horse"}
    async with browser.post("/api/login", json=body) as answer:
        assert answer.status == 200
        return str((await answer.json())["token"])


async def refusal(answer: aiohttp.ClientResponse) -> tuple[int, str]:
    return answer.status, (await answer.json())["error"]["code"]


async def test_the_page_comes_whole_from_the_unit(browser: aiohttp.ClientSession) -> None:
    async with browser.get("/") as answer:
        text = await answer.text()
    assert answer.status == 200
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "aiohttp" not in answer.headers["Server"].lower()
    for name in ("panel.css", "panel.js", "icon.svg"):
        assert name in text
        async with browser.get(f"/{name}") as part:
            assert part.status == 200
            etag = part.headers["ETag"]
        async with browser.get(f"/{name}", headers={"If-None-Match": etag}) as again:
            assert again.status == 304


async def test_without_a_session_only_unit_and_alarms_are_shown(
    browser: aiohttp.ClientSession,
) -> None:
    async with browser.get("/api/state") as answer:
        assert await answer.json() == {"unit": {"serial": "TP-1"}, "alarms": []}
    async with browser.get("/api/legs") as answer:
        assert await refusal(answer) == (401, "no_session")


async def test_a_login_opens_state_and_commands(
    browser: aiohttp.ClientSession, unit: OneUnit
) -> None:
    await log_in(browser)
    async with browser.get("/api/state") as answer:
        assert (await answer.json())["user"] == "alice"
    async with browser.post(
        "/api/handsets/left/dial", json={"number": "2001"}, headers=PANEL
    ) as answer:
        assert await answer.json() == {"ok": True, "call": "call-1"}
    assert unit.recording_desk.asked == [("dial", "left", "2001")]


async def test_the_cookie_is_kept_from_scripts_and_other_sites(
    browser: aiohttp.ClientSession,
) -> None:
    body = {"user": "alice", "password": "correct horse"}
    async with browser.post("/api/login", json=body) as answer:
        cookie = answer.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie


@pytest.mark.parametrize(
    ("path", "body", "asked"),
    [
        ("handsets/right/hook", {"off_hook": True}, ("hook", "right", True)),
        ("handsets/left/hangup", {}, ("hang_up", "left")),
        ("calls/abc/answer", {}, ("answer", "abc", None)),
        ("calls/abc/answer", {"side": "right"}, ("answer", "abc", "right")),
        ("calls/abc/hangup", {}, ("hang_up_call", "abc")),
        ("calls/abc/hold", {}, ("hold", "abc")),
        ("calls/abc/resume", {"side": "left"}, ("resume", "abc", "left")),
        ("calls/abc/move", {"side": "right"}, ("move", "abc", "right")),
        ("speakers/3/volume", {"gain_db": -6}, ("volume", 3, -6.0)),
        ("speakers/3/mute", {"muted": True}, ("mute", 3, True)),
        ("speakers/32/talk", {"on": False}, ("talk", 32, False)),
    ],
)
async def test_a_command_reaches_the_desk(
    browser: aiohttp.ClientSession,
    unit: OneUnit,
    path: str,
    body: dict[str, object],
    asked: tuple[object, ...],
) -> None:
    token = await log_in(browser)
    browser.cookie_jar.clear()
    bearer = {"Authorization": f"Bearer {token}"}
    async with browser.post(f"/api/{path}", json=body, headers=bearer) as answer:
        assert answer.status == 200
    assert unit.recording_desk.asked == [asked]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("handsets/left/hook", {"off_hook": "yes"}),
        ("handsets/left/hook", {}),
        ("handsets/left/dial", {"number": ""}),
        ("handsets/left/dial", {"number": "2001\r\nX: y"}),
        ("handsets/left/dial", {"number": "1" * 129}),
        ("calls/abc/move", {}),
        ("calls/abc/answer", {"side": "middle"}),
        ("calls/abc/resume", {"side": ["left"]}),
        ("speakers/1/volume", {"gain_db": 90}),
        ("speakers/1/volume", {"gain_db": True}),
        ("speakers/1/volume", {"gain_db": None}),
        ("speakers/1/talk", {"on": 1}),
    ],
)
async def test_a_body_with_wrong_values_is_refused_and_nothing_happens(
    browser: aiohttp.ClientSession, unit: OneUnit, path: str, body: dict[str, object]
) -> None:
    await log_in(browser)
    async with browser.post(f"/api/{path}", json=body, headers=PANEL) as answer:
        assert await refusal(answer) == (400, "bad_request")
    assert unit.recording_desk.asked == []


@pytest.mark.parametrize("data", [b"{", b"[]", b"\xff", b"7", b"[" * 5000, b'"x"'])
async def test_a_body_that_is_no_json_object_is_refused(
    browser: aiohttp.ClientSession, data: bytes
) -> None:
    async with browser.post(
        "/api/login", data=data, headers={"Content-Type": "application/json"}
    ) as answer:
        assert answer.status == 400


async def test_a_form_of_another_site_is_refused(
    browser: aiohttp.ClientSession, unit: OneUnit
) -> None:
    await log_in(browser)
    async with browser.post("/api/handsets/left/hangup") as answer:
        assert await refusal(answer) == (403, "header")
    foreign = {**PANEL, "Origin": "http://elsewhere.example"}
    async with browser.post("/api/handsets/left/hangup", headers=foreign) as answer:
        assert await refusal(answer) == (403, "origin")
    async with browser.post("/api/login", data="{}", headers={"Content-Type": "text/plain"}) as no:
        assert no.status == 415
    with pytest.raises(aiohttp.WSServerHandshakeError):
        await browser.ws_connect("/api/events", headers={"Origin": "http://elsewhere.example"})
    assert unit.recording_desk.asked == []


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/api/nothing", 404),
        ("GET", "/../panel/page.py", 404),
        ("GET", "/%2e%2e/%2e%2e/etc/passwd", 404),
        ("DELETE", "/api/state", 405),
        ("POST", "/api/handsets/middle/hangup", 404),
        ("POST", "/api/speakers/0/mute", 404),
        ("POST", "/api/speakers/100/mute", 404),
    ],
)
async def test_what_is_not_there_is_refused_in_json(
    browser: aiohttp.ClientSession, method: str, path: str, status: int
) -> None:
    async with browser.request(method, path) as answer:
        assert await refusal(answer) == (status, "http")


async def test_a_body_that_is_too_large_is_refused(browser: aiohttp.ClientSession) -> None:
    body = {"user": "a", "password": "x" * site.BODY_BYTES_MAX}
    async with browser.post("/api/login", json=body) as answer:
        assert answer.status == 413


async def test_a_command_while_nobody_is_logged_in_at_the_unit_is_refused(
    browser: aiohttp.ClientSession, unit: OneUnit
) -> None:
    await log_in(browser)
    unit.user = None
    async with browser.post("/api/handsets/left/hangup", headers=PANEL) as answer:
        assert await refusal(answer) == (409, "no_user")


async def test_what_the_desk_refuses_is_answered_with_its_reason(
    browser: aiohttp.ClientSession,
) -> None:
    await log_in(browser)
    async with browser.post(
        "/api/handsets/left/dial", json={"number": "busy"}, headers=PANEL
    ) as answer:
        assert answer.status == 409
        assert (await answer.json())["error"]["message"] == "the handset has a call already"


NASTY = (
    b"",
    b"{}",
    b"null",
    b"\x00",
    b'{"number": {"$ne": 1}}',
    b'{"number": "\\ud800"}',
    b'{"number": "%s%n"}',
    b'{"off_hook": null}',
    b'{"gain_db": 1e400}',
    b'{"gain_db": NaN}',
    b'{"gain_db": 99999999999999999999}',
    b'{"side": {}}',
    b'{"on": "true"}',
    b'{"user": [], "password": {}}',
    b'{"number": 1, "number": "2"}',
    b'{"a":' * 3000,
)


@pytest.mark.parametrize(
    "path",
    [
        "login",
        "handsets/left/hook",
        "handsets/left/dial",
        "calls/%00/answer",
        "calls/%2e%2e%2f/move",
        "calls/a%0d%0aX/hangup",
        "speakers/1/volume",
        "speakers/1/mute",
        "speakers/1/talk",
    ],
)
async def test_no_body_makes_the_unit_stumble(browser: aiohttp.ClientSession, path: str) -> None:
    await log_in(browser)
    headers = {**PANEL, "Content-Type": "application/json"}
    for body in NASTY:
        async with browser.post(f"/api/{path}", data=body, headers=headers) as answer:
            assert answer.status < 500, body
            assert isinstance(await answer.json(), dict)


async def test_calls_that_nobody_would_record_are_refused_when_the_policy_says_so(
    browser: aiohttp.ClientSession, unit: OneUnit
) -> None:
    await log_in(browser)
    unit.is_recorded = False
    for path, body in (("handsets/left/dial", {"number": "2001"}), ("calls/abc/answer", {})):
        async with browser.post(f"/api/{path}", json=body, headers=PANEL) as answer:
            assert await refusal(answer) == (409, "unrecorded")
    async with browser.post("/api/handsets/left/hangup", headers=PANEL) as answer:
        assert answer.status == 200
    assert unit.recording_desk.asked == [("hang_up", "left")]


async def test_repeated_wrong_passwords_lock_the_address_out_even_with_the_right_one(
    browser: aiohttp.ClientSession,
) -> None:
    for _ in range(3):
        async with browser.post(
            "/api/login", json={"user": "alice", "password": "wrong"}
        ) as answer:
            assert await refusal(answer) == (401, "bad_credentials")
    async with browser.post(
        "/api/login", json={"user": "alice", "password": "correct horse"}
    ) as answer:
        assert await refusal(answer) == (429, "locked_out")
        assert int(answer.headers["Retry-After"]) > 0


async def test_guesses_at_once_do_not_get_more_tries(browser: aiohttp.ClientSession) -> None:
    async def guess() -> int:
        async with browser.post(
            "/api/login", json={"user": "alice", "password": "wrong"}
        ) as answer:
            return answer.status

    statuses = await asyncio.gather(*(guess() for _ in range(12)))
    assert statuses.count(401) <= 3


@pytest.mark.parametrize("password", ["no directory", "boot"])
async def test_a_login_never_fails_open_and_an_outage_counts_as_no_guess(
    browser: aiohttp.ClientSession, unit: OneUnit, password: str
) -> None:
    unit.boot_is_gone = password == "boot"
    for _ in range(5):
        async with browser.post(
            "/api/login", json={"user": "alice", "password": password}
        ) as answer:
            assert answer.status == 503
            assert "Set-Cookie" not in answer.headers
    unit.boot_is_gone = False
    await log_in(browser)


async def test_a_logout_ends_every_session(browser: aiohttp.ClientSession, unit: OneUnit) -> None:
    await log_in(browser)
    async with browser.post("/api/logout", headers=PANEL) as answer:
        assert answer.status == 200
    assert unit.user is None
    async with browser.get("/api/legs") as answer:
        assert answer.status == 401


async def test_events_bring_state_levels_and_changes(
    browser: aiohttp.ClientSession, unit: OneUnit
) -> None:
    await log_in(browser)
    async with asyncio.timeout(5), browser.ws_connect("/api/events") as events:
        first = [await events.receive_json(), await events.receive_json()]
        assert {message["type"] for message in first} == {"state", "levels"}
        assert unit.level_readers == 1
        unit.user = "bob"
        await unit.touch()
        assert (await events.receive_json())["state"]["user"] == "bob"


async def test_levels_are_read_only_while_a_browser_looks(
    browser: aiohttp.ClientSession, unit: OneUnit
) -> None:
    await log_in(browser)
    async with asyncio.timeout(5):
        events = await browser.ws_connect("/api/events")
        await events.receive_json()
        await events.receive_json()
        await events.close()
        while unit.level_readers:
            await asyncio.sleep(0)


async def test_a_visitor_sees_the_public_state_change_but_no_levels(
    browser: aiohttp.ClientSession, unit: OneUnit
) -> None:
    async with asyncio.timeout(5), browser.ws_connect("/api/events") as events:
        assert (await events.receive_json())["state"] == unit.public_state()
        await unit.touch()
        assert (await events.receive_json())["state"] == unit.public_state()
    assert unit.level_readers == 0


async def test_events_end_with_the_session(browser: aiohttp.ClientSession, unit: OneUnit) -> None:
    await log_in(browser)
    async with asyncio.timeout(5), browser.ws_connect("/api/events") as events:
        await events.receive_json()
        async with browser.post("/api/logout", headers=PANEL) as answer:
            assert answer.status == 200
        await unit.touch()
        closing = [message.type async for message in events]
    assert aiohttp.WSMsgType.ERROR not in closing
    assert events.closed


async def test_a_connection_that_asks_nothing_is_closed(
    server: WebServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(web, "HEADER_TIMEOUT_S", 0.05)
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(b"GET / HTTP/1.1\r\nHost: ")
    async with asyncio.timeout(5):
        with contextlib.suppress(ConnectionResetError):
            assert await reader.read() == b""
    writer.close()


async def test_slow_clients_do_not_keep_others_out(
    server: WebServer, browser: aiohttp.ClientSession
) -> None:
    slow = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(200)]
    for _, writer in slow:
        writer.write(b"GET / HTTP/1.1\r\n")
    async with asyncio.timeout(5), browser.get("/api/state") as answer:
        assert answer.status == 200
    for _, writer in slow:
        writer.close()


async def test_a_header_that_is_too_long_is_refused(server: WebServer) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(b"GET / HTTP/1.1\r\nHost: x\r\nA: " + b"a" * 20_000 + b"\r\n\r\n")
    async with asyncio.timeout(5):
        assert b" 400 " in await reader.readline()
    writer.close()


def test_the_page_asks_no_other_host_for_anything() -> None:
    for name, content in page.files().items():
        hosts = re.findall(r"(?:https?:)?//[a-z0-9.-]+\.[a-z]+[^\s\"']*", content.body.decode())
        assert set(hosts) <= {"http://www.w3.org/2000/svg"}, name


async def test_the_state_is_json_that_any_client_reads(browser: aiohttp.ClientSession) -> None:
    async with browser.get("/api/state") as answer:
        assert answer.content_type == "application/json"
        assert json.loads(await answer.read())
