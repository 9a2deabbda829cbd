"""Requests to the page that the boot shows: each is answered, and nothing but POST /retry does."""

import asyncio

from openturret.boot.supervision.page import StatusPage, View
from openturret.hal.syslog import Redactor

from ..data import memory_folder

ERRORS = ()
_LOGS = memory_folder()
_RETRIES: list[None] = []
_LOOP = asyncio.Runner()
_PAGE = StatusPage(
    View(lambda: {"stage": "running", "stages": [], "alarms": []}, _LOGS, Redactor(),
         lambda: _RETRIES.append(None))
)  # fmt: skip


def seeds() -> list[bytes]:
    return [
        b"GET / HTTP/1.1\r\nHost: unit\r\n\r\n",
        b"GET /log/boot?x=1 HTTP/1.1\r\nHost: unit\r\n\r\n",
        b"HEAD /status.json HTTP/1.1\r\nHost: unit\r\n\r\n",
        b"POST /retry HTTP/1.1\r\nHost: unit\r\nOrigin: http://unit\r\nContent-Length: 0\r\n\r\n",
        b"POST /retry HTTP/1.1\r\nHost: unit\r\nOrigin: http://evil\r\n\r\n",
        b"GET /api/state HTTP/1.1\r\n\r\n",
        b"GET /log/../../secret HTTP/1.1\r\n\r\n",
    ]


def run(data: bytes) -> None:
    _RETRIES.clear()
    answer = _LOOP.run(_ask(data))
    if not answer.startswith(b"HTTP/1.1 "):
        raise AssertionError(f"the answer is {answer[:40]!r}")
    if _RETRIES and not data.startswith(b"POST /retry"):
        raise AssertionError("a retry that nobody asked for")


async def _ask(data: bytes) -> bytes:
    if _PAGE.port is None:
        await _PAGE.open(0)
    reader, writer = await asyncio.open_connection("127.0.0.1", _PAGE.port)
    writer.write(data)
    writer.write_eof()
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return answer
