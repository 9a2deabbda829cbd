r"""Replies of an FTP server (RFC 959 section 4.2), and the ports that 227 and 229 name.

>>> replies = Replies()
>>> replies.feed(b"220-Welcome\r\n220 to the TSS\r\n331 Pass")
>>> replies.take()
Reply(code=220, text='Welcome to the TSS')
>>> replies.take() is None, replies.pending
(True, b'331 Pass')
"""

import re
from dataclasses import dataclass
from typing import Final

from .errors import MalformedError

MAX_REPLY_BYTES: Final = 8192
MAX_REPLY_LINES: Final = 100
LOWEST_PASSIVE_PORT: Final = 1024

_FIRST = re.compile(rb"([1-5][0-9]{2})([ -]|$)")
_CONTROL = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
_EXTENDED = re.compile(r"\(([!-~])\1\1([0-9]{1,5})\1\)")
_PASSIVE = re.compile(r"\b[0-9]{1,3}(?:,[0-9]{1,3}){5}\b")


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer, of one line or many.

    Attributes:
        code: 100 to 599.
        text: Its lines without code, joined by spaces.
    """

    code: int
    text: str

    def __str__(self) -> str:
        return f"{self.code} {self.text[:200]}".rstrip()

    @property
    def preliminary(self) -> bool:
        """Whether another answer to the same command follows."""
        return self.code < 200

    @property
    def good(self) -> bool:
        """Whether the command is done."""
        return 200 <= self.code < 300

    @property
    def wants_more(self) -> bool:
        """Whether the next command belongs to this one, as PASS to USER."""
        return 300 <= self.code < 400

    def extended_port(self) -> int:
        """Returns the port in a 229 (RFC 2428 section 3).

        Raises:
            MalformedError: There is none from 1024 to 65535.
        """
        found = _EXTENDED.search(self.text)
        return _passive_port(self, int(found[2]) if found else 0)

    def passive_port(self) -> int:
        """Returns the port in a 227; the address beside it is nobody's business.

        Raises:
            MalformedError: There is none from 1024 to 65535.
        """
        found = _PASSIVE.search(self.text)
        high, low = found[0].split(",")[4:] if found else ("0", "0")
        return _passive_port(self, int(high) * 256 + int(low) if int(low) < 256 else 0)


class Replies:
    """Cuts a stream of bytes into replies, and holds no more of it than one reply may be long."""

    def __init__(self) -> None:
        self._bytes = bytearray()

    @property
    def pending(self) -> bytes:
        """What was fed and not yet taken."""
        return bytes(self._bytes)

    def feed(self, data: bytes) -> None:
        """Adds what the server sent."""
        self._bytes += data

    def take(self) -> Reply | None:
        """Returns the next reply; None when it is not whole yet.

        Raises:
            MalformedError: It is no reply, or larger than any server's.
        """
        end = self._end()
        if end is None:
            if len(self._bytes) > MAX_REPLY_BYTES:
                raise MalformedError(f"a reply exceeds {MAX_REPLY_BYTES} bytes")
            return None
        raw = bytes(self._bytes[:end])
        del self._bytes[:end]
        return _parse(raw)

    def _end(self) -> int | None:
        """Returns where the first reply ends: a line of its code and a space (section 4.2)."""
        start = lines = 0
        last = b""
        while (newline := self._bytes.find(b"\n", start, MAX_REPLY_BYTES)) >= 0:
            line = bytes(self._bytes[start:newline])
            code, more = _code(line) if lines == 0 else (last, not line.startswith(last + b" "))
            lines, last, start = lines + 1, code, newline + 1
            if not more:
                return start
            if lines == MAX_REPLY_LINES:
                raise MalformedError(f"a reply exceeds {MAX_REPLY_LINES} lines")
        return None


def _code(line: bytes) -> tuple[bytes, bool]:
    """Returns a first line's code, and whether more lines follow."""
    found = _FIRST.match(line.rstrip(b"\r"))
    if found is None:
        raise MalformedError(f"{line[:40]!r} is no FTP reply")
    return found[1], found[2] == b"-"


def _parse(raw: bytes) -> Reply:
    lines = [line.removesuffix(b"\r") for line in raw.split(b"\n")[:-1]]
    code = lines[0][:3]
    for line in lines:
        if _CONTROL.search(line):
            raise MalformedError(f"a control character in the FTP reply {line[:40]!r}")
    words = (line.removeprefix(code + b"-").removeprefix(code).strip() for line in lines)
    text = b" ".join(word for word in words if word)
    return Reply(int(code), text.decode("utf-8", "replace"))


def _passive_port(reply: Reply, port: int) -> int:
    if not LOWEST_PASSIVE_PORT <= port <= 65_535:
        raise MalformedError(f"no port from {LOWEST_PASSIVE_PORT} to 65535 in {str(reply)!r}")
    return port
