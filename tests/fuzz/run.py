"""Builds the engine's libFuzzer targets and runs them, several at a time.

A target is a C file of this folder with LLVMFuzzerTestOneInput in it.  It is built when every
header that it includes exists.  The compiler is gcc; of clang only libFuzzer's own library is
needed (Debian's libclang-rt-14-dev, which `make setup` unpacks).
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import re
import runpy
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
ENTRY = "LLVMFuzzerTestOneInput"
LIBRARIES = ("m", "opus", "spandsp", "speexdsp", "srtp2", "pthread")
SUPPORT = ("coverage.c", "net.c")
SANITIZE = ("-fsanitize=address,undefined,float-cast-overflow", "-fno-sanitize-recover=all")
WARNINGS = ("-Wall", "-Wextra")
PLAIN = ("-D_GNU_SOURCE", "-std=gnu11", "-O2", *WARNINGS)
CHECKED = ("-D_GNU_SOURCE", "-std=gnu11", "-O2", "-g", "-ffp-contract=off",
           "-fno-omit-frame-pointer", *WARNINGS, *SANITIZE)  # fmt: skip
MEASURED = (*CHECKED, "-fsanitize-coverage=trace-pc,trace-cmp")
NET = ("bind", "calloc", "clock_gettime", "clock_nanosleep", "close", "connect", "epoll_create1",
       "epoll_ctl", "epoll_wait", "getrandom", "malloc", "mmap", "munmap", "nanosleep", "recv",
       "recvfrom", "recvmsg", "send", "sendto", "setsockopt", "socket")  # fmt: skip
"""What the engine's objects call in net.c instead of the C library."""
INPUT_TIMEOUT_S = 10
MEMORY_MB = 1024
LONGEST_INPUT = 2048
CORPUS_MAX = 1000
"""A corpus that grows beyond this is reduced to the inputs that still show something."""
STALE_S = 86400
EXIT_FOUND, EXIT_UNUSABLE = 1, 2
EPILOG = """\
examples:
  tests/fuzz/run.py                            every target, ten seconds each
  tests/fuzz/run.py --seconds 600 leg rtp      two targets for longer
  tests/fuzz/run.py --replay leg FILE          runs one input, with a stack trace where it fails
  tests/fuzz/run.py --list                     what there is, and what it watches

reading a line:
  leg        48210 runs   4766/s  cov  912  ft 3310  corpus  402
  cov: blocks of the engine that were run; ft: blocks and how often, which is what steers;
  corpus: inputs kept because they showed something new.  Corpora are kept between runs.

A finding is written into the folder of --findings, and the command that replays it is printed.
"""


class FuzzError(Exception):
    """The fuzzers cannot be built or run; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one target."""

    target: str
    runs: int = 0
    runs_per_second: int = 0
    coverage: int = 0
    features: int = 0
    corpus: int = 0
    finding: str | None = None
    """Where the input lies that broke it."""
    reason: str | None = None

    @property
    def broken(self) -> bool:
        """Whether something was found, or the target did not end well."""
        return self.reason is not None


def say(text: str) -> None:
    """Writes one line of progress."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def cache_folder() -> Path:
    """Returns where objects, programs and corpora are kept between runs."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "openturret"


def sysroot() -> Path:
    """Returns where set-up unpacks packages."""
    chosen = os.environ.get("OPENTURRET_SYSROOT")
    return Path(chosen) if chosen else cache_folder() / "sysroot"


def libfuzzer() -> Path:
    """Returns libFuzzer's library, from the sysroot or installed.

    Raises:
        FuzzError: There is none.
    """
    name = f"usr/lib/llvm-*/lib/clang/*/lib/linux/libclang_rt.fuzzer-{platform.machine()}.a"
    for root in (sysroot(), Path("/")):
        for found in sorted(root.glob(name), reverse=True):
            return found
    raise FuzzError(
        "libFuzzer is missing: run `make setup`, or "
        "`apt-get install --no-install-recommends libclang-rt-14-dev`"
    )


def command(name: str, package: str) -> str:
    """Returns the path of a program.

    Raises:
        FuzzError: It is not installed.
    """
    found = shutil.which(name)
    if found is None:
        raise FuzzError(f"{name} is missing: apt-get install {package}")
    return found


# -- what there is -------------------------------------------------------------------------------


def all_targets() -> dict[str, Path]:
    """Returns the targets by name."""
    files = (path for path in sorted(HERE.glob("*.c")) if ENTRY in path.read_text())
    return {path.stem: path for path in files}


