"""Signed firmware in the format of MCUboot: header, payload, TLVs; Ed25519 over the hash.

What ``imgtool sign`` writes (MCUboot ``docs/design.md``, "Image format")::

    header 32 B │ up to hdr_size │ payload │ protected TLVs │ TLVs: hash, key hash, signature
    └──────────── covered by the hash ─────────────────────┘

All numbers are little-endian.  Nothing here touches a device; what is not understood is
refused, because it would be written.
"""

import hashlib
import hmac
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_public_key,
)

from ..errors import FirmwareFileError, SignatureError
from .version import Version

HEADER_BYTES: Final = 32
MAX_KEY_BYTES: Final = 16_384

_HEADER: Final = struct.Struct("<IIHHIIBBHII")
_TLV: Final = struct.Struct("<HH")
_MAGIC: Final = 0x96F3_B83D
_TLV_MAGIC, _PROTECTED_MAGIC = 0x6907, 0x6908
_KEY_HASH, _SHA256, _SHA512, _ED25519, _PURE = 0x01, 0x10, 0x12, 0x24, 0x25
_HASHES: Final = {_SHA256: hashlib.sha256, _SHA512: hashlib.sha512}
_SIGNATURE_BYTES: Final = 64
_NOT_FOR_US: Final = {0x04: "encrypted", 0x08: "encrypted", 0x10: "not bootable"}
_SIGN: Final = "sign it with: imgtool sign --key KEY --version 1.2.3 …"


@dataclass(frozen=True, slots=True)
class TrustedKey:
    """A key whose signatures count; only its public half is ever here."""

    public: Ed25519PublicKey

    @classmethod
    def read(cls, path: Path) -> "TrustedKey":
        """Returns the Ed25519 public key of a PEM file (``imgtool getpub --encoding pem``).

        Raises:
            SignatureError: It cannot be read, or is another kind of key.
        """
        remedy = f"imgtool getpub --encoding pem --key PRIVATE --output {path.name}"
        try:
            with path.open("rb") as file:
                data = file.read(MAX_KEY_BYTES)
            if b"PRIVATE KEY" in data:
                raise SignatureError(f"{path} is a private key; it belongs in no shop", remedy)
            key = load_pem_public_key(data)
        except OSError as error:
            raise SignatureError(f"cannot read the key {path}: {error.strerror}") from error
        except (ValueError, UnsupportedAlgorithm) as error:
            raise SignatureError(f"{path} is not a public key in PEM", remedy) from error
        if not isinstance(key, Ed25519PublicKey):
            raise SignatureError(f"{path} is not an Ed25519 key", remedy)
        return cls(key)

    def fingerprint(self, algorithm: str = "sha256") -> bytes:
        """Returns the hash of the key, as the key hash TLV holds it."""
        der = self.public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        return hashlib.new(algorithm, der).digest()


@dataclass(frozen=True, slots=True)
class SignedImage:
    """Firmware as it goes to a device.

    Attributes:
        data: All of it, from the header to the last TLV.
        version: From the header.
        digest: SHA-256 or SHA-512 of header, payload and protected TLVs, recomputed.
        signature: 64 octets of Ed25519 over the digest.
        key_hash: Of the key that signed.
    """

    data: bytes
    version: Version
    digest: bytes
    signature: bytes
    key_hash: bytes

    @classmethod
    def parse(cls, data: bytes) -> "SignedImage":
        """Takes a file apart; it must end where the image does.

        Raises:
            FirmwareFileError: It is not a signed image, is damaged, or longer than it says.
        """
        image = cls.parse_slot(data)
        if len(image.data) != len(data):
            raise FirmwareFileError(
                f"the image ends after {len(image.data)} bytes, the file after {len(data)}",
                "sign without --pad; a padded image is for a programmer, not for a loader",
            )
        return image

    @classmethod
    def parse_slot(cls, data: bytes) -> "SignedImage":
        """Returns the image at the beginning of a slot, whatever stands after it.

        Raises:
            FirmwareFileError: There is no whole signed image.
        """
        version, covered, protected = _header(data)
        if protected:
            dict(_tlvs(data, covered - protected, _PROTECTED_MAGIC, must_span=protected))
        tlvs = dict(_tlvs(data, covered, _TLV_MAGIC))
        end = covered + _area_size(data, covered, _TLV_MAGIC)
        return cls(
            data=bytes(data[:end]),
            version=version,
            digest=_digest(data[:covered], tlvs),
            signature=_signature(tlvs),
            key_hash=tlvs.get(_KEY_HASH, b""),
        )

    def verify(self, keys: Iterable[TrustedKey]) -> None:
        """Checks the signature against the keys that are trusted.

        Raises:
            SignatureError: None of them signed this image.
        """
        keys = tuple(keys)
        if not any(self._signed_by(key) for key in keys):
            signer = self.key_hash.hex()[:16] or "an unnamed key"
            known = ", ".join(key.fingerprint().hex()[:16] for key in keys) or "none"
            raise SignatureError(
                f"firmware {self.version} is signed by {signer}, trusted is {known}",
                "take the file from who builds it, or give the right --key",
            )

    def _signed_by(self, key: TrustedKey) -> bool:
        try:
            key.public.verify(self.signature, self.digest)
        except InvalidSignature:
            return False
        return True


