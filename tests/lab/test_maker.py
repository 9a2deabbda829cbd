"""What the twins' maker signs is what imgtool verifies."""

from pathlib import Path

from imgtool.main import imgtool

from openturret.drivers.flash.dfu_file import DfuFile, DfuSuffix
from openturret.drivers.flash.image import SignedImage, TrustedKey
from openturret.drivers.flash.version import Version
from openturret.lab.maker import Maker


def test_imgtool_verifies_what_the_maker_signs(tmp_path: Path) -> None:
    maker = Maker()
    key = maker.write_key(tmp_path / "maker.pem")
    image = tmp_path / "image.bin"
    image.write_bytes(maker.sign(b"firmware", Version(1, 2, 3)))
    imgtool.main(["verify", "--key", str(key), str(image)], standalone_mode=False)


def test_the_drivers_verify_it_too(tmp_path: Path) -> None:
    maker = Maker()
    suffix = DfuSuffix(0x1209, 0x7701)
    file = DfuFile.parse(maker.dfu_file(b"firmware", Version(1, 2, 3), suffix))
    image = SignedImage.parse(file.payload)
    image.verify([TrustedKey.read(maker.write_key(tmp_path / "maker.pem"))])
    assert (image.version, file.suffix) == (Version(1, 2, 3), suffix)
