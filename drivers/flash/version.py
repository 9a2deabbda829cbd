"""Versions of firmware, as image headers, USB descriptors and SMP write them."""

import re
from dataclasses import dataclass
from typing import Final

from ..errors import FirmwareFileError

_WORDS: Final = re.compile(r"(\d{1,3})\.(\d{1,3})\.(\d{1,5})(?:[.+](\d{1,10}))?", re.ASCII)
_LIMITS: Final = (0xFF, 0xFF, 0xFFFF, 0xFFFF_FFFF)


@dataclass(frozen=True, slots=True, order=True)
class Version:
    """``major.minor.revision+build``: 8, 8, 16 and 32 bits, compared in this order.

    >>> str(Version.parse("1.2.3.4")), Version(1, 2, 3) < Version(1, 10)
    ('1.2.3+4', True)
    >>> f"{Version(1, 2, 3).bcd():04x}", str(Version.from_bcd(0x0123))
    ('0123', '1.2.3')
    """

    major: int
    minor: int = 0
    revision: int = 0
    build: int = 0

    @classmethod
    def parse(cls, text: str) -> "Version":
        """Returns the version that SMP writes ``1.2.3`` or ``1.2.3.4`` and imgtool ``1.2.3+4``.

        Raises:
            FirmwareFileError: It is not written so, or a part is out of its range.
        """
        found = _WORDS.fullmatch(text)
        parts = tuple(int(part or 0) for part in found.groups()) if found else ()
        if not parts or any(part > most for part, most in zip(parts, _LIMITS, strict=True)):
            raise FirmwareFileError(
                f"version {text[:40]!r} is not major.minor.revision+build",
                "0 to 255, 0 to 255, 0 to 65535 and 0 to 4294967295 are possible",
            )
        return cls(*parts)

    @classmethod
    def from_bcd(cls, bcd: int) -> "Version":
        """Returns the version in a ``bcdDevice`` 0xJJMN (USB 2.0 section 9.6.1).

        A nibble above 9, which no such number has, counts as it stands.
        """
        major = (bcd >> 12 & 0xF) * 10 + (bcd >> 8 & 0xF)
        return cls(major, bcd >> 4 & 0xF, bcd & 0xF)

    def bcd(self) -> int:
        """Returns the ``bcdDevice`` of this version; the build number has no place in it.

        Raises:
            FirmwareFileError: A part does not fit: 99.9.9 is the highest.
        """
        if self.major > 99 or self.minor > 9 or self.revision > 9:
            raise FirmwareFileError(
                f"version {self} does not fit bcdDevice, from which it is read back",
                "versions of USB devices go from 0.0.0 to 99.9.9",
            )
        return self.major // 10 << 12 | self.major % 10 << 8 | self.minor << 4 | self.revision

    def __str__(self) -> str:
        build = f"+{self.build}" if self.build else ""
        return f"{self.major}.{self.minor}.{self.revision}{build}"
