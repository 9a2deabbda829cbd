"""A connection ends, whether or not the other side reads its last words."""

import asyncio

from openturret.firmware.matrix.parting import part

LAST_WORDS = b"x" * 20_000_000


async def test_a_peer_that_never_reads_keeps_no_descriptor() -> None:
    parted: asyncio.Future[asyncio.StreamWriter] = asyncio.get_running_loop().create_future()

    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(LAST_WORDS)
        part(writer, patience_s=0.01)
        parted.set_result(writer)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    _, peer = await asyncio.open_connection(*server.sockets[0].getsockname())
    peer.transport.pause_reading()  # type: ignore[attr-defined]
    async with asyncio.timeout(10):
        await (await parted).wait_closed()
    peer.transport.abort()
    server.close()


async def test_a_peer_that_reads_gets_the_last_words() -> None:
    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(LAST_WORDS)
        part(writer, patience_s=60)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    reader, peer = await asyncio.open_connection(*server.sockets[0].getsockname())
    async with asyncio.timeout(30):
        assert len(await reader.read()) == len(LAST_WORDS)
    peer.close()
    server.close()
