"""The engine's mixing kernel beside its peers: CPU nanoseconds per stream and frame.

N streams of 160 samples (20 ms at 8 kHz), and everyone hears all others; GStreamer, which has no
minus-self, makes one mix of all.  In a round every program runs once, one after the other on the
same processor, so that a busy machine slows all alike; a ratio is taken within a round.  CPU time
is that of the whole process.

    python -m benchmarks.mixing.run [--runs 7] [--quick] [--json]

A peer that is not here is a row with its remedy.  With --json the output is a list of
{benchmark, subject, n, median, least, most, unit}; a peer that is not here has "missing" in place
of the numbers.
"""

import argparse
import functools
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from ..peers import PeerError, link_arguments, pjproject

HERE = Path(__file__).resolve().parent
SOURCES = HERE.parents[1] / "c_ext"
KERNELS = [
    *sorted(SOURCES.glob("kernels*.c")),
    *(SOURCES / f"{n}.c" for n in ("mix", "g711", "level")),
]
WARNINGS = ("-std=gnu11", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror")
OURS = "OpenTurret"
VARIANTS = {"x86_64": ("base", "sse2", "avx2", "avx512"), "aarch64": ("base", "neon")}
STREAMS = (3, 16, 64)
PJMEDIA = {"PJMEDIA stock -O2": "stock", "PJMEDIA -O3 -march=native": "native"}
GOALS = {
    ("PJMEDIA stock -O2", 16): 200,
    ("PJMEDIA stock -O2", 64): 1000,
    ("PJMEDIA -O3 -march=native", 64): 150,
}
FIRST_FRAMES = 200
RUN_MS, QUICK_RUN_MS = 100, 20
LIMIT_S = 60


@dataclass(frozen=True, slots=True)
class Figure:
    """A median and the range it was drawn from."""

    benchmark: str
    subject: str
    n: int
    median: float
    least: float
    most: float
    unit: str

    @classmethod
    def of(
        cls, benchmark: str, subject: str, n: int, values: Sequence[float], unit: str
    ) -> "Figure":
        """Summarises at least one value."""
        middle = statistics.median(values)
        return cls(benchmark, subject, n, middle, min(values), max(values), unit)

    def __str__(self) -> str:
        digits = 0 if self.median >= 100 else 1
        numbers = (self.median, self.least, self.most)
        median, least, most = (f"{number:.{digits}f}" for number in numbers)
        return f"{median} ({least} to {most})"


@dataclass(slots=True)
class Subject:
    """A program under test: ``command N FRAMES how``; what it measured, or why it is not here."""

    name: str
    command: Sequence[str] = ()
    how: Sequence[str] = ()
    missing: str = ""
    runs: dict[int, list[float]] = field(default_factory=lambda: {n: [] for n in STREAMS})

    def measure(self, n: int, frames: int) -> float:
        """Returns nanoseconds per stream and frame.

        Raises:
            PeerError: When the program fails or hangs.
        """
        command = [*self.command, str(n), str(frames), *self.how]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S)
        except subprocess.TimeoutExpired as error:
            raise PeerError(f"no answer in {LIMIT_S} s", f"run {' '.join(command)}") from error
        if done.returncode:
            reason = done.stderr.strip().splitlines() or [f"ended with {done.returncode}"]
            raise PeerError(reason[-1], f"run {' '.join(command)}")
        return float(done.stdout)


def compile_program(folder: Path, name: str, source: str, *arguments: str) -> list[str]:
    """Returns the command of a program of this folder.

    Raises:
        PeerError: When there is no compiler or it complains.
    """
    compiler = shutil.which(os.environ.get("CC", "gcc"))
    if compiler is None:
        raise PeerError("no C compiler", "apt-get install gcc libc6-dev")
    program = folder / name
    command = [compiler, *WARNINGS, "-o", str(program), str(HERE / source), *arguments]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise PeerError(f"{source} does not compile", f"run {' '.join(command)}")
    return [str(program)]


