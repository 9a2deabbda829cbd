"""What a unit remembers about its slots, in one small file that is replaced as a whole.

A bootloader keeps the same in its environment: what is in which slot, which one is good, which
one is on trial and how often it was started.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import Final

from ...hal.errors import FieldError, WireError
from ...hal.wire.json_lines import JsonObject, JsonValue, decode, optional
from ...hal.wire.json_lines import field as member
from ..cache import read_bounded, write_atomically
from ..errors import FirmwareRefusedError
from .manager import MAX_TRIALS, Manifest
from .version import order

MAX_BYTES: Final = 65_536
MAX_REJECTED: Final = 8


class TrialState(StrEnum):
    """How far a trial has come."""

    PENDING = "pending"
    """The next start is the trial."""
    TRYING = "trying"
    """It was started; the verdict is open."""
    RESTING = "resting"
    """It ended without a verdict; the start after this one is the next trial."""


@dataclass(frozen=True, slots=True)
class Installed:
    """What is in a slot.

    Attributes:
        version: As the manifest said.
        sha256: Of the image; empty where somebody else filled the slot.
        content: Digest of what the slot holds, where the unit checks it itself.
    """

    version: str
    sha256: str
    content: str = ""

    def is_of(self, manifest: Manifest) -> bool:
        """Whether this is what a manifest describes; an image that is not known counts as it."""
        return self.version == manifest.version and self.sha256 in ("", manifest.sha256)


@dataclass(frozen=True, slots=True)
class Trial:
    """A slot that has to prove itself.

    Attributes:
        starts: How often it was started.
    """

    slot: str
    state: TrialState = TrialState.PENDING
    starts: int = 0

    @property
    def exhausted(self) -> bool:
        """Whether it was started as often as it may be."""
        return self.starts >= MAX_TRIALS


@dataclass(frozen=True, slots=True)
class Rejected:
    """Firmware that was taken back, and why."""

    version: str
    sha256: str
    reason: str


@dataclass(frozen=True, slots=True)
class Record:
    """Everything remembered.

    Attributes:
        slots: What is in them; a slot that is being filled is missing.
        committed: The slot that is good.
        trial: The slot that has to prove itself.
        rejected: The last eight that were taken back.
    """

    slots: Mapping[str, Installed] = field(default_factory=lambda: MappingProxyType({}))
    committed: str | None = None
    trial: Trial | None = None
    rejected: tuple[Rejected, ...] = ()

    @classmethod
    def parse(cls, data: bytes) -> "Record":
        """Returns the record in a file.

        Raises:
            WireError: It is damaged.
        """
        message = decode(data)
        slots = member(message, "slots", dict)
        trial = optional(message, "trial", dict)
        record = cls(
            {name: _installed(value) for name, value in slots.items()},
            optional(message, "committed", str),
            _trial(trial) if trial is not None else None,
            tuple(_rejected(value) for value in member(message, "rejected", list)),
        )
        tried = record.trial.slot if record.trial else None
        if not {record.committed, tried} - {None} <= set(record.slots):
            raise FieldError(f"slots {record.committed!r} and {tried!r}: nothing is known of one")
        return record

    def __bytes__(self) -> bytes:
        slots = {name: asdict(installed) for name, installed in self.slots.items()}
        return json.dumps({**asdict(replace(self, slots={})), "slots": slots}).encode() + b"\n"

    def check(self, manifest: Manifest) -> None:
        """Lets pass what may be installed beside what is remembered.

        Raises:
            FirmwareRefusedError: It was taken back before, or is older than the committed one.
        """
        for rejected in self.rejected:
            if Installed(rejected.version, rejected.sha256).is_of(manifest):
                raise FirmwareRefusedError(
                    f"firmware {manifest.version} was taken back: {rejected.reason}",
                    f"publish a firmware other than {manifest.version}",
                )
        committed = self.slots.get(self.committed or "")
        if committed is None or manifest.allow_downgrade:
            return
        if order(manifest.version) < order(committed.version):
            raise FirmwareRefusedError(
                f"firmware {manifest.version} is older than {committed.version}, which is good",
                f"publish one from {committed.version} on, or sign allow_downgrade: true",
            )

    def described(self, slot: str) -> dict[str, object]:
        """Returns what a person may see of a slot that is filled."""
        state = "good" if self.committed == slot else "spare"
        if self.trial and self.trial.slot == slot:
            state = self.trial.state.value
        return {"version": self.slots[slot].version, "state": state}

    def emptied(self, slot: str) -> "Record":
        """Without what is in a slot, and without a trial of it."""
        slots = {name: held for name, held in self.slots.items() if name != slot}
        trial = None if self.trial and self.trial.slot == slot else self.trial
        committed = None if self.committed == slot else self.committed
        return replace(self, slots=slots, trial=trial, committed=committed)

    def filled(self, slot: str, installed: Installed) -> "Record":
        """With new content in a slot, which the next start tries."""
        return replace(self, slots={**self.slots, slot: installed}, trial=Trial(slot))

    def started(self) -> "Record":
        """With the trial begun and counted."""
        if self.trial is None:
            return self
        starts = self.trial.starts + 1
        return replace(self, trial=Trial(self.trial.slot, TrialState.TRYING, starts))

    def good(self, slot: str) -> "Record":
        """With a slot committed."""
        trial = None if self.trial and self.trial.slot == slot else self.trial
        return replace(self, committed=slot, trial=trial)

    def bad(self, slot: str, reason: str) -> "Record":
        """With the content of a slot taken back."""
        held = self.slots[slot]
        rejected = (*self.rejected, Rejected(held.version, held.sha256, reason))
        return replace(self.emptied(slot), rejected=rejected[-MAX_REJECTED:])

    def rearmed(self, slot: str) -> "Record":
        """With a slot that is filled already as the next to try; its starts go on counting."""
        starts = self.trial.starts if self.trial and self.trial.slot == slot else 0
        return replace(self, trial=Trial(slot, TrialState.PENDING, starts))

    def settled(self) -> tuple["Record", str | None]:
        """Returns the record after the end of a start, and what a person should know.

        A trial that has no verdict rests for one start, because the old slot comes first; then
        it is tried again, but not for ever.
        """
        trial = self.trial
        if trial is None or trial.state is TrialState.PENDING:
            return self, None
        if trial.state is TrialState.RESTING or self.committed is None:
            return replace(self, trial=replace(trial, state=TrialState.PENDING)), None
        version = self.slots[trial.slot].version
        words = f"start {trial.starts} of firmware {version} ended without a verdict"
        if trial.exhausted:
            return self.bad(trial.slot, f"{trial.starts} starts ended without a verdict"), words
        return replace(self, trial=replace(trial, state=TrialState.RESTING)), words


class RecordFile:
    """The file that holds the record."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> Record:
        """Returns the record; an empty one when there is none, or it is damaged."""
        data = read_bounded(self._path, MAX_BYTES)
        try:
            return Record.parse(data) if data else Record()
        except (WireError, ValueError):
            return Record()

    def write(self, record: Record) -> None:
        """Replaces the record, so that a power cut leaves the old or the new one.

        Raises:
            OSError: The medium is full; the old record stays.
        """
        write_atomically(self._path, bytes(record))


def _installed(value: JsonValue) -> Installed:
    message = _object(value)
    return Installed(*(member(message, name, str) for name in ("version", "sha256", "content")))


def _trial(message: JsonObject) -> Trial:
    state = TrialState(member(message, "state", str))
    return Trial(member(message, "slot", str), state, member(message, "starts", int))


def _rejected(value: JsonValue) -> Rejected:
    message = _object(value)
    return Rejected(*(member(message, name, str) for name in ("version", "sha256", "reason")))


def _object(value: JsonValue) -> JsonObject:
    return member({"entry": value}, "entry", dict)
