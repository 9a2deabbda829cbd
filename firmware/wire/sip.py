"""SIP messages as values: requests, responses, headers, addresses and multipart bodies.

RFC 3261, with the compact forms, folded headers and the framing of a stream (section 18.3).
Header values stay text until somebody asks for their meaning: a message with one bad header can
so still be answered.  Bytes that are not UTF-8 survive a round trip.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from .errors import MalformedError, SipMessageError, TooLargeError

MAX_MESSAGE_BYTES = 65_535
MAX_HEADERS = 256
MAX_HEADER_BYTES = 8_192
MAX_PARTS = 16

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
_TOKEN = r"[A-Za-z0-9\-.!%*_+`'~]+"
_TOKEN_ONLY = re.compile(_TOKEN)
_REQUEST_LINE = re.compile(rf"({_TOKEN}) ([^\s<>\"]+) SIP/(\d{{1,9}})\.(\d{{1,9}})", re.ASCII)
_STATUS_LINE = re.compile(r"SIP/2\.0 (\d{3,9})(?: (.*))?", re.ASCII)
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)
_HOST = r"\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._\-]+"
_HOST_PORT = re.compile(rf"({_HOST})(?::(\d{{1,5}}))?", re.ASCII)
_VIA = re.compile(
    rf"SIP\s*/\s*(\d\.\d)\s*/\s*({_TOKEN})\s+({_HOST})(?:\s*:\s*(\d{{1,5}}))?\s*(;.*)?",
    re.DOTALL | re.ASCII,
)
_CSEQ = re.compile(rf"(\d{{1,20}})\s+({_TOKEN})", re.ASCII)
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]*):(.+)", re.DOTALL)


def canonical_name(name: str) -> str:
    """Write a header name in its usual long form; ``i`` becomes ``Call-ID``."""
    lowered = name.lower()
    return _COMPACT.get(lowered) or _CANONICAL.get(lowered) or name


# ---------------------------------------------------------------------------- headers


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
            position = _end_of_quote(value, position)
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


def _end_of_quote(value: str, start: int) -> int:
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
    if not _TOKEN_ONLY.fullmatch(name):
        raise MalformedError(f"{item!r} is not a parameter")
    return name, unquote(value.strip()) if equals else None


def _format_parameters(parameters: Parameters) -> str:
    return "".join(
        f";{name}" if value is None else f";{name}={_parameter_value(value)}"
        for name, value in parameters
    )


def _parameter_value(value: str) -> str:
    return value if re.fullmatch(r"[^\s\";,<>\\]+", value) else quote(value)


def _find(parameters: Parameters, name: str) -> str | None:
    return next((value or "" for key, value in parameters if key == name.lower()), None)


# ---------------------------------------------------------------------------- addresses


@dataclass(frozen=True, slots=True)
class SipUri:
    """A sip or sips URI (RFC 3261 section 19.1).

    Attributes:
        scheme: ``sip`` or ``sips``.
        user: user part as written (escapes kept), None when there is none.
        host: host name, IPv4 address or bracketed IPv6 reference.
        port: port, None when not written.
        parameters: URI parameters, names lowered.
        headers: what follows ``?``, as written.
    """

    host: str
    user: str | None = None
    port: int | None = None
    scheme: str = "sip"
    parameters: Parameters = ()
    headers: str = ""

    @classmethod
    def parse(cls, text: str) -> SipUri:
        """Parse a sip or sips URI.

        Raises:
            MalformedError: not a sip or sips URI.
        """
        scheme, rest = _scheme(text)
        if scheme not in ("sip", "sips"):
            raise MalformedError(f"{scheme} is not a SIP scheme")
        userinfo, at, place = rest.rpartition("@")
        if "?" in userinfo and at:
            raise MalformedError("the user part holds a question mark that is not escaped")
        place, _, headers = place.partition("?")
        address, _, parameters = place.partition(";")
        host, port = parse_host_port(address)
        return cls(host, userinfo or None, port, scheme, parse_parameters(parameters), headers)

    def parameter(self, name: str) -> str | None:
        """Return a URI parameter; an empty string for a flag; None when absent."""
        return _find(self.parameters, name)

    def __str__(self) -> str:
        user = "" if self.user is None else f"{self.user}@"
        port = "" if self.port is None else f":{self.port}"
        headers = f"?{self.headers}" if self.headers else ""
        return (
            f"{self.scheme}:{user}{self.host}{port}{_format_parameters(self.parameters)}{headers}"
        )


def _scheme(text: str) -> tuple[str, str]:
    found = _SCHEME.fullmatch(text)
    if found is None or re.search(r"[\s<>\"]", text):
        raise MalformedError(f"{text[:80]!r} is not a URI")
    return found[1].lower(), found[2]


def uri_scheme(text: str) -> str:
    """Return the scheme of any URI, lowered.

    Raises:
        MalformedError: not a URI.
    """
    return _scheme(text)[0]


def parse_host_port(text: str) -> tuple[str, int | None]:
    """Parse ``host``, ``host:port`` or ``[IPv6]:port``.

    Raises:
        MalformedError: neither of them, or the port is above 65535.
    """
    found = _HOST_PORT.fullmatch(text)
    if found is None:
        raise MalformedError(f"{text[:80]!r} is not a host and port")
    return found[1], _port(found[2])


def _port(text: str | None) -> int | None:
    if text is not None and int(text) > 65_535:
        raise MalformedError(f"port {text} is above 65535")
    return None if text is None else int(text)


@dataclass(frozen=True, slots=True)
class NameAddress:
    """A display name, a URI and parameters: From, To, Contact, Route, Record-Route.

    Attributes:
        uri: the URI as written.
        display: display name without quotation marks.
        parameters: header parameters, names lowered.
    """

    uri: str
    display: str = ""
    parameters: Parameters = ()

    @classmethod
    def parse(cls, text: str) -> NameAddress:
        """Parse ``"Name" <uri>;tag=x`` or ``uri;tag=x`` (RFC 3261 section 20.10).

        Raises:
            MalformedError: neither form.
        """
        display, rest = _split_display(text.strip())
        if rest.startswith("<"):
            uri, closed, tail = rest[1:].partition(">")
            if not closed or (tail.strip() and not tail.strip().startswith(";")):
                raise MalformedError(f"{text[:80]!r} is not an address")
        else:
            uri, _, tail = rest.partition(";")
            uri = uri.strip()
            if "?" in uri or "," in uri:
                raise MalformedError("a URI with a comma or question mark needs angle brackets")
        uri_scheme(uri)
        return cls(uri, display, parse_parameters(tail))

    @property
    def tag(self) -> str | None:
        """Dialog tag, None when there is none."""
        return _find(self.parameters, "tag")

    def parameter(self, name: str) -> str | None:
        """Return a header parameter; an empty string for a flag; None when absent."""
        return _find(self.parameters, name)

    def __str__(self) -> str:
        display = f"{quote(self.display)} " if self.display else ""
        return f"{display}<{self.uri}>{_format_parameters(self.parameters)}"


def _split_display(text: str) -> tuple[str, str]:
    if text.startswith('"'):
        end = _end_of_quote(text, 0)
        rest = text[end:].strip()
        if not rest.startswith("<"):
            raise MalformedError("a quoted display name needs a URI in angle brackets")
        return unquote(text[:end]), rest
    display, bracket, rest = text.partition("<")
    if not bracket:
        return "", text
    if display.strip() and not re.fullmatch(rf"(?:{_TOKEN}\s+)*{_TOKEN}", display.strip()):
        raise MalformedError(f"display name {display[:80]!r} must be quoted")
    return display.strip(), bracket + rest


@dataclass(frozen=True, slots=True)
class Via:
    """One hop of the way back (RFC 3261 section 20.42).

    Attributes:
        transport: UDP, TCP, TLS, WS or another token, raised.
        host: sent-by host.
        port: sent-by port, None when not written.
        parameters: branch, received, rport and others, names lowered.
        version: protocol version, echoed as it came.
    """

    transport: str
    host: str
    port: int | None = None
    parameters: Parameters = ()
    version: str = "2.0"

    @classmethod
    def parse(cls, text: str) -> Via:
        """Parse one element of a Via header.

        Raises:
            MalformedError: not a Via element.
        """
        found = _VIA.fullmatch(text.strip())
        if found is None:
            raise MalformedError(f"{text[:80]!r} is not a Via")
        version, transport, host, port, tail = found.groups()
        return cls(transport.upper(), host, _port(port), parse_parameters(tail or ""), version)

    @property
    def branch(self) -> str | None:
        """Transaction branch, None when there is none."""
        return self.parameter("branch")

    def parameter(self, name: str) -> str | None:
        """Return a parameter; an empty string for a flag such as ``rport``; None when absent."""
        return _find(self.parameters, name)

    def with_parameter(self, name: str, value: str | None) -> Via:
        """Return the hop with this parameter set in its place, or added."""
        kept = tuple(p if p[0] != name else (name, value) for p in self.parameters)
        present = any(key == name for key, _ in self.parameters)
        return replace(self, parameters=kept if present else (*kept, (name, value)))

    def __str__(self) -> str:
        port = "" if self.port is None else f":{self.port}"
        parameters = _format_parameters(self.parameters)
        return f"SIP/{self.version}/{self.transport} {self.host}{port}{parameters}"


@dataclass(frozen=True, slots=True)
class CSeq:
    """Sequence number and method of a request in its dialog (RFC 3261 section 20.16)."""

    number: int
    method: str

    @classmethod
    def parse(cls, text: str) -> CSeq:
        """Parse a CSeq value.

        Raises:
            MalformedError: not a CSeq, or its number does not fit in 32 bits.
        """
        found = _CSEQ.fullmatch(text.strip())
        if found is None or int(found[1]) >= 2**32:
            raise MalformedError(f"{text[:80]!r} is not a CSeq")
        return cls(int(found[1]), found[2])

    def __str__(self) -> str:
        return f"{self.number} {self.method}"


@dataclass(frozen=True, slots=True)
class Replaces:
    """The dialog that an INVITE takes over (RFC 3891 section 6.1).

    Attributes:
        call_id: Call-ID of the old dialog.
        to_tag: tag of the side that gets the request.
        from_tag: tag of the other side.
        early_only: only an early dialog may be taken over.
    """

    call_id: str
    to_tag: str
    from_tag: str
    early_only: bool = False

    @classmethod
    def parse(cls, text: str) -> Replaces:
        """Parse a Replaces value.

        Raises:
            MalformedError: a tag is missing.
        """
        call_id, _, tail = text.partition(";")
        parameters = parse_parameters(tail)
        to_tag, from_tag = _find(parameters, "to-tag"), _find(parameters, "from-tag")
        if not call_id.strip() or not to_tag or not from_tag:
            raise MalformedError("Replaces needs a call id, to-tag and from-tag")
        early = _find(parameters, "early-only") is not None
        return cls(call_id.strip(), to_tag, from_tag, early)

    def __str__(self) -> str:
        early = ";early-only" if self.early_only else ""
        return f"{self.call_id};to-tag={self.to_tag};from-tag={self.from_tag}{early}"


# ---------------------------------------------------------------------------- messages


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
        return _encode("\r\n".join(lines)) + b"\r\n\r\n" + self.body


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
    start, *lines = _unfold(_decode(head))
    try:
        headers = _parse_headers(line for line in lines if line or blank)
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


def _decode(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def _encode(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _unfold(head: str) -> list[str]:
    return re.sub(r"\r\n[ \t]+", " ", head).split("\r\n")


def _parse_headers(lines: Iterable[str]) -> Headers:
    fields = tuple(_parse_header(line) for line in lines)
    if len(fields) > MAX_HEADERS:
        raise TooLargeError(f"{len(fields)} headers are more than {MAX_HEADERS}")
    return Headers(fields)


def _parse_header(line: str) -> tuple[str, str]:
    if len(line) > MAX_HEADER_BYTES:
        raise TooLargeError(f"a header of {len(line)} characters")
    name, colon, value = line.partition(":")
    name = name.rstrip(" \t")
    if not colon or not _TOKEN_ONLY.fullmatch(name) or "\r" in value or "\n" in value:
        raise MalformedError(f"{line[:80]!r} is not a header")
    return canonical_name(name), value.strip(" \t")


def _parse_start_line(line: str, headers: Headers) -> Message:
    if line.startswith("SIP/"):
        return _parse_status_line(line, headers)
    found = _REQUEST_LINE.fullmatch(line)
    if found is None:
        words = line.split() or [""]
        method = words[0] if _TOKEN_ONLY.fullmatch(words[0]) else "UNKNOWN"
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


# ---------------------------------------------------------------------------- bodies


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
        if not slash or not _TOKEN_ONLY.fullmatch(kind) or not _TOKEN_ONLY.fullmatch(subtype):
            raise MalformedError(f"{text[:80]!r} is not a media type")
        return cls(kind.lower(), subtype.lower(), parse_parameters(tail))

    @property
    def name(self) -> str:
        """The type without parameters, such as ``application/sdp``."""
        return f"{self.kind}/{self.subtype}"

    def parameter(self, name: str) -> str | None:
        """Return a parameter, None when absent."""
        return _find(self.parameters, name)

    def __str__(self) -> str:
        return f"{self.name}{_format_parameters(self.parameters)}"


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
    mark = b"\r\n--" + _encode(boundary)
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
    return Part(_parse_headers(_unfold(_decode(head))), body)


def build_multipart(parts: Iterable[Part], boundary: str) -> bytes:
    """Join parts into a multipart body with this boundary."""
    mark = b"--" + _encode(boundary)
    sections = [
        b"".join(_encode(f"{name}: {value}\r\n") for name, value in part.headers)
        + b"\r\n"
        + part.body
        for part in parts
    ]
    opened = b"".join(mark + b"\r\n" + section + b"\r\n" for section in sections)
    return opened + mark + b"--\r\n"
