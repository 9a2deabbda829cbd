"""The page of the boot as browsers, programs and attackers meet it."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openturret.boot.supervision import page as module
from openturret.boot.supervision.page import CLIENTS_MAX, HEAD_BYTES_MAX, StatusPage, View, page
from openturret.hal.syslog import Redactor

STATUS: dict[str, object] = {
    "model": "TouchPro",
    "serial": "OT-0001",
    "stage": "dhcp",
    "stages": [
        {"name": "dhcp", "state": "running", "duration_s": 1.25, "round_trips": 2,
         "error": "no DHCP server <answered>", "remedy": "check the cable", "detail": "attempt 3"}
    ],
    "alarms": [{"code": "safe.mode", "message": "runtime died 5 times", "remedy": "read its log"}],
}  # fmt: skip


@dataclass
class Unit:
    served: StatusPage
    port: int
    retries: list[str] = field(default_factory=list)

    async def ask(self, request: str | bytes) -> tuple[int, str]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(request.encode() if isinstance(request, str) else request)
        async with asyncio.timeout(10):
            answer = (await reader.read()).decode()
        writer.close()
        return int(answer.split()[1]) if answer else 0, answer

    async def get(self, path: str) -> tuple[int, str]:
        return await self.ask(f"GET {path} HTTP/1.1\r\nHost: unit\r\n\r\n")


@pytest.fixture
async def unit(tmp_path: Path) -> AsyncIterator[Unit]:
    redactor, retries = Redactor(), list[str]()
    redactor.learn("canary")
    (tmp_path / "runtime.log").write_text("x" * 100_000 + "\nTraceback canary\n")
    served = StatusPage(View(lambda: STATUS, tmp_path, redactor, lambda: retries.append("now")))
    await served.open(0)
    assert served.port is not None
    yield Unit(served, served.port, retries)
    await served.close()


async def test_a_person_sees_stage_duration_error_remedy_and_alarm(unit: Unit) -> None:
    code, text = await unit.get("/")
    assert code == 200
    for words in ("TouchPro OT-0001: dhcp", "1.250", "attempt 3", "no DHCP server &lt;answered&gt;",
                  "what to do: check the cable", "alarm safe.mode: runtime died 5 times",
                  "what to do: read its log", "Content-Security-Policy"):  # fmt: skip
        assert words in text
    assert (await unit.get("/boot.css"))[0] == 200


async def test_a_program_reads_the_status(unit: Unit) -> None:
    _, text = await unit.get("/status.json")
    assert json.loads(text.partition("\r\n\r\n")[2]) == STATUS


async def test_the_end_of_a_log_is_shown_without_secrets(unit: Unit) -> None:
    code, text = await unit.get("/log/runtime")
    assert code == 200
    assert text.endswith("Traceback ***\n")
    assert len(text) < 70_000
    assert (await unit.get("/log/matrix"))[0] == 200, "a log that is not there is empty"


@pytest.mark.parametrize(
    "path", ["/log/../../etc/passwd", "/log/boot.log", "/log/", "//", "/x", "/log/%2e%2e"]
)
async def test_nothing_else_is_there(unit: Unit, path: str) -> None:
    assert (await unit.get(path))[0] == 404


async def test_the_panel_of_an_open_browser_learns_that_it_is_early(unit: Unit) -> None:
    code, text = await unit.get("/api/state")
    assert code == 503
    assert "Retry-After" in text
    error = json.loads(text.partition("\r\n\r\n")[2])["error"]
    assert (error["code"], error["remedy"]) == ("booting", "no DHCP server <answered>")


async def test_a_head_has_no_body(unit: Unit) -> None:
    code, text = await unit.ask("HEAD / HTTP/1.1\r\n\r\n")
    assert (code, text.partition("\r\n\r\n")[2]) == (200, "")


@pytest.mark.parametrize(
    ("origin", "code"),
    [("", 303), ("Origin: http://unit\r\n", 303), ("Origin: http://evil.example\r\n", 403),
     ("Origin: null\r\n", 403)],
)  # fmt: skip
async def test_the_button_tries_again_but_not_for_a_page_from_elsewhere(
    unit: Unit, origin: str, code: int
) -> None:
    found, _ = await unit.ask(f"POST /retry HTTP/1.1\r\nHost: unit\r\n{origin}\r\n")
    assert found == code
    assert unit.retries == (["now"] if code == 303 else [])


@pytest.mark.parametrize("request_line", ["DELETE / HTTP/1.1", "POST / HTTP/1.1", "PUT /retry x"])
async def test_nothing_else_may_be_done(unit: Unit, request_line: str) -> None:
    assert (await unit.ask(f"{request_line}\r\n\r\n"))[0] == 405
    assert unit.retries == []


async def test_a_head_without_end_is_refused(unit: Unit) -> None:
    code, _ = await unit.ask(b"GET / HTTP/1.1\r\nX: " + b"x" * (HEAD_BYTES_MAX + 1) + b"\r\n\r\n")
    assert code in (0, 400)


@given(st.binary(max_size=200).map(lambda data: data + b"\r\n\r\n"))
def test_whatever_is_asked_is_answered(data: bytes) -> None:
    async def ask() -> bytes:
        served = StatusPage(View(lambda: STATUS, Path("/nonexistent"), Redactor(), lambda: None))
        reader = asyncio.StreamReader(limit=HEAD_BYTES_MAX)
        reader.feed_data(data)
        reader.feed_eof()
        return bytes(await served._answer(reader))

    assert asyncio.run(ask()).startswith(b"HTTP/1.1 ")


async def test_clients_that_say_nothing_are_few_and_sent_away(
    unit: Unit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PATIENCE_S", 0.2)
    silent = [await asyncio.open_connection("127.0.0.1", unit.port) for _ in range(CLIENTS_MAX + 9)]
    async with asyncio.timeout(10):
        for reader, _ in silent:
            try:
                assert await reader.read() == b""
            except ConnectionResetError:
                continue
    for _, writer in silent:
        writer.close()
    assert (await unit.get("/"))[0] == 200


async def test_the_port_is_free_for_the_panel_when_the_page_has_closed(unit: Unit) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", unit.port)
    await asyncio.sleep(0)
    await unit.served.close()
    assert unit.served.port is None
    async with await asyncio.start_server(lambda r, w: w.close(), "0.0.0.0", unit.port):
        writer.close()
        await unit.served.open(unit.port)
        assert unit.served.port is None, "the panel has the port"


def test_a_page_of_anything_is_a_page() -> None:
    assert "</html>" in page({})
    assert "</html>" in page({"stages": [{}], "alarms": [{}, 7], "stage": None})
