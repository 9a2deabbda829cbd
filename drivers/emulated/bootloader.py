"""A boot loader with two slots, after MCUboot: swaps on trial, and back when nobody confirms.

An image is written into the spare slot and requested.  At the next boot it is checked and the
slots are swapped sector by sector through a scratch sector, with a log in flash, so that a swap
that power interrupts is carried on.  An image on trial that nobody has confirmed until the next
boot is swapped back (MCUboot ``docs/design.md``, "Image swapping").

Not emulated: encrypted images, several images, and the layout of MCUboot's trailers, which here
have sectors of their own.
"""

import enum
from collections.abc import Sequence
from typing import Final

from ..errors import EmulationError, FlashError
from ..flash.image import SignedImage, TrustedKey
from .flash_memory import ERASED, FlashMemory

MAGIC: Final = bytes.fromhex("77c295f360d2ef7f3552500f2cb67980")
"""MCUboot's: a slot with this in its trailer is requested, or has been swapped in."""

_OWN_SECTORS: Final = 4
_CONFIRMED: Final = len(MAGIC)
_NOTE: Final = 32
_STEPS: Final = 3
_SET: Final = b"\x01"


class Slot(enum.IntEnum):
    """Primary runs, spare receives."""

    PRIMARY = 0
    SPARE = 1


class Swap(enum.IntEnum):
    """Why slots are swapped."""

    TRIAL = 1
    FOR_GOOD = 2
    REVERT = 3


def memory_for(slot_sectors: int, sector_bytes: int) -> FlashMemory:
    """Returns flash for two slots of so many sectors, and for what the loader keeps."""
    return FlashMemory(2 * slot_sectors + _OWN_SECTORS, sector_bytes)


