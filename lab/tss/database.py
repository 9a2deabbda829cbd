"""The tables of the TSS, and the check of a unit's password.

SQLite by default; any database that SQLAlchemy speaks to will do, because both nodes open
the same URL.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from pathlib import Path

from sqlalchemy import Engine, ForeignKey, create_engine, event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column
from sqlalchemy.pool import ConnectionPoolEntry

_SCRYPT = {"n": 2**12, "r": 8, "p": 1, "dklen": 32}


class Base(DeclarativeBase):
    """Root of the tables."""


class UnitRow(Base):
    """A unit that may fetch: its name plate and the hash of its factory password."""

    __tablename__ = "units"

    mac: Mapped[str] = mapped_column(primary_key=True)
    serial: Mapped[str] = mapped_column(unique=True)
    model: Mapped[str]
    salt: Mapped[bytes]
    password_hash: Mapped[bytes]

    def set_password(self, password: str) -> None:
        """Store a salted hash of it."""
        self.salt = os.urandom(16)
        self.password_hash = _hash(password, self.salt)

    def has_password(self, password: str) -> bool:
        """Whether it is the unit's password; takes the same time either way."""
        return hmac.compare_digest(self.password_hash, _hash(password, self.salt))


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
    """Whether a unit of this MAC exists and has this password.

    Dashes in the MAC are as good as colons, which HTTP basic authentication cannot carry
    in a user name (RFC 7617 section 2).
    """
    with Session(engine) as session:
        unit = session.get(UnitRow, mac.replace("-", ":"))
        return unit is not None and unit.has_password(password)


def _share_with_the_other_node(connection: DBAPIConnection, _record: ConnectionPoolEntry) -> None:
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA busy_timeout=5000")
    cursor.close()


def _hash(password: str, salt: bytes) -> bytes:
    return hashlib.scrypt(password.encode(), salt=salt, **_SCRYPT)
