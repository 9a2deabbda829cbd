"""Asks matrix and PBX whether they work, without believing more of an answer than that."""

import asyncio
import contextlib
import itertools
import logging
import random
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from ...hal.errors import WireError
from ...hal.wire.json_lines import LineSplitter, decode, encode, field
from ..errors import BootError
from ..fetch.dns import Resolver
from ..wire.sip import MAX_BYTES, Options, is_answer

logger = logging.getLogger(__name__)

ANSWER_S: Final = 2.0
"""How long an answer may take."""

_CHUNK_BYTES: Final = 16_384


@dataclass(frozen=True, slots=True)
class MatrixStatus:
    """What a matrix says about itself.

    Attributes:
        ticks: How many ticks its engine has run.
        legs: How many legs it has: calls and open lines.
    """

    ticks: int
    legs: int


async def matrix_status(host: str, port: int, timeout_s: float = ANSWER_S) -> MatrixStatus | None:
    """Returns what the matrix answers (OLDCB ``status``); None without an answer.

    Args:
        host: Its address.
        port: Its control port.
        timeout_s: How long it may take, in seconds.
    """
    try:
        async with asyncio.timeout(timeout_s):
            status = field(decode(await _asked(host, port)), "result", dict)
        ticks = field(field(status, "ticks", dict), "ticks", int)
        return MatrixStatus(ticks, field(status, "legs", int))
    except (OSError, TimeoutError, WireError) as error:
        logger.debug("no status from %s:%d: %s", host, port, error)
        return None


async def _asked(host: str, port: int) -> bytes:
    """Returns the line that OLDCB answers a ``status`` with; empty when it hangs up.

    Raises:
        OSError: Nobody listens.
        WireError: The line is too long.
    """
    reader, writer = await asyncio.open_connection(host, port)
    with contextlib.closing(writer):
        writer.write(encode({"id": 1, "method": "status", "params": {}}))
        splitter = LineSplitter()
        while data := await reader.read(_CHUNK_BYTES):
            for line in splitter.feed(data):
                return line
    return b""


async def any_pbx_answers(
    servers: Iterable[str], resolver: Resolver, rng: random.Random, timeout_s: float = ANSWER_S
) -> bool:
    """Whether one of these SIP servers answers OPTIONS over UDP.

    Args:
        servers: Name or address, and port, of each; what is no such thing is none.
        resolver: Finds the names.
        rng: Makes the requests differ.
        timeout_s: How long all may take together to answer, in seconds.
    """
    found = await asyncio.gather(*(_addresses(server, resolver) for server in servers))
    peers = itertools.chain.from_iterable(found)
    return any(await asyncio.gather(*(_pbx_answers(peer, rng, timeout_s) for peer in peers)))


async def _addresses(server: str, resolver: Resolver) -> list[tuple[str, int]]:
    host, _, port = server.rpartition(":")
    if not port.isdecimal() or not 0 < int(port) < 65_536:
        return []
    try:
        return [(str(address), int(port)) for address in await resolver.resolve(host)]
    except BootError as error:
        logger.debug("%s is not found: %s", server, error)
        return []


async def _pbx_answers(peer: tuple[str, int], rng: random.Random, timeout_s: float) -> bool:
    """Asks one server; the connected socket takes answers from nobody else."""
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as link:
        link.setblocking(False)
        try:
            async with asyncio.timeout(timeout_s):
                await loop.sock_connect(link, peer)
                token = f"{rng.getrandbits(64):016x}"
                await loop.sock_sendall(link, bytes(Options(link.getsockname(), peer, token)))
                while not is_answer(await loop.sock_recv(link, MAX_BYTES)):
                    pass
        except (OSError, TimeoutError) as error:
            logger.debug("no answer from %s:%d: %s", *peer, error)
            return False
    return True
