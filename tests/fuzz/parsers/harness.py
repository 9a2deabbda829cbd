"""Runs one target under atheris: ``python -m tests.fuzz.parsers.harness TARGET libFuzzer's words``.

An input may do what its target allows: end well, or with one of its errors. Anything else is a
finding, and so is an input that takes longer or grows the process by more than it may.
"""

from __future__ import annotations

import contextlib
import importlib
import logging
import os
import resource
import sys
import time
from typing import Protocol, cast

import atheris

INSTRUMENTED = ["openturret.boot", "openturret.hal", "zipfile", "tuf.api", "tuf.ngclient"]
CPU_S = 0.1
MEMORY_BYTES = 32 * 1024 * 1024
_PAGE = os.sysconf("SC_PAGE_SIZE")
_ATTEMPTS = 3


class Target(Protocol):
    """A module of the folder ``targets``."""

    ERRORS: tuple[type[Exception], ...]

    def seeds(self) -> list[bytes]:
        """Returns what the fuzzer begins with."""

    def run(self, data: bytes) -> None:
        """Parses an input; raises one of ERRORS where it is not acceptable."""


def load(name: str) -> Target:
    """Returns a target."""
    return cast(Target, importlib.import_module(f"tests.fuzz.parsers.targets.{name}"))


class Trial:
    """One target, and what each of its inputs may cost."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._resident = os.open("/proc/self/statm", os.O_RDONLY)

    def __call__(self, data: bytes) -> None:
        before, peak = self._resident_bytes(), _peak_bytes()
        spent_s = self._run(data)
        if _peak_bytes() > peak and _peak_bytes() - before > MEMORY_BYTES:
            raise MemoryError(f"{_peak_bytes() - before} bytes for {len(data)}")
        for _ in range(_ATTEMPTS):
            if spent_s <= CPU_S:
                return
            spent_s = self._run(data)
        raise TimeoutError(f"{spent_s:.3f} s for {len(data)} bytes")

    def _run(self, data: bytes) -> float:
        """Returns the processor time that an input takes: others may want the processor too."""
        begun = time.thread_time()
        with contextlib.suppress(*self._target.ERRORS):
            self._target.run(data)
        return time.thread_time() - begun

    def _resident_bytes(self) -> int:
        return int(os.pread(self._resident, 64, 0).split()[1]) * _PAGE


def _peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def main(words: list[str]) -> None:
    """Fuzzes until libFuzzer's limit, or its first finding."""
    logging.disable()
    with atheris.instrument_imports(include=INSTRUMENTED):
        target = load(words[0])
    atheris.Setup([words[0], *words[1:]], Trial(target))
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1:])
