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
from openturret.boot.slots import SlotManager, unpack


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


def test_an_image_becomes_the_current_firmware(tmp_path: Path) -> None:
    path, sha256 = stored(tmp_path, GOOD)
    slots = SlotManager(tmp_path / "slots")
    assert slots.current() is None
    slot = slots.install(path, version="0.1.0", sha256=sha256)
    assert slots.current() == slot
    assert (slot.path / "openturret/firmware/data.bin").read_bytes() == bytes(100_000)


def test_an_unchanged_image_is_not_unpacked_again(tmp_path: Path) -> None:
    path, sha256 = stored(tmp_path, GOOD)
    slots = SlotManager(tmp_path / "slots")
    slots.install(path, version="0.1.0", sha256=sha256)
    path.unlink()
    assert slots.install(path, version="0.1.0", sha256=sha256) == slots.current()


def test_a_new_image_replaces_the_old_as_a_whole(tmp_path: Path) -> None:
    slots = SlotManager(tmp_path / "slots")
    path, sha256 = stored(tmp_path, GOOD)
    slots.install(path, version="0.1.0", sha256=sha256)
    path, sha256 = stored(tmp_path, wheel({"openturret/firmware/new.py": b""}))
    slot = slots.install(path, version="0.2.0+local", sha256=sha256)
    assert [file.name for file in slot.path.rglob("*.*")] == ["new.py"]
    assert len(list((tmp_path / "slots").iterdir())) == 2, "the link and one folder"
    assert slots.current() == slot


def test_what_an_interrupted_installation_left_is_no_obstacle(tmp_path: Path) -> None:
    path, sha256 = stored(tmp_path, GOOD)
    half = tmp_path / "slots" / f".a-0.1.0-{sha256}"
    half.mkdir(parents=True)
    (half / "half.py").write_text("x")
    (tmp_path / "slots" / ".a").symlink_to("nowhere")
    slot = SlotManager(tmp_path / "slots").install(path, version="0.1.0", sha256=sha256)
    assert not (slot.path / "half.py").exists()


def test_a_power_cut_at_any_step_leaves_the_old_or_the_new_firmware_whole(tmp_path: Path) -> None:
    script = Path(__file__).with_name("power_cut.py")
    command = [sys.executable, str(script), "slot", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) >= 10, "cuts"


def test_a_wrong_hash_leaves_the_current_firmware(tmp_path: Path) -> None:
    slots = SlotManager(tmp_path / "slots")
    path, sha256 = stored(tmp_path, GOOD)
    good = slots.install(path, version="0.1.0", sha256=sha256)
    with pytest.raises(SlotError, match="is not"):
        slots.install(path, version="0.2.0", sha256="0" * 64)
    assert slots.current() == good


@pytest.mark.parametrize("version", ["", "../up", "a/b", "x" * 65, "1-2", "1\n"])
def test_a_version_that_is_no_version_is_refused(tmp_path: Path, version: str) -> None:
    path, sha256 = stored(tmp_path, GOOD)
    with pytest.raises(SlotError, match="not a version"):
        SlotManager(tmp_path / "slots").install(path, version=version, sha256=sha256)


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
