"""How late ticks begin: idle and beside a busy process, with SCHED_FIFO and without.

    python -m benchmarks.engine.lateness [--runs 3] [--seconds 10] [--quick] [--json]

The engine does its whole work (66 legs, two recorders) on the processor that the busy process also
wants.  Percentiles come from the engine's own histogram, so each is the upper bound of a bucket:
"50" reads "less than 50".
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ..figures import BenchmarkError, Figure, Missing, Row, note, tell
from . import devices
from .devices import DEVICE_CPU, LEGS, Workshop

BENCHMARK = "lateness"
BUSY = "while :; do :; done"
REMEDY = "run as root, or allow it: ulimit -r 50"
PERCENTILES = {"p50": 0.50, "p99": 0.99}

Histogram = Sequence[tuple[float | None, int]]


@dataclass(frozen=True, slots=True)
class Scene:
    """Under which circumstances ticks are watched."""

    realtime: bool
    busy: bool

    @property
    def name(self) -> str:
        """As the tables call it."""
        return (
            f"{'SCHED_FIFO' if self.realtime else 'SCHED_OTHER'}, {'busy' if self.busy else 'idle'}"
        )


SCENES = tuple(Scene(realtime, busy) for busy in (False, True) for realtime in (True, False))


def percentile_us(histogram: Histogram, fraction: float, most_us: float) -> float:
    """Returns the bound below which that fraction of the ticks began; never more than `most_us`.

    Raises:
        BenchmarkError: When there were no ticks.
    """
    total = sum(count for _, count in histogram)
    if total == 0:
        raise BenchmarkError("no ticks were counted")
    seen = 0
    for bound_us, count in histogram:
        seen += count
        if seen >= fraction * total:
            return most_us if bound_us is None else bound_us
    return most_us


@contextmanager
def hog(*, busy: bool) -> Iterator[None]:
    """Keeps the device's processor busy meanwhile, at normal priority."""
    if not busy:
        yield
        return
    command = ["taskset", "-c", str(DEVICE_CPU), "sh", "-c", BUSY]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.kill()
        process.wait()


def watch(workshop: Workshop, scene: Scene, measured_ms: int) -> dict[str, float]:
    """Returns the percentiles and the latest tick of one run, microseconds, and ticks skipped.

    Raises:
        BenchmarkError: When SCHED_FIFO is wanted and not granted.
    """
    device = devices.engine(workshop, 1, realtime=scene.realtime)
    with hog(busy=scene.busy):
        run = device.measure(measured_ms)
    said = run.said
    if scene.realtime and not said["realtime"]:
        raise BenchmarkError(f"SCHED_FIFO is not granted here (remedy: {REMEDY})")
    most_us = float(said["lateness_max_us"])
    found = {
        name: percentile_us(said["lateness"], fraction, most_us)
        for name, fraction in PERCENTILES.items()
    }
    return {**found, "most": most_us}


def rows_of(workshop: Workshop, scene: Scene, runs: int, measured_ms: int) -> list[Row]:
    """The figures of one scene."""
    try:
        found = [watch(workshop, scene, measured_ms) for _ in range(runs)]
    except BenchmarkError as error:
        return [Missing(BENCHMARK, scene.name, str(error))]
    rows = [
        Figure.of(BENCHMARK, f"{scene.name}: {name}", LEGS, [one[name] for one in found], "µs")
        for name in found[0]
    ]
    for row in rows:
        note(f"{row.subject} {row.text} µs")
    return list(rows)


def main() -> int:
    """Builds, runs and reports."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=int, default=3, help="runs of each (3)")
    parser.add_argument("--seconds", type=float, default=10, help="measured per run (10)")
    parser.add_argument("--quick", action="store_true", help="one run of two seconds each")
    parser.add_argument("--json", action="store_true", help="an array of rows instead of lines")
    options = parser.parse_args()
    runs, seconds = (1, 2.0) if options.quick else (options.runs, options.seconds)
    devices.check_machine()
    devices.isolate()
    with tempfile.TemporaryDirectory(prefix="ot-bench-") as folder:
        workshop = Workshop(Path(folder))
        rows = [
            row for scene in SCENES for row in rows_of(workshop, scene, runs, int(seconds * 1000))
        ]
    tell(rows, as_json=options.json)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except BenchmarkError as error:
        sys.exit(str(error))
