"""Cuts the power at every byte of an update, and starts the unit from what is left.

``python -m tests.boot.power_cut`` does all cuts; ``--cuts 2000 --seed 1`` a sample.  After each
cut the unit must start from the old firmware or the new one, whole, with the old configuration,
lease and trust or the new ones; a trial that has begun without a verdict must lead back to the
old firmware; and doing the update again must succeed.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import io
import logging
import random
import shutil
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path
from typing import Protocol, cast

from openturret.boot.cache import read_bounded, write_atomically
from openturret.boot.errors import BootError, NoSuchFileError
from openturret.boot.fetch.visit import Visit
from openturret.boot.folder import StateFolder
from openturret.boot.identity import Identity
from openturret.boot.lan.lease import Lease, LeaseStore
from openturret.boot.provision import Provisioner
from openturret.boot.slots.files import FileSlots
from openturret.boot.slots.health import Abilities
from openturret.boot.slots.manager import Manifest
from openturret.boot.status import StatusBoard
from openturret.boot.trusted.kept import KeptContent
from openturret.hal.clock import SystemClock
from tests.boot.conftest import MAC, SignedTree
from tests.boot.medium import (
    Change,
    Cut,
    Image,
    Medium,
    Recorder,
    cuts_of,
    read_image,
    recorded,
    write_image,
)
from tests.boot.test_provision import content

OLD, NEW = "1.0", "2.0"
STARTED, JUDGED = "the new firmware runs", "the verdict is known"
FILES = {f"openturret/firmware/{name}.py": name.encode() * 200 for name in "abc"}


class BrickError(Exception):
    """What a cut must never do."""


class InlineLoop(asyncio.SelectorEventLoop):
    """A loop without threads: what it hands to one is done at once, which is much faster."""

    def run_in_executor(  # type: ignore[override]
        self, executor: object, func: Callable[..., object], *arguments: object
    ) -> asyncio.Future[object]:
        future = self.create_future()
        try:
            future.set_result(func(*arguments))
        except Exception as error:
            future.set_exception(error)
        return future


class Scenario(Protocol):
    """Some work, and what must hold whenever the power fails in it."""

    name: str

    def before(self, root: Path) -> None:
        """Makes the state from which the work starts."""
        ...

    def work(self, root: Path, recorder: Recorder) -> None:
        """Does what is cut."""
        ...

    def check(self, root: Path, done: Sequence[Change]) -> None:
        """Starts a unit from what is left.

        Raises:
            BrickError: It must not be so.
        """
        ...


def expect(good: bool, words: str) -> None:
    if not good:
        raise BrickError(words)


@dataclass
class Update:
    """Lease, configuration and firmware are replaced; the new firmware starts and is committed."""

    sources: Path
    loop: InlineLoop
    name: str = "update"

    def before(self, root: Path) -> None:
        self._keep(root, OLD)
        slots = self._settled(root)
        self._install(slots, OLD)
        self.loop.run_until_complete(slots.start())
        self.loop.run_until_complete(slots.commit())

    def work(self, root: Path, recorder: Recorder) -> None:
        slots = self._settled(root)
        self.loop.run_until_complete(slots.start())
        self._install(slots, NEW)
        self._keep(root, NEW)
        slots = self._settled(root)
        self.loop.run_until_complete(slots.start())
        recorder.mark(STARTED)
        Abilities(root / "health.json").learn("hal", able=True)
        recorder.mark(JUDGED)
        self.loop.run_until_complete(slots.commit())

    def check(self, root: Path, done: Sequence[Change]) -> None:
        self._check_kept(root)
        slots = self._settled(root)
        version = self._started(root, slots)
        marks = {change.path for change in done if change.kind == "mark"}
        if STARTED in marks and JUDGED not in marks:
            expect(version == OLD, "a trial without a verdict is started again at once")
        self._try_again(root, slots, version)

    def _check_kept(self, root: Path) -> None:
        data = read_bounded(root / "config" / "unit.yaml", 10_000)
        expect(data in (_configuration(OLD), _configuration(NEW)), "the configuration is lost")
        lease = LeaseStore(root / "lease.json").load()
        expect(lease in (_lease(OLD), _lease(NEW)), "the lease is lost")

    def _try_again(self, root: Path, slots: FileSlots, version: str) -> None:
        """Does the update again and looks that it is in force, and stays so."""
        self._install(slots, NEW)
        self._keep(root, NEW)
        if version != NEW:
            slots = self._settled(root)
            version = self._started(root, slots)
        expect(version == NEW, "the second try does not start the new firmware")
        self.loop.run_until_complete(slots.commit())
        slots = self._settled(root)
        expect(self._started(root, slots) == NEW, "the new firmware does not stay")
        left = {entry.name for entry in (root / "slots").iterdir()}
        expect(left <= {"a", "b", "record.json"}, f"{left} is left among the slots")

    def _started(self, root: Path, slots: FileSlots) -> str:
        """The version that starts; it must be whole, whatever its own digest says."""
        try:
            slot = self.loop.run_until_complete(slots.start())
        except BootError as error:
            raise BrickError(f"nothing starts: {error}") from error
        for name, wanted in FILES.items():
            found = read_bounded(slot.path / name, 10_000)
            expect(found == wanted + slot.version.encode(), f"{name} of {slot.version} is damaged")
        return slot.version

    def _settled(self, root: Path) -> FileSlots:
        slots = FileSlots(root / "slots", lambda _: True, prepare=Path.exists)
        self.loop.run_until_complete(slots.settle())
        return slots

    def _install(self, slots: FileSlots, version: str) -> None:
        image = self.sources / f"{version}.whl"
        manifest = Manifest(version, image.name, hashlib.sha256(image.read_bytes()).hexdigest())
        if self.loop.run_until_complete(slots.wants(manifest)):
            self.loop.run_until_complete(slots.install(image, manifest))

    def _keep(self, root: Path, version: str) -> None:
        LeaseStore(root / "lease.json").save(_lease(version))
        write_atomically(root / "config" / "unit.yaml", _configuration(version))


@dataclass
class Site:
    """What a TSS offers, brought from a folder: the visit of `Provisioner`, without a network."""

    folder: Path
    way: str = "from a folder"
    server: str = "tss1"

    def open(self, foreseen: Sequence[str], *, prepare: bool) -> None:
        """It is open."""

    def count_for(self, count: Callable[[int], None]) -> None:
        """Nothing has to be answered."""

    def fetch(self, path: str, *, offset: int = 0) -> Iterator[bytes]:
        file = self.folder / path
        if not file.is_file():
            raise NoSuchFileError(f"{path} is missing", "")
        yield file.read_bytes()[offset:]


@dataclass
class Provisioning:
    """The provisioner takes over metadata, configuration and firmware that a TSS has signed."""

    sources: Path
    loop: InlineLoop
    name: str = "provisioning"

    def __post_init__(self) -> None:
        tree = SignedTree(self.sources / "tree")
        tree.publish(content(version=1, firmware=OLD))
        self._old, self._new = Site(self.sources / "old"), Site(tree.folder)
        shutil.copytree(tree.folder, self._old.folder)
        tree.publish(content(version=2, firmware=NEW))
        nowhere = self.sources / "none"
        self._identity = Identity(
            model="TouchPro", serial="OT-1", mac=MAC, firmware="touchpro", username=MAC,
            password="x", ca=nowhere, root=tree.root, board=nowhere,
        )  # fmt: skip

    def before(self, root: Path) -> None:
        slots, provisioner = self._unit(root)
        self._provision(provisioner, self._old)
        self.loop.run_until_complete(slots.start())
        self.loop.run_until_complete(slots.commit())

    def work(self, root: Path, recorder: Recorder) -> None:
        slots, provisioner = self._unit(root)
        self._provision(provisioner, self._new)
        self.loop.run_until_complete(slots.start())
        recorder.mark(STARTED)
        recorder.mark(JUDGED)
        self.loop.run_until_complete(slots.commit())

    def check(self, root: Path, done: Sequence[Change]) -> None:
        """Without a TSS the unit runs what it kept; with one it takes over what is new."""
        slots, provisioner = self._unit(root)
        kept = self.loop.run_until_complete(provisioner.kept())
        expect(kept is not None, "nothing that was kept may be used")
        self._start(slots)
        slots, provisioner = self._unit(root)
        try:
            self._provision(provisioner, self._new)
        except BootError as error:
            raise BrickError(f"nothing new is accepted: {error}") from error
        if self._start(slots) != NEW:
            slots, provisioner = self._unit(root)
            self._provision(provisioner, self._new)
            expect(self._start(slots) == NEW, "the second try does not start the new firmware")
        self._refuse_older(provisioner, done)

    def _refuse_older(self, provisioner: Provisioner, done: Sequence[Change]) -> None:
        if all(change.path != STARTED for change in done):
            return
        try:
            self._provision(provisioner, self._old)
        except BootError:
            return
        raise BrickError("the unit goes back to older metadata")

    def _start(self, slots: FileSlots) -> str:
        try:
            return self.loop.run_until_complete(slots.start()).version
        except BootError as error:
            raise BrickError(f"nothing starts: {error}") from error

    def _unit(self, root: Path) -> tuple[FileSlots, Provisioner]:
        folder, clock = StateFolder(root), SystemClock()
        kept = KeptContent.of(self._identity, folder, clock)
        slots = FileSlots(folder.slots, kept.vouches_for_firmware, prepare=Path.exists)
        self.loop.run_until_complete(slots.settle())
        status = StatusBoard(self.sources / "status.json", clock, {})
        return slots, Provisioner(self._identity, folder, slots, status, clock)

    def _provision(self, provisioner: Provisioner, site: Site) -> None:
        self.loop.run_until_complete(provisioner._provision(cast(Visit, site)))


def _configuration(version: str) -> bytes:
    return f"application.config.version: {version[0]}\nsite: {version * 100}\n".encode()


def _lease(version: str) -> Lease:
    server, address = IPv4Address("10.1.0.2"), IPv4Address(f"10.1.0.{version[0]}")
    return Lease(address, 24, server, 0.0, 3600, 1800, 3150, domain="turret.example")


def make_image(path: Path, version: str) -> None:
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w") as wheel:
        for name, data in FILES.items():
            wheel.writestr(name, data + version.encode())
    path.write_bytes(whole.getvalue())


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of the cuts.

    Attributes:
        cuts: How many were made.
        of: How many there are.
        failures: The first of those after which something was not as it must be.
    """

    cuts: int
    of: int
    failures: tuple[str, ...]


