"""Two slots as two folders, and the part of a bootloader that chooses between them.

::

    slots/a/  slots/b/     the content of a wheel each
    slots/record.json      what is in them, which is good, which is on trial

The slot that is not in use is emptied, filled, synced and measured; only then does the record
name it.  So a power cut at any moment leaves the old slot, or the new one on trial.

What it does not emulate: a bootloader that starts another kernel.  The services of the firmware
are started from the slot, the agent is not.
"""

import asyncio
import logging
import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

from ..cache import sync_directory, sync_tree
from ..errors import FirmwareRefusedError, SlotError
from .image import check_hash, compile_packages, content_digest, unpack
from .manager import Manifest, Slot
from .record import Installed, Record, RecordFile, TrialState

logger = logging.getLogger(__name__)

NAMES: Final = ("a", "b")
_RECORD: Final = "record.json"
_EMPTY_REMEDY = "make the TSS reachable: it gives the firmware"


class FileSlots:
    """The slots of a unit without a bootloader of its own.

    Args:
        directory: Holds slots and record; made when missing, and nothing else may be in it.
        vouched: Whether an image with this SHA-256 was signed; asked again at every start.
        prepare: Done to the content of a slot before it is measured.
    """

    switch_restarts_unit = False

    def __init__(
        self,
        directory: Path,
        vouched: Callable[[str], bool],
        *,
        prepare: Callable[[Path], object] = compile_packages,
    ) -> None:
        self._directory = directory
        self._vouched = vouched
        self._prepare = prepare
        self._file = RecordFile(directory / _RECORD)
        self._used: str | None = None
        self._goes_on = False

    async def settle(self, running: Path | None = None) -> str | None:
        """Takes note of how the last start ended; what runs still goes on, on trial or not."""
        record = self._file.read()
        self._used = next((n for n in record.slots if running == self._directory / n), None)
        self._goes_on = self._used is not None
        if self._goes_on:
            return None
        settled, words = record.settled()
        if settled != record:
            self._file.write(settled)
        self._tidy()
        return words

    async def newest(self) -> Slot | None:
        """Returns the slot that the next start would choose; None when all are empty."""
        record = self._file.read()
        name = self._chosen(record)
        return self._slot(record, name) if name else None

    async def wants(self, manifest: Manifest) -> bool:
        """Returns whether the image has to come.

        Raises:
            FirmwareRefusedError: It is older than the committed one, was taken back, or has to
                wait for the verdict about the one on trial.
            SlotError: It is a bundle for RAUC.
        """
        if manifest.file.endswith(".raucb"):
            raise SlotError(f"{manifest.file} is for a unit with RAUC", "publish a wheel")
        record = self._file.read()
        record.check(manifest)
        holder = next((n for n, held in record.slots.items() if held.is_of(manifest)), None)
        if holder is None:
            self._unused(record)
            return True
        if holder != self._chosen(record) and not _rests(record, holder):
            self._file.write(_chosen_next(record, holder))
        return False

    async def install(self, image: Path, manifest: Manifest) -> Slot:
        """Fills the slot that is not in use; the next start tries it.

        Raises:
            FirmwareRefusedError: See `wants`.
            SlotError: The image is not what the manifest says, or must not be unpacked.
            OSError: The medium is full; the current firmware stays.
        """
        return await asyncio.to_thread(self._install, image, manifest)

    async def start(self) -> Slot:
        """Returns the slot to start from, verified; a trial is counted before.

        Raises:
            SlotError: No slot holds whole firmware.
        """
        record = self._file.read()
        goes_on, self._goes_on = self._goes_on, False
        if goes_on and self._used is not None and self._used in record.slots:
            return self._slot(record, self._used)
        return await asyncio.to_thread(self._start)

    async def commit(self) -> None:
        """Makes the slot that was started the one to go back to."""
        if self._used is not None:
            self._file.write(self._file.read().good(self._used))

    async def reject(self, reason: str) -> Slot | None:
        """Takes back the slot that was started, if there is another."""
        return await asyncio.to_thread(self._reject, reason)

    async def images(self) -> frozenset[str]:
        """Returns the SHA-256 of the images in both slots."""
        return frozenset(held.sha256 for held in self._file.read().slots.values())

    async def describe(self) -> Mapping[str, object]:
        """Returns what is in each slot, and what becomes of it."""
        record = self._file.read()
        return {name: record.described(name) for name in sorted(record.slots)}

    def _install(self, image: Path, manifest: Manifest) -> Slot:
        check_hash(image, manifest.sha256)
        record = self._file.read()
        record.check(manifest)
        name = self._unused(record)
        self._file.write(record.emptied(name))
        content = self._fill(name, image)
        installed = Installed(manifest.version, manifest.sha256, content)
        filled = record.emptied(name).filled(name, installed)
        self._file.write(filled)
        logger.info("firmware %s is in slot %s, on trial", manifest.version, name)
        return self._slot(filled, name)

    def _fill(self, name: str, image: Path) -> str:
        """Puts the content of an image into a slot and returns its digest."""
        folder = self._directory / name
        _remove(folder)
        folder.mkdir(parents=True)
        unpack(image, folder)
        self._prepare(folder)
        sync_tree(folder)
        sync_directory(self._directory)
        return content_digest(folder)

    def _unused(self, record: Record) -> str:
        """Returns the slot that may be filled: neither the good one nor the one that runs."""
        in_use = self._used or record.committed or self._chosen(record)
        free = [name for name in NAMES if name not in (in_use, record.committed)]
        if not free:
            raise FirmwareRefusedError(
                "one slot is good and the other one on trial", "wait for the verdict"
            )
        return free[0]

    def _start(self) -> Slot:
        record = self._file.read()
        while (name := self._chosen(record)) is not None:
            if not self._usable(record, name):
                logger.error("slot %s is damaged, or nobody signed it, and not used", name)
                record = self._forget(record, name)
            elif (begun := self._begun(record, name)) is not None:
                self._used = name
                return self._slot(begun, name)
            else:
                record = replace(record, trial=None)
        raise SlotError("no slot holds whole firmware", _EMPTY_REMEDY)

    def _begun(self, record: Record, name: str) -> Record | None:
        """Counts a trial before its start, so that it counts even if the power fails then.

        Returns:
            The record of now; None for a trial that cannot be counted, while there is a good slot.
        """
        trial = record.trial
        if trial is None or trial.slot != name or trial.state is not TrialState.PENDING:
            return record
        begun = record.started()
        try:
            self._file.write(begun)
        except OSError:
            logger.exception("the trial of slot %s cannot be counted", name)
            return None if record.committed else begun
        return begun

    def _forget(self, record: Record, name: str) -> Record:
        rest = record.emptied(name)
        try:
            self._file.write(rest)
        except OSError:
            logger.exception("that slot %s is damaged is not kept", name)
        return rest

    def _reject(self, reason: str) -> Slot | None:
        record = self._file.read()
        if self._used is None or self._used not in record.slots:
            return None
        rest = record.bad(self._used, reason)
        name = self._chosen(rest)
        if name is None or not self._usable(rest, name):
            return None
        self._file.write(rest)
        return self._slot(rest, name)

    def _usable(self, record: Record, name: str) -> bool:
        """Whether a slot holds what somebody signed, and all of it."""
        held = record.slots[name]
        return self._vouched(held.sha256) and content_digest(self._directory / name) == held.content

    def _chosen(self, record: Record) -> str | None:
        """Returns the slot of the next start: the one on trial, the good one, or what there is."""
        trial = record.trial
        if trial and trial.state is not TrialState.RESTING:
            return trial.slot
        return record.committed or next(iter(record.slots), None)

    def _slot(self, record: Record, name: str) -> Slot:
        held = record.slots[name]
        on_trial = record.committed != name
        return Slot(name, self._directory / name, held.version, held.sha256, on_trial)

    def _tidy(self) -> None:
        """Removes all that is no slot, and slots that the record does not name."""
        known = {_RECORD, *self._file.read().slots}
        if self._directory.is_dir():
            for entry in self._directory.iterdir():
                if entry.name not in known:
                    _remove(entry)


def _rests(record: Record, name: str) -> bool:
    trial = record.trial
    return trial is not None and trial.slot == name and trial.state is TrialState.RESTING


def _chosen_next(record: Record, name: str) -> Record:
    """Lets a filled slot be the next: the good one at once, any other on trial."""
    return replace(record, trial=None) if name == record.committed else record.rearmed(name)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
