"""A sample of the cuts does no harm, and faults that are put in on purpose are found."""

from __future__ import annotations

import os
import random
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from openturret.boot import cache
from openturret.boot.slots import files, record
from openturret.boot.slots.files import FileSlots
from tests.boot import power_cut
from tests.boot.medium import Change, Cut, Data, Medium, Names, cuts_of, read_image, recorded
from tests.boot.power_cut import Outcome, Scenario

pytestmark = pytest.mark.slow

SEED = 20_261_125


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder in memory, where there is memory to have."""
    with tempfile.TemporaryDirectory(dir=power_cut.memory()) as folder:
        yield Path(folder)


@pytest.fixture
def update(tmp_path: Path) -> Iterator[Scenario]:
    with power_cut.scenarios(tmp_path) as (update, _):
        yield update


def cut(scenario: Scenario, place: Path, cuts: int = 1000) -> Outcome:
    return power_cut.run(scenario, place, cuts=cuts, seed=SEED, most_failures=1)


def in_place(path: Path, data: bytes) -> None:
    """A single header, written over itself, as it must not be done."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), "wb") as file:
        file.write(data)
        file.truncate()
        file.flush()
        os.fsync(file.fileno())


def without_sync_of_the_file(path: Path, data: bytes) -> None:
    cache.write_atomically(path, data, durable=False)
    cache.sync_directory(path.parent)


def without_sync_of_the_folder(path: Path, data: bytes) -> None:
    beside = path.with_name(f".{path.name}.new")
    in_place(beside, data)
    beside.replace(path)


def not_at_once(path: Path, data: bytes) -> None:
    """The old file goes before the new one comes."""
    cache.remove(path)
    cache.write_atomically(path, data)


@pytest.mark.parametrize(
    ("writer", "harm"),
    [
        (in_place, "nothing starts"),
        (without_sync_of_the_file, "nothing starts"),
        (without_sync_of_the_folder, "without a verdict is started again"),
        (not_at_once, "nothing starts"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_a_record_that_is_written_carelessly_is_found(
    update: Scenario,
    place: Path,
    monkeypatch: pytest.MonkeyPatch,
    writer: Callable[[Path, bytes], None],
    harm: str,
) -> None:
    monkeypatch.setattr(record, "write_atomically", writer)
    (failure,) = cut(update, place).failures
    assert harm in failure


@pytest.mark.parametrize(
    "writer", [in_place, without_sync_of_the_file, not_at_once], ids=lambda value: value.__name__
)
def test_a_configuration_that_is_written_carelessly_is_found(
    update: Scenario,
    place: Path,
    monkeypatch: pytest.MonkeyPatch,
    writer: Callable[[Path, bytes], None],
) -> None:
    monkeypatch.setattr(power_cut, "write_atomically", writer)
    (failure,) = cut(update, place).failures
    assert "the configuration is lost" in failure


def test_a_trial_that_is_counted_after_the_start_is_found(
    update: Scenario, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FileSlots, "_begun", lambda _self, now, _name: now)
    (failure,) = cut(update, place).failures
    assert "without a verdict is started again" in failure


def test_content_that_is_not_synced_before_the_record_names_it_is_found(
    update: Scenario, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "sync_tree", lambda _: None)
    monkeypatch.setattr(files, "content_digest", lambda _: "")
    (failure,) = cut(update, place).failures
    assert "damaged" in failure


def test_no_cut_of_a_sample_does_any_harm(tmp_path: Path, place: Path) -> None:
    with power_cut.scenarios(tmp_path) as every:
        for scenario, cuts in zip(every, (2500, 250), strict=True):
            (place / scenario.name).mkdir()
            outcome = power_cut.run(scenario, place / scenario.name, cuts=cuts, seed=SEED)
            assert outcome == Outcome(cuts, outcome.of, ()), scenario.name
            assert outcome.of > 20_000


def test_what_is_recorded_and_played_back_is_what_was_done(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (root / "old").write_bytes(b"old content")
    start = read_image(root)
    with recorded(root) as recorder:
        cache.write_atomically(root / "deep" / "file", b"new")
        (root / "old").write_bytes(b"old kontent")
        (root / "old").rename(root / "deep" / "older")
        (root / "link").symlink_to("deep")
        cache.remove(root / "deep" / "file")
        changes = recorder.end()
    medium = Medium(start)
    for change in changes:
        medium.play(change)
    last = Cut(len(changes), 0, Data.KEPT, Names.KEPT)
    assert medium.after(last, None, random.Random()) == read_image(root)


def test_a_cut_tears_loses_and_garbles_what_was_not_synced() -> None:
    medium = Medium({"file": b"old"})
    change = Change("write", "file", at=0, data=b"longer")

    def left(data: Data) -> bytes | str | None:
        return medium.after(Cut(0, 2, data, Names.KEPT), change, random.Random())["file"]

    assert left(Data.KEPT) == b"lod"
    assert left(Data.LOST) == b"old"
    garbled = left(Data.GARBAGE)
    assert isinstance(garbled, bytes)
    assert garbled.startswith(b"lo")
    assert len(garbled) == len(b"longer")


def test_names_are_lost_until_their_folder_is_synced() -> None:
    medium = Medium({})
    medium.play(Change("create", "file"))
    cut = Cut(1, 0, Data.KEPT, Names.LOST)
    assert medium.after(cut, None, random.Random()) == {}
    medium.play(Change("sync", "."))
    assert medium.after(cut, None, random.Random()) == {"file": b""}


def test_every_byte_is_cut() -> None:
    cuts = list(cuts_of([Change("create", "x"), Change("write", "x", data=b"abc")]))
    assert {(cut.change, cut.byte) for cut in cuts} == {
        (0, 0), (1, 0), (1, 1), (1, 2), (1, 3), (2, 0),
    }  # fmt: skip
    assert len(cuts) == 6 * len(Data) * len(Names)
