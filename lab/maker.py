"""Signs firmware for twins, as the maker of a device does with imgtool.

The key is no secret: it is derived from a text that stands here, so that everybody's twins start
everybody's firmware. It signs nothing that a real device would start.
"""

from __future__ import annotations

import hashlib
import struct
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from ..drivers.flash.dfu_file import DfuFile, DfuSuffix
from ..drivers.flash.image import HEADER_BYTES, TrustedKey
from ..drivers.flash.version import Version

_SEED = b"OpenTurret: the maker of the twins"
_IMAGE_MAGIC, _TLV_MAGIC = 0x96F3B83D, 0x6907
_KEY_HASH, _SHA256, _ED25519 = 0x01, 0x10, 0x24


class Maker:
    """Who makes the twins, and the firmware that they start."""

    def __init__(self) -> None:
        self._key = Ed25519PrivateKey.from_private_bytes(hashlib.sha256(_SEED).digest())

    @property
    def trusted(self) -> TrustedKey:
        """The key that a twin trusts."""
        return TrustedKey(self._key.public_key())

    def write_key(self, path: Path) -> Path:
        """Writes the public key for `turret flash --key` and returns its path."""
        key = self._key.public_key()
        path.write_bytes(key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
        return path

    def sign(self, payload: bytes, version: Version) -> bytes:
        """Returns a signed image: MCUboot's header, the payload, hash, key hash, signature."""
        numbers = (version.major, version.minor, version.revision, version.build)
        sizes = (0, HEADER_BYTES, 0, len(payload), 0)
        body = struct.pack("<IIHHIIBBHII", _IMAGE_MAGIC, *sizes, *numbers, 0) + payload
        digest = hashlib.sha256(body).digest()
        tlvs = b"".join(
            struct.pack("<HH", kind, len(value)) + value
            for kind, value in (
                (_SHA256, digest),
                (_KEY_HASH, self.trusted.fingerprint()),
                (_ED25519, self._key.sign(digest)),
            )
        )
        return body + struct.pack("<HH", _TLV_MAGIC, 4 + len(tlvs)) + tlvs

    def dfu_file(self, payload: bytes, version: Version, suffix: DfuSuffix) -> bytes:
        """Returns a signed image with a DFU suffix."""
        return bytes(DfuFile(self.sign(payload, version), suffix))
