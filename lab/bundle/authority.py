"""The certificate authority of a site: its key is made once and kept."""

from __future__ import annotations

import os
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from ..certificates import Authority
from .errors import BadSiteError

NAME: Final = "OpenTurret site CA"
_VALID: Final = timedelta(days=5 * 365)


def site_authority(folder: Path, *, now: datetime) -> Authority:
    """The authority in a folder, made on first use.

    A unit believes it by its name and key, so a certificate of the authority that is
    issued anew changes nothing for units in the field.

    Args:
        folder: its key, mode 0600, and what it issues.
        now: the time of issue (UTC, aware).

    Raises:
        BadSiteError: the key there is damaged.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = folder / "ca.key"
    if not path.exists():
        _write(path, ec.generate_private_key(ec.SECP256R1()))
    return Authority(folder, now=now, name=NAME, key=_read(path), valid=_VALID)


def _read(path: Path) -> ec.EllipticCurvePrivateKey:
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), None)
    except (ValueError, TypeError) as error:
        raise _damaged(path) from error
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise _damaged(path)
    return key


def _damaged(path: Path) -> BadSiteError:
    return BadSiteError(
        f"{path}: no private key of an elliptic curve; put the right one back, or remove it and "
        "write every factory folder again: units believe servers by it"
    )


def _write(path: Path, key: ec.EllipticCurvePrivateKey) -> None:
    content = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    partial = path.with_suffix(".part")
    partial.unlink(missing_ok=True)
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    partial.rename(path)
