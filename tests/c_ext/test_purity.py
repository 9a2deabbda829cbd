"""The tick allocates nothing, takes no lock, writes nothing, asks the kernel for sockets only."""

import platform
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from openturret.c_ext.engine_build import LIBRARIES

HERE = Path(__file__).parent
SOURCES = HERE.parents[1] / "c_ext"
FLAGS = ["-D_GNU_SOURCE", "-std=gnu11", "-O1", "-g", "-ffp-contract=off", "-rdynamic",
         "-fno-builtin", "-fno-omit-frame-pointer", "-Wall", "-Wextra",
         "-Wl,--wrap=ot_shield_step"]  # fmt: skip
UNAVAILABLE = 77
GETPPID = {"x86_64": "system call 110", "aarch64": "system call 173"}[platform.machine()]

pytestmark = pytest.mark.slow


def build(folder: Path, engine: Path) -> Path:
    compiler = shutil.which("gcc")
    if compiler is None:
        pytest.skip("no C compiler: apt-get install gcc libc6-dev")
    program = folder / "purity"
    sources = [HERE / "purity.c", HERE / "workload.c", *sorted(engine.glob("[!_]*.c"))]
    libraries = [f"-l{name}" for name in (*LIBRARIES, "pthread", "dl")]
    done = subprocess.run(
        [compiler, *FLAGS, f"-I{engine}", f"-I{HERE}", "-o", program, *sources, *libraries],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return program


def run(program: Path) -> subprocess.CompletedProcess[str]:
    done = subprocess.run([program], capture_output=True, text=True, timeout=120, check=False)
    if done.returncode == UNAVAILABLE:
        pytest.skip("no seccomp filter to be had: run outside of this container or sandbox")
    return done


def engine_with(folder: Path, file: str, before: str, addition: str) -> Path:
    """Copies the engine and puts a statement where a function begins."""
    engine = folder / "engine"
    shutil.copytree(SOURCES, engine, ignore=shutil.ignore_patterns("*.so", "__pycache__"))
    source = (engine / file).read_text()
    changed, times = re.subn(
        rf"^({re.escape(before)}\([^)]*\)\n{{\n)", rf"\1{addition}\n", source, flags=re.MULTILINE
    )
    assert times == 1, f"{file} has no {before}"
    (engine / file).write_text(changed)
    return engine


def test_a_tick_does_nothing_but_socket_io(tmp_path: Path) -> None:
    done = run(build(tmp_path, SOURCES))
    assert done.returncode == 0, done.stdout + done.stderr
    phases = re.findall(r"^(by hand|thread): (\d+) ticks, (\d+) socket calls", done.stdout, re.M)
    assert [name for name, *_ in phases] == ["by hand", "thread"]
    assert all(int(ticks) > 300 and int(calls) > int(ticks) for _, ticks, calls in phases)


PLANTS = {
    "malloc": "extern void *malloc(size_t); extern void free(void *); free(malloc(1));",
    "pthread_mutex_lock": "extern int pthread_mutex_lock(void *);"
    " static long lock[8]; pthread_mutex_lock(lock);"
    " extern int pthread_mutex_unlock(void *); pthread_mutex_unlock(lock);",
    "vfprintf": 'extern int printf(const char *, ...); printf("%s", "");',
    "write": 'extern long write(int, const void *, size_t); write(2, "", 0);',
    GETPPID: "extern int getppid(void); getppid();",
}
"""What is planted into the parser of RTP, by what the watch must say of it."""


def test_what_does_not_belong_into_a_tick_is_seen(tmp_path: Path) -> None:
    engine = engine_with(tmp_path, "rtp.c", "int ot_rtp_parse", " ".join(PLANTS.values()))
    done = run(build(tmp_path, engine))
    assert done.returncode == 1, done.stdout + done.stderr
    for phase in done.stdout.split("thread: ", 1):
        for what in PLANTS:
            assert re.search(rf"fault: {what}\n(    .*\n){{0,5}}    ot_rtp_parse ", phase), what
