"""What a TSS knows about its units and about what it published, as values."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session
from tuf.api.metadata import Metadata, Timestamp

from .database import UnitRow


@dataclass(frozen=True, slots=True)
class EnrolledUnit:
    """A unit that was added.

    Attributes:
        mac: small letters with colons.
        serial: its serial number.
        model: such as ``TouchPro``.
        revoked: whether it is shut out.
    """

    mac: str
    serial: str
    model: str
    revoked: bool = False

    @property
    def folder(self) -> str:
        """The MAC with dashes, as paths have it."""
        return self.mac.replace(":", "-")


@dataclass(frozen=True, slots=True)
class Publication:
    """What is published now.

    Attributes:
        version: of the metadata.
        expires: when units begin to refuse it (UTC, aware).
    """

    version: int
    expires: datetime


def units(session: Session) -> list[EnrolledUnit]:
    """Every unit, by MAC."""
    rows = session.scalars(select(UnitRow).order_by(UnitRow.mac))
    return [EnrolledUnit(row.mac, row.serial, row.model, row.revoked) for row in rows]


def publication(metadata: Path) -> Publication | None:
    """What a folder of metadata publishes; None when it publishes nothing yet."""
    path = metadata / "timestamp.json"
    if not path.is_file():
        return None
    timestamp = Metadata[Timestamp].from_bytes(path.read_bytes()).signed
    expires = timestamp.expires
    return Publication(
        timestamp.version, expires if expires.tzinfo else expires.replace(tzinfo=UTC)
    )
