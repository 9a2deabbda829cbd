"""Engine CPU per leg-frame against a program that only receives and sends the same packets.

Both do the work of ``work.h``: 66 legs, PCMU, 20 ms, every leg hearing all others, 23 recordings
to two recorders each.  The device under test runs on one processor, the load on another; runs are
interleaved, so a busy machine slows both alike.  A run counts only when nothing was lost, every
sink got its packets without a gap, and (for the engine) every payload was bit for bit what 32-bit
arithmetic says.

    python benchmarks/engine/run.py [--runs 7] [--seconds 10] [--json]
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from openturret.c_ext.engine_build import LIBRARIES

HERE = Path(__file__).resolve().parent
SOURCES = HERE.parents[1] / "c_ext"
FLAGS = ["-D_GNU_SOURCE", "-std=gnu11", "-O3", "-ffp-contract=off", "-Wall", "-Wextra"]
LEGS = 66
WARM_UP_MS = 500
LEAD_MS = 300
EDGE_PACKETS = 8
DEVICES = ("bare", "full")


class BenchmarkError(Exception):
    """The benchmark cannot be run here."""


@dataclass(frozen=True, slots=True)
class Run:
    """One run of one device under test; CPU in nanoseconds per leg and 20 ms."""

    device: str
    leg_frame_ns: float
    refused: str


@dataclass(frozen=True, slots=True)
class Figure:
    """A median and the range it was drawn from."""

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Figure":
        """Summarises at least one value."""
        return cls(statistics.median(values), min(values), max(values))

    def __str__(self) -> str:
        return f"{self.median:.2f} ({self.least:.2f} to {self.most:.2f})"


def build(folder: Path) -> None:
    """Compiles the three programs as the engine itself is compiled."""
    compiler = shutil.which(os.environ.get("CC", "gcc"))
    if compiler is None:
        raise BenchmarkError("no C compiler: apt-get install gcc libc6-dev")
    engine = [str(path) for path in sorted(SOURCES.glob("[!_]*.c"))]
    for name, more in (("bare", []), ("full", engine), ("load", engine)):
        command = [compiler, *FLAGS, f"-I{SOURCES}", "-o", str(folder / name)]
        sources = [
            str(HERE / f"{name}.c"),
            *more,
            *(f"-l{name}" for name in LIBRARIES),
            "-lpthread",
        ]
        subprocess.run([*command, *sources], check=True)


def pinned(cpu: int, program: Path, *arguments: int) -> list[str]:
    """Returns the command that runs a program on one processor."""
    return ["taskset", "-c", str(cpu), str(program), *map(str, arguments)]


def measure(folder: Path, device: str, measured_ms: int) -> Run:
    """Runs a device under test beside the load and judges whether the run counts."""
    total_ms = LEAD_MS + WARM_UP_MS + measured_ms + LEAD_MS
    command = pinned(1, folder / "load", total_ms, int(device == "full"))
    load = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        said = subprocess.run(
            pinned(0, folder / device, WARM_UP_MS, measured_ms),
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        ).stdout
        sinks = json.loads(load.communicate()[0])
    finally:
        load.kill()
        load.wait()
    result = json.loads(said)
    frames = result["ticks"] / 2
    return Run(device, result["cpu_ns"] / (LEGS * frames), refuse(result, sinks, measured_ms))


def refuse(result: dict[str, int], sinks: dict[str, int], measured_ms: int) -> str:
    """Returns why a run does not count, or nothing."""
    least = (WARM_UP_MS + measured_ms) // 20 - EDGE_PACKETS
    if result["lost"]:
        return f"{result['lost']} packets lost, late or made up"
    if sinks["gaps"] or sinks["least"] < least:
        return f"{sinks['gaps']} gaps at the sinks, {sinks['least']} of {least} packets at one"
    if sinks["wrong"]:
        return f"{sinks['wrong']} payloads differ from the reference"
    return ""


def say(line: str) -> None:
    """Writes a line of progress or result."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def pairs(runs: Sequence[Run]) -> list[float]:
    """Ratios of the neighbours of which both count."""
    return [
        full.leg_frame_ns / bare.leg_frame_ns
        for bare, full in zip(runs[::2], runs[1::2], strict=True)
        if not bare.refused and not full.refused
    ]


def report(runs: Sequence[Run], *, as_json: bool) -> int:
    """Writes the figures; returns the exit status: 0 when at least one pair of runs counts."""
    ratios = pairs(runs)
    refused = [f"{run.device}: {run.refused}" for run in runs if run.refused]
    if not ratios:
        say(f"no pair of runs counts: {'; '.join(refused)}")
        return 1
    figures = {
        device: Figure.of(
            [run.leg_frame_ns for run in runs if run.device == device and not run.refused]
        )
        for device in DEVICES
    }
    ratio = Figure.of(ratios)
    if as_json:
        everything = {name: asdict(figure) for name, figure in figures.items()}
        say(json.dumps({**everything, "ratio": asdict(ratio), "refused": refused}))
        return 0
    for device, figure in figures.items():
        say(f"{device}: {figure} ns of CPU per leg and 20 ms")
    say(f"full / bare: {ratio} over {len(ratios)} pairs, {len(refused)} runs refused")
    return 0


def main() -> int:
    """Builds, runs and reports."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--runs", type=int, default=7, help="pairs of runs (7)")
    parser.add_argument("--seconds", type=int, default=10, help="measured per run (10)")
    parser.add_argument("--json", action="store_true", help="one object instead of lines")
    options = parser.parse_args()
    runs: list[Run] = []
    with tempfile.TemporaryDirectory() as folder:
        build(Path(folder))
        for _ in range(options.runs):
            for device in DEVICES:
                runs.append(measure(Path(folder), device, options.seconds * 1000))
                if not options.json:
                    say(f"{device} {runs[-1].leg_frame_ns:.0f} ns {runs[-1].refused}")
    return report(runs, as_json=options.json)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except BenchmarkError as error:
        sys.exit(str(error))
