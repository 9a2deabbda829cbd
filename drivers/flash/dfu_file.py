"""Firmware files with the suffix of USB DFU 1.1, appendix B: for which device, and whole or not.

The suffix stands at the end and never reaches the device.  Its CRC is CRC-32 of IEEE 802.3
without the final inversion, over everything before the CRC itself.
"""

import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ..errors import FirmwareFileError, WrongFirmwareError

ANY: Final = 0xFFFF
"""A suffix field that fits every device."""

MAX_FILE_BYTES: Final = 67_108_864
DFU_RELEASE: Final = 0x0100
"""``bcdDFU`` of the suffix: appendix B keeps 1.00 although the specification is 1.1."""

_SUFFIX: Final = struct.Struct("<HHHH3sBI")
_SIGNATURE: Final = b"UFD"
_CRC_BYTES: Final = 4
_REMEDY: Final = "copy the file again, or write the suffix anew: dfu-suffix --add"


@dataclass(frozen=True, slots=True)
class DfuSuffix:
    """For which device a file is; ``ANY`` in a field fits all.

    Attributes:
        vid: ``idVendor``.
        pid: ``idProduct``.
        bcd_device: ``bcdDevice``, the release that the device has before it is flashed.
    """

    vid: int = ANY
    pid: int = ANY
    bcd_device: int = ANY

    def fits(self, vid: int, pid: int, bcd_device: int) -> bool:
        """Whether the file is for a device with these descriptors."""
        asked = (self.vid, self.pid, self.bcd_device)
        return all(
            want in (ANY, is_) for want, is_ in zip(asked, (vid, pid, bcd_device), strict=True)
        )

    def must_fit(self, vid: int, pid: int, bcd_device: int) -> None:
        """Refuses a device that the file is not for.

        Raises:
            WrongFirmwareError: Both sides are in the message.
        """
        if not self.fits(vid, pid, bcd_device):
            raise WrongFirmwareError(
                f"the file is for {self}, the device is {vid:04x}:{pid:04x}:{bcd_device:04x}",
                "choose the file that was built for this device",
            )

    def __str__(self) -> str:
        """``1209:7701:any``: vendor, product, release."""
        fields = (self.vid, self.pid, self.bcd_device)
        return ":".join("any" if field == ANY else f"{field:04x}" for field in fields)


@dataclass(frozen=True, slots=True)
class DfuFile:
    """What goes to the device, and the suffix that does not.

    >>> whole = bytes(DfuFile(b"firmware", DfuSuffix(0x1209, 0x7701)))
    >>> str(DfuFile.parse(whole).suffix)
    '1209:7701:any'
    """

    payload: bytes
    suffix: DfuSuffix

    @classmethod
    def parse(cls, data: bytes) -> "DfuFile":
        """Takes a file apart.

        Raises:
            FirmwareFileError: There is no suffix, its CRC is wrong, or its fields are.
        """
        if not has_suffix(data):
            raise FirmwareFileError("the file has no DFU suffix", _REMEDY)
        bcd_device, pid, vid, bcd_dfu, _, length, crc = _SUFFIX.unpack(data[-_SUFFIX.size :])
        counted = checksum(data[:-_CRC_BYTES])
        if counted != crc:
            raise FirmwareFileError(
                f"the file is damaged: its CRC is {counted:08x}, its suffix says {crc:08x}",
                _REMEDY,
            )
        if bcd_dfu != DFU_RELEASE:
            raise FirmwareFileError(
                f"the suffix is of DFU release {bcd_dfu:04x}, not {DFU_RELEASE:04x}", _REMEDY
            )
        if not _SUFFIX.size <= length < len(data):
            raise FirmwareFileError(
                f"the suffix says it has {length} bytes; {_SUFFIX.size} to "
                f"{min(255, len(data) - 1)} are possible",
                _REMEDY,
            )
        return cls(data[:-length], DfuSuffix(vid, pid, bcd_device))

    def __bytes__(self) -> bytes:
        suffix = self.suffix
        fields = (suffix.bcd_device, suffix.pid, suffix.vid, DFU_RELEASE, _SIGNATURE, _SUFFIX.size)
        body = self.payload + _SUFFIX.pack(*fields, 0)[:-_CRC_BYTES]
        return body + checksum(body).to_bytes(_CRC_BYTES, "little")


def has_suffix(data: bytes) -> bool:
    """Whether a file ends as one with a suffix does; nothing is checked yet."""
    return len(data) >= _SUFFIX.size and data[-8:-5] == _SIGNATURE


def checksum(data: bytes) -> int:
    """Returns the ``dwCRC`` of appendix B over ``data``."""
    return zlib.crc32(data) ^ 0xFFFF_FFFF


def read_firmware(path: Path) -> bytes:
    """Returns the content of a firmware file.

    Raises:
        FirmwareFileError: It cannot be read, is empty, or exceeds ``MAX_FILE_BYTES``.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise FirmwareFileError(f"cannot read {path}: {error.strerror}") from error
    if not 0 < len(data) <= MAX_FILE_BYTES:
        size = "empty" if not data else f"larger than {MAX_FILE_BYTES} bytes"
        raise FirmwareFileError(f"{path} is {size}", "is this the right file?")
    return data
