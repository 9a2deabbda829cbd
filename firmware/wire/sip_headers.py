"""SIP headers as values: names, lists, quotation marks and parameters (RFC 3261 section 7.3).

Values stay text until somebody asks for their meaning.  Bytes that are not UTF-8 survive.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from .errors import MalformedError, TooLargeError

MAX_HEADERS = 256
MAX_HEADER_BYTES = 8_192

Parameters = tuple[tuple[str, str | None], ...]

_COMPACT = {
    "a": "Accept-Contact",
    "b": "Referred-By",
    "c": "Content-Type",
    "d": "Request-Disposition",
    "e": "Content-Encoding",
    "f": "From",
    "i": "Call-ID",
    "j": "Reject-Contact",
    "k": "Supported",
    "l": "Content-Length",
    "m": "Contact",
    "o": "Event",
    "r": "Refer-To",
    "s": "Subject",
    "t": "To",
    "u": "Allow-Events",
    "v": "Via",
    "x": "Session-Expires",
    "y": "Identity",
}
_CANONICAL = {
    name.lower(): name
    for name in (
        *_COMPACT.values(),
        *("Accept", "Allow", "Authorization", "CSeq", "Expires", "Max-Forwards", "Reason"),
        *("Proxy-Authenticate", "Proxy-Authorization", "Proxy-Require", "Record-Route", "Replaces"),
        *("Require", "Retry-After", "Route", "Server", "Session-ID", "Unsupported", "User-Agent"),
        *("WWW-Authenticate", "Warning", "MIME-Version", "Content-Disposition", "Content-ID"),
    )
}
TOKEN = r"[A-Za-z0-9\-.!%*_+`'~]+"
TOKEN_ONLY = re.compile(TOKEN)
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)


def canonical_name(name: str) -> str:
    """Write a header name in its usual long form; ``i`` becomes ``Call-ID``."""
    lowered = name.lower()
    return _COMPACT.get(lowered) or _CANONICAL.get(lowered) or name


@dataclass(frozen=True, slots=True)
class Headers:
    """The headers of a message, in order, names in canonical form.

    Attributes:
        fields: pairs of name and unfolded value.
    """

    fields: tuple[tuple[str, str], ...] = ()

    @classmethod
    def of(cls, *fields: tuple[str, str]) -> Headers:
        """Build headers from pairs of name and value."""
        return cls(tuple((canonical_name(name), value) for name, value in fields))

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter(self.fields)

    def all(self, name: str) -> tuple[str, ...]:
        """Return every value of a header, one per line of the message."""
        wanted = canonical_name(name).lower()
        return tuple(value for key, value in self.fields if key.lower() == wanted)

    def get(self, name: str) -> str | None:
        """Return the first value of a header, or None."""
        return next(iter(self.all(name)), None)

    def require(self, name: str) -> str:
        """Return the first value of a header.

        Raises:
            MalformedError: the message has no such header.
        """
        value = self.get(name)
        if value is None:
            raise MalformedError(f"the message has no {canonical_name(name)} header")
        return value

    def only(self, name: str) -> str:
        """Return the value of a header that may come once.

        Raises:
            MalformedError: the header is missing or comes more than once.
        """
        values = self.all(name)
        if len(values) != 1:
            raise MalformedError(f"{canonical_name(name)} must come once, came {len(values)} times")
        return values[0]

    def items(self, name: str) -> tuple[str, ...]:
        """Return the elements of a comma-separated header over all its lines."""
        return tuple(item for value in self.all(name) for item in split_list(value))

    def added(self, name: str, value: str) -> Headers:
        """Return headers with one more line at the end."""
        return Headers((*self.fields, (canonical_name(name), value)))

    def replaced(self, name: str, value: str) -> Headers:
        """Return headers where this name has this one value, in the place of the first."""
        wanted = canonical_name(name)
        kept: list[tuple[str, str]] = []
        done = False
        for key, old in self.fields:
            if key.lower() != wanted.lower():
                kept.append((key, old))
            elif not done:
                kept.append((wanted, value))
                done = True
        return Headers(tuple(kept) if done else (*kept, (wanted, value)))

    def without(self, name: str) -> Headers:
        """Return headers without any line of this name."""
        wanted = canonical_name(name).lower()
        return Headers(tuple(pair for pair in self.fields if pair[0].lower() != wanted))


def split_list(value: str, separator: str = ",") -> tuple[str, ...]:
    """Split at a separator outside of quotes and angle brackets.

    Raises:
        MalformedError: a quote or an angle bracket is not closed.
    """
    items: list[str] = []
    start = depth = position = 0
    while position < len(value):
        character = value[position]
        if character == '"':
            position = end_of_quote(value, position)
            continue
        depth += (character == "<") - (character == ">" and depth > 0)
        if character == separator and depth == 0:
            items.append(value[start:position].strip())
            start = position + 1
        position += 1
    if depth:
        raise MalformedError("an angle bracket is not closed")
    items.append(value[start:].strip())
    return tuple(item for item in items if item)


def end_of_quote(value: str, start: int) -> int:
    """Return the position behind the quoted string that begins at ``start``.

    Raises:
        MalformedError: it is not closed.
    """
    found = _QUOTED.match(value, start)
    if found is None:
        raise MalformedError("a quotation mark is not closed")
    return found.end()


def unquote(text: str) -> str:
    """Return the text inside quotation marks, or the text itself."""
    if len(text) >= 2 and text[0] == text[-1] == '"':
        return re.sub(r"\\(.)", r"\1", text[1:-1], flags=re.DOTALL)
    return text


def quote(text: str) -> str:
    """Put text into quotation marks."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def parse_parameters(text: str) -> Parameters:
    """Parse ``;name=value;flag``; names are lowered, values unquoted.

    Raises:
        MalformedError: a parameter has no name or is not one token.
    """
    return tuple(_parameter(item) for item in split_list(text, ";"))


