"""CPU per leg and 20 ms: the engine, the bare program, PJMEDIA and rtpengine on the same work.

66 legs, PCMU, 20 ms, every leg hearing all others (``work.h``).  The device under test has one
processor, the load another.  Runs are interleaved, so that a busy machine slows all alike, and
ratios are taken between neighbours.

    python -m benchmarks.engine.run [--runs 7] [--seconds 10] [--quick] [--json]
"""

from __future__ import annotations

import argparse
import functools
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..figures import BenchmarkError, Figure, Missing, Row, note, tell
from ..peers import PeerError
from . import devices
from .devices import LEGS, Device, Run, Workshop
from .rtpengine import Rtpengine

BENCHMARK = "engine"
RATIO = "engine ratio"
RATIOS = (
    ("engine, two recorders", "bare, two recorders"),
    ("engine, legs alone", "bare, legs alone"),
    ("PJMEDIA UDP star, stock", "engine, legs alone"),
    ("PJMEDIA UDP star, native", "engine, legs alone"),
    ("PJMEDIA UDP mesh, stock", "engine, legs alone"),
    ("PJMEDIA UDP mesh, native", "engine, legs alone"),
    ("rtpengine, user space", "engine, legs alone"),
)
"""What is divided by what; legs alone face peers that do not record."""


@dataclass(slots=True)
class Subject:
    """A device and its runs, or why it is not here."""

    name: str
    device: Device | None = None
    missing: str = ""
    runs: list[Run] = field(default_factory=list)

    def measure(self, measured_ms: int) -> None:
        """Runs the device once; a run that fails does not count."""
        if self.device is None:
            return
        try:
            run = self.device.measure(measured_ms)
        except (BenchmarkError, PeerError) as error:
            run = Run(0.0, str(error), {})
        self.runs.append(run)
        note(f"{self.name}: {run.leg_frame_ns:.0f} ns {run.refused}".rstrip())

    def rows(self) -> list[Row]:
        """Its figure, or why there is none."""
        values = [run.leg_frame_ns for run in self.runs if not run.refused]
        if values:
            return [Figure.of(BENCHMARK, self.name, LEGS, values, "ns")]
        refused = [run.refused for run in self.runs]
        return [Missing(BENCHMARK, self.name, self.missing or devices.describe_refusals(refused))]


def prepare(name: str, make: Callable[[], Device]) -> Subject:
    """Builds a device; what cannot be built says why."""
    try:
        return Subject(name, make())
    except (BenchmarkError, PeerError) as error:
        return Subject(name, missing=str(error))


def subjects(workshop: Workshop) -> list[Subject]:
    """Everything that is measured; neighbours in the list are neighbours in time."""
    found = [
        prepare(name.format(who), functools.partial(make, workshop, recorders))
        for recorders, name in ((1, "{}, two recorders"), (0, "{}, legs alone"))
        for who, make in (("bare", devices.bare), ("engine", devices.engine))
    ]
    for shape, mesh in (("star", False), ("mesh", True)):
        found += [
            prepare(
                f"PJMEDIA UDP {shape}, {build}",
                functools.partial(devices.pjmedia, workshop, build, mesh=mesh),
            )
            for build in ("stock", "native")
        ]
    found.append(prepare("rtpengine, user space", functools.partial(Rtpengine, workshop)))
    return found


def ratio(found: Sequence[Subject], above: str, below: str) -> list[Row]:
    """How many times the one costs what the other does, run by run."""
    runs = {subject.name: subject.runs for subject in found}
    values = [
        high.leg_frame_ns / low.leg_frame_ns
        for high, low in zip(runs[above], runs[below], strict=False)
        if not high.refused and not low.refused
    ]
    name = f"{above} ÷ {below}"
    return [Figure.of(RATIO, name, LEGS, values, "times")] if values else []


def measure(runs: int, seconds: float) -> list[Row]:
    """The whole measurement.

    Raises:
        BenchmarkError: When nothing at all can be measured here.
    """
    devices.check_machine()
    devices.isolate()
    if not devices.realtime_prefix():
        note("SCHED_FIFO is not granted here: other processes may take turns with the device")
    with tempfile.TemporaryDirectory(prefix="ot-bench-") as folder:
        found = subjects(Workshop(Path(folder)))
        for number in range(runs):
            note(f"round {number + 1} of {runs}")
            for subject in found:
                subject.measure(int(seconds * 1000))
    rows = [row for subject in found for row in subject.rows()]
    return rows + [row for pair in RATIOS for row in ratio(found, *pair)]


def main() -> int:
    """Builds, runs and reports; 1 when the engine's runs do not count."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=int, default=7, help="rounds (7)")
    parser.add_argument("--seconds", type=float, default=10, help="measured per run (10)")
    parser.add_argument("--quick", action="store_true", help="one round of two seconds")
    parser.add_argument("--json", action="store_true", help="an array of rows instead of lines")
    options = parser.parse_args()
    runs, seconds = (1, 2.0) if options.quick else (options.runs, options.seconds)
    rows = measure(runs, seconds)
    tell(rows, as_json=options.json)
    return 0 if any(row.benchmark == RATIO for row in rows) else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except BenchmarkError as error:
        sys.exit(str(error))
