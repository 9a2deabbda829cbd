"""The secret of one module, in a file that only its owner may read."""

import stat
from pathlib import Path
from typing import Final

from ...hal.board import DeviceSpec
from ...hal.errors import BoardError, DeviceError

MIN_SECRET_BYTES: Final = 16
MAX_SECRET_BYTES: Final = 128
OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO


def secret_file(spec: DeviceSpec) -> Path:
    """Returns the file that a board description names; never the secret itself.

    Raises:
        BoardError: The device's match has no secret.
    """
    name = spec.match.get("secret")
    if not isinstance(name, str) or not name.startswith("/"):
        remedy = f"add 'secret: /etc/openturret/secrets/{spec.position}' to its match"
        raise BoardError(f"device {spec.position} names no file with its secret", remedy=remedy)
    return Path(name)


def read_secret(path: Path) -> bytes:
    """Returns the secret in a file, without white space around it.

    Raises:
        DeviceError: The file cannot be read, is open to others, or holds no secret.
    """
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(path.stat().st_mode)
            secret = file.read(MAX_SECRET_BYTES + 2).strip()
    except OSError as error:
        raise DeviceError(f"cannot read the secret in {path}: {error.strerror}") from error
    if mode & OTHERS:
        raise DeviceError(f"{path} is open to others (mode {mode:03o}); chmod 600 {path}")
    if not MIN_SECRET_BYTES <= len(secret) <= MAX_SECRET_BYTES:
        bounds = f"{MIN_SECRET_BYTES} to {MAX_SECRET_BYTES} bytes"
        raise DeviceError(f"{path} holds no secret of {bounds}; openssl rand -hex 32 makes one")
    return secret