def missing_headers(source: Path, sources: Path) -> list[str]:
    """Returns the headers that a target includes and nobody has."""
    wanted = re.findall(r'^#include "([^"]+)"', source.read_text(), re.MULTILINE)
    return [name for name in wanted if not (HERE / name).exists() and not (sources / name).exists()]


def purpose(source: Path) -> str:
    """Returns the first sentence of a target's comment."""
    comment = source.read_text().partition("/*")[2].partition("*/")[0]
    words = " ".join(line.strip(" *") for line in comment.splitlines())
    return words.strip().split(". ")[0].rstrip(".")


# -- building ------------------------------------------------------------------------------------


class Build:
    """Compiles into a folder; what has not changed since is not compiled again."""

    def __init__(self, folder: Path, sources: Path) -> None:
        self._folder = folder
        self._sources = sources
        self._compiler = command(os.environ.get("CC", "gcc"), "gcc")
        self._linker = command(os.environ.get("CXX", "g++"), "g++")
        self._rename = command("objcopy", "binutils")
        self._runtime = libfuzzer()
        self._headers = self._digest([*sources.glob("*.h"), *HERE.glob("*.h")])
        folder.mkdir(parents=True, exist_ok=True)

    def _digest(self, files: Iterable[Path]) -> bytes:
        digest = hashlib.sha256()
        for path in sorted(files):
            digest.update(path.name.encode() + path.read_bytes())
        return digest.digest()

    def _mark(self, source: Path, flags: tuple[str, ...]) -> str:
        parts = (self._compiler, *flags, *NET)
        digest = hashlib.sha256(self._headers + source.read_bytes() + "\0".join(parts).encode())
        return digest.hexdigest()[:16]

    def _run(self, *words: str | Path) -> None:
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        if done.returncode:
            raise FuzzError(f"{' '.join(map(str, words))}\n{done.stderr}")

    def compile(self, source: Path, flags: tuple[str, ...]) -> Path:
        """Compiles one file; what is measured is the engine's and lives in net.c's world.

        Raises:
            FuzzError: It does not compile.
        """
        built = self._folder / f"{source.stem}-{self._mark(source, flags)}.o"
        if built.exists():
            return built
        partial = built.with_suffix(f".{os.getpid()}.partial")
        includes = (f"-I{self._sources}", f"-I{HERE}")
        self._run(self._compiler, *flags, *includes, "-c", source, "-o", partial)
        if flags is MEASURED:
            renamed = (f"--redefine-sym={name}=net_{name}" for name in NET)
            blocks = "--redefine-sym=__sanitizer_cov_trace_pc=ot_fuzz_block"
            self._run(self._rename, blocks, *renamed, partial)
        partial.replace(built)
        return built

    def programs(self, targets: dict[str, Path], jobs: int) -> dict[str, Path]:
        """Builds the programs of some targets.

        Raises:
            FuzzError: Something does not compile or link.
        """
        engine = sorted(self._sources.glob("[!_]*.c"))
        support = [HERE / name for name in SUPPORT]
        with ThreadPoolExecutor(jobs) as pool:
            engine_objects = pool.map(lambda path: self.compile(path, MEASURED), engine)
            support_objects = pool.map(lambda path: self.compile(path, PLAIN), support)
            objects = pool.map(lambda path: self.compile(path, CHECKED), targets.values())
            own = dict(zip(targets, objects, strict=True))
            shared = [*engine_objects, *support_objects]
            programs = pool.map(lambda name: self._link(name, [own[name], *shared]), targets)
            built = dict(zip(targets, programs, strict=True))
        self._forget_all_but({*shared, *own.values()})
        return built

    def _forget_all_but(self, used: set[Path]) -> None:
        for path in self._folder.glob("*.o"):
            if path not in used and path.stat().st_mtime < time.time() - STALE_S:
                path.unlink(missing_ok=True)

    def _link(self, target: str, objects: list[Path]) -> Path:
        mark = hashlib.sha256("".join(path.name for path in objects).encode()).hexdigest()[:16]
        program = self._folder / f"{target}-{mark}"
        if program.exists():
            return program
        partial = program.with_suffix(f".{os.getpid()}.partial")
        libraries = (f"-l{name}" for name in LIBRARIES)
        self._run(self._linker, *SANITIZE, "-o", partial, *objects, self._runtime, *libraries)
        for old in self._folder.glob(f"{target}-*"):
            if not old.suffix:
                old.unlink(missing_ok=True)
        partial.replace(program)
        return program


# -- running -------------------------------------------------------------------------------------


