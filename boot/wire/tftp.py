r"""TFTP packets (RFC 1350) with option negotiation (RFC 2347, 2348, 2349, 7440).

>>> bytes(ReadRequest("default.yaml", {"blksize": "1428"}))
b'\x00\x01default.yaml\x00octet\x00blksize\x001428\x00'
>>> parse(b"\0\4\0\7")
Acknowledgement(block=7)
"""

import enum
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Final, TypeAlias

from .errors import MalformedError, TruncatedError

MODE: Final = "octet"
BLOCK_BYTES: Final = 512
"""Size of a block when nothing was negotiated (RFC 1350 §2)."""

_MAX_TEXT = 512
_MAX_OPTIONS = 16
_HEAD = struct.Struct("!HH")


class ErrorCode(enum.IntEnum):
    """Why a peer gave up (RFC 1350 §5, RFC 2347)."""

    UNDEFINED = 0
    FILE_NOT_FOUND = 1
    ACCESS_VIOLATION = 2
    DISK_FULL = 3
    ILLEGAL_OPERATION = 4
    UNKNOWN_TRANSFER_ID = 5
    FILE_EXISTS = 6
    NO_SUCH_USER = 7
    OPTION_REFUSED = 8


@dataclass(frozen=True, slots=True)
class ReadRequest:
    """Opcode 1: asks for a file."""

    opcode: ClassVar[int] = 1
    file: str
    options: Mapping[str, str] = field(default_factory=dict)

    def __bytes__(self) -> bytes:
        return _request(self.opcode, self.file, self.options)


@dataclass(frozen=True, slots=True)
class WriteRequest:
    """Opcode 2: offers a file; a unit never sends it, a server must refuse it."""

    opcode: ClassVar[int] = 2
    file: str
    options: Mapping[str, str] = field(default_factory=dict)

    def __bytes__(self) -> bytes:
        return _request(self.opcode, self.file, self.options)


@dataclass(frozen=True, slots=True)
class Data:
    """Opcode 3: one block; a short one is the last."""

    opcode: ClassVar[int] = 3
    block: int
    payload: bytes

    def __bytes__(self) -> bytes:
        return _HEAD.pack(self.opcode, self.block) + self.payload


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """Opcode 4: everything up to this block has arrived."""

    opcode: ClassVar[int] = 4
    block: int

    def __bytes__(self) -> bytes:
        return _HEAD.pack(self.opcode, self.block)


@dataclass(frozen=True, slots=True)
class Failure:
    """Opcode 5: the peer gave up; ends the transfer."""

    opcode: ClassVar[int] = 5
    code: int
    message: str = ""

    def __bytes__(self) -> bytes:
        return _HEAD.pack(self.opcode, self.code) + self.message.encode("ascii", "replace") + b"\0"


@dataclass(frozen=True, slots=True)
class OptionAcknowledgement:
    """Opcode 6: the options that the server accepts (RFC 2347)."""

    opcode: ClassVar[int] = 6
    options: Mapping[str, str]

    def __bytes__(self) -> bytes:
        return self.opcode.to_bytes(2, "big") + _join(*_flat(self.options))


Packet: TypeAlias = (
    ReadRequest | WriteRequest | Data | Acknowledgement | Failure | OptionAcknowledgement
)


def parse(data: bytes) -> Packet:
    """Returns the packet in a datagram.

    Raises:
        TruncatedError: It ends inside a field.
        MalformedError: Unknown opcode, a mode other than octet, or hostile options.
    """
    if len(data) >= _HEAD.size and data[1] == Data.opcode and not data[0]:
        return Data(data[2] << 8 | data[3], data[4:])  # first, because nearly all are this
    if len(data) < 2:
        raise TruncatedError("no opcode")
    opcode, body = int.from_bytes(data[:2], "big"), data[2:]
    if opcode in (ReadRequest.opcode, WriteRequest.opcode):
        return _parse_request(opcode, body)
    if opcode == OptionAcknowledgement.opcode:
        return OptionAcknowledgement(_options(_texts(body)))
    if len(body) < 2:
        raise TruncatedError(f"opcode {opcode} without its number")
    return _parse_numbered(opcode, int.from_bytes(body[:2], "big"), body[2:])


def _parse_numbered(opcode: int, number: int, rest: bytes) -> Packet:
    if opcode == Acknowledgement.opcode and not rest:
        return Acknowledgement(number)
    if opcode == Failure.opcode:
        return Failure(number, _harmless(rest.partition(b"\0")[0][:_MAX_TEXT]))
    raise MalformedError(f"opcode {opcode} with {len(rest)} bytes")


def _parse_request(opcode: int, body: bytes) -> Packet:
    texts = _texts(body)
    if len(texts) < 2:
        raise TruncatedError("a request without file or mode")
    file, mode, *options = texts
    if mode.lower() != MODE:
        raise MalformedError(f"mode {mode!r} is not {MODE}")
    if opcode == ReadRequest.opcode:
        return ReadRequest(file, _options(options))
    return WriteRequest(file, _options(options))


def _texts(body: bytes) -> list[str]:
    """Cuts NUL-terminated texts; the last must be terminated too."""
    if not body:
        return []
    if body[-1]:
        raise TruncatedError("the last text has no NUL")
    cuts = body[:-1].split(b"\0")
    if len(cuts) > 2 + 2 * _MAX_OPTIONS or max(map(len, cuts)) > _MAX_TEXT:
        raise MalformedError("too many or too long options")
    return [_ascii(cut) for cut in cuts]


def _ascii(cut: bytes) -> str:
    text = cut.decode("latin-1")
    if not all(" " <= character <= "~" for character in text):
        raise MalformedError("a text is not printable ASCII")
    return text


def _harmless(message: bytes) -> str:
    """Makes an error message fit for a log: printable ASCII, the rest as question marks."""
    return "".join(chr(byte) if 32 <= byte < 127 else "?" for byte in message)


def _options(texts: list[str]) -> dict[str, str]:
    """Pairs names with values; names are case-blind and come once (RFC 2347)."""
    if len(texts) % 2:
        raise TruncatedError("an option without value")
    names = [name.lower() for name in texts[::2]]
    if len(set(names)) != len(names):
        raise MalformedError("an option is given twice")
    return dict(zip(names, texts[1::2], strict=True))


def _request(opcode: int, file: str, options: Mapping[str, str]) -> bytes:
    return opcode.to_bytes(2, "big") + _join(file, MODE, *_flat(options))


def _flat(options: Mapping[str, str]) -> list[str]:
    return [text for pair in options.items() for text in pair]


def _join(*texts: str) -> bytes:
    return b"".join(text.encode("ascii") + b"\0" for text in texts)
