"""A character device as a pair of streams, such as a virtio port of a guest."""

import asyncio
import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Wire:
    """Two directions that are closed together."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    more: tuple["_Half", ...] = ()

    async def close(self) -> None:
        """Closes both and waits until the system has its descriptors back."""
        self.writer.close()
        for half in self.more:
            half.transport.close()
        await self.writer.wait_closed()
        for half in self.more:
            await half.ended.wait()


class _Half(asyncio.StreamReaderProtocol):
    """One direction, which knows when it has ended."""

    def __init__(self, reader: asyncio.StreamReader) -> None:
        super().__init__(reader)
        self.ended = asyncio.Event()
        self.transport: asyncio.BaseTransport = asyncio.BaseTransport()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self.ended.set()


async def open_wire(path: Path) -> Wire:
    """Returns the streams of a Unix socket or a character device.

    Raises:
        OSError: It cannot be opened; a virtio port has one user at a time.
    """
    if not path.is_char_device():
        return Wire(*await asyncio.open_unix_connection(str(path)))
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    incoming, outgoing = _Half(reader), _Half(asyncio.StreamReader())
    port = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    await loop.connect_read_pipe(lambda: incoming, os.fdopen(os.dup(port), "rb", buffering=0))
    transport, _ = await loop.connect_write_pipe(
        lambda: outgoing, os.fdopen(port, "wb", buffering=0)
    )
    return Wire(reader, asyncio.StreamWriter(transport, outgoing, None, loop), (incoming, outgoing))
