"""The tables of the TSS, and the check of a unit's password.

SQLite by default; any database that SQLAlchemy speaks to will do, because both nodes open
the same URL.
"""

from __future__ import annotations

import functools
import hashlib
import hmac
import os
from pathlib import Path
from typing import Final

from sqlalchemy import Engine, ForeignKey, create_engine, event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column
from sqlalchemy.pool import ConnectionPoolEntry

CERTIFICATES_DEMANDED: Final = "certificates demanded"
"""The switch under which a factory password enrols a unit and does nothing else."""

_SCRYPT = {"n": 2**12, "r": 8, "p": 1, "dklen": 32}


class Base(DeclarativeBase):
    """Root of the tables."""


class UnitRow(Base):
    """A unit that may fetch unless revoked: its name plate and the hash of its factory password."""

    __tablename__ = "units"

    mac: Mapped[str] = mapped_column(primary_key=True)
    serial: Mapped[str] = mapped_column(unique=True)
    model: Mapped[str]
    salt: Mapped[bytes]
    password_hash: Mapped[bytes]
    revoked: Mapped[bool] = mapped_column(default=False)

    def set_password(self, password: str) -> None:
        """Store a salted hash of it."""
        self.salt = os.urandom(16)
        self.password_hash = _hash(password, self.salt)

    def has_password(self, password: str) -> bool:
        """Whether it is the unit's password; takes the same time either way."""
        return hmac.compare_digest(self.password_hash, _hash(password, self.salt))


class CertificateRow(Base):
    """A certificate that a unit got: serial number in hexadecimal, end in seconds since 1970."""

    __tablename__ = "certificates"

    serial: Mapped[str] = mapped_column(primary_key=True)
    mac: Mapped[str] = mapped_column(ForeignKey("units.mac"), index=True)
    expires: Mapped[float]
    revoked: Mapped[bool] = mapped_column(default=False)


class SwitchRow(Base):
    """Something that the administration has switched on for both nodes."""

    __tablename__ = "switches"

    name: Mapped[str] = mapped_column(primary_key=True)


class UserRow(Base):
    """Somebody who has a profile."""

    __tablename__ = "users"

    user: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]


class ProfileRow(Base):
    """A user's profile as it is published (YAML)."""

    __tablename__ = "profiles"

    user: Mapped[str] = mapped_column(ForeignKey("users.user"), primary_key=True)
    text: Mapped[str]


class ConfigurationRow(Base):
    """A unit's configuration, every version ever published (YAML); ``default`` is the site's."""

    __tablename__ = "configurations"

    owner: Mapped[str] = mapped_column(primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True)
    text: Mapped[str]


class FirmwareRow(Base):
    """A firmware image of a model; the one with the highest number is published."""

    __tablename__ = "firmware"

    model: Mapped[str] = mapped_column(primary_key=True)
    version: Mapped[str] = mapped_column(primary_key=True)
    number: Mapped[int]
    allow_downgrade: Mapped[bool] = mapped_column(default=False)
    file: Mapped[str]
    sha256: Mapped[str]


class PublicationRow(Base):
    """The version of the metadata last signed."""

    __tablename__ = "publications"

    version: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str]


def open_database(path: Path) -> Engine:
    """The database in a file, with its tables made."""
    engine = create_engine(f"sqlite:///{path}")
    event.listen(engine, "connect", _share_with_the_other_node)
    Base.metadata.create_all(engine)
    return engine


def unit_may_fetch(engine: Engine, mac: str, password: str) -> bool:
    """Whether a unit of this MAC may fetch with this password.

    Dashes in the MAC are as good as colons, which HTTP basic authentication cannot carry
    in a user name (RFC 7617 section 2).
    """
    with Session(engine) as session:
        demanded = session.get(SwitchRow, CERTIFICATES_DEMANDED) is not None
        return not demanded and _has_account(session, mac, password)


def unit_may_enrol(engine: Engine, mac: str, password: str) -> bool:
    """Whether a unit of this MAC may get a certificate with this password."""
    with Session(engine) as session:
        return _has_account(session, mac, password)


def certificate_holder(engine: Engine, serial: str) -> str | None:
    """The MAC of the unit that a certificate was issued to; None when it counts no more.

    Args:
        engine: the database.
        serial: the certificate's serial number, in hexadecimal.
    """
    with Session(engine) as session:
        row = session.get(CertificateRow, serial.lstrip("0").upper())
        if row is None or row.revoked:
            return None
        unit = session.get(UnitRow, row.mac)
        return row.mac if unit is not None and not unit.revoked else None


def _has_account(session: Session, mac: str, password: str) -> bool:
    unit = session.get(UnitRow, mac.replace("-", ":"))
    return unit is not None and not unit.revoked and unit.has_password(password)


def _share_with_the_other_node(connection: DBAPIConnection, _record: ConnectionPoolEntry) -> None:
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA busy_timeout=5000")
    cursor.close()


@functools.lru_cache(maxsize=16_384)
def _hash(password: str, salt: bytes) -> bytes:
    """Slow on purpose (about 10 ms); a unit sends the same password with every HTTPS request."""
    return hashlib.scrypt(password.encode(), salt=salt, **_SCRYPT)
