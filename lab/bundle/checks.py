"""Reads a whole site and checks it; all problems are told together.

Values are checked by the registry of keys that the unit itself uses, so what passes here
is what a unit takes.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from email.message import Message
from email.parser import HeaderParser
from pathlib import Path
from typing import Final, ParamSpec, TypeVar

from ...firmware.config import document
from ...firmware.config.errors import ConfigError
from ...firmware.config.store import Layer, Origin, combine, read_layer
from ..tss.content import Content, Image, Settings
from ..tss.record import EnrolledUnit
from .errors import BadSiteError
from .folder import SiteFolder

T = TypeVar("T")
P = ParamSpec("P")

_UNIT: Final = re.compile(r"[0-9a-f]{2}(-[0-9a-f]{2}){5}")
_USER: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")
_FAMILY: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_RAUC_NAME: Final = re.compile(r".+-(?P<version>[0-9][A-Za-z0-9.+]*)\.raucb")
WHEEL, RAUC = ".whl", ".raucb"
PERMISSION: Final = "permission.yaml"
"""Beside an image: `allow_downgrade: true` lets units go back to it."""

_IMAGE_BYTES_MAX: Final = 134_217_728
"""A unit takes no larger image (`boot.provision.MAX_IMAGE_BYTES`)."""


@dataclass(frozen=True, slots=True)
class CheckedSite:
    """A site without a problem.

    Attributes:
        content: what is to be published.
        warnings: one sentence each; the site can be published nevertheless.
    """

    content: Content
    warnings: tuple[str, ...]


@dataclass(slots=True)
class _Findings:
    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def attempt(self, read: Callable[P, T], *args: P.args, **named: P.kwargs) -> T | None:
        """What was read, or None and a problem more."""
        try:
            return read(*args, **named)
        except (ConfigError, BadSiteError, OSError) as error:
            self.problems += str(error).splitlines()
        return None


def check(site: SiteFolder, units: Sequence[EnrolledUnit]) -> CheckedSite:
    """Read and check everything.

    Args:
        site: the folder.
        units: those that were added.

    Raises:
        BadSiteError: something is wrong; every problem is told.
    """
    site.require()
    findings = _Findings()
    known_units = frozenset(unit.folder for unit in units)
    configurations = _configurations(site, known_units, findings)
    profiles = _profiles(site, findings)
    firmware = _firmware(site, findings)
    if findings.problems:
        raise BadSiteError(findings.problems)
    content = Content(configurations, profiles, firmware)
    return CheckedSite(content, (*findings.warnings, *_gaps(content, units)))


def _gaps(content: Content, units: Sequence[EnrolledUnit]) -> Iterator[str]:
    """What a unit would miss, though every file is right."""
    if not units:
        yield "no unit may fetch: `turret bundle add-unit` adds one"
    for family in sorted({unit.model.lower() for unit in units} - content.firmware.keys()):
        yield (
            f"no firmware for {family}: its units have nothing to run; "
            f"`turret bundle pack --family {family}` packs this checkout"
        )


def _configurations(
    site: SiteFolder, known_units: frozenset[str], findings: _Findings
) -> dict[str, Settings]:
    default = findings.attempt(_default, site.default, findings)
    if default is None:
        return {}
    configurations = {"default": _settings(default)}
    for path in _documents(site.units, findings):
        own = findings.attempt(_own, path, known_units, default, findings)
        if own is not None:
            configurations[path.stem] = {**_settings(default), **_settings(own)}
    return configurations


def _default(path: Path, findings: _Findings) -> Layer:
    layer = _layer(path, Origin.UNIT, findings)
    combine(layer)
    return layer


def _own(path: Path, known_units: frozenset[str], default: Layer, findings: _Findings) -> Layer:
    """What one unit has otherwise than the others."""
    if not _UNIT.fullmatch(path.stem):
        raise BadSiteError(
            f"{path}: the name is no MAC: write it as 02-54-50-00-00-01.yaml, small letters"
        )
    if path.stem not in known_units:
        raise BadSiteError(
            f"{path}: no such unit was added: `turret bundle add-unit {path.parent.parent} "
            f"{path.stem.replace('-', ':')}` adds it"
        )
    layer = _layer(path, Origin.UNIT, findings)
    combine(default, layer)
    return layer


def _profiles(site: SiteFolder, findings: _Findings) -> dict[str, Settings]:
    profiles: dict[str, Settings] = {}
    for path in _documents(site.profiles, findings):
        settings = findings.attempt(_profile, path, findings)
        if settings is not None:
            profiles[path.stem] = settings
    return profiles


def _profile(path: Path, findings: _Findings) -> Settings:
    if not _USER.fullmatch(path.stem):
        raise BadSiteError(
            f"{path}: {path.stem!r} is no user name: letters, digits and . _ - @, 64 at most"
        )
    layer = _layer(path, Origin.PROFILE, findings)
    combine(layer)
    return _settings(layer)


def _layer(path: Path, origin: Origin, findings: _Findings) -> Layer:
    layer = read_layer(path, origin)
    findings.warnings += layer.warnings
    return layer


def _settings(layer: Layer) -> Settings:
    """What a file says, under the registry's own names; an unknown key stays as it was written."""
    known = {name: setting.value for name, setting in layer.settings.items()}
    values = {**layer.unknown, **known}
    return {
        name: list(value) if isinstance(value, tuple) else value for name, value in values.items()
    }


