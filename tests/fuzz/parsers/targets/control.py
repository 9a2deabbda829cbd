"""Lines on the control socket, in pieces of any length: objects, or the errors of JSON lines."""

from functools import partial

from openturret.hal.errors import WireError
from openturret.hal.wire.json_lines import LineSplitter, decode, encode, field, optional

from ..data import tolerate

ERRORS = (WireError,)


def seeds() -> list[bytes]:
    return [
        b'\x80{"id":1,"method":"status","params":{}}\n',
        b'\x07{"id":2,"method":"login","params":{"user":"alice","password":"x"}}\n\n{"id":3}\n',
        b'\x10{"id":1e9,"method":null,"params":[1.5,-0,"\\ud800"]}\n',
        b'\x03{"id":' + b"[" * 300 + b"\n",
    ]


def run(data: bytes) -> None:
    splitter, step = LineSplitter(max_line_bytes=1024), (data[0] if data else 0) + 1
    for at in range(1, len(data), step):
        for line in splitter.feed(data[at : at + step]):
            tolerate(ERRORS, partial(_request, line))


def _request(line: bytes) -> None:
    request = decode(line)
    tolerate(
        ERRORS,
        lambda: optional(request, "id", int),
        lambda: field(request, "method", str),
        lambda: optional(request, "params", dict),
        lambda: optional(request, "duration_s", float),
    )
    if decode(encode(request).strip()) != request:
        raise AssertionError(f"{request} does not survive its own bytes")
