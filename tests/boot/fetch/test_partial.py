from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tuf.api.exceptions import (
    DownloadError,
    DownloadLengthMismatchError,
    LengthOrHashMismatchError,
)

from openturret.boot.errors import NoSuchFileError, TransportError, TrustError
from openturret.boot.fetch.partial import Partials
from openturret.boot.trusted.trust import TrustStore
from openturret.hal.clock import SystemClock

if TYPE_CHECKING:
    from tests.boot.conftest import SignedTree

CONTENT = bytes(range(256)) * 64
PATH = "targets/firmware/touchpro/abc.image.whl"


@dataclass
class FolderFiles:
    """A tree in a folder, whose transfers break when told so."""

    folder: Path
    breaks_after: int | None = None
    read: list[tuple[str, int]] = field(default_factory=list)

    def fetch(self, path: str, *, offset: int = 0) -> Iterator[bytes]:
        self.read.append((Path(path).name.partition(".")[2], offset))
        if not (self.folder / path).is_file():
            raise NoSuchFileError(f"{path} is missing")
        content = (self.folder / path).read_bytes()[offset:]
        if self.breaks_after is None or not path.startswith("targets"):
            yield content
            return
        yield content[: self.breaks_after]
        raise TransportError("the cable is out")


class Source:
    """Reads content, and breaks once it has brought some of it."""

    def __init__(self, content: bytes = CONTENT, *, breaks_after: int | None = None) -> None:
        self.content = content
        self.breaks_after = breaks_after
        self.offsets: list[int] = []

    def __call__(self, offset: int) -> Iterator[bytes]:
        self.offsets.append(offset)
        end = len(self.content) if self.breaks_after is None else offset + self.breaks_after
        for start in range(offset, end, 100):
            yield self.content[start : min(start + 100, end)]
        if self.breaks_after is not None:
            raise DownloadError("the cable is out")


@pytest.fixture
def partials(tmp_path: Path) -> Partials:
    return Partials(tmp_path / "partial")


def whole(partials: Partials, source: Callable[[int], Iterator[bytes]]) -> bytes:
    with partials.download(PATH, len(CONTENT), source) as file:
        return file.read()


def break_off(partials: Partials, size: int) -> None:
    with pytest.raises(DownloadError):
        whole(partials, Source(breaks_after=size))


def kept(tmp_path: Path) -> list[int]:
    return [path.stat().st_size for path in (tmp_path / "partial").iterdir()]


def test_what_broke_is_gone_on_with(partials: Partials, tmp_path: Path) -> None:
    break_off(partials, 5_000)
    break_off(partials, 1_000)
    assert kept(tmp_path) == [6_000]
    source = Source()
    assert whole(Partials(tmp_path / "partial"), source) == CONTENT
    assert source.offsets == [6_000]
    assert kept(tmp_path) == [], "nothing is left once it was used"


def test_what_is_whole_already_is_not_asked_for(partials: Partials) -> None:
    break_off(partials, len(CONTENT))
    source = Source()
    assert whole(partials, source) == CONTENT
    assert source.offsets == []
    assert partials.resumed


def test_what_does_not_verify_is_thrown_away(partials: Partials, tmp_path: Path) -> None:
    break_off(partials, 5_000)
    with pytest.raises(LengthOrHashMismatchError):
        refuse(partials)
    assert kept(tmp_path) == []
    assert whole(partials, Source()) == CONTENT
    assert not partials.resumed


def refuse(partials: Partials) -> None:
    with partials.download(PATH, len(CONTENT), Source()):
        raise LengthOrHashMismatchError("another hash")


def test_an_endless_file_is_cut_off_and_not_kept(partials: Partials, tmp_path: Path) -> None:
    with pytest.raises(DownloadLengthMismatchError):
        whole(partials, Source(CONTENT + b"x"))
    assert kept(tmp_path) == []


def test_what_is_longer_than_it_may_be_is_not_gone_on_with(partials: Partials) -> None:
    break_off(partials, 5_000)
    with partials.download(PATH, 4_000, Source(CONTENT[:4_000])) as file:
        assert file.read() == CONTENT[:4_000]
    assert not partials.resumed


def test_only_the_newest_is_kept(partials: Partials, tmp_path: Path) -> None:
    break_off(partials, 5_000)
    with pytest.raises(DownloadError), partials.download("b", 9_000, Source(breaks_after=100)):
        pass
    assert kept(tmp_path) == [100]


def test_a_link_in_its_place_is_not_followed(partials: Partials, tmp_path: Path) -> None:
    break_off(partials, 10)
    (place,) = (tmp_path / "partial").iterdir()
    victim = tmp_path / "victim"
    victim.write_bytes(b"keep me")
    place.unlink()
    place.symlink_to(victim)
    with pytest.raises(OSError, match="symbolic"):
        whole(partials, Source())
    assert victim.read_bytes() == b"keep me"


def test_a_full_medium_keeps_nothing(partials: Partials, tmp_path: Path) -> None:
    def full(_: int) -> Iterator[bytes]:
        yield b"x"
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="space"):
        whole(partials, full)
    assert kept(tmp_path) == []


IMAGE = random.Random(1).randbytes(2_000_000)


def test_an_image_goes_on_at_another_server(tree: SignedTree, tmp_path: Path) -> None:
    tree.publish({"image.whl": IMAGE})
    store = TrustStore(tmp_path / "trust", tree.root, SystemClock())
    with pytest.raises(TransportError, match="cable"):
        store.refresh(FolderFiles(tree.folder, breaks_after=500_000)).fetch("image.whl")
    second = FolderFiles(tree.folder)
    path = store.refresh(second).must_fetch("image.whl")
    assert path.read_bytes() == IMAGE
    assert second.read[-1] == ("image.whl", 500_000)


def test_a_damaged_beginning_costs_one_more_fetch(tree: SignedTree, tmp_path: Path) -> None:
    tree.publish({"image.whl": IMAGE})
    store = TrustStore(tmp_path / "trust", tree.root, SystemClock())
    with pytest.raises(TransportError, match="cable"):
        store.refresh(FolderFiles(tree.folder, breaks_after=500_000)).fetch("image.whl")
    (begun,) = (tmp_path / "trust" / "partial").iterdir()
    begun.write_bytes(b"garbage" + IMAGE[7:500_000])
    files = FolderFiles(tree.folder)
    assert store.refresh(files).must_fetch("image.whl").read_bytes() == IMAGE
    assert files.read[-2:] == [("image.whl", 500_000), ("image.whl", 0)]


def test_wrong_content_is_fetched_once_only(tree: SignedTree, tmp_path: Path) -> None:
    tree.publish({"image.whl": IMAGE})
    tree.target_file("image.whl").write_bytes(IMAGE[::-1])
    store = TrustStore(tmp_path / "trust", tree.root, SystemClock())
    files = FolderFiles(tree.folder)
    with pytest.raises(TrustError, match="not the signed content"):
        store.refresh(files).fetch("image.whl")
    assert [name for name, _ in files.read].count("image.whl") == 1
    assert not list((tmp_path / "trust" / "partial").iterdir())
