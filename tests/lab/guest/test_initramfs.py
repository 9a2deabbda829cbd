import gzip
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openturret.lab.errors import GuestError
from openturret.lab.guest.initramfs import Entry, archive, file, folder, link, module_files

INDEX = """\
kernel/fs/9p/9p.ko: kernel/net/9p/9pnet.ko kernel/fs/netfs/netfs.ko
kernel/net/9p/9pnet.ko:
kernel/fs/netfs/netfs.ko:
kernel/net/9p/9pnet_virtio.ko: kernel/net/9p/9pnet.ko kernel/virtio/ring.ko kernel/virtio/virtio.ko
kernel/virtio/ring.ko: kernel/virtio/virtio.ko
kernel/virtio/virtio.ko:
kernel/sound/usb/snd-usb-audio.ko.xz: kernel/sound/core/snd.ko.xz
kernel/sound/core/snd.ko.xz:
"""


def members(packed: bytes) -> list[Entry]:
    """Reads the format back by its own rules, not by ours."""
    data, at = gzip.decompress(packed), 0
    found: list[Entry] = []
    while True:
        assert data[at : at + 6] == b"070701"
        numbers = [int(data[at + 6 + 8 * n : at + 14 + 8 * n], 16) for n in range(13)]
        mode, size, length = numbers[1], numbers[6], numbers[11]
        name = data[at + 110 : at + 109 + length].decode()
        at += (110 + length + 3) // 4 * 4
        if name == "TRAILER!!!":
            return found
        found.append(Entry(name, mode, data[at : at + size]))
        at += (size + 3) // 4 * 4


def test_what_is_packed_comes_out_again_with_the_folders_that_it_needs() -> None:
    packed = archive([file("guest/a", b"abc", executable=True), link("bin", "usr/bin")])
    assert [(entry.path, entry.data) for entry in members(packed)] == [
        ("guest", b""),
        ("guest/a", b"abc"),
        ("bin", b"usr/bin"),
    ]
    modes = [entry.mode for entry in members(packed)]
    assert [stat.S_IFMT(mode) for mode in modes] == [stat.S_IFDIR, stat.S_IFREG, stat.S_IFLNK]
    assert modes[1] & 0o777 == 0o755


def test_a_folder_is_made_once() -> None:
    packed = archive([folder("a"), file("a/b/c", b""), file("a/b/d", b"")])
    assert [entry.path for entry in members(packed)] == ["a", "a/b", "a/b/c", "a/b/d"]


names = st.text("abcdef", min_size=1, max_size=9)


@given(st.dictionaries(names, st.binary(max_size=50), max_size=6))
def test_any_contents_survive(files: dict[str, bytes]) -> None:
    packed = archive([file(f"guest/{name}", data) for name, data in files.items()])
    found = {entry.path: entry.data for entry in members(packed) if stat.S_ISREG(entry.mode)}
    assert found == {f"guest/{name}": data for name, data in files.items()}


def test_modules_come_after_what_they_need_and_once() -> None:
    found = [Path(path).name for path in module_files(INDEX, ["9pnet_virtio", "9p"])]
    assert len(set(found)) == len(found) == 6
    for later, earlier in (
        ("9p.ko", "netfs.ko"),
        ("9p.ko", "9pnet.ko"),
        ("9pnet_virtio.ko", "ring.ko"),
        ("ring.ko", "virtio.ko"),
    ):
        assert found.index(earlier) < found.index(later)


def test_a_name_of_modprobe_finds_a_file_with_dashes() -> None:
    assert module_files(INDEX, ["snd_usb_audio"])[-1].endswith("snd-usb-audio.ko.xz")


def test_a_missing_module_is_named() -> None:
    with pytest.raises(GuestError, match="no module snd_hda_intel"):
        module_files(INDEX, ["snd_hda_intel"])
