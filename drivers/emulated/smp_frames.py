"""SMP on a serial console: header, CBOR body, base64 lines with length and CRC.

As the transport "SMP over console" of Zephyr (``smp_transport.rst``) and mcumgr's protocol
(``smp_protocol.rst``) have it; written for the twin, so that the client's library meets another
implementation than its own.
"""

import base64
import binascii
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import cbor2

from ...hal.errors import WireError

MAX_FRAME_BYTES: Final = 4096
LINE_BYTES: Final = 127
_START, _MORE = b"\x06\x09", b"\x04\x14"
_HEADER: Final = struct.Struct(">BBHHBB")
_LENGTH: Final = struct.Struct(">H")
_CRC_BYTES: Final = 2
_ANSWER: Final = 1


@dataclass(frozen=True, slots=True)
class SmpMessage:
    """A request or an answer.

    Attributes:
        operation: 0 read, 1 its answer, 2 write, 3 its answer.
        group: 0 the system, 1 images.
        command: Within the group.
        sequence: An answer has that of its request.
        version: Of the protocol, 0 or 1; errors differ.
        body: A CBOR map.
    """

    operation: int
    group: int
    command: int
    sequence: int
    version: int
    body: dict[str, object]

    @classmethod
    def parse(cls, data: bytes) -> "SmpMessage":
        """Takes a frame apart.

        Raises:
            WireError: It is short, longer than it says, or its body is not a CBOR map.
        """
        if len(data) < _HEADER.size:
            raise WireError(f"an SMP frame of {len(data)} bytes")
        kind, _, length, group, sequence, command = _HEADER.unpack_from(data)
        if length != len(data) - _HEADER.size:
            raise WireError(f"an SMP body of {len(data) - _HEADER.size} bytes says {length}")
        return cls(kind & 7, group, command, sequence, kind >> 3 & 3, _body(data[_HEADER.size :]))

    def __bytes__(self) -> bytes:
        body = cbor2.dumps(self.body)
        kind = self.version << 3 | self.operation
        return _HEADER.pack(kind, 0, len(body), self.group, self.sequence, self.command) + body

    def answer(self, body: dict[str, object]) -> "SmpMessage":
        """Returns the answer to this request."""
        operation = self.operation | _ANSWER
        return SmpMessage(operation, self.group, self.command, self.sequence, self.version, body)


class FrameReader:
    """Puts lines together to frames; lines of a console that are none are passed over."""

    def __init__(self) -> None:
        self._collected = b""

    def feed(self, line: bytes) -> bytes | None:
        """Takes a line and returns the frame that it completes, None when it completes none.

        Raises:
            WireError: The frame is damaged; the next one begins afresh.
        """
        if line.startswith(_START):
            self._collected = b""
        elif not (line.startswith(_MORE) and self._collected):
            return None
        try:
            self._collected += base64.b64decode(line[2:].strip(), validate=True)
        except binascii.Error as error:
            raise self._dropped(f"a line is not base64: {error}") from error
        return self._whole()

    def _whole(self) -> bytes | None:
        data = self._collected
        if len(data) < _LENGTH.size:
            return None
        (length,) = _LENGTH.unpack_from(data)
        if not _CRC_BYTES <= length <= MAX_FRAME_BYTES or len(data) > _LENGTH.size + length:
            raise self._dropped(f"a frame of {len(data)} bytes says {length}")
        if len(data) < _LENGTH.size + length:
            return None
        self._collected = b""
        frame, crc = data[_LENGTH.size : -_CRC_BYTES], data[-_CRC_BYTES:]
        if binascii.crc_hqx(frame, 0) != int.from_bytes(crc):
            raise WireError("a frame with a wrong CRC")
        return frame

    def _dropped(self, reason: str) -> WireError:
        self._collected = b""
        return WireError(reason)


def lines(frame: bytes) -> Iterator[bytes]:
    """Yields the lines of a frame."""
    crc = binascii.crc_hqx(frame, 0).to_bytes(_CRC_BYTES)
    text = base64.b64encode(_LENGTH.pack(len(frame) + _CRC_BYTES) + frame + crc)
    room = (LINE_BYTES - len(_START) - 1) // 4 * 4
    for start in range(0, len(text), room):
        yield (_MORE if start else _START) + text[start : start + room] + b"\n"


def _body(data: bytes) -> dict[str, object]:
    try:
        body = cbor2.loads(data)
    except (cbor2.CBORError, ValueError, OverflowError, RecursionError, MemoryError) as error:
        raise WireError(f"an SMP body that is not CBOR: {error}") from error
    if not isinstance(body, dict) or not all(isinstance(key, str) for key in body):
        raise WireError("an SMP body that is not a CBOR map with text keys")
    return body