def packaged(modules: Sequence[str], packages: str) -> list[str]:
    """Returns the compiler's arguments for libraries that Debian packages.

    Raises:
        PeerError: When one is not installed.
    """
    asked = ["pkg-config", "--cflags", "--libs", *modules]
    try:
        done = subprocess.run(asked, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        remedy = f"apt-get install --no-install-recommends pkg-config {packages}"
        raise PeerError(f"no headers of {modules[0]}", remedy) from error
    return done.stdout.replace("-I", "-isystem").split()  # warnings of theirs are not ours


@functools.cache
def engine(folder: Path) -> list[str]:
    """Compiles the kernels as the engine itself is compiled."""
    flags = ("-O3", "-ffp-contract=off", f"-I{SOURCES}")
    return compile_program(folder, "engine", "engine.c", *flags, *map(str, KERNELS), "-lm")


@functools.cache
def plain(folder: Path) -> list[str]:
    """Compiles plain C for this very processor."""
    return compile_program(folder, "plain", "plain.c", "-O3", "-march=native")


def pjmedia(build: str, folder: Path) -> list[str]:
    """Compiles the driver against one build of PJMEDIA."""
    return compile_program(
        folder, f"pjmedia-{build}", "pjmedia.c", *link_arguments(pjproject(build))
    )


def librem(folder: Path) -> list[str]:
    """Compiles the driver against Debian's librem."""
    libraries = packaged(("librem", "libre"), "librem-dev libre-dev")
    return compile_program(folder, "librem", "librem.c", *libraries, "-lpthread")


def gstreamer(folder: Path) -> list[str]:
    """Compiles the driver against Debian's GStreamer; audiomixer itself is a plugin."""
    libraries = packaged(("gstreamer-1.0",), "libgstreamer1.0-dev gstreamer1.0-plugins-base")
    return compile_program(folder, "gstreamer", "gstreamer.c", *libraries)


def numpy(_: Path) -> list[str]:
    """Returns the command of the numpy program."""
    return [sys.executable, str(HERE / "numpy_mix.py")]


Builder = Callable[[Path], list[str]]


def build(folder: Path, name: str, builder: Builder, *how: str) -> Subject:
    """Builds a subject and tries it once; what does not run says why."""
    try:
        subject = Subject(name, builder(folder), how)
        subject.measure(STREAMS[0], 1)
    except PeerError as error:
        return Subject(name, missing=str(error))
    return subject


def build_all(folder: Path) -> list[Subject]:
    """Builds every subject, ours first."""
    variants = VARIANTS.get(platform.machine(), ())
    return [
        build(folder, OURS, engine),
        *(build(folder, f"{OURS}, {variant}", engine, variant) for variant in variants),
        build(folder, "memcpy", plain, "copy"),
        build(folder, "plain C -O3 -march=native", plain),
        *(build(folder, name, functools.partial(pjmedia, kind)) for name, kind in PJMEDIA.items()),
        build(folder, "librem aumix", librem),
        build(folder, "GStreamer audiomixer (N to 1)", gstreamer),
        build(folder, "numpy", numpy),
    ]


def frames_for(subject: Subject, n: int, run_ms: int) -> int:
    """Returns how many frames make a run of about `run_ms`."""
    return max(FIRST_FRAMES, int(run_ms * 1e6 / (subject.measure(n, FIRST_FRAMES) * n)))


def run_rounds(subjects: Sequence[Subject], runs: int, run_ms: int) -> None:
    """Measures every subject `runs` times, all of them once in each round.

    Raises:
        PeerError: When a program that ran before fails.
    """
    for n in STREAMS:
        frames = [frames_for(subject, n, run_ms) for subject in subjects]
        for _ in range(runs):
            for subject, count in zip(subjects, frames, strict=True):
                subject.runs[n].append(subject.measure(n, count))


def figures(subjects: Sequence[Subject]) -> list[Figure]:
    """The cost of every subject, and how many times ours the peers cost."""
    ours = subjects[0]
    found = []
    for subject in subjects:
        for n, values in subject.runs.items():
            found.append(Figure.of("mixing", subject.name, n, values, "ns"))
            if subject is not ours:
                ratios = [theirs / our for theirs, our in zip(values, ours.runs[n], strict=True)]
                found.append(Figure.of("mixing ratio", subject.name, n, ratios, "times"))
    return found


def say(line: str) -> None:
    """Writes a line of the result."""
    sys.stdout.write(f"{line}\n")


def print_table(found: Sequence[Figure], missing: Sequence[Subject]) -> None:
    """Writes one line per subject and N, and then what is missing."""
    say(f"{'ns of CPU per stream and frame':<32} {'N':>3}  {'median (range)':<24} times {OURS}")
    ratios = {(f.subject, f.n): f for f in found if f.unit == "times"}
    for figure in found:
        if figure.unit != "ns":
            continue
        ratio = ratios.get((figure.subject, figure.n))
        goal = GOALS.get((figure.subject, figure.n))
        times = f"{ratio}" + (f", goal {goal}" if goal else "") if ratio else ""
        say(f"{figure.subject:<32} {figure.n:>3}  {figure!s:<24} {times}".rstrip())
    for subject in missing:
        say(f"{subject.name:<32} not here: {subject.missing}")


def print_json(found: Sequence[Figure], missing: Sequence[Subject]) -> None:
    """Writes the figures as a list of objects."""
    absent = [{"benchmark": "mixing", "subject": s.name, "missing": s.missing} for s in missing]
    say(json.dumps([*(asdict(figure) for figure in found), *absent], indent=1))


def main() -> int:
    """Builds, runs and reports; 1 when our own kernel does not run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--runs", type=int, default=7, help="rounds (7)")
    parser.add_argument("--quick", action="store_true", help="three short rounds")
    parser.add_argument("--json", action="store_true", help="a list of objects instead of lines")
    options = parser.parse_args()
    runs, run_ms = (3, QUICK_RUN_MS) if options.quick else (options.runs, RUN_MS)
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    with tempfile.TemporaryDirectory() as folder:
        subjects = build_all(Path(folder))
        here = [subject for subject in subjects if not subject.missing]
        if subjects[0].missing:
            raise PeerError(f"{OURS} itself: {subjects[0].missing}", "see there")
        run_rounds(here, runs, run_ms)
    missing = [subject for subject in subjects if subject.missing]
    (print_json if options.json else print_table)(figures(here), missing)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except PeerError as error:
        sys.exit(str(error))
