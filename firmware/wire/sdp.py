"""Session descriptions as values: the part of RFC 8866 that a turret and its far ends use.

`SessionDescription` is for those who read or write a whole description.  `rewrite` is for the
SIP agent, which leaves the description of its SIP stack as it is but for where the media flows.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from .errors import MalformedError, TooLargeError, TruncatedError

MAX_BYTES = 65_535
MAX_LINES = 1_024
MAX_MEDIA = 64
DIRECTIONS = ("sendrecv", "sendonly", "recvonly", "inactive")
_LINE = re.compile(r"([a-z])=(.*)", re.DOTALL)
_WORD = r"\S+"
_ORIGIN = re.compile(rf"({_WORD}) (\d{{1,20}}) (\d{{1,20}}) IN (IP4|IP6) ({_WORD})", re.ASCII)
_CONNECTION = re.compile(rf"IN (IP4|IP6) ({_WORD})", re.ASCII)
_MEDIA = re.compile(r"(\S+) (\d{1,5})(?:/(\d{1,5}))? (\S+)((?: \S+)+)", re.ASCII)
_RTPMAP = re.compile(r"(\d{1,3}) ([^/\s]+)/(\d{1,6})(?:/(\d{1,2}))?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Attribute:
    """One ``a=`` line; ``value`` is None for a flag such as ``sendonly``."""

    name: str
    value: str | None = None

    @classmethod
    def parse(cls, text: str) -> Attribute:
        """Parse what follows ``a=``.

        Raises:
            MalformedError: there is no name.
        """
        name, colon, value = text.partition(":")
        if not name:
            raise MalformedError("an attribute without name")
        return cls(name, value if colon else None)

    def __str__(self) -> str:
        return self.name if self.value is None else f"{self.name}:{self.value}"


@dataclass(frozen=True, slots=True)
class Origin:
    """The ``o=`` line (RFC 8866 section 5.2).

    Attributes:
        address: unicast address of the machine that made the session.
        username: login name, ``-`` when there is none.
        session_id: number of the session.
        version: grows by one with every change of the description.
    """

    address: str
    username: str = "-"
    session_id: int = 0
    version: int = 0

    @classmethod
    def parse(cls, text: str) -> Origin:
        """Parse what follows ``o=``.

        Raises:
            MalformedError: not an origin.
        """
        found = _ORIGIN.fullmatch(text)
        if found is None:
            raise MalformedError(f"{text[:80]!r} is not an origin")
        return cls(found[5], found[1], int(found[2]), int(found[3]))

    def __str__(self) -> str:
        family = _family(self.address)
        return f"{self.username} {self.session_id} {self.version} IN {family} {self.address}"


@dataclass(frozen=True, slots=True)
class RtpMap:
    """What a payload type stands for (RFC 8866 section 6.6).

    Attributes:
        payload_type: 0 to 127.
        encoding: PCMU, PCMA, telephone-event and so on, as written.
        rate_hz: clock rate.
        channels: audio channels.
    """

    payload_type: int
    encoding: str
    rate_hz: int
    channels: int = 1

    @classmethod
    def parse(cls, text: str) -> RtpMap:
        """Parse the value of an rtpmap attribute.

        Raises:
            MalformedError: not an rtpmap.
        """
        found = _RTPMAP.fullmatch(text.strip())
        if found is None or int(found[1]) > 127:
            raise MalformedError(f"{text[:80]!r} is not an rtpmap")
        return cls(int(found[1]), found[2], int(found[3]), int(found[4] or 1))

    def __str__(self) -> str:
        channels = f"/{self.channels}" if self.channels != 1 else ""
        return f"{self.payload_type} {self.encoding}/{self.rate_hz}{channels}"


PCMU = RtpMap(0, "PCMU", 8000)
PCMA = RtpMap(8, "PCMA", 8000)
_STATIC = {"0": PCMU, "8": PCMA}


@dataclass(frozen=True, slots=True)
class Media:
    """One ``m=`` block (RFC 8866 section 5.14).

    Attributes:
        kind: ``audio``, ``video`` and so on.
        port: transport port, 0 when refused.
        protocol: ``RTP/AVP`` and so on.
        formats: payload types as written, in order of preference.
        attributes: ``a=`` lines of this block.
        address: connection address of this block, None when the session's counts.
        port_count: number of ports, nearly always 1.
        other: other lines of this block, such as ``b=``, as pairs of letter and value.
    """

    port: int
    formats: tuple[str, ...]
    attributes: tuple[Attribute, ...] = ()
    address: str | None = None
    kind: str = "audio"
    protocol: str = "RTP/AVP"
    port_count: int = 1
    other: tuple[tuple[str, str], ...] = ()

    def attribute(self, name: str) -> Attribute | None:
        """Return the first attribute of this name, or None."""
        return _attribute(self.attributes, name)

    @property
    def label(self) -> str | None:
        """The label (RFC 4574), by which SIPREC metadata names a stream."""
        found = self.attribute("label")
        return None if found is None else found.value

    @property
    def direction(self) -> str | None:
        """One of `DIRECTIONS`, None when this block does not say."""
        return _direction(self.attributes)

    @property
    def ptime_ms(self) -> int:
        """Packet time in milliseconds; 20 when not said or not a number."""
        found = self.attribute("ptime")
        text = "" if found is None else found.value or ""
        return int(text) if re.fullmatch(r"\d{1,3}", text, re.ASCII) and int(text) else 20

    @property
    def rtcp_port(self) -> int:
        """Port of RTCP: RFC 3605 when said, else the next one."""
        found = self.attribute("rtcp")
        text = "" if found is None else (found.value or "").split(" ")[0]
        if re.fullmatch(r"\d{1,5}", text, re.ASCII) and int(text) < 65_536:
            return int(text)
        return min(self.port + 1, 65_535)

    @property
    def codecs(self) -> tuple[RtpMap, ...]:
        """What the formats stand for, unknown dynamic ones left out.

        Raises:
            MalformedError: an rtpmap line breaks its grammar.
        """
        maps = {
            str(each.payload_type): each
            for each in (RtpMap.parse(a.value or "") for a in self.attributes if a.name == "rtpmap")
        }
        known = (maps.get(name) or _STATIC.get(name) for name in self.formats)
        return tuple(each for each in known if each is not None)

    def lines(self) -> Iterator[str]:
        """Write the block line by line, without line ends."""
        count = f"/{self.port_count}" if self.port_count != 1 else ""
        yield f"m={self.kind} {self.port}{count} {self.protocol} {' '.join(self.formats)}"
        yield from (f"{key}={value}" for key, value in self.other if key == "i")
        if self.address is not None:
            yield f"c=IN {_family(self.address)} {self.address}"
        yield from (f"{key}={value}" for key, value in self.other if key != "i")
        yield from (f"a={each}" for each in self.attributes)


@dataclass(frozen=True, slots=True)
class SessionDescription:
    """A whole description (RFC 8866 section 5); ``bytes(description)`` is the body of a message.

    Attributes:
        origin: the ``o=`` line.
        media: the ``m=`` blocks in order.
        address: connection address of the session, None when every block has its own.
        attributes: ``a=`` lines of the session.
        name: the ``s=`` line.
        other: other lines of the session, such as ``b=``, as pairs of letter and value.
    """

    origin: Origin
    media: tuple[Media, ...] = ()
    address: str | None = None
    attributes: tuple[Attribute, ...] = ()
    name: str = "-"
    other: tuple[tuple[str, str], ...] = ()

    @classmethod
    def parse(cls, data: bytes) -> SessionDescription:
        """Parse a body of type ``application/sdp``.

        Raises:
            TruncatedError: ``o=`` is missing.
            MalformedError: a line breaks the grammar.
            TooLargeError: more bytes, lines or media than the bounds of this module.
        """
        session, *blocks = _blocks(_lines(data))
        if len(blocks) > MAX_MEDIA:
            raise TooLargeError(f"{len(blocks)} media are more than {MAX_MEDIA}")
        parsed = _parse_session(session)
        return replace(parsed, media=tuple(_parse_media(block) for block in blocks))

    def address_of(self, media: Media) -> str:
        """Return where a block's media flows.

        Raises:
            MalformedError: neither the block nor the session says.
        """
        address = media.address or self.address
        if address is None:
            raise MalformedError("neither the media nor the session has a connection address")
        return address

    def direction_of(self, media: Media) -> str:
        """Return the direction of a block, ``sendrecv`` when nothing is said."""
        return media.direction or _direction(self.attributes) or "sendrecv"

    def __str__(self) -> str:
        return "".join(f"{line}\r\n" for line in self._lines())

    def __bytes__(self) -> bytes:
        return str(self).encode("utf-8", "surrogateescape")

    def _lines(self) -> Iterator[str]:
        yield from ("v=0", f"o={self.origin}", f"s={self.name}")
        yield from (f"{key}={value}" for key, value in self.other if key in "iuep")
        if self.address is not None:
            yield f"c=IN {_family(self.address)} {self.address}"
        yield from (f"{key}={value}" for key, value in self.other if key == "b")
        yield "t=0 0"
        yield from (f"{key}={value}" for key, value in self.other if key not in "iuepb")
        yield from (f"a={each}" for each in self.attributes)
        for media in self.media:
            yield from media.lines()


_Line = tuple[str, str]


def _family(address: str) -> str:
    return "IP6" if ":" in address else "IP4"


def _attribute(attributes: Iterable[Attribute], name: str) -> Attribute | None:
    return next((each for each in attributes if each.name == name), None)


def _direction(attributes: Iterable[Attribute]) -> str | None:
    names = (each.name for each in attributes if each.value is None)
    return next((name for name in names if name in DIRECTIONS), None)


def _lines(data: bytes) -> list[_Line]:
    if len(data) > MAX_BYTES:
        raise TooLargeError(f"{len(data)} bytes are more than {MAX_BYTES}")
    text = data.decode("utf-8", "surrogateescape")
    lines = [line for line in re.split(r"\r?\n", text) if line]
    if len(lines) > MAX_LINES:
        raise TooLargeError(f"{len(lines)} lines are more than {MAX_LINES}")
    return [_line(line) for line in lines]


def _line(line: str) -> _Line:
    found = _LINE.fullmatch(line)
    if found is None or "\r" in line or "\0" in line:
        raise MalformedError(f"{line[:80]!r} is not a line of a session description")
    return found[1], found[2]


def _blocks(lines: Iterable[_Line]) -> list[list[_Line]]:
    blocks: list[list[_Line]] = [[]]
    for line in lines:
        if line[0] == "m":
            blocks.append([])
        blocks[-1].append(line)
    return blocks


def _parse_session(lines: list[_Line]) -> SessionDescription:
    if not lines or lines[0] != ("v", "0"):
        raise MalformedError("a session description begins with v=0")
    origins = [value for key, value in lines if key == "o"]
    if len(origins) != 1:
        raise TruncatedError(f"a session description needs one o= line, has {len(origins)}")
    return SessionDescription(
        Origin.parse(origins[0]),
        (),
        _parse_connection(lines),
        tuple(Attribute.parse(value) for key, value in lines if key == "a"),
        next((value for key, value in lines if key == "s"), "-"),
        tuple(line for line in lines if line[0] not in "voscat"),
    )


def _parse_connection(lines: Iterable[_Line]) -> str | None:
    text = next((value for key, value in lines if key == "c"), None)
    if text is None:
        return None
    found = _CONNECTION.fullmatch(text.strip())
    if found is None:
        raise MalformedError(f"{text[:80]!r} is not a connection")
    return found[2].split("/")[0]


def _parse_media(lines: list[_Line]) -> Media:
    found = _MEDIA.fullmatch(lines[0][1].strip())
    if found is None or int(found[2]) > 65_535:
        raise MalformedError(f"{lines[0][1][:80]!r} is not a media line")
    return Media(
        int(found[2]),
        tuple(found[5].split()),
        tuple(Attribute.parse(value) for key, value in lines if key == "a"),
        _parse_connection(lines),
        found[1],
        found[4],
        int(found[3] or 1),
        tuple(line for line in lines if line[0] not in "mca"),
    )


# ---------------------------------------------------------------------------- rewriting


def rewrite(
    text: str,
    address: str,
    ports: Sequence[int],
    *,
    labels: Sequence[str] = (),
    direction: str | None = None,
) -> str:
    """Say where the media really flows, and leave everything else as it is.

    Changes every ``c=``, the last field of ``o=`` and the nonzero ports of the ``m=`` lines, and
    drops ``a=rtcp:`` and ``a=ssrc:``.  Payload types, directions and the version of ``o=`` stay.

    Args:
        text: the description that the SIP stack wrote.
        address: address of the mixing matrix.
        ports: one RTP port per ``m=`` line, in order; for a refused line (port 0) it is not used.
        labels: one ``a=label:`` per ``m=`` line, replacing what was there; none when empty.
        direction: one of `DIRECTIONS` to put on every ``m=`` line; None keeps what is there.

    Raises:
        MalformedError: a line is not one of a session description, or there are more live
            ``m=`` lines than ports or labels.
    """
    lines = (_line(line) for line in re.split(r"\r?\n", text) if line)
    kept = (line for line in lines if not _goes(line, labels, direction))
    session, *blocks = _blocks(_rewrite_line(line, address) for line in kept)
    for index, block in enumerate(blocks):
        block[0] = ("m", _rewrite_media(block[0][1], ports, index))
        block += _marks(index, labels, direction)
    return "".join(f"{key}={value}\r\n" for block in (session, *blocks) for key, value in block)


def _goes(line: _Line, labels: Sequence[str], direction: str | None) -> bool:
    key, value = line
    if key != "a":
        return False
    if value.startswith(("rtcp:", "ssrc:")):
        return True
    relabelled = bool(labels) and value.startswith("label:")
    return relabelled or (direction is not None and value in DIRECTIONS)


def _rewrite_line(line: _Line, address: str) -> _Line:
    key, value = line
    if key == "c":
        return key, f"IN {_family(address)} {address}"
    if key == "o":
        return key, str(replace(Origin.parse(value), address=address))
    return line


def _rewrite_media(value: str, ports: Sequence[int], index: int) -> str:
    found = _MEDIA.fullmatch(value.strip())
    if found is None:
        raise MalformedError(f"{value[:80]!r} is not a media line")
    live = int(found[2]) != 0
    if live and index >= len(ports):
        raise MalformedError(f"media line {index + 1} has no port among {len(ports)}")
    return f"{found[1]} {ports[index] if live else 0} {found[4]}{found[5]}"


def _marks(index: int, labels: Sequence[str], direction: str | None) -> Iterator[_Line]:
    if labels and index >= len(labels):
        raise MalformedError(f"media line {index + 1} has no label among {len(labels)}")
    if labels:
        yield "a", f"label:{labels[index]}"
    if direction is not None:
        yield "a", direction


def restrict(text: str, encodings: Sequence[str]) -> str:
    """Offer only some of the codecs: for a far end that must not choose among all of them.

    Telephone events stay.  A ``m=`` line with none of these codecs is left as it is.

    Args:
        text: the description that the SIP stack wrote.
        encodings: names in capitals, such as PCMU.

    Raises:
        MalformedError: a line is not one of a session description.
    """
    lines = (_line(line) for line in re.split(r"\r?\n", text) if line)
    session, *blocks = _blocks(lines)
    kept = [_restrict(block, frozenset(encodings)) for block in blocks]
    return "".join(f"{key}={value}\r\n" for block in (session, *kept) for key, value in block)


def _restrict(block: list[_Line], encodings: frozenset[str]) -> list[_Line]:
    media = _parse_media(block)
    names = {str(each.payload_type): each.encoding.upper() for each in media.codecs}
    if not encodings.intersection(names.values()):
        return block
    wanted = encodings | {"TELEPHONE-EVENT"}
    gone = {name for name in media.formats if names.get(name) not in wanted}
    formats = " ".join(name for name in media.formats if name not in gone)
    found = _MEDIA.fullmatch(block[0][1].strip())
    head = block[0][1] if found is None else block[0][1].strip()[: found.start(5)] + f" {formats}"
    return [("m", head), *(line for line in block[1:] if not _describes(line, gone))]


def _describes(line: _Line, payload_types: set[str]) -> bool:
    key, value = line
    name, _, rest = value.partition(":")
    return key == "a" and name in ("rtpmap", "fmtp") and rest.split(" ")[0] in payload_types
