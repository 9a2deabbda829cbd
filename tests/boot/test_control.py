import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import pytest

from openturret.boot.control import MAX_CLIENTS, ControlServer, ask
from openturret.boot.errors import BadCredentialsError, ControlError
from openturret.hal.wire.json_lines import JsonObject


async def echo(parameters: JsonObject) -> Mapping[str, object]:
    return parameters


async def refuse(_: JsonObject) -> Mapping[str, object]:
    raise BadCredentialsError("user or password is wrong", "type them again")


async def full(_: JsonObject) -> Mapping[str, object]:
    raise OSError(28, "No space left on device")


@pytest.fixture
async def path(tmp_path: Path) -> AsyncIterator[Path]:
    server = ControlServer(
        tmp_path / "run" / "boot.sock", {"echo": echo, "refuse": refuse, "full": full}
    )
    await server.start()
    yield tmp_path / "run" / "boot.sock"
    await server.stop()


async def talk(path: Path, data: bytes) -> list[JsonObject]:
    """Sends bytes, says goodbye, and returns every reply."""
    reader, writer = await asyncio.open_unix_connection(path)
    writer.write(data)
    writer.write_eof()
    async with asyncio.timeout(5):
        replies = await reader.read()
    writer.close()
    return [json.loads(line) for line in replies.splitlines()]


async def test_a_request_is_answered(path: Path) -> None:
    assert await ask(path, "echo", user="alice") == {"user": "alice"}


async def test_an_error_has_a_code_and_a_remedy(path: Path) -> None:
    replies = await talk(path, b'{"id":7,"method":"refuse","params":{}}\n')
    assert replies == [
        {
            "id": 7,
            "error": {
                "code": "bad_credentials",
                "message": "user or password is wrong",
                "remedy": "type them again",
            },
        }
    ]
    with pytest.raises(ControlError, match="wrong"):
        await ask(path, "refuse")


async def test_a_full_medium_is_an_answer_and_the_next_request_is_served(path: Path) -> None:
    replies = await talk(path, b'{"id":1,"method":"full"}\n{"id":2,"method":"echo"}\n')
    assert "No space left" in str(replies[0]["error"])
    assert replies[1] == {"id": 2, "result": {}}


@pytest.mark.parametrize("reply", [b"", b"garbage\n", b'{"id":1}\n', b'{"id":1,"error":7}\n'])
async def test_an_agent_that_talks_nonsense_is_an_error_with_a_remedy(
    tmp_path: Path, reply: bytes
) -> None:
    async def speak(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(reply)
        writer.close()

    async with await asyncio.start_unix_server(speak, tmp_path / "boot.sock"):
        with pytest.raises(ControlError, match="does not answer"):
            await ask(tmp_path / "boot.sock", "status")


async def test_garbage_is_answered_with_an_error_and_the_next_line_is_served(path: Path) -> None:
    lines = [b"garbage", b"[]", b'{"id":1}', b'{"id":"x","method":"echo"}', b'{"method":"none"}',
             b'{"id":1,"method":"echo","params":7}', b"\xff\xfe"]  # fmt: skip
    for line in lines:
        replies = await talk(path, line + b'\n{"id":2,"method":"echo"}\n')
        assert "error" in replies[0]
        assert replies[1] == {"id": 2, "result": {}}


async def test_an_endless_line_costs_its_sender_the_connection(path: Path) -> None:
    replies = await talk(path, b"x" * 70_000)
    assert "longer than" in str(replies[0]["error"])
    assert await ask(path, "echo") == {}


async def test_too_many_clients_are_turned_away(path: Path) -> None:
    clients = [await asyncio.open_unix_connection(path) for _ in range(MAX_CLIENTS)]
    for reader, writer in clients:
        writer.write(b'{"id":1,"method":"echo"}\n')
        await reader.readline()
    reader, writer = await asyncio.open_unix_connection(path)
    assert await reader.read() == b""
    for _, each in [*clients, (reader, writer)]:
        each.close()


async def test_only_this_user_may_connect(path: Path) -> None:
    assert path.stat().st_mode & 0o077 == 0


async def test_a_socket_of_a_dead_agent_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "boot.sock"
    path.write_text("left over")
    server = ControlServer(path, {"echo": echo})
    await server.start()
    assert await ask(path, "echo") == {}
    await server.stop()
    with pytest.raises(ControlError, match="no boot agent"):
        await ask(path, "echo")
