"""Whether a leg costs more when there are more of them: 2 to 256 legs, two recorders each.

    python -m benchmarks.engine.growth [--runs 3] [--seconds 4] [--quick] [--json]

The fixed cost of waking up a hundred times a second is shared by the legs, so that few legs look
dear; the bare program beside shows how much of the figure is not the engine's.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from ..figures import BenchmarkError, Figure, Missing, Row, note, tell
from . import devices
from .devices import Run, Workshop

BENCHMARK = "growth"
SIZES = (2, 8, 32, 64, 128, 256)
RATIO = "growth ratio"
FEW, MANY = 64, 256

Runs = dict[tuple[str, int], list[Run]]


def measure_all(workshop: Workshop, runs: int, measured_ms: int) -> tuple[Runs, list[Row]]:
    """Measures both programs at every size, all of them once in each round."""
    found: Runs = {}
    missing: dict[tuple[str, int], Row] = {}
    for number in range(runs):
        note(f"growth, round {number + 1} of {runs}")
        for legs in SIZES:
            for make in (devices.bare, devices.engine):
                device = make(workshop, 1, legs)
                try:
                    run = device.measure(measured_ms)
                except BenchmarkError as error:
                    subject = f"{device.name}, {legs} legs"
                    missing[device.name, legs] = Missing(BENCHMARK, subject, str(error))
                    continue
                note(
                    f"{legs} legs, {device.name}: {run.leg_frame_ns:.0f} ns {run.refused}".rstrip()
                )
                found.setdefault((device.name, legs), []).append(run)
    return found, list(missing.values())


def counted(runs: Sequence[Run]) -> list[float]:
    """The figures of the runs that count."""
    return [run.leg_frame_ns for run in runs if not run.refused]


def figures(found: Runs) -> list[Row]:
    """The cost at every size, and how the largest compares with the usual one."""
    rows: list[Row] = [
        Figure.of(BENCHMARK, name, legs, counted(runs), "ns")
        for (name, legs), runs in sorted(found.items(), key=lambda item: (item[0][0], item[0][1]))
        if counted(runs)
    ]
    for name in sorted({name for name, _ in found}):
        pairs = zip(found.get((name, MANY), []), found.get((name, FEW), []), strict=False)
        ratios = [
            many.leg_frame_ns / few.leg_frame_ns
            for many, few in pairs
            if not many.refused and not few.refused
        ]
        if ratios:
            subject = f"{name}: {MANY} legs ÷ {FEW}"
            rows.append(Figure.of(RATIO, subject, MANY, ratios, "times"))
    return rows


def main() -> int:
    """Builds, runs and reports."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=int, default=3, help="rounds (3)")
    parser.add_argument("--seconds", type=float, default=4, help="measured per run (4)")
    parser.add_argument("--quick", action="store_true", help="one round of a second")
    parser.add_argument("--json", action="store_true", help="an array of rows instead of lines")
    options = parser.parse_args()
    runs, seconds = (1, 1.0) if options.quick else (options.runs, options.seconds)
    devices.check_machine()
    devices.isolate()
    with tempfile.TemporaryDirectory(prefix="ot-bench-") as folder:
        found, missing = measure_all(Workshop(Path(folder)), runs, int(seconds * 1000))
    rows = figures(found)
    tell([*rows, *missing], as_json=options.json)
    return 0 if rows else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except BenchmarkError as error:
        sys.exit(str(error))
