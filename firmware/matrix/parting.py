"""Ends a connection of OLDCB: politely while the other side reads, and in any case soon."""

import asyncio


def part(writer: asyncio.StreamWriter, *, patience_s: float) -> None:
    """Closes a connection once its last words were read, and after `patience_s` regardless.

    Without the second half a peer that never reads would keep a descriptor for ever, and the
    descriptors of this process are those of the voice.
    """
    writer.close()
    asyncio.get_running_loop().call_later(patience_s, writer.transport.abort)
