r"""HTTP/1.1 (RFC 9110, RFC 9112) as far as fetching a file needs it.

>>> bytes(Request("tss1.turret.example", "/metadata/timestamp.json"))
b'GET /metadata/timestamp.json HTTP/1.1\r\nHost: tss1.turret.example\r\n\r\n'
>>> head = Head.parse(b"HTTP/1.1 206 Partial\r\nContent-Range: bytes 5-9/10\r\n\r\n")
>>> head.status, head.content_range
(206, ContentRange(first=5, last=9, total=10))
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from .errors import MalformedError

MAX_HEAD_BYTES: Final = 16_384
MAX_FIELDS: Final = 64
MAX_CHUNK_LINE_BYTES: Final = 256

_STATUS = re.compile(rb"HTTP/1\.([01]) ([1-5][0-9]{2})(?: [\t -~\x80-\xff]*)?")
_FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[\t ]*([\t -~\x80-\xff]*?)[\t ]*")
_SIZE = re.compile(r"[0-9]{1,15}")
_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,12})[\t ]*(?:;[\t -~]*)?\r?\n")
_RANGE = re.compile(r"bytes ([0-9]{1,15})-([0-9]{1,15})/([0-9]{1,15}|\*)")
_ONCE = frozenset({"content-length", "transfer-encoding", "content-range", "content-encoding"})


@dataclass(frozen=True, slots=True)
class Request:
    """A GET request.

    Attributes:
        host: The server's name.
        target: The path, with its first slash.
        fields: More header fields.
    """

    host: str
    target: str
    fields: Mapping[str, str] = field(default_factory=dict)

    def __bytes__(self) -> bytes:
        lines = [f"GET {self.target} HTTP/1.1", f"Host: {self.host}"]
        lines += [f"{name}: {value}" for name, value in self.fields.items()]
        return "".join(f"{line}\r\n" for line in (*lines, "")).encode("ascii")


@dataclass(frozen=True, slots=True)
class ContentRange:
    """Which bytes of a file a 206 holds (RFC 9110 section 14.4).

    Attributes:
        first: Number of the first byte.
        last: Number of the last byte.
        total: Length of the whole file; None when the server does not know.
    """

    first: int
    last: int
    total: int | None


@dataclass(frozen=True, slots=True)
class Head:
    """Status line and header fields of a response.

    Attributes:
        status: 100 to 599.
        minor: 1 for HTTP/1.1, 0 for HTTP/1.0.
        fields: By lower-case name; several of one name are joined by commas.
    """

    status: int
    minor: int
    fields: Mapping[str, str]

    @classmethod
    def parse(cls, data: bytes) -> "Head":
        """Returns the head in bytes up to, or with, the empty line.

        Raises:
            MalformedError: It is none, is too large, or says one thing twice.
        """
        if len(data) > MAX_HEAD_BYTES:
            raise MalformedError(f"a response's head exceeds {MAX_HEAD_BYTES} bytes")
        lines = [line.removesuffix(b"\r") for line in data.rstrip(b"\r\n").split(b"\n")]
        status = _STATUS.fullmatch(lines[0])
        if status is None:
            raise MalformedError(f"{lines[0][:40]!r} is no HTTP/1 status line")
        if len(lines) > MAX_FIELDS + 1:
            raise MalformedError(f"a response has more than {MAX_FIELDS} header fields")
        return cls(int(status[2]), int(status[1]), _fields(lines[1:]))

    @property
    def chunked(self) -> bool:
        """Whether the body comes in chunks.

        Raises:
            MalformedError: It comes in another way, or has a length as well (RFC 9112 6.3).
        """
        coding = self.fields.get("transfer-encoding")
        if coding is None:
            return False
        if coding.lower() != "chunked" or "content-length" in self.fields:
            raise MalformedError(f"transfer coding {coding[:40]!r} is not accepted")
        return True

    @property
    def length(self) -> int | None:
        """Bytes of the body; None when the head does not say.

        Raises:
            MalformedError: The length is no number.
        """
        length = self.fields.get("content-length")
        if length is None:
            return None
        if not _SIZE.fullmatch(length):
            raise MalformedError(f"Content-Length {length[:40]!r} is no number of bytes")
        return int(length)

    @property
    def content_range(self) -> ContentRange:
        """Which bytes a 206 holds.

        Raises:
            MalformedError: It does not say, or cannot be.
        """
        text = self.fields.get("content-range", "")
        found = _RANGE.fullmatch(text)
        if found is None:
            raise MalformedError(f"Content-Range {text[:40]!r} is no range of bytes")
        first, last = int(found[1]), int(found[2])
        total = None if found[3] == "*" else int(found[3])
        if first > last or (total is not None and last >= total):
            raise MalformedError(f"Content-Range {text[:40]!r} cannot be")
        return ContentRange(first, last, total)

    @property
    def stays(self) -> bool:
        """Whether the connection serves more requests (RFC 9112 section 9.3)."""
        options = self.fields.get("connection", "").lower()
        return "close" not in options if self.minor else "keep-alive" in options


def parse_chunk_size(line: bytes) -> int:
    """Returns the size in a chunk's first line (RFC 9112 section 7.1).

    Raises:
        MalformedError: It holds none.
    """
    found = _CHUNK.fullmatch(line) if len(line) <= MAX_CHUNK_LINE_BYTES else None
    if found is None:
        raise MalformedError(f"{line[:40]!r} is no size of a chunk")
    return int(found[1], 16)


def _fields(lines: list[bytes]) -> dict[str, str]:
    fields: dict[str, str] = {}
    for line in lines:
        found = _FIELD.fullmatch(line)
        if found is None:
            raise MalformedError(f"{line[:40]!r} is no header field")
        name, value = found[1].decode("ascii").lower(), found[2].decode("latin-1")
        if name in fields and name in _ONCE:
            raise MalformedError(f"the header field {name} comes twice")
        fields[name] = f"{fields[name]}, {value}" if name in fields else value
    return fields