def run(
    scenario: Scenario,
    place: Path,
    *,
    cuts: int | None = None,
    seed: int = 0,
    until: Callable[[], bool] = lambda: False,
    most_failures: int = 5,
) -> Outcome:
    """Makes the cuts of a scenario.

    Args:
        scenario: What is cut.
        place: An empty folder, best in memory.
        cuts: How many, chosen by ``seed``; None for all.
        seed: Chooses cuts, and which names a mixed cut loses.
        until: Whether it is enough.
        most_failures: After so many no more cuts are made.
    """
    start, changes = record(scenario, place / "state")
    every = list(cuts_of(changes))
    rng = random.Random(seed)
    chosen = every if cuts is None or cuts >= len(every) else _sample(every, cuts, rng)
    failures: list[str] = []
    seen: set[int] = set()
    made = 0
    for cut, image in _images(start, changes, chosen, rng):
        if until() or len(failures) >= most_failures:
            break
        made += 1
        done = changes[: cut.change]
        if _known(seen, image, done):
            continue
        write_image(image, place / "left")
        try:
            scenario.check(place / "left", done)
        except BrickError as error:
            failures.append(f"{error} after {_words(cut, changes)}")
    return Outcome(made, len(every), tuple(failures))


def _known(seen: set[int], image: Image, done: Sequence[Change]) -> bool:
    """Whether another cut has left exactly this at this stage."""
    marks = sum(change.kind == "mark" for change in done)
    mark = hash((marks, frozenset(image.items())))
    known = mark in seen
    seen.add(mark)
    return known


