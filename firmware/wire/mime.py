"""Bodies of SIP messages: media types and multipart bodies (RFC 2046 section 5.1)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from .errors import MalformedError, TooLargeError
from .sip_headers import (
    TOKEN_ONLY,
    Headers,
    Parameters,
    decode_text,
    encode_text,
    find_parameter,
    format_parameters,
    parse_headers,
    parse_parameters,
    unfold,
)

MAX_PARTS = 16


@dataclass(frozen=True, slots=True)
class MediaType:
    """The type of a body (RFC 3261 section 20.15).

    Attributes:
        kind: ``application``, ``multipart`` and so on, lowered.
        subtype: lowered.
        parameters: ``boundary`` and others, names lowered.
    """

    kind: str
    subtype: str
    parameters: Parameters = ()

    @classmethod
    def parse(cls, text: str) -> MediaType:
        """Parse a Content-Type value.

        Raises:
            MalformedError: not a media type.
        """
        name, _, tail = text.partition(";")
        kind, slash, subtype = (word.strip() for word in name.partition("/"))
        if not slash or not TOKEN_ONLY.fullmatch(kind) or not TOKEN_ONLY.fullmatch(subtype):
            raise MalformedError(f"{text[:80]!r} is not a media type")
        return cls(kind.lower(), subtype.lower(), parse_parameters(tail))

    @property
    def name(self) -> str:
        """The type without parameters, such as ``application/sdp``."""
        return f"{self.kind}/{self.subtype}"

    def parameter(self, name: str) -> str | None:
        """Return a parameter, None when absent."""
        return find_parameter(self.parameters, name)

    def __str__(self) -> str:
        return f"{self.name}{format_parameters(self.parameters)}"


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a multipart body.

    Attributes:
        headers: its own headers, such as Content-Type and Content-Disposition.
        body: its bytes.
    """

    headers: Headers
    body: bytes

    @property
    def content_type(self) -> MediaType | None:
        """Type of the part, None when not said.

        Raises:
            MalformedError: not a media type.
        """
        value = self.headers.get("Content-Type")
        return None if value is None else MediaType.parse(value)


def parse_multipart(body: bytes, boundary: str) -> tuple[Part, ...]:
    """Split a multipart body (RFC 2046 section 5.1).

    Raises:
        MalformedError: no boundary, not closed, or a part without headers and blank line.
        TooLargeError: more than `MAX_PARTS` parts.
    """
    if not boundary or len(boundary) > 200:
        raise MalformedError("a multipart body needs a boundary of 1 to 200 characters")
    mark = b"\r\n--" + encode_text(boundary)
    _, *sections = (b"\r\n" + body).split(mark, MAX_PARTS + 2)
    closing = [n for n, section in enumerate(sections) if section.startswith(b"--")]
    if not closing:
        if len(sections) > MAX_PARTS:
            raise TooLargeError(f"more than {MAX_PARTS} parts")
        raise MalformedError("the multipart body is not closed")
    return tuple(_parse_part(section) for section in sections[: closing[0]])


def _parse_part(section: bytes) -> Part:
    section = section.lstrip(b" \t")
    if not section.startswith(b"\r\n"):
        raise MalformedError("a boundary does not end its line")
    head, blank, body = section[2:].partition(b"\r\n\r\n")
    if section.startswith(b"\r\n\r\n"):
        return Part(Headers(), section[4:])
    if not blank:
        raise MalformedError("a part has no blank line")
    return Part(parse_headers(unfold(decode_text(head))), body)


def build_multipart(parts: Iterable[Part], boundary: str) -> bytes:
    """Join parts into a multipart body with this boundary."""
    mark = b"--" + encode_text(boundary)
    sections = [
        b"".join(encode_text(f"{name}: {value}\r\n") for name, value in part.headers)
        + b"\r\n"
        + part.body
        for part in parts
    ]
    opened = b"".join(mark + b"\r\n" + section + b"\r\n" for section in sections)
    return opened + mark + b"--\r\n"