def _header(data: bytes) -> tuple[Version, int, int]:
    """Returns version, how many bytes the hash covers, how many of them are protected TLVs."""
    if len(data) < HEADER_BYTES:
        raise FirmwareFileError(f"{len(data)} bytes are shorter than an image header", _SIGN)
    magic, _, header, protected, payload, flags, *version, _ = _HEADER.unpack_from(data)
    if magic != _MAGIC:
        raise FirmwareFileError(f"not a signed image: it begins with {data[:4].hex()}", _SIGN)
    for flag, word in _NOT_FOR_US.items():
        if flags & flag:
            raise FirmwareFileError(f"the image is {word}", "only plain bootable images are taken")
    if header < HEADER_BYTES or payload == 0:
        raise FirmwareFileError(f"header of {header} bytes, payload of {payload} bytes", _SIGN)
    covered = header + payload + protected
    if covered > len(data):
        raise FirmwareFileError(
            f"cut short: {len(data)} bytes are there, the header says {covered} and signature",
            "copy the file again",
        )
    return Version(*version), covered, protected


def _area_size(data: bytes, start: int, magic: int) -> int:
    """Returns the length of a TLV area, its own four bytes included."""
    if start + _TLV.size > len(data):
        raise FirmwareFileError("cut short before its signature", "copy the file again")
    found: int
    size: int
    found, size = _TLV.unpack_from(data, start)
    if found != magic:
        raise FirmwareFileError(f"no TLVs at byte {start}: {found:04x} is there", _SIGN)
    if size < _TLV.size or start + size > len(data):
        raise FirmwareFileError(f"TLVs of {size} bytes at byte {start} do not fit", _SIGN)
    return size


def _tlvs(
    data: bytes, start: int, magic: int, *, must_span: int | None = None
) -> Iterator[tuple[int, bytes]]:
    size = _area_size(data, start, magic)
    if must_span not in (None, size):
        raise FirmwareFileError(f"protected TLVs of {size} bytes, the header says {must_span}")
    place, seen = start + _TLV.size, set[int]()
    while place < start + size:
        if place + _TLV.size > start + size:
            raise FirmwareFileError(f"half a TLV at byte {place}", _SIGN)
        kind, length = _TLV.unpack_from(data, place)
        place += _TLV.size
        if place + length > start + size:
            raise FirmwareFileError(f"TLV {kind:#x} of {length} bytes does not fit", _SIGN)
        if kind in _MEANT_ONCE & seen:
            raise FirmwareFileError(f"TLV {kind:#x} stands twice", _SIGN)
        seen.add(kind)
        yield kind, bytes(data[place : place + length])
        place += length


_MEANT_ONCE: Final = frozenset({_KEY_HASH, _SHA256, _SHA512, _ED25519, _PURE})


def _digest(covered: bytes, tlvs: dict[int, bytes]) -> bytes:
    for kind, algorithm in _HASHES.items():
        if kind in tlvs:
            counted = algorithm(covered).digest()
            if not hmac.compare_digest(counted, tlvs[kind]):
                raise FirmwareFileError("the image is damaged: its hash is wrong", "copy it again")
            return counted
    raise FirmwareFileError("the image has no SHA-256 or SHA-512", _SIGN)


def _signature(tlvs: dict[int, bytes]) -> bytes:
    if _PURE in tlvs:
        raise FirmwareFileError("the signature is over the image, not its hash", "leave --pure out")
    signature = tlvs.get(_ED25519, b"")
    if len(signature) != _SIGNATURE_BYTES:
        found = f"has {len(signature)} bytes" if signature else "is missing"
        raise FirmwareFileError(f"the Ed25519 signature {found}", _SIGN)
    return signature
