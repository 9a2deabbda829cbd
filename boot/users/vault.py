"""Seals what lies on the medium, so that only this unit reads it, and each piece in its place.

AES-256-GCM under a key derived from the unit's own, which is made at first use and readable by
this user only.  Unit and place are authenticated with the content: a file that was copied from
another unit, or over another file of this one, does not open.

What it does not do: whoever copies the whole medium has the key as well.  A TPM that seals the
key is a driver of its own.
"""

import logging
import os
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from ..cache import read_bounded, write_atomically
from ..errors import VaultError

logger = logging.getLogger(__name__)

KEY_BYTES: Final = 32
OVERHEAD_BYTES: Final = 32
"""A sealed file is longer than its content by this: mark, nonce, tag."""

_MARK = b"OTS1"
_NONCE_BYTES = 12
_HEAD_BYTES = len(_MARK) + _NONCE_BYTES
_PURPOSE = b"openturret vault 1"


class Vault:
    """Seals and opens files of one unit.

    Args:
        key: The file with the unit's key.
        unit: What the content is bound to: the serial number.
    """

    def __init__(self, key: Path, unit: str) -> None:
        self._key = key
        self._unit = unit

    def write(self, path: Path, place: str, content: bytes) -> None:
        """Replaces a file by sealed content.

        Args:
            path: The file.
            place: What the content is, such as ``profile/alice``; it opens nowhere else.
            content: Of any length.

        Raises:
            OSError: The medium is full or fails.
        """
        nonce = os.urandom(_NONCE_BYTES)
        sealed = self._cipher().encrypt(nonce, content, self._bound_to(place))
        write_atomically(path, _MARK + nonce + sealed)

    def read(self, path: Path, place: str, max_bytes: int) -> bytes | None:
        """Returns the content of a sealed file; None when there is none.

        Raises:
            VaultError: It was not sealed by this unit for this place, is too large, or damaged.
            OSError: The medium fails.
        """
        if not path.exists() and not path.is_symlink():
            return None
        sealed = read_bounded(path, max_bytes + OVERHEAD_BYTES)
        if sealed is None or len(sealed) < OVERHEAD_BYTES or not sealed.startswith(_MARK):
            raise VaultError(f"{path.name} is no sealed file of at most {max_bytes} bytes")
        nonce, rest = sealed[len(_MARK) : _HEAD_BYTES], sealed[_HEAD_BYTES:]
        return self._open(path, nonce, rest, place)

    def _open(self, path: Path, nonce: bytes, sealed: bytes, place: str) -> bytes:
        try:
            return self._cipher().decrypt(nonce, sealed, self._bound_to(place))
        except InvalidTag:
            raise VaultError(f"{path.name} is damaged, or not from this unit") from None

    def _bound_to(self, place: str) -> bytes:
        return b"\0".join((_MARK, self._unit.encode(), place.encode()))

    def _cipher(self) -> AESGCM:
        purpose = HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=None, info=_PURPOSE)
        return AESGCM(purpose.derive(self._unit_key()))

    def _unit_key(self) -> bytes:
        """Returns the unit's key; one that is missing or damaged is made anew."""
        key = read_bounded(self._key, KEY_BYTES)
        if key is not None and len(key) == KEY_BYTES:
            return key
        if key is not None:
            logger.error("the unit's key is damaged: what was sealed with it is lost")
        key = os.urandom(KEY_BYTES)
        write_atomically(self._key, key)
        return key