def _parameter(item: str) -> tuple[str, str | None]:
    name, equals, value = item.partition("=")
    name = name.strip().lower()
    if not TOKEN_ONLY.fullmatch(name):
        raise MalformedError(f"{item!r} is not a parameter")
    return name, unquote(value.strip()) if equals else None


def format_parameters(parameters: Parameters) -> str:
    """Write parameters as ``;name=value;flag``."""
    return "".join(
        f";{name}" if value is None else f";{name}={_parameter_value(value)}"
        for name, value in parameters
    )


def _parameter_value(value: str) -> str:
    return value if re.fullmatch(r"[^\s\";,<>\\]+", value) else quote(value)


def find_parameter(parameters: Parameters, name: str) -> str | None:
    """Return a parameter; an empty string for a flag; None when absent."""
    return next((value or "" for key, value in parameters if key == name.lower()), None)


def decode_text(data: bytes) -> str:
    """Read UTF-8; other bytes become surrogates and come back the same."""
    return data.decode("utf-8", "surrogateescape")


def encode_text(text: str) -> bytes:
    """Write what `decode_text` read."""
    return text.encode("utf-8", "surrogateescape")


def unfold(head: str) -> list[str]:
    """Join folded lines and cut the head of a message into one line per header."""
    return re.sub(r"\r\n[ \t]+", " ", head).split("\r\n")


def parse_headers(lines: Iterable[str]) -> Headers:
    """Parse the lines of a head.

    Raises:
        MalformedError: a line is not a header.
        TooLargeError: too many lines, or too long ones.
    """
    fields = tuple(_parse_header(line) for line in lines)
    if len(fields) > MAX_HEADERS:
        raise TooLargeError(f"{len(fields)} headers are more than {MAX_HEADERS}")
    return Headers(fields)


def _parse_header(line: str) -> tuple[str, str]:
    if len(line) > MAX_HEADER_BYTES:
        raise TooLargeError(f"a header of {len(line)} characters")
    name, colon, value = line.partition(":")
    name = name.rstrip(" \t")
    if not colon or not TOKEN_ONLY.fullmatch(name) or "\r" in value or "\n" in value:
        raise MalformedError(f"{line[:80]!r} is not a header")
    return canonical_name(name), value.strip(" \t")
