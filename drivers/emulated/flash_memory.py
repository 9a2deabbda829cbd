"""NOR flash of a twin: erased by the sector, written bit by bit, and cut off at any moment.

Emulated: erasing sets bits, writing only clears them, and a power cut in the middle of either
leaves its first half done.  Not emulated: wear, time, and a cut that leaves bits undecided.
"""

from typing import Final

from ..errors import EmulationError

ERASED: Final = 0xFF


class PowerCutError(EmulationError):
    """The power went in the middle of an erasure or a write."""


class FlashMemory:
    """Some sectors of flash, all erased.

    Args:
        sectors: How many.
        sector_bytes: Size of each.

    Attributes:
        operations: Erasures and writes until now: where a cut may be put.
    """

    def __init__(self, sectors: int, sector_bytes: int) -> None:
        self.sectors: Final = sectors
        self.sector_bytes: Final = sector_bytes
        self.operations = 0
        self._octets = bytearray([ERASED]) * (sectors * sector_bytes)
        self._fuse: int | None = None

    def cut_after(self, operations: int) -> None:
        """Lets the power fail in the operation after so many from now."""
        self._fuse = self.operations + operations

    def read(self, start: int, length: int) -> bytes:
        """Returns what is there; nothing lies beyond the end."""
        return bytes(self._octets[start : start + length])

    def erase(self, sector: int) -> None:
        """Sets a sector to 0xFF.

        Raises:
            PowerCutError: In the middle of it.
        """
        start = self._inside(sector * self.sector_bytes, self.sector_bytes)
        length = self._survived(self.sector_bytes)
        self._octets[start : start + length] = bytes([ERASED]) * length
        self._give_out(cut=length < self.sector_bytes)

    def write(self, start: int, data: bytes) -> None:
        """Clears the bits that are 0 in ``data``; what was not erased stays 0.

        Raises:
            PowerCutError: In the middle of it.
        """
        self._inside(start, len(data))
        length = self._survived(len(data))
        before = int.from_bytes(self._octets[start : start + length])
        after = before & int.from_bytes(data[:length])
        self._octets[start : start + length] = after.to_bytes(length)
        self._give_out(cut=length < len(data))

    def _inside(self, start: int, length: int) -> int:
        if not 0 <= start <= len(self._octets) - length:
            raise EmulationError(f"{length} bytes at {start} exceed {len(self._octets)}")
        return start

    def _survived(self, length: int) -> int:
        """How much of an operation is done before the power fails."""
        cut = self._fuse is not None and self.operations >= self._fuse
        self.operations += 1
        return length // 2 if cut else length

    def _give_out(self, *, cut: bool) -> None:
        if cut:
            self._fuse = None
            raise PowerCutError("the power was cut while flash was written")
