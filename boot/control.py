"""The boot's control socket: status, login, logout and reports, one JSON object per line."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Final, TypeAlias

from ..hal.errors import WireError
from ..hal.wire.json_lines import JsonObject, LineSplitter, decode, encode, field, optional
from .errors import BootError, ControlError

logger = logging.getLogger(__name__)

MAX_CLIENTS: Final = 16

Handler: TypeAlias = Callable[[JsonObject], Awaitable[Mapping[str, object]]]
"""Serves one method: parameters in, result out."""

_CHUNK = 65_536


class ControlServer:
    """Serves requests in the order in which each client sends them."""

    def __init__(self, path: Path, handlers: Mapping[str, Handler]) -> None:
        self._path = path
        self._handlers = dict(handlers)
        self._server: asyncio.Server | None = None
        self._clients: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Opens the socket for this user only; a socket left by a dead agent is replaced.

        Raises:
            OSError: The path is too long for a socket, or the folder cannot be written.
        """
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._path.unlink(missing_ok=True)
        self._server = await asyncio.start_unix_server(self._welcome, self._path)
        self._path.chmod(0o600)

    async def stop(self) -> None:
        """Closes the socket and every client."""
        if self._server is not None:
            self._server.close()
        for client in tuple(self._clients):
            client.cancel()
        await asyncio.gather(*self._clients, return_exceptions=True)
        self._path.unlink(missing_ok=True)

    async def _welcome(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is None or len(self._clients) >= MAX_CLIENTS:
            writer.close()
            return
        self._clients.add(task)
        try:
            await self._serve(reader, writer)
        except (ConnectionError, asyncio.CancelledError):
            logger.debug("a control client has gone")
        finally:
            self._clients.discard(task)
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        splitter = LineSplitter()
        while data := await reader.read(_CHUNK):
            try:
                for line in splitter.feed(data):
                    writer.write(encode(await self._answer(line)))
                    await writer.drain()
            except WireError as error:
                writer.write(encode(_failure(None, ControlError(str(error)))))
                return

    async def _answer(self, line: bytes) -> dict[str, object]:
        """Returns the reply to one line; a bad one costs its sender an error, nobody else."""
        number: int | None = None
        try:
            request = decode(line)
            number = optional(request, "id", int)
            method = field(request, "method", str)
            handler = self._handlers.get(method)
            if handler is None:
                raise ControlError(f"unknown method {method[:40]!r}", _known(self._handlers))
            result = await handler(optional(request, "params", dict) or {})
        except WireError as error:
            return _failure(number, ControlError(str(error), "send one JSON object per line"))
        except BootError as error:
            return _failure(number, error)
        except OSError as error:
            logger.exception("%s failed", method)
            return _failure(number, BootError(f"the state folder: {error}", "free the medium"))
        return {"id": number, "result": dict(result)}


async def ask(path: Path, method: str, **parameters: object) -> JsonObject:
    """Asks the boot agent behind a control socket and returns its result.

    Raises:
        ControlError: No agent listens there, or it answers with an error.
    """
    try:
        reader, writer = await asyncio.open_unix_connection(path, limit=1_048_576)
    except OSError as error:
        raise ControlError(f"no boot agent listens on {path}", "start turret boot") from error
    with contextlib.closing(writer):
        writer.write(encode({"id": 1, "method": method, "params": parameters}))
        try:
            return _result(decode(await reader.readline()))
        except (WireError, OSError, ValueError) as error:
            raise ControlError(f"the agent on {path} does not answer", "read its log") from error


def _result(reply: JsonObject) -> JsonObject:
    """Returns the result in a reply.

    Raises:
        ControlError: The reply is an error.
        WireError: It is no reply.
    """
    if "error" in reply:
        error = field(reply, "error", dict)
        raise ControlError(field(error, "message", str), field(error, "remedy", str))
    return field(reply, "result", dict)


def _failure(number: int | None, error: BootError) -> dict[str, object]:
    reason = {"code": error.code, "message": str(error), "remedy": error.remedy}
    return {"id": number, "error": reason}


def _known(handlers: Mapping[str, Handler]) -> str:
    return "use one of: " + ", ".join(sorted(handlers))
