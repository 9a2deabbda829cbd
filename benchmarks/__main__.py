"""Runs the benchmarks one after the other and writes docs/performance.md from what they found.

    python -m benchmarks [--quick] [--only PART …] [--into FOLDER]

Each part is a program of its own that prints rows as JSON.  The rows are kept in the cache, so that
a part can be repeated alone and the page is still whole.  About an hour; ``--quick`` takes ten
minutes, writes nothing unless told where, and proves only that everything runs.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from openturret.lab.tools import cache_folder

from . import report
from .engine import devices
from .figures import BenchmarkError, Figure, Missing, Row, parse_row, say

ROOT = Path(__file__).resolve().parents[1]
KEPT = "benchmarks.json"


@dataclass(frozen=True, slots=True)
class Part:
    """A program that measures something.

    Attributes:
        name: what ``--only`` calls it.
        command: what Python runs.
        benchmarks: those whose rows it prints; none: it writes a page of its own.
    """

    name: str
    command: tuple[str, ...]
    benchmarks: tuple[str, ...] = ()

    @property
    def is_here(self) -> bool:
        """Whether the program exists in this checkout."""
        return self.command[0] == "-m" or (ROOT / self.command[0]).exists()


PARTS = (
    Part("engine", ("-m", "benchmarks.engine.run"), ("engine", "engine ratio")),
    Part("growth", ("-m", "benchmarks.engine.growth"), ("growth", "growth ratio")),
    Part("lateness", ("-m", "benchmarks.engine.lateness"), ("lateness",)),
    Part("mixing", ("-m", "benchmarks.mixing.run"), ("mixing", "mixing ratio")),
    Part("quality", ("-m", "benchmarks.quality.run")),
    Part("sound", ("-m", "benchmarks.sound"), ("sound",)),
    Part("flash", ("-m", "benchmarks.flash"), ("flash and verify 1 MB", "the whole command")),
    Part("unit", ("benchmarks/unit.py",), ("unit",)),
    Part("power-on", ("benchmarks/boot/power_on.py",), ("power on",)),
    Part("dhcp", ("benchmarks/boot/lan/dhcp.py",), ("dhcp",)),
    Part("tftp", ("benchmarks/boot/fetch/tftp.py",), ("tftp",)),
    Part("ftpes", ("benchmarks/boot/fetch/ftpes.py",), ("ftpes",)),
    Part("login", ("benchmarks/boot/users/login.py",), ("login",)),
    Part("storm", ("benchmarks/boot/storm.py",), ("storm",)),
)


def run(part: Part, *, quick: bool) -> list[Row]:
    """Runs a part and returns its rows; what it says meanwhile goes to the terminal."""
    if not part.is_here:
        return []
    command = [sys.executable, *part.command]
    if part.benchmarks:
        command += ["--json", *(["--quick"] if quick else [])]
    paths = [str(ROOT), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in paths if path)}
    output = subprocess.PIPE if part.benchmarks else None
    done = subprocess.run(command, cwd=ROOT, env=environment, stdout=output, text=True)
    try:
        rows = [parse_row(row) for row in json.loads(done.stdout)] if part.benchmarks else []
    except (BenchmarkError, json.JSONDecodeError):
        rows = []
    if done.returncode and not rows:
        say(f"{part.name}: ended with {done.returncode}")
        return [Missing(name, part.name, "the program failed") for name in part.benchmarks[:1]]
    return rows


def load(path: Path) -> list[Row]:
    """Reads the rows of earlier runs; none when there are none or they are of another form."""
    try:
        return [parse_row(row) for row in json.loads(path.read_text(encoding="utf-8"))]
    except (OSError, json.JSONDecodeError, BenchmarkError):
        return []


def merge(before: Iterable[Row], part: Part, rows: Sequence[Row]) -> list[Row]:
    """Puts the rows of a part in the place of its earlier ones."""
    return [row for row in before if row.benchmark not in part.benchmarks] + list(rows)


def measure(parts: Sequence[Part], kept: Path | None, *, quick: bool) -> list[Row]:
    """Runs the parts and keeps what they find after each."""
    rows = load(kept) if kept else []
    for number, part in enumerate(parts, 1):
        say(f"[{number}/{len(parts)}] {part.name}")
        began = time.monotonic()
        found = run(part, quick=quick)
        rows = merge(rows, part, found)
        if kept:
            kept.parent.mkdir(parents=True, exist_ok=True)
            kept.write_text(json.dumps([asdict(row) for row in rows]), encoding="utf-8")
        say(f"[{number}/{len(parts)}] {part.name}: {time.monotonic() - began:.0f} s")
    return rows


def main() -> int:
    """Runs the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    names = [part.name for part in PARTS]
    parser.add_argument("--quick", action="store_true", help="short runs: does everything work?")
    parser.add_argument("--only", nargs="+", choices=names, default=names, help="these parts")
    parser.add_argument("--into", type=Path, help="the folder of performance.md (docs)")
    options = parser.parse_args()
    devices.check_machine()
    parts = [part for part in PARTS if part.name in options.only]
    if options.quick:
        parts = [part for part in parts if part.benchmarks]
    kept = None if options.quick else cache_folder() / KEPT
    rows = measure(parts, kept, quick=options.quick)
    folder = options.into or (None if options.quick else ROOT / "docs")
    if folder:
        report.write(folder, rows, realtime=bool(devices.realtime_prefix()))
        say(f"wrote {folder / 'performance.md'}")
    say("\n".join(report.goals_table(rows)))
    return 0 if any(isinstance(row, Figure) for row in rows) else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except BenchmarkError as error:
        sys.exit(str(error))