def at_fixed_addresses() -> list[str]:
    """Returns a prefix that keeps the kernel from moving what sanitizers want in its place.

    With vm.mmap_rnd_bits above 28 the sanitizers of gcc 12 and clang 14 find their memory taken.
    Where a container forbids personality(2) the prefix is empty.
    """
    setarch = shutil.which("setarch")
    if setarch is None:
        return []
    words = [setarch, platform.machine(), "-R"]
    probe = subprocess.run([*words, "true"], capture_output=True, check=False)
    return words if probe.returncode == 0 else []


def environment() -> dict[str, str]:
    """Returns the sanitizers' settings."""
    return {
        **os.environ,
        "ASAN_OPTIONS": "allocator_may_return_null=1:detect_stack_use_after_return=0",
        "UBSAN_OPTIONS": "print_stacktrace=1:abort_on_error=1",
        "LSAN_OPTIONS": f"suppressions={HERE.parent / 'c_ext' / 'leaks.supp'}:print_suppressions=0",
    }


def fill_corpus(folder: Path, inputs: list[bytes]) -> None:
    """Writes the seeds beside what earlier runs found."""
    folder.mkdir(parents=True, exist_ok=True)
    for index, data in enumerate(inputs):
        (folder / f"seed-{index}").write_bytes(data)


def _last(pattern: str, log: str) -> int:
    found = re.findall(pattern, log)
    return int(found[-1]) if found else 0


def _reason(log: str) -> str:
    escaped = re.search(r"Uncaught Python exception: ===\n(.*)", log)
    if escaped:
        return escaped[1]
    for line in log.splitlines():
        if re.search(r"ERROR: |runtime error: |broken promise: |SUMMARY: ", line):
            return re.sub(r"^==\d+==\s*", "", line.strip())
    return "ended without a word"


@dataclass(frozen=True, slots=True)
class Session:
    """How targets are run."""

    seconds: int
    runs: int | None
    seed: int
    corpora: Path
    findings: Path
    prefix: list[str]
    inputs: Callable[[str], list[bytes]]

    def _words(self, program: Sequence[str], corpus: Path, target: str) -> list[str]:
        limit = f"-runs={self.runs}" if self.runs else f"-max_total_time={self.seconds}"
        return [
            *self.prefix, *program, str(corpus), limit, f"-seed={self.seed}",
            f"-timeout={INPUT_TIMEOUT_S}", f"-rss_limit_mb={MEMORY_MB}",
            f"-max_len={LONGEST_INPUT}", "-print_final_stats=1", "-entropic=0",
            f"-artifact_prefix={self.findings}/{target}-",
        ]  # fmt: skip

    def run(self, target: str, program: Sequence[str]) -> Result:
        """Runs one target, by the words that start it, to its limit or its first finding."""
        corpus = self.corpora / target
        fill_corpus(corpus, self.inputs(target))
        self.findings.mkdir(parents=True, exist_ok=True)
        started = time.monotonic()
        done = subprocess.run(
            self._words(program, corpus, target),
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment(), check=False,
        )  # fmt: skip
        log = done.stdout.decode(errors="replace")
        result = self._read(target, log, len(list(corpus.iterdir())), time.monotonic() - started)
        if done.returncode == 0:
            self._reduce(program, corpus)
            return result
        (self.findings / f"{target}.log").write_text(log)
        written = re.findall(r"Test unit written to (\S+)", log)
        return replace(result, finding=written[-1] if written else None, reason=_reason(log))

    def _reduce(self, program: Sequence[str], corpus: Path) -> None:
        if len(list(corpus.iterdir())) <= CORPUS_MAX:
            return
        reduced = corpus.with_suffix(".reduced")
        shutil.rmtree(reduced, ignore_errors=True)
        reduced.mkdir()
        words = [*self.prefix, *program, "-merge=1", str(reduced), str(corpus)]
        done = subprocess.run(words, capture_output=True, env=environment(), check=False)
        if done.returncode == 0 and any(reduced.iterdir()):
            shutil.rmtree(corpus)
            reduced.rename(corpus)

    def _read(self, target: str, log: str, corpus: int, seconds: float) -> Result:
        runs = _last(r"stat::number_of_executed_units:\s+(\d+)", log)
        runs = runs or _last(r"^#(\d+)\s", log)
        return Result(
            target=target,
            runs=runs,
            runs_per_second=round(runs / max(seconds, 0.001)),
            coverage=_last(r"cov: (\d+)", log),
            features=_last(r"ft: (\d+)", log),
            corpus=corpus,
        )


