import hashlib
import io
import stat
import struct
import subprocess
import sys
import zipfile
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from openturret.boot.errors import SlotError
from openturret.boot.slots.image import check_hash, compile_packages, content_digest, unpack


def wheel(files: dict[str, bytes]) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return data.getvalue()


def stored(folder: Path, data: bytes) -> tuple[Path, str]:
    path = folder / "image.whl"
    path.write_bytes(data)
    return path, hashlib.sha256(data).hexdigest()


GOOD = wheel(
    {"openturret/firmware/__init__.py": b"", "openturret/firmware/data.bin": bytes(100_000)}
)


@pytest.mark.parametrize(
    "name",
    ["../evil.py", "/etc/evil", "a/../../evil", "a\\b", "c:evil", "x" * 300, "./..", "a\nb/.."],
)
def test_a_name_that_leads_out_is_refused(tmp_path: Path, name: str) -> None:
    path, _ = stored(tmp_path, wheel({"good.py": b"", name: b"evil"}))
    target = tmp_path / "deep" / "target"
    target.mkdir(parents=True)
    with pytest.raises(SlotError, match="acceptable"):
        unpack(path, target)
    assert not list(target.iterdir())
    assert not list(tmp_path.rglob("evil*"))


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR])
def test_links_and_devices_are_refused(tmp_path: Path, kind: int) -> None:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        entry = zipfile.ZipInfo("link")
        entry.external_attr = (kind | 0o777) << 16
        archive.writestr(entry, "/etc/passwd")
    path, _ = stored(tmp_path, data.getvalue())
    (tmp_path / "target").mkdir()
    with pytest.raises(SlotError, match="neither file nor folder"):
        unpack(path, tmp_path / "target")


def test_a_name_that_comes_twice_is_refused(tmp_path: Path) -> None:
    path, _ = stored(tmp_path, wheel({"a.py": b"1", "A.py": b"2"}))
    (tmp_path / "target").mkdir()
    with pytest.raises(SlotError, match="twice"):
        unpack(path, tmp_path / "target")


def test_more_content_than_allowed_is_refused_whatever_the_index_says(tmp_path: Path) -> None:
    bomb = bytearray(wheel({"bomb.bin": bytes(5_000_000)}))
    central = bomb.rindex(b"PK\1\2")
    struct.pack_into("<I", bomb, central + 24, 10)
    path, _ = stored(tmp_path, bytes(bomb))
    (tmp_path / "target").mkdir()
    with pytest.raises(SlotError):
        unpack(path, tmp_path / "target", max_bytes=1_000_000)
    assert sum(file.stat().st_size for file in (tmp_path / "target").iterdir()) <= 1_000_000


def test_too_many_files_are_refused(tmp_path: Path) -> None:
    path, _ = stored(tmp_path, wheel({f"{number}.py": b"" for number in range(20)}))
    (tmp_path / "target").mkdir()
    with pytest.raises(SlotError, match="too many"):
        unpack(path, tmp_path / "target", max_files=10)


def test_an_image_whose_data_does_not_decompress_is_not_sound(tmp_path: Path) -> None:
    at = GOOD.index(b"data.bin") + len("data.bin") + 2
    path, _ = stored(tmp_path, GOOD[:at] + b"\xff\xff" + GOOD[at + 2 :])
    (tmp_path / "target").mkdir()
    with pytest.raises(SlotError, match="not a sound zip"):
        unpack(path, tmp_path / "target")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(cut=st.integers(0, len(GOOD)), flip=st.integers(0, len(GOOD) - 1))
def test_a_damaged_image_is_a_slot_error_or_unpacks(tmp_path: Path, cut: int, flip: int) -> None:
    damaged = bytearray(GOOD[:cut])
    if flip < cut:
        damaged[flip] ^= 0xFF
    path, _ = stored(tmp_path, bytes(damaged))
    target = tmp_path / f"target-{cut}-{flip}"
    target.mkdir(exist_ok=True)
    try:
        unpack(path, target)
    except (SlotError, FileExistsError):
        return


@pytest.mark.parametrize("mask", [0x01, 0x80, 0xFF])
def test_one_wrong_octet_anywhere_is_a_slot_error_or_unpacks(tmp_path: Path, mask: int) -> None:
    for at in range(len(GOOD)):
        damaged = bytearray(GOOD)
        damaged[at] ^= mask
        path, _ = stored(tmp_path, bytes(damaged))
        target = tmp_path / f"target-{at}"
        target.mkdir()
        with suppress(SlotError):
            unpack(path, target)


def test_another_image_than_the_promised_one_is_refused(tmp_path: Path) -> None:
    path, sha256 = stored(tmp_path, GOOD)
    check_hash(path, sha256)
    with pytest.raises(SlotError, match="is not"):
        check_hash(path, "0" * 64)


def test_the_digest_tells_every_octet_and_every_name(tmp_path: Path) -> None:
    folder = tmp_path / "slot"
    (folder / "package").mkdir(parents=True)
    (folder / "package" / "one.py").write_bytes(b"one")
    (folder / "two.py").write_bytes(b"two")
    digests = {content_digest(folder)}
    (folder / "two.py").write_bytes(b"twp")
    digests.add(content_digest(folder))
    (folder / "two.py").rename(folder / "package" / "two.py")
    digests.add(content_digest(folder))
    (folder / "empty").mkdir()
    digests.add(content_digest(folder))
    assert len(digests) == 4


def test_a_folder_with_a_link_or_a_device_in_it_is_not_sound(tmp_path: Path) -> None:
    assert content_digest(tmp_path / "missing") == content_digest(tmp_path) != ""
    (tmp_path / "link").symlink_to("/etc/hostname")
    assert content_digest(tmp_path) == ""


def test_what_is_compiled_runs_without_writing_anything(tmp_path: Path) -> None:
    (tmp_path / "good.py").write_text("GOOD = True\n")
    (tmp_path / "bad.py").write_text("no python\n")
    compile_packages(tmp_path)
    before = content_digest(tmp_path)
    code = "import good, sys; sys.exit(not good.GOOD)"
    subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": str(tmp_path)}, check=True)
    assert content_digest(tmp_path) == before


def test_an_image_that_brings_its_code_is_not_compiled(tmp_path: Path) -> None:
    (tmp_path / "good.py").write_text("GOOD = True\n")
    compile_packages(tmp_path)
    before = content_digest(tmp_path)
    (tmp_path / "good.py").write_text("GOOD = False\n")
    changed = content_digest(tmp_path)
    compile_packages(tmp_path)
    assert before != changed == content_digest(tmp_path)
