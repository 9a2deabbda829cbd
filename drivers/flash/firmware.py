"""A firmware file as a whole: for which device it is, and what has been signed."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from .dfu_file import DfuFile, DfuSuffix, has_suffix, read_firmware
from .image import SignedImage, TrustedKey
from .version import Version


@dataclass(frozen=True, slots=True)
class Firmware:
    """Firmware that a trusted key has signed.

    Attributes:
        image: What goes to the device.
        suffix: For which device, None when the file does not say.
    """

    image: SignedImage
    suffix: DfuSuffix | None

    @classmethod
    def read(cls, path: Path, keys: Iterable[TrustedKey]) -> "Firmware":
        """Returns the firmware in a file, suffix, hash and signature checked.

        Raises:
            FirmwareFileError: It is not sound.
            SignatureError: No trusted key has signed it.
        """
        data = read_firmware(path)
        file = DfuFile.parse(data) if has_suffix(data) else None
        image = SignedImage.parse(data if file is None else file.payload)
        image.verify(keys)
        return cls(image, None if file is None else file.suffix)

    @property
    def version(self) -> Version:
        """Of the image."""
        return self.image.version

    @property
    def data(self) -> bytes:
        """The bytes that go to the device."""
        return self.image.data
