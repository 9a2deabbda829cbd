"""The control port of OLDCB: requests and answers on TCP 4250.

A client may send nonsense, send nothing, or never read: it gets an error, or is closed,
and no other client notices.  Connections that have not made a valid request are few,
short-lived, and the first to go when room is needed.
"""

import asyncio
import errno
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from ...hal.errors import HalError, WireError
from ...hal.wire import json_lines
from ...hal.wire.json_lines import JsonObject, LineSplitter
from .errors import BadRequestError, ConflictError, ExhaustedError, MatrixProcessError
from .matrix import Matrix
from .methods import perform
from .parting import part

logger = logging.getLogger(__name__)

MAX_CLIENTS: Final = 32
FIRST_REQUEST_S: Final = 10.0


@dataclass(eq=False, slots=True)
class Client:
    """One connection."""

    writer: asyncio.StreamWriter
    proven: bool = False
    splitter: LineSplitter = field(default_factory=LineSplitter)


class ControlServer:
    """Answers requests about one matrix.

    Args:
        matrix: What the requests are about.
        counters: Where clients, requests and refusals are counted.
        patience_s: How long a connection may last without a valid request, and how long
            what is said to it may wait to be read.
    """

    def __init__(
        self, matrix: Matrix, counters: dict[str, int], *, patience_s: float = FIRST_REQUEST_S
    ) -> None:
        self._patience_s = patience_s
        self._matrix = matrix
        self._clients: list[Client] = []
        self._conversations: set[asyncio.Task[None]] = set()
        self._counters = counters
        self._server: asyncio.Server | None = None

    async def open(self, hosts: Sequence[str], port: int) -> int:
        """Listens; returns the port, which the system chooses when 0 is given."""
        self._server = await asyncio.start_server(self._serve, hosts, port)
        bound: int = self._server.sockets[0].getsockname()[1]
        return bound

    async def close(self) -> None:
        """Stops listening and drops every client."""
        if self._server is not None:
            self._server.close()
            for client in self._clients:
                client.writer.transport.abort()
            await asyncio.gather(*self._conversations, return_exceptions=True)
            await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        client = Client(writer)
        self._admit(client)
        self._remember(asyncio.current_task())
        timer = asyncio.get_running_loop().call_later(self._patience_s, self._expire, client)
        try:
            await self._converse(reader, client)
        except WireError as error:
            self._refuse(client, error)
        except OSError as error:
            logger.debug("client: %s", error)
        finally:
            timer.cancel()
            self._forget(client)
            part(writer, patience_s=self._patience_s)

    def _remember(self, conversation: asyncio.Task[None] | None) -> None:
        if conversation is not None:
            self._conversations.add(conversation)
            conversation.add_done_callback(self._conversations.discard)

    def _admit(self, client: Client) -> None:
        self._clients.append(client)
        self._counters["clients"] = len(self._clients)
        if len(self._clients) <= MAX_CLIENTS:
            return
        victim = next((each for each in self._clients if not each.proven), client)
        self._counters["evicted"] += 1
        victim.writer.transport.abort()
        self._forget(victim)

    def _forget(self, client: Client) -> None:
        if client in self._clients:
            self._clients.remove(client)
        self._counters["clients"] = len(self._clients)

    def _expire(self, client: Client) -> None:
        if not client.proven:
            self._counters["expired"] += 1
            client.writer.transport.abort()

    async def _converse(self, reader: asyncio.StreamReader, client: Client) -> None:
        while data := await reader.read(16_384):
            for line in client.splitter.feed(data):
                client.writer.write(await self._answer(line, client))
                async with asyncio.timeout(self._patience_s):
                    await client.writer.drain()
                await asyncio.sleep(0)  # others have their turn between two lines of a burst

    def _refuse(self, client: Client, error: WireError) -> None:
        self._counters["refused"] += 1
        client.writer.write(_error(None, "bad_request", str(error)))

    async def _answer(self, line: bytes, client: Client) -> bytes:
        request: JsonObject = {}
        try:
            request = json_lines.decode(line)
            result = await self._result(request)
            client.proven = True
            self._counters["requests"] += 1
            return json_lines.encode({"id": request.get("id"), "result": result}, **_LARGE)
        except WireError as error:
            self._counters["refused"] += 1
            return _error(request.get("id"), BadRequestError.code, str(error))
        except MatrixProcessError as error:
            return _error(request.get("id"), error.code, str(error))
        except (HalError, OSError) as error:
            logger.warning("%s: %s", request.get("method"), error)
            return _error(request.get("id"), _code_of(error), str(error))

    async def _result(self, request: JsonObject) -> object:
        method = json_lines.field(request, "method", str)
        params = json_lines.optional(request, "params", dict) or {}
        return await perform(self._matrix, method, params)


_LARGE: Final = {"max_line_bytes": 4_194_304}


def _code_of(error: HalError | OSError) -> str:
    match error.errno if isinstance(error, OSError) else None:
        case errno.ENOSPC | errno.EMFILE | errno.ENFILE | errno.ENOMEM:
            return ExhaustedError.code
        case errno.EINVAL:
            return BadRequestError.code
        case errno.ENOTSUP:
            return ConflictError.code
    return MatrixProcessError.code


def _error(request: object, code: str, message: str) -> bytes:
    kept = request if isinstance(request, int | str) and len(str(request)) < 64 else None
    return json_lines.encode({"id": kept, "error": {"code": code, "message": message}})
