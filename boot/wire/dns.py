r"""DNS queries and answers for A and SRV records (RFC 1035, 2782), bounded against hostile packets.

>>> bytes(Query(7, "tss1.turret.example"))[12:]
b'\x04tss1\x06turret\x07example\x00\x00\x01\x00\x01'
"""

import enum
import re
import struct
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Final

from .errors import MalformedError, TruncatedError

A, CNAME, SRV, INTERNET = 1, 5, 33, 1
MAX_RECORDS: Final = 64
MAX_ALIASES: Final = 8
"""A name that leads to more names than this leads nowhere."""

_HEAD = struct.Struct("!6H")
_QUESTION = struct.Struct("!HH")
_RECORD = struct.Struct("!HHIH")
_SERVICE = struct.Struct("!HHH")
_RESPONSE, _TRUNCATED, _RECURSION_DESIRED = 0x8000, 0x0200, 0x0100
_POINTER = 0xC0
_MAX_NAME = 255
_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?", re.IGNORECASE)


class ResponseCode(enum.IntEnum):
    """What the server says about the question (RFC 1035 §4.1.1)."""

    NO_ERROR = 0
    FORMAT_ERROR = 1
    SERVER_FAILURE = 2
    NAME_ERROR = 3
    NOT_IMPLEMENTED = 4
    REFUSED = 5


@dataclass(frozen=True, slots=True)
class Query:
    """Asks a recursive server for the A or SRV records of a name, in whatever case it is spelt."""

    id: int
    name: str
    kind: int = A

    @property
    def question(self) -> bytes:
        """The question section, which a response repeats bit by bit."""
        return encode_name(self.name) + _QUESTION.pack(self.kind, INTERNET)

    def __bytes__(self) -> bytes:
        return _HEAD.pack(self.id, _RECURSION_DESIRED, 1, 0, 0, 0) + self.question


@dataclass(frozen=True, slots=True)
class Service:
    """Where a service is (RFC 2782).

    Attributes:
        priority: Lower ones are asked first.
        weight: The share of the load among equal priorities.
        port: Of the service.
        target: The host; empty when the service is not offered.
    """

    priority: int
    weight: int
    port: int
    target: str


@dataclass(frozen=True, slots=True)
class Record:
    """One A, CNAME or SRV record: exactly one of address, alias and service is set."""

    name: str
    ttl_s: int
    address: IPv4Address | None = None
    alias: str | None = None
    service: Service | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """A response; records of other types are left out, and all of them when it was cut short.

    Attributes:
        records: The answer section.
        extra: The additional section: what the server thinks will be asked next.
    """

    id: int
    name: str
    code: int
    truncated: bool
    records: tuple[Record, ...] = ()
    kind: int = A
    extra: tuple[Record, ...] = ()

    @classmethod
    def parse(cls, data: bytes) -> "Answer":
        """Returns the response in a datagram.

        Raises:
            TruncatedError: It ends inside a field.
            MalformedError: No response, not one question, a name that loops or is too long.
        """
        identifier, flags, questions, answers, authorities, extras = _unpack(_HEAD, data, 0)
        if not flags & _RESPONSE or questions != 1:
            raise MalformedError("not a response to one question")
        name, at = decode_name(data, _HEAD.size)
        kind, family = _unpack(_QUESTION, data, at)
        if kind not in (A, SRV) or family != INTERNET:
            raise MalformedError(f"the response repeats another question: type {kind}")
        at, code = at + _QUESTION.size, flags & 0xF
        if flags & _TRUNCATED:
            return cls(identifier, name, code, truncated=True, kind=kind)
        if answers + authorities + extras > MAX_RECORDS:
            raise MalformedError(f"more than {MAX_RECORDS} records")
        records, at = _parse_records(data, at, answers)
        _, at = _parse_records(data, at, authorities)
        extra, _ = _parse_records(data, at, extras)
        return cls(identifier, name, code, False, records, kind, extra)

    def target(self) -> str:
        """Returns the name that the asked name is an alias for, or itself.

        Raises:
            MalformedError: The aliases go round in circles, or on and on.
        """
        aliases = {record.name: record.alias for record in self.records if record.alias}
        name = self.name
        for _ in range(MAX_ALIASES + 1):
            following = aliases.get(name)
            if following is None:
                return name
            name = following
        raise MalformedError(f"more than {MAX_ALIASES} aliases, or a circle of them")

    def addresses(self) -> tuple[IPv4Address, ...]:
        """Returns the addresses of the asked name, through its aliases."""
        target = self.target()
        return tuple(r.address for r in self.records if r.address and r.name == target)

    def services(self) -> tuple[Service, ...]:
        """Returns the services of the asked name, through its aliases."""
        target = self.target()
        return tuple(r.service for r in self.records if r.service and r.name == target)

    def __bytes__(self) -> bytes:
        flags = _RESPONSE | _RECURSION_DESIRED | (_TRUNCATED if self.truncated else 0) | self.code
        head = _HEAD.pack(self.id, flags, 1, len(self.records), 0, len(self.extra))
        question = encode_name(self.name) + _QUESTION.pack(self.kind, INTERNET)
        return head + question + b"".join(map(_record_bytes, (*self.records, *self.extra)))


