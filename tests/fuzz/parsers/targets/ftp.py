"""Replies of an FTP server, in pieces of any length: replies, or a WireError, and no hoard."""

from functools import partial

from openturret.boot.wire.errors import WireError
from openturret.boot.wire.ftp import MAX_REPLY_BYTES, Replies

from ..data import tolerate

ERRORS = (WireError,)


def seeds() -> list[bytes]:
    return [
        b"\x40220 (vsFTPd 3.0.3)\r\n234 Proceed with negotiation.\r\n",
        b"\x05220-Welcome\r\n220-to the\r\n220 TSS\r\n331 Password\r\n",
        b"\x10227 Entering Passive Mode (10,1,0,2,195,80).\r\n",
        b"\xff229 Entering Extended Passive Mode (|||50000|)\r\n",
        b"\x01211-Features:\r\n REST STREAM\r\n SIZE\r\n211 End\r\n",
    ]


def run(data: bytes) -> None:
    replies, step = Replies(), (data[0] if data else 0) + 1
    for at in range(1, len(data), step):
        replies.feed(data[at : at + step])
        while (reply := replies.take()) is not None:
            tolerate(ERRORS, reply.extended_port, reply.passive_port, partial(str, reply))
        if len(replies.pending) > MAX_REPLY_BYTES + step:
            raise AssertionError(f"{len(replies.pending)} bytes are kept")