def record(scenario: Scenario, root: Path) -> tuple[Image, list[Change]]:
    """Does the work once; returns what was there before, and every change."""
    root.mkdir()
    scenario.before(root)
    start = read_image(root)
    with recorded(root) as recorder:
        scenario.work(root, recorder)
        changes = recorder.end()
    return start, changes


def _sample(every: Sequence[Cut], count: int, rng: random.Random) -> list[Cut]:
    return [every[number] for number in sorted(rng.sample(range(len(every)), count))]


def _images(
    start: Image, changes: Sequence[Change], cuts: Sequence[Cut], rng: random.Random
) -> Iterator[tuple[Cut, Image]]:
    medium, played = Medium(start), 0
    for cut in cuts:
        while played < cut.change:
            medium.play(changes[played])
            played += 1
        change = changes[played] if played < len(changes) else None
        yield cut, medium.after(cut, change, rng)


def _words(cut: Cut, changes: Sequence[Change]) -> str:
    change = changes[cut.change] if cut.change < len(changes) else None
    where = f"byte {cut.byte} of the {change.kind} of {change.path}" if change else "the end"
    return f"{where} (change {cut.change}; data {cut.data.value}, names {cut.names.value})"


@contextmanager
def scenarios(sources: Path) -> Iterator[tuple[Scenario, Scenario]]:
    """All that is cut, as long as the block lasts; what they install is made in a folder."""
    for version in (OLD, NEW):
        make_image(sources / f"{version}.whl", version)
    with closing(InlineLoop()) as loop:
        yield Update(sources, loop), Provisioning(sources, loop)


def memory() -> Path | None:
    """A folder in memory; None where there is none."""
    return next((path for path in (Path("/dev/shm"),) if path.is_dir()), None)


def main(argv: Sequence[str] | None = None) -> int:
    """Prints how many cuts were made of each scenario; 1 when one of them did harm."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--cuts", type=int, metavar="N", help="of each scenario; all by default")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(argv)
    logging.disable()
    harm = 0
    with tempfile.TemporaryDirectory() as sources, scenarios(Path(sources)) as every:
        for scenario in every:
            with tempfile.TemporaryDirectory(dir=memory()) as folder:
                began = time.monotonic()
                outcome = run(scenario, Path(folder), cuts=options.cuts, seed=options.seed)
            harm += len(outcome.failures)
            sys.stdout.write(
                f"{scenario.name}: {outcome.cuts} of {outcome.of} cuts in "
                f"{time.monotonic() - began:.0f} s, {len(outcome.failures)} harmful\n"
            )
            sys.stdout.writelines(f"  {failure}\n" for failure in outcome.failures)
    return 1 if harm else 0


if __name__ == "__main__":
    sys.exit(main())
