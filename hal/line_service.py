"""Requests and answers, one JSON object per line, for whoever serves them on a stream.

``{"id": 1, "method": "lift", "params": {}}`` is answered with ``{"id": 1, "result": …}`` or
``{"id": 1, "error": "…"}``.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from .errors import WireError
from .wire.json_lines import JsonObject, LineSplitter, decode, encode, field

logger = logging.getLogger(__name__)

READ_BYTES: Final = 65_536


async def serve_lines(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    answer: Callable[[bytes], Awaitable[dict[str, object]]],
    *,
    peer: str,
) -> None:
    """Answers one line after the other until the peer goes away or loses its framing.

    Args:
        reader: Where requests come from.
        writer: Where answers go; closed in the end.
        answer: Returns the answer to a line.
        peer: What the log calls the peer.
    """
    splitter = LineSplitter()
    try:
        while data := await reader.read(READ_BYTES):
            for line in splitter.feed(data):
                writer.write(encode(await answer(line)))
                await writer.drain()
    except (WireError, OSError) as error:
        logger.warning("%s: %s", peer, error)
    finally:
        writer.close()


async def answered(
    line: bytes,
    do: Callable[[str, JsonObject], Awaitable[object]],
    refusals: type[Exception] | tuple[type[Exception], ...],
) -> dict[str, object]:
    """Returns the answer to one line: what its method came to, or why it was refused.

    Args:
        line: The request.
        do: Does a method with its parameters and returns the result.
        refusals: What ``do`` raises to refuse.
    """
    request: JsonObject = {}
    try:
        request = decode(line)
        result = await do(field(request, "method", str), field(request, "params", dict))
    except WireError as error:
        return {"id": request.get("id"), "error": str(error)}
    except refusals as error:
        return {"id": request.get("id"), "error": str(error)}
    return {"id": request.get("id"), "result": result}
