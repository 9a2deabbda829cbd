"""Carries TCP connections from the host into the bench.

The bench has a network of its own, which a browser on the host cannot reach. A socket that
listens on the host keeps doing so when its file descriptor is inherited into the bench:
what it accepts belongs to the host, what `forward` connects to belongs to the bench.

Example::

    listening = listen()                       # on the host, before the namespace is entered
    enter(argv, pass_fds=[listening.fileno()])
    ...
    server = await forward(adopt(descriptor), "10.1.0.100", 80)     # inside
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Awaitable, Callable
from typing import TypeAlias

logger = logging.getLogger(__name__)

_CHUNK = 65536
_CONNECT_SECONDS = 5.0

Streams: TypeAlias = tuple[asyncio.StreamReader, asyncio.StreamWriter]


def listen(address: str = "127.0.0.1", port: int = 0) -> socket.socket:
    """A socket that listens on the host; port 0 takes a free one.

    Raises:
        OSError: the port is in use.
    """
    listening = socket.create_server((address, port))
    listening.set_inheritable(True)
    return listening


def adopt(descriptor: int) -> socket.socket:
    """The listening socket of an inherited file descriptor."""
    return socket.socket(fileno=descriptor)


async def forward(listening: socket.socket, address: str, port: int) -> asyncio.Server:
    """Carry every connection that a socket accepts to an address of the bench.

    Args:
        listening: a listening TCP socket; closed with the server that is returned.
        address: where to connect to.
        port: where to connect to.
    """
    return await forward_to(listening, lambda: asyncio.open_connection(address, port))


async def forward_to(
    listening: socket.socket, connect: Callable[[], Awaitable[Streams]]
) -> asyncio.Server:
    """Carry every connection that a socket accepts to whatever answers at that moment.

    Args:
        listening: a listening TCP socket; closed with the server that is returned.
        connect: reaches the far side, asked anew for each connection; an ``OSError`` of it
            hangs up.
    """

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await _carry(reader, writer, connect)

    return await asyncio.start_server(carry, sock=listening)


async def _carry(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    connect: Callable[[], Awaitable[Streams]],
) -> None:
    try:
        async with asyncio.timeout(_CONNECT_SECONDS):
            far_reader, far_writer = await connect()
    except OSError as error:
        logger.warning("nobody answers: %s", error)
        writer.close()
        return
    await asyncio.gather(_pump(reader, far_writer), _pump(far_reader, writer))
    for end in (writer, far_writer):
        await _close(end)


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(_CHUNK):
            writer.write(data)
            await writer.drain()
    with contextlib.suppress(OSError):
        writer.write_eof()


async def _close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