def encode_name(name: str) -> bytes:
    """Returns a name in wire form.

    Raises:
        MalformedError: It is not a host name: empty or long labels, strange characters.
    """
    labels = name.rstrip(".").split(".")
    if not all(_LABEL.fullmatch(label) for label in labels):
        raise MalformedError(f"{name!r} is not a host name")
    wire = b"".join(bytes([len(label)]) + label.encode("ascii") for label in labels) + b"\0"
    if len(wire) > _MAX_NAME:
        raise MalformedError(f"{name[:32]!r}... is longer than a name may be")
    return wire


def decode_name(data: bytes, at: int) -> tuple[str, int]:
    """Returns the lower-case name at ``at`` and where the bytes after it begin.

    Compression pointers must point backwards, so a loop cannot happen (RFC 1035 §4.1.4).

    Raises:
        TruncatedError: It runs past the end.
        MalformedError: It points forwards, is too long or has strange labels.
    """
    labels: list[str] = []
    end: int | None = None
    floor = at
    while length := _byte(data, at):
        if length & _POINTER == _POINTER:
            end = at + 2 if end is None else end
            target = (length & 0x3F) << 8 | _byte(data, at + 1)
            if target >= floor:
                raise MalformedError("a compression pointer does not point backwards")
            at = floor = target
            continue
        labels.append(_label(data, at + 1, length))
        at += 1 + length
        if sum(map(len, labels)) + len(labels) + 1 > _MAX_NAME:
            raise MalformedError("a name is too long")
    return ".".join(labels), at + 1 if end is None else end


def _label(data: bytes, at: int, length: int) -> str:
    if length > 63:
        raise MalformedError(f"label length {length}")
    if at + length > len(data):
        raise TruncatedError("a label runs past the end")
    label = data[at : at + length].decode("latin-1").lower()
    if not all("!" <= character <= "~" and character != "." for character in label):
        raise MalformedError("a label is not printable ASCII without dots")
    return label


def _parse_records(data: bytes, at: int, count: int) -> tuple[tuple[Record, ...], int]:
    """Returns the records that are understood, and where the bytes after all of them begin."""
    records: list[Record] = []
    for _ in range(count):
        name, at = decode_name(data, at)
        kind, family, ttl_s, length = _unpack(_RECORD, data, at)
        at += _RECORD.size
        if at + length > len(data):
            raise TruncatedError("a record runs past the end")
        record = _parse_record(name, kind, ttl_s, data[: at + length], at)
        if record is not None and family == INTERNET:
            records.append(record)
        at += length
    return tuple(records), at


def _parse_record(name: str, kind: int, ttl_s: int, data: bytes, at: int) -> Record | None:
    """Returns the record whose content is the rest of ``data``; None for other types."""
    if kind == A:
        return Record(name, ttl_s, address=_address(data[at:]))
    if kind == CNAME:
        return Record(name, ttl_s, alias=decode_name(data, at)[0])
    if kind == SRV:
        priority, weight, port = _unpack(_SERVICE, data, at)
        target = decode_name(data, at + _SERVICE.size)[0]
        return Record(name, ttl_s, service=Service(priority, weight, port, target))
    return None


def _address(data: bytes) -> IPv4Address:
    if len(data) != 4:
        raise MalformedError(f"an A record of {len(data)} bytes")
    return IPv4Address(data)


def _record_bytes(record: Record) -> bytes:
    kind, body = _content(record)
    head = encode_name(record.name) + _RECORD.pack(kind, INTERNET, record.ttl_s, len(body))
    return head + body


def _content(record: Record) -> tuple[int, bytes]:
    if record.address is not None:
        return A, record.address.packed
    service = record.service
    if service is None:
        return CNAME, encode_name(record.alias or "")
    fields = _SERVICE.pack(service.priority, service.weight, service.port)
    return SRV, fields + (encode_name(service.target) if service.target else b"\0")


def _byte(data: bytes, at: int) -> int:
    if at >= len(data):
        raise TruncatedError("a name runs past the end")
    return data[at]


def _unpack(layout: struct.Struct, data: bytes, at: int) -> tuple[int, ...]:
    if at + layout.size > len(data):
        raise TruncatedError(f"{len(data)} bytes end inside the {layout.size} at {at}")
    return layout.unpack_from(data, at)