class Bootloader:
    """Two slots in a flash memory.

    Args:
        flash: From :func:`memory_for`.
        keys: Whose images it starts.
    """

    def __init__(self, flash: FlashMemory, keys: Sequence[TrustedKey]) -> None:
        self._flash = flash
        self._keys = tuple(keys)
        self._slot_sectors = (flash.sectors - _OWN_SECTORS) // 2
        self._scratch, self._log = flash.sectors - 4, flash.sectors - 3
        if 2 + self._slot_sectors * _STEPS > flash.sector_bytes:
            raise EmulationError(f"{self._slot_sectors} sectors a slot exceed the loader's log")

    @property
    def slot_bytes(self) -> int:
        """How large an image may be."""
        return self._slot_sectors * self._flash.sector_bytes

    def program(self, data: bytes) -> None:
        """Writes the first image, as a programmer does at manufacture."""
        self._flash.write(self._start(Slot.PRIMARY), data)

    def boot(self) -> SignedImage | None:
        """Does what is due and returns the image that starts; None when there is none.

        Raises:
            PowerCutError: The power failed meanwhile; the next boot carries on.
        """
        begun = self._swap_begun()
        if begun is not None:
            self._swap(begun)
        elif self.requested:
            self._take_request()
        elif self._on_trial():
            self._begin(Swap.REVERT)
        return self.image(Slot.PRIMARY)

    def image(self, slot: Slot) -> SignedImage | None:
        """Returns the sound image that a slot holds, signed by a known key; None without one."""
        try:
            image = SignedImage.parse_slot(self.read(slot, 0, self.slot_bytes))
            image.verify(self._keys)
        except FlashError:
            return None
        return image

    def read(self, slot: Slot, offset: int, length: int) -> bytes:
        """Returns what a slot holds there, not beyond its end."""
        length = max(0, min(length, self.slot_bytes - offset))
        return self._flash.read(self._start(slot) + offset, length)

    def erase_spare(self) -> None:
        """Makes the spare slot blank, its request too."""
        self._flash.erase(self._trailer(Slot.SPARE))
        first = self._slot_sectors
        for sector in range(first, first + self._slot_sectors):
            self._flash.erase(sector)

    def write_spare(self, offset: int, data: bytes) -> None:
        """Writes into the spare slot, which was erased."""
        if offset + len(data) > self.slot_bytes:
            raise EmulationError(f"byte {offset + len(data)} lies beyond the slot")
        self._flash.write(self._start(Slot.SPARE) + offset, data)

    def note(self, record: bytes) -> None:
        """Keeps a record beside the spare slot until it is erased; a loader's own business."""
        self._flash.write(self._place(self._trailer(Slot.SPARE)) + _NOTE, record)

    def noted(self, length: int) -> bytes:
        """Returns the record beside the spare slot, 0xFF when there is none."""
        return self._flash.read(self._place(self._trailer(Slot.SPARE)) + _NOTE, length)

    @property
    def requested(self) -> bool:
        """Whether the spare image is to be started at the next boot."""
        return self._flag(Slot.SPARE, 0, len(MAGIC)) == MAGIC

    @property
    def confirmed(self) -> bool:
        """Whether the running image stays at the next boot."""
        return not self._on_trial()

    def request(self, *, for_good: bool = False) -> None:
        """Asks to start the spare image at the next boot, on trial or for good."""
        place = self._place(self._trailer(Slot.SPARE))
        if for_good:
            self._flash.write(place + _CONFIRMED, _SET)
        self._flash.write(place, MAGIC)

    def confirm(self) -> None:
        """Keeps the running image."""
        if self._on_trial():
            self._flash.write(self._place(self._trailer(Slot.PRIMARY)) + _CONFIRMED, _SET)

    def _take_request(self) -> None:
        """Begins a swap; an image that is not sound loses its request instead."""
        if self.image(Slot.SPARE) is None:
            self._flash.erase(self._trailer(Slot.SPARE))
            return
        for_good = self._flag(Slot.SPARE, _CONFIRMED) == _SET
        self._begin(Swap.FOR_GOOD if for_good else Swap.TRIAL)

    def _on_trial(self) -> bool:
        swapped = self._flag(Slot.PRIMARY, 0, len(MAGIC)) == MAGIC
        return swapped and self._flag(Slot.PRIMARY, _CONFIRMED) != _SET

    def _begin(self, kind: Swap) -> None:
        self._flash.erase(self._log)
        self._flash.write(self._place(self._log), bytes([kind]))
        self._swap(kind)

    def _swap_begun(self) -> Swap | None:
        kind = self._flash.read(self._place(self._log), 1)[0]
        return None if kind == ERASED else Swap(kind)

    def _swap(self, kind: Swap) -> None:
        """Carries out the steps that the log does not have yet; each may be repeated."""
        done = self._place(self._log) + 1
        for sector in range(self._slot_sectors):
            spare = self._slot_sectors + sector
            moves = ((spare, self._scratch), (sector, spare), (self._scratch, sector))
            for source, target in moves:
                if self._flash.read(done, 1) != _SET:
                    self._copy(source, target)
                    self._flash.write(done, _SET)
                done += 1
        self._finish(kind)

    def _copy(self, source: int, target: int) -> None:
        data = self._flash.read(self._place(source), self._flash.sector_bytes)
        self._flash.erase(target)
        self._flash.write(self._place(target), data)

    def _finish(self, kind: Swap) -> None:
        """Writes the new trailers; the log goes last, so that all of this may be repeated."""
        primary = self._trailer(Slot.PRIMARY)
        self._flash.erase(primary)
        if kind is not Swap.TRIAL:
            self._flash.write(self._place(primary) + _CONFIRMED, _SET)
        self._flash.write(self._place(primary), MAGIC)
        self._flash.erase(self._trailer(Slot.SPARE))
        self._flash.erase(self._log)

    def _flag(self, slot: Slot, offset: int, length: int = 1) -> bytes:
        return self._flash.read(self._place(self._trailer(slot)) + offset, length)

    def _start(self, slot: Slot) -> int:
        return slot * self.slot_bytes

    def _trailer(self, slot: Slot) -> int:
        return self._flash.sectors - 2 + slot

    def _place(self, sector: int) -> int:
        return sector * self._flash.sector_bytes
