"""Heads of HTTP responses and first lines of chunks: one, or a WireError."""

from openturret.boot.wire.errors import WireError
from openturret.boot.wire.http import Head, parse_chunk_size

from ..data import tolerate

ERRORS = (WireError,)


def seeds() -> list[bytes]:
    return [
        b"HTTP/1.1 200 OK\r\nServer: x\r\nContent-Length: 10\r\nConnection: close\r\n\r\n",
        b"HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 5-9/10\r\nContent-Length: 5\r\n\r\n",
        b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: keep-alive\r\n\r\n",
        b"1f40;name=value\r\n",
    ]


def run(data: bytes) -> None:
    tolerate(ERRORS, lambda: parse_chunk_size(data))
    head = Head.parse(data)
    tolerate(
        ERRORS,
        lambda: head.chunked,
        lambda: head.length,
        lambda: head.content_range,
        lambda: head.stays,
    )
