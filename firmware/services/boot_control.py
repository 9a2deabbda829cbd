"""Asks the boot agent over its control socket: status, login, logout, report.

One request per connection, JSON lines both ways; the boot agent may come and go.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ...hal.errors import WireError
from ...hal.wire.json_lines import (
    JsonObject,
    JsonValue,
    LineSplitter,
    decode,
    encode,
    field,
    optional,
)
from .errors import BootGoneError, LoginRefusedError

LOGIN_TIMEOUT_S: Final = 60.0
"""A login waits for a directory, a fallback directory and a profile transfer."""

REQUEST_TIMEOUT_S: Final = 5.0
_CHUNK_BYTES: Final = 16_384


@dataclass(frozen=True, slots=True)
class Login:
    """Who was let in.

    Attributes:
        user: The identifier that was typed.
        name: The name that the directory or the profile gives.
        profile: Where the verified profile lies.
    """

    user: str
    name: str
    profile: Path


class BootControl:
    """The boot agent of this unit, as the runtime sees it.

    Args:
        socket: Path of the control socket.
    """

    def __init__(self, socket: Path) -> None:
        self._socket = socket
        self._numbers = itertools.count(1)

    def agent(self) -> object:
        """Returns what differs from one boot agent to the next; None while none is there."""
        try:
            found = self._socket.stat()
        except OSError:
            return None
        return found.st_ino, found.st_ctime_ns

    async def status(self) -> JsonObject:
        """Stages, alarms and versions as boot reports them.

        Raises:
            BootGoneError: Boot does not answer.
        """
        return await self._request("status", {}, REQUEST_TIMEOUT_S)

    async def login(self, user: str, password: str) -> Login:
        """Lets a user in: directory, then profile.

        Raises:
            BootGoneError: Boot does not answer.
            LoginRefusedError: Wrong password, no directory, no profile; `code` says which.
        """
        params: JsonObject = {"user": user, "password": password}
        result = await self._request("login", params, LOGIN_TIMEOUT_S)
        try:
            profile = Path(field(result, "profile", str))
            return Login(field(result, "user", str), optional(result, "name", str) or user, profile)
        except WireError as error:
            raise BootGoneError(f"the boot agent answers a login with nonsense: {error}") from error

    async def logout(self) -> None:
        """Removes the profile of who is logged in; raises as `status` does."""
        await self._request("logout", {}, REQUEST_TIMEOUT_S)

    async def report(self, stage: str, state: str, detail: str = "") -> None:
        """Tells boot of a stage that the runtime has reached; raises as `status` does."""
        params: JsonObject = {"stage": stage, "state": state, "detail": detail}
        await self._request("report", params, REQUEST_TIMEOUT_S)

    async def _request(
        self, method: str, params: Mapping[str, JsonValue], timeout_s: float
    ) -> JsonObject:
        request = {"id": next(self._numbers), "method": method, "params": dict(params)}
        try:
            async with asyncio.timeout(timeout_s):
                reply = await self._exchange(encode(request))
        except (OSError, TimeoutError, WireError) as error:
            raise BootGoneError(
                f"the boot agent does not answer: {str(error) or 'no reply in time'}",
                remedy="look at state/log/boot.log",
            ) from error
        return _result(reply)

    async def _exchange(self, request: bytes) -> JsonObject:
        reader, writer = await asyncio.open_unix_connection(self._socket)
        try:
            writer.write(request)
            await writer.drain()
            return decode(await _line(reader))
        finally:
            writer.close()


async def _line(reader: asyncio.StreamReader) -> bytes:
    splitter = LineSplitter()
    while data := await reader.read(_CHUNK_BYTES):
        for line in splitter.feed(data):
            return line
    raise ConnectionError("it closed the connection")


def _result(reply: JsonObject) -> JsonObject:
    error = reply.get("error")
    if isinstance(error, dict):
        raise LoginRefusedError(
            _text(error, "message") or "refused",
            code=_text(error, "code"),
            remedy=_text(error, "remedy"),
        )
    result = reply.get("result")
    return result if isinstance(result, dict) else {}


def _text(message: JsonObject, name: str) -> str:
    value = message.get(name)
    return value if isinstance(value, str) else ""
