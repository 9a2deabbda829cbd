"""SIP messages as values: requests and responses, bytes in, bytes out.

RFC 3261, with the compact forms, folded headers and the framing of a stream (section 18.3).
Header values stay text until somebody asks for their meaning: a message with one bad header can
so still be answered.  This module is the face of the others: `sip_headers`, `sip_address`, `mime`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace

from .errors import MalformedError, SipMessageError, TooLargeError
from .mime import MAX_PARTS, MediaType, Part, build_multipart, parse_multipart
from .sip_address import (
    CSeq,
    NameAddress,
    Replaces,
    SipUri,
    Via,
    parse_host_port,
    uri_scheme,
)
from .sip_headers import (
    TOKEN,
    TOKEN_ONLY,
    Headers,
    Parameters,
    canonical_name,
    decode_text,
    encode_text,
    parse_headers,
    parse_parameters,
    quote,
    split_list,
    unfold,
    unquote,
)

__all__ = [
    "MAX_MESSAGE_BYTES", "MAX_PARTS", "CSeq", "Headers", "MediaType", "Message", "NameAddress",
    "Parameters", "Part", "Replaces", "Request", "Response", "SipUri", "Via", "build_multipart",
    "canonical_name", "frame_length", "parse_host_port", "parse_message", "parse_multipart",
    "parse_parameters", "quote", "split_list", "unquote", "uri_scheme",
]  # fmt: skip

MAX_MESSAGE_BYTES = 65_535

_REQUEST_LINE = re.compile(rf"({TOKEN}) ([^\s<>\"]+) SIP/(\d{{1,9}})\.(\d{{1,9}})", re.ASCII)
_STATUS_LINE = re.compile(r"SIP/2\.0 (\d{3,9})(?: (.*))?", re.ASCII)


@dataclass(frozen=True, slots=True)
class _Message:
    headers: Headers = field(default_factory=Headers)
    body: bytes = b""

    @property
    def call_id(self) -> str:
        """Call-ID.

        Raises:
            MalformedError: missing or not once.
        """
        return self.headers.only("Call-ID")

    @property
    def cseq(self) -> CSeq:
        """Sequence number and method.

        Raises:
            MalformedError: missing, not once or not a CSeq.
        """
        return CSeq.parse(self.headers.only("CSeq"))

    @property
    def sender(self) -> NameAddress:
        """The From header.

        Raises:
            MalformedError: missing, not once or not an address.
        """
        return NameAddress.parse(self.headers.only("From"))

    @property
    def recipient(self) -> NameAddress:
        """The To header.

        Raises:
            MalformedError: missing, not once or not an address.
        """
        return NameAddress.parse(self.headers.only("To"))

    @property
    def vias(self) -> tuple[Via, ...]:
        """Every hop, the nearest first.

        Raises:
            MalformedError: one of them is not a Via.
        """
        return tuple(Via.parse(item) for item in self.headers.items("Via"))

    @property
    def contact(self) -> NameAddress | None:
        """First contact, None when there is none or it is ``*``.

        Raises:
            MalformedError: not an address.
        """
        items = self.headers.items("Contact")
        return NameAddress.parse(items[0]) if items and items[0] != "*" else None

    @property
    def content_type(self) -> MediaType | None:
        """Type of the body, None when not said.

        Raises:
            MalformedError: not a media type.
        """
        value = self.headers.get("Content-Type")
        return None if value is None else MediaType.parse(value)

    def parts(self) -> tuple[Part, ...]:
        """Return the parts of the body; a plain body is its own only part.

        Raises:
            MalformedError: the multipart body breaks RFC 2046.
            TooLargeError: more than `MAX_PARTS` parts.
        """
        kind = self.content_type
        if kind is None or not self.body:
            return ()
        if kind.kind != "multipart":
            return (Part(self.headers, self.body),)
        return parse_multipart(self.body, kind.parameter("boundary") or "")

    def part(self, name: str) -> bytes | None:
        """Return the body of the first part of this type, such as ``application/sdp``.

        Raises:
            MalformedError: the body breaks its grammar.
            TooLargeError: more than `MAX_PARTS` parts.
        """
        for part in self.parts():
            if part.content_type is not None and part.content_type.name == name:
                return part.body
        return None

    def _start_line(self) -> str:
        raise NotImplementedError

    def __bytes__(self) -> bytes:
        head = self.headers.without("Content-Length")
        lines = [self._start_line(), *(f"{name}: {value}" for name, value in head)]
        lines.append(f"Content-Length: {len(self.body)}")
        return encode_text("\r\n".join(lines)) + b"\r\n\r\n" + self.body


@dataclass(frozen=True, slots=True)
class Request(_Message):
    """A SIP request; ``bytes(request)`` is what goes on the wire.

    Attributes:
        method: INVITE, BYE and so on, as written.
        uri: request URI as written.
        headers: headers in order.
        body: body bytes.
    """

    method: str = field(kw_only=True)
    uri: str = field(kw_only=True)

    def _start_line(self) -> str:
        return f"{self.method} {self.uri} SIP/2.0"


@dataclass(frozen=True, slots=True)
class Response(_Message):
    """A SIP response; ``bytes(response)`` is what goes on the wire.

    Attributes:
        status: 100 to 699.
        reason: reason phrase.
        headers: headers in order.
        body: body bytes.
    """

    status: int = field(kw_only=True)
    reason: str = field(kw_only=True)

    def _start_line(self) -> str:
        return f"SIP/2.0 {self.status} {self.reason}"


Message = Request | Response


def parse_message(data: bytes) -> Message:
    """Parse one whole message, as it came in a datagram or was cut from a stream.

    Raises:
        SipMessageError: the message cannot be used; says what to answer and holds what was read.
    """
    if len(data) > MAX_MESSAGE_BYTES:
        raise SipMessageError(f"{len(data)} bytes are more than {MAX_MESSAGE_BYTES}", status=513)
    head, blank, body = data.lstrip(b"\r\n").partition(b"\r\n\r\n")
    start, *lines = unfold(decode_text(head))
    try:
        headers = parse_headers(line for line in lines if line or blank)
    except (MalformedError, TooLargeError) as error:
        raise SipMessageError(str(error)) from error
    message = _parse_start_line(start, headers)
    if not blank:
        raise SipMessageError("the message ends before its blank line", head=message)
    return replace(message, body=_cut_body(message, body))


def frame_length(buffer: bytes) -> int | None:
    """Return the length of the first message of a stream, None while it is not whole yet.

    Leading empty lines (keep-alives, RFC 5626 section 3.5.1) count as part of the message.

    Raises:
        SipMessageError: no message can be cut from this stream: close it.
    """
    skipped = len(buffer) - len(buffer.lstrip(b"\r\n"))
    end = buffer.find(b"\r\n\r\n", skipped)
    if end < 0:
        if len(buffer) - skipped > MAX_MESSAGE_BYTES:
            raise SipMessageError("the head of the message does not end", status=513)
        return None
    length = end + 4 + _stream_body_length(buffer[skipped:end])
    if length - skipped > MAX_MESSAGE_BYTES:
        raise SipMessageError(f"{length} bytes are too many for a message", status=513)
    return length if len(buffer) >= length else None


def _stream_body_length(head: bytes) -> int:
    lengths = re.findall(rb"(?im)^(?:content-length|l)[ \t]*:[ \t]*([^\r\n]*)", head)
    if not lengths:
        raise SipMessageError("a message on a stream needs Content-Length (section 18.3)")
    if not re.fullmatch(rb"\d{1,9}[ \t]*", lengths[0]):
        raise SipMessageError("Content-Length is not a number")
    return int(lengths[0])


def _parse_start_line(line: str, headers: Headers) -> Message:
    if line.startswith("SIP/"):
        return _parse_status_line(line, headers)
    found = _REQUEST_LINE.fullmatch(line)
    if found is None:
        words = line.split() or [""]
        method = words[0] if TOKEN_ONLY.fullmatch(words[0]) else "UNKNOWN"
        head = Request(headers, method=method, uri="sip:invalid.invalid")
        raise SipMessageError(f"{line[:80]!r} is not a request line", head=head)
    request = Request(headers, method=found[1], uri=found[2])
    if (int(found[3]), int(found[4])) != (2, 0):
        raise SipMessageError("the version is not SIP/2.0", status=505, head=request)
    return request


def _parse_status_line(line: str, headers: Headers) -> Response:
    found = _STATUS_LINE.fullmatch(line)
    if found is None or not 100 <= int(found[1]) <= 699:
        raise SipMessageError(f"{line[:80]!r} is not a status line")
    return Response(headers, status=int(found[1]), reason=found[2] or "")


def _cut_body(message: Message, body: bytes) -> bytes:
    lengths = set(message.headers.all("Content-Length"))
    if not lengths:
        return body
    text = lengths.pop()
    if lengths or not re.fullmatch(r"\d{1,9}", text, re.ASCII):
        raise SipMessageError("Content-Length is not one number", head=message)
    if int(text) > len(body):
        raise SipMessageError("the body is shorter than Content-Length says", head=message)
    return body[: int(text)]
