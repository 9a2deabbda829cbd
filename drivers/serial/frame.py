r"""Frames of the serial boxes: one line of text each, numbered, with a checksum.

::

    $07 ptt 1*B37D

The protocol is this project's own (*ours*); docs/serial.md describes it.

    >>> Frame.parse(bytes(Frame(7, "ptt", ("1",))).rstrip())
    Frame(number=7, verb='ptt', words=('1',))
"""

import binascii
import re
from dataclasses import dataclass
from typing import Final

from ..errors import FrameError

MAX_FRAME_BYTES: Final = 128
"""Longest frame, without the newline."""

MAX_WORD: Final = 32
_FRAME: Final = re.compile(
    rb"\$(([0-9A-F]{2}) ([a-z]{1,8})((?: [!-#%-)+-~]{1,32})*))\*([0-9A-F]{4})"
)
_WORD: Final = re.compile(r"[!-#%-)+-~]{1,32}")


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame.

    Attributes:
        number: 1 to 255 in turn; of an answer, the number of what it answers.
        verb: At most eight small letters.
        words: What belongs to it: printable ASCII without space, ``$`` and ``*``, 32 at most.
    """

    number: int
    verb: str
    words: tuple[str, ...] = ()

    @classmethod
    def parse(cls, line: bytes) -> "Frame":
        """Returns the frame that a line holds, the line without its end.

        Raises:
            FrameError: The line is too long, is no frame, or its checksum is wrong.
        """
        if len(line) > MAX_FRAME_BYTES:
            raise FrameError(f"{len(line)} bytes are longer than a frame ({MAX_FRAME_BYTES})")
        found = _FRAME.fullmatch(line)
        if found is None:
            raise FrameError(f"{line[:40]!r} is no frame")
        said, number, verb, words, checksum = found.groups()
        if int(checksum, 16) != _checksum(said):
            raise FrameError(f"{line[:40]!r} has a wrong checksum, not {_checksum(said):04X}")
        return cls(int(number, 16), verb.decode(), tuple(words.decode().split()))

    @property
    def text(self) -> str:
        """What it says, without number and checksum."""
        return " ".join((self.verb, *self.words))

    def __bytes__(self) -> bytes:
        """Returns the line, with its newline."""
        said = f"{self.number:02X} {self.text}".encode()
        return b"$%b*%04X\n" % (said, _checksum(said))


def check_word(text: str) -> str:
    """Returns the text, which may be a word of a frame.

    Raises:
        FrameError: It may not: empty, too long, or with a character that frames cannot carry.
    """
    if _WORD.fullmatch(text) is None:
        allowed = f"1 to {MAX_WORD} printable ASCII characters without space, $ and *"
        raise FrameError(f"{text[:40]!r} cannot be sent; use {allowed}")
    return text


def _checksum(said: bytes) -> int:
    """CRC-16/CCITT-FALSE: polynomial 0x1021, initial value 0xFFFF, of what is between $ and *."""
    return binascii.crc_hqx(said, 0xFFFF)
