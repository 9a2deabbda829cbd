"""Puts one file together from TFTP packets (RFC 1350, 2347, 7440): no sockets, no clock.

The rules of a window, with blocks counted from 1 and never wrapped::

    ACK 8, then  9 10 11 .. 13 14 15 16     12 is lost
                           └ ACK 11 at once, once; 13 to 16 are kept
    the server starts again behind 11:  12 13 14 …
                                        └ 12 to 16 are here; the window goes on to 19

A gap that shows again in the server's second attempt is told again: its blocks then begin
anew, below the furthest one that was seen.
"""

import enum
from collections.abc import Mapping
from typing import Final

from ..wire.tftp import BLOCK_BYTES, Acknowledgement, ErrorCode

BLOCK_NUMBERS: Final = 1 << 16
"""Block numbers wrap to 0; every server in Debian does it so."""


class Outcome(enum.Enum):
    """What a block means for the one who sends acknowledgements."""

    MORE = enum.auto()
    """Progress; the window goes on."""
    ACKNOWLEDGE = enum.auto()
    """The end of the window or of the file, or a gap: say so at once."""
    REPEATED = enum.auto()
    """The last acknowledged block again: the acknowledgement may be lost."""
    IGNORED = enum.auto()
    """Nothing new."""


class RejectedError(Exception):
    """The server breaks the protocol or a bound; the transfer ends.

    Attributes:
        code: What the server is told.
    """

    def __init__(self, code: ErrorCode, reason: str) -> None:
        super().__init__(reason)
        self.code = code


class Download:
    """What has come of one file.

    Args:
        asked: The options of the request: a server may agree to these and to nothing more.
        max_bytes: The longest file that is taken.

    Attributes:
        agreed: Whether the server answered the options.
        block_bytes: Bytes of a full block.
        window: Blocks that one acknowledgement stands for.
        blocks: How many have come in order.
        finished: Whether the file is complete.
    """

    __slots__ = (
        "_acknowledged", "_ahead", "_asked", "_data", "_furthest", "_max_bytes", "_size",
        "agreed", "block_bytes", "blocks", "finished", "window",
    )  # fmt: skip

    def __init__(self, asked: Mapping[str, str], max_bytes: int) -> None:
        self._asked = {name: int(value) for name, value in asked.items()}
        self._max_bytes = max_bytes
        self._size: int | None = None
        self._data = bytearray()
        self._acknowledged = 0
        self._ahead: dict[int, bytes] = {}
        self._furthest = 0
        self.agreed = False
        self.block_bytes = BLOCK_BYTES
        self.window = 1
        self.blocks = 0
        self.finished = False

    @property
    def content(self) -> bytes:
        """What has come so far, in order."""
        return bytes(self._data)

    def agree(self, options: Mapping[str, str]) -> Outcome:
        """Takes over what the server accepts, within what was asked.

        Raises:
            RejectedError: It answers what was not asked, or asks for more.
        """
        if self.agreed or self.blocks:
            return Outcome.REPEATED if not self.blocks else Outcome.IGNORED
        for name, text in options.items():
            self._take_option(name, text)
        self.agreed = True
        return Outcome.ACKNOWLEDGE

    def _take_option(self, name: str, text: str) -> None:
        asked = self._asked.get(name)
        value = int(text) if text.isdecimal() and text.isascii() and len(text) < 12 else -1
        if asked is not None and name == "tsize" and value >= 0:
            self._announce(value)
        elif asked is not None and name == "blksize" and 8 <= value <= asked:
            self.block_bytes = value
        elif asked is not None and name == "windowsize" and 1 <= value <= asked:
            self.window = value
        elif name != "timeout" or value != asked:
            limit = "not asked for" if asked is None else f"asked for was {asked}"
            raise RejectedError(
                ErrorCode.OPTION_REFUSED, f"option {name}={text} is not acceptable: {limit}"
            )

    def _announce(self, size: int) -> None:
        if size > self._max_bytes:
            raise RejectedError(
                ErrorCode.DISK_FULL, f"the file has {size} bytes, allowed are {self._max_bytes}"
            )
        self._size = size

    def take(self, number: int, payload: bytes) -> Outcome:
        """Takes a block.

        Args:
            number: As on the wire, 0 to 65535.
            payload: Its bytes.

        Raises:
            RejectedError: It is longer than agreed, or the file is.
        """
        ahead = (number - self.blocks) % BLOCK_NUMBERS
        if ahead == 1:
            return self._take_next(payload)
        if 1 < ahead <= self.window:
            return self._take_ahead(self.blocks + ahead, payload)
        if ahead == 0 and 0 < self.blocks == self._acknowledged:
            return Outcome.REPEATED
        return Outcome.IGNORED

    def acknowledgement(self) -> bytes:
        """Returns the packet that says what has come; a window begins behind it."""
        self._acknowledged = self.blocks
        return bytes(Acknowledgement(self.blocks % BLOCK_NUMBERS))

    def _take_next(self, payload: bytes) -> Outcome:
        self._furthest = 0
        self._append(payload)
        while self._ahead and not self.finished:
            kept = self._ahead.pop(self.blocks + 1, None)
            if kept is None:
                break
            self._append(kept)
        if self.finished:
            self._check_size()
            return Outcome.ACKNOWLEDGE
        at_end = self.blocks - self._acknowledged >= self.window
        return Outcome.ACKNOWLEDGE if at_end else Outcome.MORE

    def _take_ahead(self, block: int, payload: bytes) -> Outcome:
        """Keeps a block from behind a gap, and has the gap told once for each attempt."""
        self._check_block(payload)
        seen, self._furthest = self._furthest, block
        self._ahead[block] = payload
        return Outcome.ACKNOWLEDGE if seen == 0 or block < seen else Outcome.IGNORED

    def _append(self, payload: bytes) -> None:
        self._check_block(payload)
        self._data += payload
        self.blocks += 1
        self.finished = len(payload) < self.block_bytes
        limit = self._max_bytes if self._size is None else self._size
        if len(self._data) > limit:
            raise RejectedError(ErrorCode.DISK_FULL, f"the file is longer than {limit} bytes")

    def _check_block(self, payload: bytes) -> None:
        if len(payload) > self.block_bytes:
            raise RejectedError(
                ErrorCode.ILLEGAL_OPERATION,
                f"a block of {len(payload)} bytes is longer than negotiated ({self.block_bytes})",
            )

    def _check_size(self) -> None:
        if self._size is not None and len(self._data) != self._size:
            raise RejectedError(
                ErrorCode.UNDEFINED,
                f"the file ends after {len(self._data)} of {self._size} announced bytes",
            )
