"""Every variant of the kernels against plain C, on this processor and on an emulated ARM."""

import os
import platform
import shutil
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).parent
SOURCES = HERE.parents[1] / "c_ext"
KERNELS = [
    *sorted(SOURCES.glob("kernels*.c")),
    *(SOURCES / f"{n}.c" for n in ("mix", "g711", "level")),
]
FLAGS = ["-D_GNU_SOURCE", "-std=gnu11", "-O3", "-ffp-contract=off", "-Wall", "-Wextra", "-Werror"]
ARM_PACKAGES = "gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user"
NATIVE = {"x86_64": {"base", "sse2"}, "aarch64": {"base", "neon"}}


def tool(name: str, packages: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is missing: apt-get install --no-install-recommends {packages}")
    return found


def run(command: list[str]) -> subprocess.CompletedProcess[str]:
    # A sanitizer that is loaded into Python does not belong into a compiler or an emulator.
    env = {name: value for name, value in os.environ.items() if name != "LD_PRELOAD"}
    return subprocess.run(
        command, capture_output=True, text=True, timeout=120, check=False, env=env
    )


def build(compiler: str, folder: Path, *flags: str) -> str:
    program = folder / "variants"
    sources = map(str, [HERE / "variants.c", *KERNELS])
    done = run([compiler, *FLAGS, *flags, "-o", str(program), *sources, "-lm"])
    assert done.returncode == 0, done.stderr
    return str(program)


def variants_of(*command: str) -> set[str]:
    """Runs the comparison and returns the variants that were compared."""
    done = run(list(command))
    assert done.returncode == 0, done.stdout + done.stderr
    return set(done.stdout.split())


@pytest.mark.slow
def test_every_variant_of_this_processor_gives_the_bits_of_plain_c(tmp_path: Path) -> None:
    program = build(tool(os.environ.get("CC", "gcc"), "gcc libc6-dev"), tmp_path)
    assert NATIVE.get(platform.machine(), {"base"}) <= variants_of(program)


@pytest.mark.slow
def test_neon_gives_the_bits_of_plain_c(tmp_path: Path) -> None:
    compiler = tool("aarch64-linux-gnu-gcc", ARM_PACKAGES)
    emulator = tool("qemu-aarch64", ARM_PACKAGES)
    program = build(compiler, tmp_path, "-static")
    assert variants_of(emulator, program) == {"base", "neon"}
