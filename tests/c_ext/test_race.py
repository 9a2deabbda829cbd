"""The engine, its thread and its control side under ThreadSanitizer and LeakSanitizer."""

import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from openturret.c_ext.engine_build import LIBRARIES

if TYPE_CHECKING:
    from tests.c_ext.conftest import Bench

HERE = Path(__file__).parent
SOURCES = HERE.parents[1] / "c_ext"
FLAGS = ["-D_GNU_SOURCE", "-std=gnu11", "-O1", "-g", "-ffp-contract=off", "-Wall", "-Wextra"]


def build(folder: Path, sanitizer: str) -> Path:
    compiler = shutil.which("gcc")
    if compiler is None:
        pytest.skip("no C compiler: apt-get install gcc libc6-dev")
    program = folder / "race"
    sources = [HERE / "race.c", *sorted(SOURCES.glob("[!_]*.c"))]
    command = [compiler, *FLAGS, f"-fsanitize={sanitizer}", f"-I{SOURCES}", "-o", str(program)]
    done = subprocess.run(
        [*command, *sources, *(f"-l{name}" for name in LIBRARIES), "-lpthread"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return program


@pytest.mark.slow
@pytest.mark.parametrize("sanitizer", ["thread", "address,undefined"])
def test_threads_neither_race_nor_leak(bench: "Bench", tmp_path: Path, sanitizer: str) -> None:
    program = build(tmp_path, sanitizer)
    done = subprocess.run(
        [program, str(bench.free_port())],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={"TSAN_OPTIONS": "halt_on_error=1", "UBSAN_OPTIONS": "halt_on_error=1"},
    )
    if "unexpected memory mapping" in done.stderr:
        pytest.skip("ThreadSanitizer needs vm.mmap_rnd_bits <= 28: sysctl vm.mmap_rnd_bits=28")
    assert done.returncode == 0, done.stderr
