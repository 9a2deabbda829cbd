"""Who and where in SIP: URIs, named addresses, hops, and what tells dialogs apart."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from .errors import MalformedError
from .sip_headers import (
    TOKEN,
    Parameters,
    end_of_quote,
    find_parameter,
    format_parameters,
    parse_parameters,
    quote,
    unquote,
)

_HOST = r"\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._\-]+"
_HOST_PORT = re.compile(rf"({_HOST})(?::(\d{{1,5}}))?", re.ASCII)
_VIA = re.compile(
    rf"SIP\s*/\s*(\d\.\d)\s*/\s*({TOKEN})\s+({_HOST})(?:\s*:\s*(\d{{1,5}}))?\s*(;.*)?",
    re.DOTALL | re.ASCII,
)
_CSEQ = re.compile(rf"(\d{{1,20}})\s+({TOKEN})", re.ASCII)
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]*):(.+)", re.DOTALL)


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
        return find_parameter(self.parameters, name)

    def __str__(self) -> str:
        user = "" if self.user is None else f"{self.user}@"
        port = "" if self.port is None else f":{self.port}"
        headers = f"?{self.headers}" if self.headers else ""
        return f"{self.scheme}:{user}{self.host}{port}{format_parameters(self.parameters)}{headers}"


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
        return find_parameter(self.parameters, "tag")

    def parameter(self, name: str) -> str | None:
        """Return a header parameter; an empty string for a flag; None when absent."""
        return find_parameter(self.parameters, name)

    def __str__(self) -> str:
        display = f"{quote(self.display)} " if self.display else ""
        return f"{display}<{self.uri}>{format_parameters(self.parameters)}"


def _split_display(text: str) -> tuple[str, str]:
    if text.startswith('"'):
        end = end_of_quote(text, 0)
        rest = text[end:].strip()
        if not rest.startswith("<"):
            raise MalformedError("a quoted display name needs a URI in angle brackets")
        return unquote(text[:end]), rest
    display, bracket, rest = text.partition("<")
    if not bracket:
        return "", text
    if display.strip() and not re.fullmatch(rf"(?:{TOKEN}\s+)*{TOKEN}", display.strip()):
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
        return find_parameter(self.parameters, name)

    def with_parameter(self, name: str, value: str | None) -> Via:
        """Return the hop with this parameter set in its place, or added."""
        kept = tuple(p if p[0] != name else (name, value) for p in self.parameters)
        present = any(key == name for key, _ in self.parameters)
        return replace(self, parameters=kept if present else (*kept, (name, value)))

    def __str__(self) -> str:
        port = "" if self.port is None else f":{self.port}"
        parameters = format_parameters(self.parameters)
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
        to_tag, from_tag = (
            find_parameter(parameters, "to-tag"),
            find_parameter(parameters, "from-tag"),
        )
        if not call_id.strip() or not to_tag or not from_tag:
            raise MalformedError("Replaces needs a call id, to-tag and from-tag")
        early = find_parameter(parameters, "early-only") is not None
        return cls(call_id.strip(), to_tag, from_tag, early)

    def __str__(self) -> str:
        early = ";early-only" if self.early_only else ""
        return f"{self.call_id};to-tag={self.to_tag};from-tag={self.from_tag}{early}"
