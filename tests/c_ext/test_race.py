"""The engine's threads and control side under ThreadSanitizer and LeakSanitizer."""

import platform
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
PROGRAMS = sorted(path.stem for path in HERE.glob("*race.c"))
SETTINGS = {
    "TSAN_OPTIONS": "halt_on_error=1",
    "UBSAN_OPTIONS": "halt_on_error=1",
    "LSAN_OPTIONS": f"suppressions={HERE / 'leaks.supp'}:print_suppressions=0",
}


def build(folder: Path, name: str, sanitizer: str, engine: Path = SOURCES) -> Path:
    compiler = shutil.which("gcc")
    if compiler is None:
        pytest.skip("no C compiler: apt-get install gcc libc6-dev")
    program = folder / name
    sources = [HERE / f"{name}.c", *sorted(engine.glob("[!_]*.c"))]
    command = [compiler, *FLAGS, f"-fsanitize={sanitizer}", f"-I{engine}", "-o", str(program)]
    done = subprocess.run(
        [*command, *sources, *(f"-l{library}" for library in LIBRARIES), "-lpthread"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return program


def at_fixed_addresses() -> list[str]:
    """A prefix that keeps the kernel from putting things where ThreadSanitizer's memory belongs.

    With vm.mmap_rnd_bits above 28 it does.  Where a container forbids personality(2) the prefix
    is empty.
    """
    setarch = shutil.which("setarch")
    words = [setarch, platform.machine(), "-R"] if setarch else []
    may = subprocess.run([*words, "true"], capture_output=True, check=False).returncode == 0
    return words if may else []


def run(program: Path, port: int) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [*at_fixed_addresses(), program, str(port)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env=SETTINGS,
    )
    if "unexpected memory mapping" in done.stderr:
        pytest.skip(
            "ThreadSanitizer finds its memory taken: allow personality(2) to this container, or "
            "on the host sysctl vm.mmap_rnd_bits=28"
        )
    return done


@pytest.mark.slow
@pytest.mark.parametrize("name", PROGRAMS)
@pytest.mark.parametrize("sanitizer", ["thread", "address,undefined"])
def test_threads_neither_race_nor_leak(
    bench: "Bench", tmp_path: Path, name: str, sanitizer: str
) -> None:
    done = run(build(tmp_path, name, sanitizer), bench.free_port())
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
def test_a_statistic_written_without_atomics_is_a_race(bench: "Bench", tmp_path: Path) -> None:
    engine = tmp_path / "engine"
    shutil.copytree(SOURCES, engine, ignore=shutil.ignore_patterns("*.so", "__pycache__"))
    state = (engine / "state.h").read_text()
    changed = state.replace(
        "__atomic_store_n(&(word), (uint64_t)(value), __ATOMIC_RELAXED)",
        "((word) = (uint64_t)(value))",
    )
    assert changed != state, "state.h writes statistics otherwise by now: plant this anew"
    (engine / "state.h").write_text(changed)
    done = run(build(tmp_path, "race", "thread", engine), bench.free_port())
    assert "data race" in done.stderr