def describe(result: Result, runner: str) -> str:
    """Returns one line about a target; ``runner`` is the command that replays a finding."""
    line = (
        f"{result.target:<12}{result.runs:>9} runs {result.runs_per_second:>7}/s"
        f"  cov {result.coverage:>5}  ft {result.features:>6}  corpus {result.corpus:>5}"
    )
    if not result.broken:
        return line
    found = result.finding
    replay = f"\n  replay: {runner} --replay {result.target} {found}"
    return f"{line}\n  BROKEN: {result.reason}{replay if found else ''}"


# -- the command line ----------------------------------------------------------------------------


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="tests/fuzz/run.py",
        description="Looks for inputs that break the engine, with libFuzzer and sanitizers.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("targets", nargs="*", metavar="TARGET", help="names from --list; all when none is given")
    add("--seconds", type=int, default=10, help="how long each target runs (default: %(default)s)")
    add("--runs", type=int, help="end each target after so many inputs instead")
    add("--seed", type=int, default=0, help="of libFuzzer's chance; 0 (default): another each time")
    add("--jobs", type=int, default=os.cpu_count() or 1, help="at a time (default: %(default)s)")
    add("--json", metavar="FILE", help="write a summary, - for the standard output")
    add("--list", action="store_true", help="say what there is and end")
    add("--replay", nargs=2, metavar=("TARGET", "FILE"), help="run one input and end")
    folder = cache_folder() / "fuzz"
    add("--build", type=Path, default=folder / "build", metavar="DIR", help="%(default)s")
    add("--corpora", type=Path, default=folder / "corpora", metavar="DIR", help="%(default)s")
    add("--findings", type=Path, default=folder / "findings", metavar="DIR", help="%(default)s")
    add("--sources", type=Path, default=ROOT / "c_ext", metavar="DIR",
        help="the engine to try (default: %(default)s)")  # fmt: skip
    return parser


def _chosen(names: list[str], sources: Path) -> dict[str, Path]:
    targets = all_targets()
    if unknown := sorted(set(names) - set(targets)):
        raise FuzzError(f"no target {unknown[0]!r}; there are {', '.join(targets)}")
    chosen = {name: targets[name] for name in names or targets}
    for name in [*chosen]:
        if missing := missing_headers(chosen[name], sources):
            say(f"{name:<12}left out: the engine has no {', '.join(missing)}")
            del chosen[name]
    return chosen


def _list(sources: Path) -> int:
    for name, source in all_targets().items():
        missing = missing_headers(source, sources)
        note = f" (left out: no {', '.join(missing)})" if missing else ""
        sys.stdout.write(f"{name:<12}{purpose(source)}{note}\n")
    return 0


def _replay(options: argparse.Namespace, build: Build) -> int:
    target, file = options.replay
    chosen = _chosen([target], options.sources)
    if not chosen or not Path(file).is_file():
        raise FuzzError(f"there is no input {file}" if chosen else f"{target} cannot be built")
    program = build.programs(chosen, options.jobs)[target]
    words = [*at_fixed_addresses(), str(program), "-rss_limit_mb=0", file]
    return subprocess.run(words, env=environment(), check=False).returncode and EXIT_FOUND


def summary(results: list[Result], where: str) -> None:
    """Writes the results for machines; ``-`` is the standard output."""
    text = json.dumps({"targets": [asdict(result) for result in results]}, indent=2)
    if where == "-":
        sys.stdout.write(f"{text}\n")
    else:
        Path(where).write_text(f"{text}\n")


def _run_all(options: argparse.Namespace, build: Build) -> int:
    session = Session(
        options.seconds, options.runs, options.seed, options.corpora, options.findings,
        at_fixed_addresses(), runpy.run_path(str(HERE / "seeds.py"))["seeds"],
    )  # fmt: skip
    targets = _chosen(options.targets, options.sources)
    say(f"building {len(targets)} targets")
    programs = build.programs(targets, options.jobs)
    limit = f"{options.runs} inputs" if options.runs else f"{options.seconds} s"
    say(f"running each for {limit}, {options.jobs} at a time")
    results = []
    with ThreadPoolExecutor(options.jobs) as pool:
        for result in pool.map(lambda name: session.run(name, [str(programs[name])]), programs):
            say(describe(result, str(Path(__file__).resolve())))
            results.append(result)
    if options.json:
        summary(results, options.json)
    return EXIT_FOUND if any(result.broken for result in results) else 0


def main(arguments: list[str] | None = None) -> int:
    """Runs the command line; returns the exit code."""
    options = _parser().parse_args(arguments)
    try:
        if options.list:
            return _list(options.sources)
        build = Build(options.build, options.sources)
        if options.replay:
            return _replay(options, build)
        return _run_all(options, build)
    except FuzzError as error:
        say(f"fuzz: {error}")
        return EXIT_UNUSABLE
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