def _documents(folder: Path, findings: _Findings) -> Iterator[Path]:
    for path in sorted(folder.glob("*")):
        if path.suffix == ".yaml":
            yield path
        elif path.suffix in (".yml", ".json"):
            findings.warnings.append(f"{path} is not read: rename it to {path.stem}.yaml")


def _firmware(site: SiteFolder, findings: _Findings) -> dict[str, Image]:
    images: dict[str, Image] = {}
    for folder in sorted(path for path in site.firmware.glob("*") if path.is_dir()):
        image = findings.attempt(_image, folder)
        if image is not None:
            images[folder.name] = image
    for stray in sorted(site.firmware.glob("*.whl")):
        findings.warnings.append(
            f"{stray} is not read: move it into the folder of its family, such as "
            f"{site.firmware / 'touchpro'}"
        )
    return images


def _image(folder: Path) -> Image | None:
    """The one image of a family; None when the folder is empty."""
    if not _FAMILY.fullmatch(folder.name):
        raise BadSiteError(f"{folder}: no name of a family: letters, digits and . _ -")
    found = sorted(path for path in folder.glob("*") if path.suffix in (WHEEL, RAUC))
    if len(found) > 1:
        names = ", ".join(path.name for path in found)
        raise BadSiteError(f"{folder}: {len(found)} images ({names}): keep the one to publish")
    if not found:
        return None
    return replace(read_image(found[0]), allow_downgrade=_may_be_older(folder / PERMISSION))


def _may_be_older(path: Path) -> bool:
    """Whether units may take the image although they have a newer one; no unless it is said."""
    if not path.is_file():
        return False
    allowed = False
    for line in document.lines(document.read(path), str(path)):
        if line.name != "allow_downgrade" or line.raw not in ("true", "false"):
            raise BadSiteError(
                f"{path} line {line.number}: {line.name}: {line.raw!r} is not allowed: "
                "the file may say `allow_downgrade: true` or `false`"
            )
        allowed = line.raw == "true"
    return allowed


def read_image(path: Path) -> Image:
    """An image and its version.

    Raises:
        BadSiteError: it is no wheel of OpenTurret, a RAUC bundle without a version in its
            name, or larger than a unit takes.
    """
    if path.stat().st_size > _IMAGE_BYTES_MAX:
        raise BadSiteError(f"{path}: larger than {_IMAGE_BYTES_MAX} bytes: a unit refuses it")
    return _wheel(path) if path.suffix == WHEEL else _rauc_bundle(path)


def _rauc_bundle(path: Path) -> Image:
    """RAUC signs and checks the content itself; the version stands in the name."""
    name = _RAUC_NAME.fullmatch(path.name)
    if name is None:
        raise BadSiteError(f"{path}: name it NAME-VERSION.raucb, such as openturret-1.2.0.raucb")
    return Image(name["version"], path)


def _wheel(path: Path) -> Image:
    about = _about(path, "METADATA")
    if about.get("Name") != "openturret" or not about.get("Version"):
        raise BadSiteError(
            f"{path}: its METADATA names {about.get('Name')!r}, not 'openturret' with a version: "
            "`turret bundle pack` or `python -m build --wheel` makes an image"
        )
    return Image(about["Version"], path)


def is_packed(path: Path) -> bool:
    """Whether `tss.pack_firmware` made an image."""
    return bool(_about(path, "WHEEL").get("Generator") == "openturret")


def _about(path: Path, name: str) -> Message:
    """A file of a wheel's dist-info, which has the form of mail headers."""
    try:
        with zipfile.ZipFile(path) as archive:
            listed = [entry for entry in archive.namelist() if entry.endswith(f".dist-info/{name}")]
            text = archive.read(listed[0]).decode() if listed else ""
    except (zipfile.BadZipFile, UnicodeDecodeError, NotImplementedError) as error:
        raise BadSiteError(f"{path}: no wheel: {error}; build it again") from error
    return HeaderParser().parsestr(text)
