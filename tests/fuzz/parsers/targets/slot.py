"""Firmware images: a zip is unpacked into its folder and nowhere else, or it is a SlotError."""

import io
import shutil
import zipfile
from pathlib import Path

from openturret.boot.errors import SlotError
from openturret.boot.slots.image import unpack

from ..data import memory_folder

ERRORS = (SlotError,)
_HERE = memory_folder()
_MAX_BYTES = 1_048_576


def seeds() -> list[bytes]:
    return [
        _wheel({"a/b.py": b"x = 1\n"}, zipfile.ZIP_STORED),
        _wheel({"a/__init__.py": b"", "a/big.py": bytes(5000)}, zipfile.ZIP_DEFLATED),
        _wheel({"../out": b"x"}, zipfile.ZIP_STORED),
        _wheel({"/abs": b"x", "folder/": b""}, zipfile.ZIP_STORED),
    ]


def run(data: bytes) -> None:
    wheel, target = _HERE / "image.whl", _HERE / "slot"
    wheel.write_bytes(data)
    target.mkdir()
    try:
        unpack(wheel, target, max_bytes=_MAX_BYTES, max_files=50)
        _check(target)
    finally:
        shutil.rmtree(target)


def _check(target: Path) -> None:
    if sorted(path.name for path in _HERE.iterdir()) != ["image.whl", "slot"]:
        raise AssertionError("something was written beside the slot")
    if sum(path.lstat().st_size for path in target.rglob("*") if path.is_file()) > _MAX_BYTES:
        raise AssertionError("more was written than is allowed")
    if any(path.is_symlink() for path in target.rglob("*")):
        raise AssertionError("a link was made")


def _wheel(files: dict[str, bytes], how: int) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", how) as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name), content, how)
    return data.getvalue()
