"""Nothing at devices and in generators allocates, locks or writes while it runs."""

import shutil
import subprocess
from pathlib import Path

import pytest

from openturret.c_ext.engine_build import LIBRARIES

HERE = Path(__file__).parent
SOURCES = HERE.parents[1] / "c_ext"
FLAGS = ["-D_GNU_SOURCE", "-std=gnu11", "-O2", "-ffp-contract=off", "-Wall", "-Wextra"]


@pytest.mark.slow
def test_running_allocates_locks_and_writes_nothing(tmp_path: Path) -> None:
    compiler = shutil.which("gcc")
    if compiler is None:
        pytest.skip("no C compiler: apt-get install gcc libc6-dev")
    program = tmp_path / "quiet"
    sources = [str(HERE / "quiet.c"), *map(str, sorted(SOURCES.glob("[!_]*.c")))]
    # -fno-builtin: or the compiler would take the traps' own test for dead code.
    command = [compiler, *FLAGS, "-fno-builtin", f"-I{SOURCES}", "-o", str(program), *sources]
    built = subprocess.run(
        [*command, *(f"-l{name}" for name in LIBRARIES), "-lpthread"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stderr
    done = subprocess.run([program], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout == "0 calls\n"
