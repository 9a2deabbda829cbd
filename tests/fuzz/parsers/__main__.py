"""Looks for inputs that break the boot's parsers: ``python -m tests.fuzz.parsers``."""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from ..run import (
    EXIT_FOUND,
    EXIT_UNUSABLE,
    FuzzError,
    Result,
    Session,
    cache_folder,
    describe,
    say,
    summary,
)

TARGETS = Path(__file__).with_name("targets")
RUNNER = "python -m tests.fuzz.parsers"
EPILOG = """\
examples:
  python -m tests.fuzz.parsers                          every parser, ten seconds each
  python -m tests.fuzz.parsers --seconds 600 ldap dns   two parsers for longer
  python -m tests.fuzz.parsers --replay ldap FILE       runs one input, with its traceback
  python -m tests.fuzz.parsers --list                   what there is, and what it promises

An input may be parsed, or end in one of the errors that the parser's docstring names. Anything
else is a finding; so are 0.1 s of processor time and 32 MiB of memory for one input.

exit: 0 nothing found, or skipped because atheris is missing (with CI set that is 2)
      1 a finding
      2 a target or an input is unknown
"""
REMEDY = (
    "atheris is missing: pip install atheris (it has wheels for CPython 3.11 to 3.14 on "
    "Linux, x86_64)"
)


def all_targets() -> dict[str, str]:
    """Returns the targets with the first line of their docstrings."""
    return {path.stem: _purpose(path) for path in sorted(TARGETS.glob("[!_]*.py"))}


def _purpose(path: Path) -> str:
    return path.read_text().split('"""')[1].splitlines()[0].rstrip(".")


def _words(target: str) -> list[str]:
    """Returns what starts a target."""
    return [sys.executable, "-m", "tests.fuzz.parsers.harness", target]


def _seeds(target: str) -> list[bytes]:
    module = importlib.import_module(f"tests.fuzz.parsers.targets.{target}")
    found: list[bytes] = module.seeds()
    return found


def _skip() -> int:
    """Says what is missing; continuous integration has to have it."""
    say(f"fuzz: skipped: {REMEDY}")
    return EXIT_UNUSABLE if os.environ.get("CI", "").lower() in {"1", "true", "yes"} else 0


@contextlib.contextmanager
def _in_memory() -> Iterator[None]:
    """Makes targets and their files live in memory; libFuzzer ends them without a farewell."""
    with tempfile.TemporaryDirectory(prefix="openturret-fuzz-", dir="/dev/shm") as folder:
        os.environ["TMPDIR"] = tempfile.tempdir = folder
        yield


def _chosen(names: list[str]) -> list[str]:
    targets = all_targets()
    if unknown := sorted(set(names) - set(targets)):
        raise FuzzError(f"no target {unknown[0]!r}; there are {', '.join(targets)}")
    return names or list(targets)


def _run_all(options: argparse.Namespace) -> int:
    session = Session(
        options.seconds, options.runs, options.seed, options.corpora, options.findings,
        prefix=[], inputs=_seeds,
    )  # fmt: skip
    targets = _chosen(options.targets)
    limit = f"{options.runs} inputs" if options.runs else f"{options.seconds} s"
    say(f"running each of {len(targets)} for {limit}, {options.jobs} at a time")
    results: list[Result] = []
    with ThreadPoolExecutor(options.jobs) as pool:
        for result in pool.map(lambda name: session.run(name, _words(name)), targets):
            say(describe(result, RUNNER))
            results.append(result)
    if options.json:
        summary(results, options.json)
    return EXIT_FOUND if any(result.broken for result in results) else 0


def _replay(target: str, file: str) -> int:
    _chosen([target])
    if not Path(file).is_file():
        raise FuzzError(f"there is no input {file}")
    with tempfile.TemporaryDirectory() as folder:
        words = [*_words(target), f"-artifact_prefix={folder}/", file]
        return EXIT_FOUND if subprocess.run(words, check=False).returncode else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=RUNNER,
        description="Looks for inputs that break the boot's parsers, with atheris.",
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
    folder = cache_folder() / "fuzz" / "parsers"
    add("--corpora", type=Path, default=folder / "corpora", metavar="DIR", help="%(default)s")
    add("--findings", type=Path, default=folder / "findings", metavar="DIR", help="%(default)s")
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Runs the command line; returns the exit code."""
    options = _parser().parse_args(arguments)
    try:
        if options.list:
            for name, words in all_targets().items():
                sys.stdout.write(f"{name:<12}{words}\n")
            return 0
        if importlib.util.find_spec("atheris") is None:
            return _skip()
        with _in_memory():
            return _replay(*options.replay) if options.replay else _run_all(options)
    except FuzzError as error:
        say(f"fuzz: {error}")
        return EXIT_UNUSABLE
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
