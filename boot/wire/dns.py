r"""DNS queries and answers for A records (RFC 1035), bounded against hostile packets.

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

A, CNAME, INTERNET = 1, 5, 1
MAX_RECORDS: Final = 64

_HEAD = struct.Struct("!6H")
_QUESTION = struct.Struct("!HH")
_RECORD = struct.Struct("!HHIH")
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
    """One question for the A records of a name."""

    id: int
    name: str

    def __bytes__(self) -> bytes:
        head = _HEAD.pack(self.id, _RECURSION_DESIRED, 1, 0, 0, 0)
        return head + encode_name(self.name) + _QUESTION.pack(A, INTERNET)


@dataclass(frozen=True, slots=True)
class Record:
    """One A or CNAME record: exactly one of ``address`` and ``alias`` is set."""

    name: str
    ttl_s: int
    address: IPv4Address | None = None
    alias: str | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """A response; records of other types are left out."""

    id: int
    name: str
    code: int
    truncated: bool
    records: tuple[Record, ...] = ()

    @classmethod
    def parse(cls, data: bytes) -> "Answer":
        """Returns the response in a datagram.

        Raises:
            TruncatedError: It ends inside a field.
            MalformedError: No response, not one question, a name that loops or is too long.
        """
        identifier, flags, questions, answers, _, _ = _unpack(_HEAD, data, 0)
        if not flags & _RESPONSE or questions != 1:
            raise MalformedError("not a response to one question")
        name, at = decode_name(data, _HEAD.size)
        if _unpack(_QUESTION, data, at) != (A, INTERNET):
            raise MalformedError("the response repeats another question")
        records = _parse_records(data, at + _QUESTION.size, min(answers, MAX_RECORDS))
        return cls(identifier, name, flags & 0xF, bool(flags & _TRUNCATED), records)

    def addresses(self) -> tuple[IPv4Address, ...]:
        """Returns the addresses of the asked name, through its aliases."""
        names = {self.name}
        for record in self.records:
            if record.alias is not None and record.name in names:
                names.add(record.alias)
        return tuple(r.address for r in self.records if r.address is not None and r.name in names)

    def __bytes__(self) -> bytes:
        flags = _RESPONSE | _RECURSION_DESIRED | (_TRUNCATED if self.truncated else 0) | self.code
        head = _HEAD.pack(self.id, flags, 1, len(self.records), 0, 0)
        question = encode_name(self.name) + _QUESTION.pack(A, INTERNET)
        return head + question + b"".join(map(_record_bytes, self.records))


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
    return data[at : at + length].decode("latin-1").lower()


def _parse_records(data: bytes, at: int, count: int) -> tuple[Record, ...]:
    records: list[Record] = []
    for _ in range(count):
        name, at = decode_name(data, at)
        kind, family, ttl_s, length = _unpack(_RECORD, data, at)
        at += _RECORD.size
        if at + length > len(data):
            raise TruncatedError("a record runs past the end")
        if family == INTERNET and kind == A:
            records.append(Record(name, ttl_s, address=_address(data[at : at + length])))
        elif family == INTERNET and kind == CNAME:
            records.append(Record(name, ttl_s, alias=decode_name(data, at)[0]))
        at += length
    return tuple(records)


def _address(data: bytes) -> IPv4Address:
    if len(data) != 4:
        raise MalformedError(f"an A record of {len(data)} bytes")
    return IPv4Address(data)


def _record_bytes(record: Record) -> bytes:
    if record.address is not None:
        kind, body = A, record.address.packed
    else:
        kind, body = CNAME, encode_name(record.alias or "")
    head = encode_name(record.name) + _RECORD.pack(kind, INTERNET, record.ttl_s, len(body))
    return head + body


def _byte(data: bytes, at: int) -> int:
    if at >= len(data):
        raise TruncatedError("a name runs past the end")
    return data[at]


def _unpack(layout: struct.Struct, data: bytes, at: int) -> tuple[int, ...]:
    if at + layout.size > len(data):
        raise TruncatedError(f"{len(data)} bytes end inside the {layout.size} at {at}")
    return layout.unpack_from(data, at)
