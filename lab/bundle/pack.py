"""This checkout as the firmware image of a family."""

from __future__ import annotations

import filecmp
import re
from importlib import metadata
from pathlib import Path
from typing import Final

from ..tss import pack_firmware
from .checks import is_packed, read_image
from .errors import BadSiteError
from .folder import SiteFolder

_PACKED: Final = re.compile(r"(?P<base>.+)\.post(?P<number>[0-9]+)")
_PLAIN: Final = "0.1.0"
"""The version of a checkout that nobody installed."""


def pack(site: SiteFolder, family: str, version: str = "") -> Path:
    """Pack the running checkout (or installation) into ``firmware/<family>/``.

    An image that was packed before is replaced; nothing happens when it would be the same.

    Args:
        site: the folder.
        family: the family of units, such as ``touchpro``.
        version: its version; by default the release's with a number that rises each time.

    Returns:
        The image.

    Raises:
        BadSiteError: an image stands there that was not packed here.
    """
    folder = site.firmware / family
    folder.mkdir(parents=True, exist_ok=True)
    packed = _packed_before(folder)
    if packed is not None and not version and _is_current(packed, folder):
        return packed
    wanted = version or _next_version(packed)
    image = pack_firmware(folder / f"openturret-{wanted}.whl", version=wanted)
    if packed is not None and packed != image:
        packed.unlink()
    return image


def _packed_before(folder: Path) -> Path | None:
    found = sorted(folder.glob("*.whl"))
    foreign = [path for path in found if not is_packed(path)]
    if foreign:
        raise BadSiteError(
            f"{foreign[0]} was not packed by `turret bundle pack`: "
            "move it away, or publish it without --pack"
        )
    return found[-1] if found else None


def _is_current(packed: Path, folder: Path) -> bool:
    """Whether packing the checkout again gives the same octets."""
    again = pack_firmware(folder / ".again", version=read_image(packed).version)
    try:
        return filecmp.cmp(packed, again, shallow=False)
    finally:
        again.unlink()


def _next_version(packed: Path | None) -> str:
    base = _release()
    match = _PACKED.fullmatch(read_image(packed).version) if packed else None
    number = int(match["number"]) + 1 if match and match["base"] == base else 1
    return f"{base}.post{number}"


def _release() -> str:
    try:
        return metadata.version("openturret").partition("+")[0]
    except metadata.PackageNotFoundError:
        return _PLAIN
