"""Requests are answered in order, refused ones too, until the framing is lost."""

import asyncio
import json
from functools import partial

from openturret.hal.errors import DeviceError
from openturret.hal.line_service import answered, serve_lines
from openturret.hal.wire.json_lines import MAX_LINE_BYTES, JsonObject


async def do(method: str, params: JsonObject) -> object:
    if method == "refuse":
        raise DeviceError("not now")
    return {method: params}


async def exchange(sent: bytes) -> tuple[list[dict[str, object]], bytes]:
    """Returns the answers, and what came after them when the server had closed."""
    answer = partial(answered, do=do, refusals=DeviceError)
    server = await asyncio.start_server(
        partial(serve_lines, answer=answer, peer="test"), "127.0.0.1", 0
    )
    async with server, asyncio.timeout(10):
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(sent)
        writer.write_eof()
        lines = (await reader.read()).split(b"\n")
        writer.close()
    return [json.loads(line) for line in lines[:-1]], lines[-1]


async def test_each_line_has_its_answer_whatever_it_says() -> None:
    answers, rest = await exchange(
        b'{"id": 1, "method": "lift", "params": {"position": "x"}}\n'
        b'{"id": 2, "method": "refuse", "params": {}}\n'
        b'{"id": 3, "params": {}}\n'
        b"nonsense\n"
    )
    assert rest == b""
    assert answers[0] == {"id": 1, "result": {"lift": {"position": "x"}}}
    assert answers[1] == {"id": 2, "error": "not now"}
    assert answers[2] == {"id": 3, "error": "field 'method' is missing"}
    assert answers[3]["id"] is None
    assert "not a JSON object" in str(answers[3]["error"])


async def test_a_peer_that_loses_its_framing_is_let_go_after_what_came_before() -> None:
    good = b'{"id": 1, "method": "lift", "params": {}}\n'
    answers, _ = await exchange(good + b"x" * (MAX_LINE_BYTES + 1))
    assert answers == [{"id": 1, "result": {"lift": {}}}]
