"""What the two slots of any unit can do, whoever keeps them.

A slot that was just filled is *on trial*: it is started once, and whoever does not commit it
finds the old one at the next start.  What is taken back is not tried again.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from ..document import parse_document
from ..errors import DocumentError
from .version import order

MAX_TRIALS: Final = 3
"""A firmware whose trial ended this often without a verdict is taken back."""

SHA256_DIGITS: Final = frozenset("0123456789abcdef")


@dataclass(frozen=True, slots=True)
class Manifest:
    """What the TSS says about a firmware image.

    Attributes:
        version: In the form of PEP 440.
        file: The image, beside the manifest: a wheel, or a ``.raucb`` for a unit with RAUC.
        sha256: Of the image, in lower case.
        allow_downgrade: Whether it may be older than what was committed.
    """

    version: str
    file: str
    sha256: str
    allow_downgrade: bool = False

    @classmethod
    def parse(cls, data: bytes) -> "Manifest":
        """Returns the manifest in a YAML file.

        Raises:
            DocumentError: A key is missing or malformed, or the file name leads elsewhere.
            SlotError: The version is none.
        """
        document = parse_document(data)
        version, file = document.text("version"), document.text("file")
        sha256 = document.text("sha256").lower()
        if not file or "/" in file or len(sha256) != 64 or not set(sha256) <= SHA256_DIGITS:
            raise DocumentError("the firmware manifest is incomplete", "publish the firmware again")
        order(version)
        allow = document.values.get("allow_downgrade", False)
        if not isinstance(allow, bool):
            raise DocumentError(f"allow_downgrade: {allow!r} is not true or false")
        return cls(version, file, sha256, allow)


@dataclass(frozen=True, slots=True)
class Slot:
    """One slot with firmware in it.

    Attributes:
        name: The slot's.
        path: The folder to put on PYTHONPATH.
        version: As the manifest said.
        sha256: Of the image that it was filled with; RAUC's checksum of the slot otherwise.
        on_trial: Whether it still has to prove itself.
    """

    name: str
    path: Path
    version: str
    sha256: str
    on_trial: bool = False


class SlotManager(Protocol):
    """Two slots.

    Attributes:
        switch_restarts_unit: Whether another slot starts with the whole unit only, or its
            services alone will do.
    """

    switch_restarts_unit: bool

    async def settle(self, running: Path | None = None) -> str | None:
        """Takes note of how the last start ended; to be called once, before anything else.

        Args:
            running: The folder that services run from already, when an agent takes over: they
                go on, and `start` returns their slot.

        Returns:
            What a person should know: a trial that ended without a verdict.
        """
        ...

    async def newest(self) -> Slot | None:
        """Returns the slot that the next start would choose; None when all are empty."""
        ...

    async def wants(self, manifest: Manifest) -> bool:
        """Returns whether the image has to come; a slot that holds it already is made the next.

        Raises:
            FirmwareRefusedError: It is older than the committed one, or was taken back.
            SlotError: A unit like this cannot use such an image.
        """
        ...

    async def install(self, image: Path, manifest: Manifest) -> Slot:
        """Fills the slot that is not in use; the next start tries it.

        Raises:
            SlotError: The image is not what the manifest says, or must not be unpacked.
            OSError: The medium is full; the current firmware stays.
        """
        ...

    async def start(self) -> Slot:
        """Returns the slot to start from, verified; a trial is counted before.

        Raises:
            SlotError: No slot holds whole firmware.
        """
        ...

    async def commit(self) -> None:
        """Makes the slot that was started the one to go back to."""
        ...

    async def reject(self, reason: str) -> Slot | None:
        """Takes back the slot that was started.

        Returns:
            The slot that is used instead; None when there is no other, and nothing was changed.
        """
        ...

    async def images(self) -> frozenset[str]:
        """Returns the SHA-256 of the images in the slots; none where a bootloader verifies them."""
        ...

    async def describe(self) -> Mapping[str, object]:
        """Returns what a person may see of the slots."""
        ...
