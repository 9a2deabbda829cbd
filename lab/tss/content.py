"""What the administration publishes, taken over as a whole: all of it or nothing.

The version of a configuration (``application.config.version``) is counted here, for all
owners together: a unit refuses a configuration that is older than the one it has, also
when it changes from the site's to one of its own. A version in the settings is the least
that the next one may be.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import yaml
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from ..errors import PublishError
from .database import ConfigurationRow, FirmwareRow, ProfileRow, UserRow

Settings = Mapping[str, object]
"""A flat configuration: dotted key to value."""

VERSION_KEY = "application.config.version"
SITE_DEFAULT = "default"
_IMAGE_VERSION = re.compile(r"[A-Za-z0-9.+]{1,64}")


@dataclass(frozen=True, slots=True)
class Image:
    """A firmware image.

    Attributes:
        version: the one that is written in it.
        path: a wheel, or a ``.raucb`` for units with RAUC.
        allow_downgrade: whether units may take it although they have a newer one.
    """

    version: str
    path: Path
    allow_downgrade: bool = False


@dataclass(frozen=True, slots=True)
class Content:
    """Everything that a site publishes.

    Attributes:
        configurations: by owner: ``default``, or a unit's MAC with dashes.
        profiles: by user.
        firmware: the image of each family, such as ``touchpro``.
    """

    configurations: Mapping[str, Settings]
    profiles: Mapping[str, Settings] = field(default_factory=dict)
    firmware: Mapping[str, Image] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Change:
    """A difference between what was published and what is to be.

    Attributes:
        kind: ``configuration``, ``profile`` or ``firmware``.
        name: whose: an owner, a user or a family.
        what: ``new``, ``changed`` or ``removed``.
        version: the new version, "" where there is none.
    """

    kind: str
    name: str
    what: str
    version: str = ""


def replace(session: Session, content: Content, images: Path | None) -> tuple[Change, ...]:
    """Make the database say what the content says.

    A unit that once had a configuration of its own keeps one (see the module); profiles
    that are not in the content go.

    Args:
        session: commit it to keep the changes.
        content: everything.
        images: where images are kept; None when the changes are not to be kept.

    Raises:
        PublishError: a firmware version was published with other content.
    """
    return (
        *_replace_configurations(session, content.configurations),
        *_replace_profiles(session, content.profiles),
        *_replace_firmware(session, content.firmware, images),
    )


def newest_configurations(session: Session) -> list[ConfigurationRow]:
    """The newest configuration of each owner."""
    newest: dict[str, ConfigurationRow] = {}
    for row in session.scalars(select(ConfigurationRow).order_by(ConfigurationRow.version)):
        newest[row.owner] = row
    return list(newest.values())


def current_firmware(session: Session) -> list[FirmwareRow]:
    """The firmware of each model: the image that was added last."""
    current: dict[str, FirmwareRow] = {}
    for row in session.scalars(select(FirmwareRow).order_by(FirmwareRow.number)):
        current[row.model] = row
    return list(current.values())


def add_firmware(session: Session, model: str, image: Image, images: Path) -> None:
    """Make an image the firmware of a model; its content is copied.

    Raises:
        PublishError: the image is missing, or the version is none.
    """
    version = image.version
    if not image.path.is_file():
        raise PublishError(f"{image.path} is not a firmware image")
    if not _IMAGE_VERSION.fullmatch(version):
        raise PublishError(f"{version!r} is not a version: use digits, letters, . and +")
    kept = kept_image(images, model, f"openturret-{version}{image.path.suffix}")
    copy_durably(image.path, kept)
    number = 1 + (session.scalar(select(func.max(FirmwareRow.number))) or 0)
    session.merge(
        FirmwareRow(
            model=model,
            version=version,
            number=number,
            file=kept.name,
            sha256=_sha256(kept),
            allow_downgrade=image.allow_downgrade,
        )
    )


def manifest(firmware: FirmwareRow) -> Settings:
    """What a unit is told about its firmware."""
    about = {"version": firmware.version, "file": firmware.file, "sha256": firmware.sha256}
    return {**about, "allow_downgrade": True} if firmware.allow_downgrade else about


def kept_image(images: Path, model: str, file: str) -> Path:
    """Where an image of a model is kept."""
    return images / model / file


def copy_durably(source: Path, target: Path) -> None:
    """Copy a file; after a power cut the target is the old one or the whole new one."""
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{target.name}.part")
    with source.open("rb") as reading, partial.open("wb") as writing:
        shutil.copyfileobj(reading, writing, 2**20)
        writing.flush()
        os.fsync(writing.fileno())
    partial.replace(target)


def write_durably(path: Path, content: bytes) -> None:
    """Write a file; after a power cut it is the old one or the whole new one."""
    partial = path.with_name(f".{path.name}.part")
    with partial.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def as_yaml(settings: Settings) -> str:
    """A configuration as it is published."""
    return yaml.safe_dump(dict(settings), sort_keys=True, allow_unicode=True)


def _replace_configurations(
    session: Session, configurations: Mapping[str, Settings]
) -> Iterator[Change]:
    before = {row.owner: row for row in newest_configurations(session)}
    left = dict.fromkeys(before, configurations[SITE_DEFAULT])
    wanted = {**left, **configurations}
    version = _next_version(before.values(), wanted.values())
    for owner, settings in sorted(wanted.items()):
        row = before.get(owner)
        if row is None or _says_otherwise(row, settings):
            text = as_yaml({**settings, VERSION_KEY: version})
            session.add(ConfigurationRow(owner=owner, version=version, text=text))
            yield Change("configuration", owner, "changed" if row else "new", str(version))


def _says_otherwise(row: ConfigurationRow, settings: Settings) -> bool:
    version = max(row.version, _least_version(settings))
    return bool(yaml.safe_load(row.text) != {**settings, VERSION_KEY: version})


def _next_version(rows: Iterable[ConfigurationRow], wanted: Iterable[Settings]) -> int:
    return max(1, *(row.version + 1 for row in rows), *map(_least_version, wanted))


def _least_version(settings: Settings) -> int:
    """The version that the settings ask for at least.

    Raises:
        PublishError: it is not a whole number.
    """
    version = settings.get(VERSION_KEY, 0)
    if not isinstance(version, int) or isinstance(version, bool):
        raise PublishError(f"{VERSION_KEY} is {version!r}: it must be a whole number")
    return version


def _replace_profiles(session: Session, profiles: Mapping[str, Settings]) -> Iterator[Change]:
    before = {row.user: row for row in session.scalars(select(ProfileRow))}
    for user in sorted(before.keys() - profiles.keys()):
        session.delete(before[user])
        yield Change("profile", user, "removed")
    for user, settings in sorted(profiles.items()):
        text, row = as_yaml(settings), before.get(user)
        if row is None or row.text != text:
            session.merge(UserRow(user=user, name=str(settings.get("profile.user.name", user))))
            session.flush()
            session.merge(ProfileRow(user=user, text=text))
            yield Change("profile", user, "changed" if row else "new")


def _replace_firmware(
    session: Session, firmware: Mapping[str, Image], images: Path | None
) -> Iterator[Change]:
    before = {row.model: row for row in current_firmware(session)}
    for model, image in sorted(firmware.items()):
        known = session.get(FirmwareRow, (model, image.version))
        if known and known.sha256 != _sha256(image.path):
            raise PublishError(
                f"firmware {model} {image.version} was published with other content: "
                "give the new image a version of its own"
            )
        permitted = known is not None and known.allow_downgrade == image.allow_downgrade
        if known is None or known is not before[model] or not permitted:
            if images is not None:
                add_firmware(session, model, image, images)
            what = "changed" if model in before else "new"
            yield Change("firmware", model, what, image.version)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
