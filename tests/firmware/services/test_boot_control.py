import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from openturret.firmware.services.boot_control import BootControl
from openturret.firmware.services.errors import BootGoneError, LoginRefusedError


@asynccontextmanager
async def answering(tmp_path: Path, reply: bytes) -> AsyncIterator[tuple[BootControl, list[bytes]]]:
    """A Unix socket that answers every request with the same bytes, whatever they are."""
    heard: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.readline())
        writer.write(reply)
        writer.close()

    path = tmp_path / "boot.sock"
    server = await asyncio.start_unix_server(serve, path)
    async with server:
        yield BootControl(path), heard


def line(message: object) -> bytes:
    return json.dumps(message).encode() + b"\n"


async def test_a_login_carries_user_and_password_and_returns_the_profile(tmp_path: Path) -> None:
    result = {"user": "alice", "name": "Alice", "profile": "/state/profile/alice.yaml"}
    async with answering(tmp_path, line({"id": 1, "result": result})) as (boot, heard):
        login = await boot.login("alice", "correct horse")
    assert login.profile == Path("/state/profile/alice.yaml")
    assert json.loads(heard[0])["method"] == "login"
    assert json.loads(heard[0])["params"] == {"user": "alice", "password": "correct horse"}


async def test_a_refusal_keeps_its_code_and_remedy(tmp_path: Path) -> None:
    error = {"code": "bad_credentials", "message": "wrong password", "remedy": "try again"}
    async with answering(tmp_path, line({"id": 1, "error": error})) as (boot, _):
        with pytest.raises(LoginRefusedError, match="wrong password") as refused:
            await boot.login("alice", "wrong")
    assert (refused.value.code, refused.value.remedy) == ("bad_credentials", "try again")


@pytest.mark.parametrize(
    "reply",
    [b"", b"\n", b"{", b"[]\n", b'{"id":1,"result":{}}\n', b'{"result":7}\n', b"x" * 100_000],
)
async def test_nonsense_never_lets_anybody_in(tmp_path: Path, reply: bytes) -> None:
    async with answering(tmp_path, reply) as (boot, _):
        with pytest.raises(BootGoneError):
            await boot.login("alice", "correct horse")


async def test_a_boot_agent_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(BootGoneError, match="does not answer"):
        await BootControl(tmp_path / "none.sock").status()


async def test_a_report_names_stage_and_state(tmp_path: Path) -> None:
    async with answering(tmp_path, line({"id": 1, "result": {}})) as (boot, heard):
        await boot.report("register", "done", "both PBXs")
    assert json.loads(heard[0])["params"] == {
        "stage": "register",
        "state": "done",
        "detail": "both PBXs",
    }
