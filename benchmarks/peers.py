"""The peers that the benchmarks measure beside the engine, made ready once and then cached.

    python -m benchmarks.peers           # everything; prints where it is (`make peers`)

PJMEDIA is built as static libraries for each set of compiler flags, from the source that
``firmware/calls/pjsip/build.py`` fetches for the unit's own SIP stack.  rtpengine is only unpacked:
a package that is installed starts its daemon.  librem and GStreamer are installed for their
headers.  What is not here is a row with a remedy in the tables, never a failure.
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType

from openturret.lab.setup.debian import BuildTools, ServerSysroot
from openturret.lab.setup.errors import SetupError
from openturret.lab.setup.shell import Shell
from openturret.lab.tools import Tool, cache_folder

HERE = Path(__file__).resolve().parent
RECIPE = HERE.parent / "firmware" / "calls" / "pjsip" / "build.py"
REMEDY = "make peers"
LIBRARIES = ("pjlib", "pjlib-util", "pjnath", "pjmedia")
BUILDS = {
    "stock": ("-O2", "-DNDEBUG"),
    "native": ("-O3", "-march=native", "-DNDEBUG"),
}
"""The compiler's flags of each build."""
OPTIONS: dict[str, tuple[str, ...]] = {"stock": (), "native": ("--enable-epoll",)}
"""What configure is told besides; by default PJLIB waits with select."""
CONFIG = (
    "#define PJMEDIA_HAS_VIDEO 0\n"
    "#define PJMEDIA_CONF_USE_SWITCH_BOARD 0\n"
    "#define PJ_IOQUEUE_MAX_HANDLES 512\n"
)
RTPENGINE_PACKAGES = ("rtpengine-daemon",)
HEADER_PACKAGES = (
    "gstreamer1.0-plugins-base",
    "libgstreamer1.0-dev",
    "libre-dev",
    "librem-dev",
    "pkg-config",
)


class PeerError(Exception):
    """A peer cannot be built or run here: why, and the remedy."""

    def __init__(self, reason: str, remedy: str = REMEDY) -> None:
        super().__init__(f"{reason} (remedy: {remedy})")


def recipe() -> ModuleType:
    """Loads the unit's own recipe for PJSIP, which knows where the source is and what to omit.

    Raises:
        PeerError: Outside a whole checkout.
    """
    spec = importlib.util.spec_from_file_location("pjsip_build", RECIPE)
    if spec is None or spec.loader is None:
        raise PeerError(f"{RECIPE} is missing", "use a whole checkout")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look themselves up
    spec.loader.exec_module(module)
    return module


def source_archive() -> Path:
    """Returns the cached source of pjproject.

    Raises:
        PeerError: When nobody has fetched it yet.
    """
    found = sorted((cache_folder() / "pjproject").glob("*pjproject*.tar.*"))
    if not found:
        raise PeerError("the source of pjproject is not in the cache")
    return found[-1]


def _processor() -> str:
    """What -march=native depends on, so that a cache that moved is not run elsewhere."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return "".join(sorted({line for line in lines if line.startswith(("flags", "Features"))}))


def _folder_for(build: str, archive: Path, disabled: Sequence[str]) -> Path:
    """Names the cached build by everything that shapes it."""
    parts = (archive.name, BUILDS[build], OPTIONS[build], tuple(disabled), CONFIG, LIBRARIES,
             _processor())  # fmt: skip
    mark = hashlib.sha256(repr(parts).encode()).hexdigest()[:12]
    return cache_folder() / "peers" / f"pjproject-{build}-{mark}"


def _compile(source: Path, build: str, disabled: Sequence[str], log: Path) -> None:
    (source / "pjlib/include/pj/config_site.h").write_text(CONFIG)
    makefile = source / "pjmedia/build/Makefile"
    makefile.write_text(makefile.read_text().replace("bdimad_dev.o", ""))
    for name in LIBRARIES:
        (source / name / "lib").mkdir(exist_ok=True)
    configure = ["./aconfigure", f"CFLAGS={' '.join(BUILDS[build])}", *OPTIONS[build]]
    commands = [[*configure, *(f"--disable-{name}" for name in disabled)]]
    commands += [
        ["make", f"-j{os.cpu_count()}", "-C", f"{name}/build", "lib"] for name in LIBRARIES
    ]
    with log.open("wb") as output:
        for command in commands:
            done = subprocess.run(
                command, cwd=source, stdin=subprocess.DEVNULL, stdout=output, stderr=output
            )
            if done.returncode:
                raise PeerError(f"building PJMEDIA: {command[0]} failed", f"see {log}")


def _keep(source: Path, folder: Path) -> None:
    """Copies headers and archives beside the final name and renames them there."""
    partial = folder.with_suffix(".partial")
    shutil.rmtree(partial, ignore_errors=True)
    for name in LIBRARIES:
        shutil.copytree(source / name / "include", partial / name / "include")
        (partial / name / "lib").mkdir()
        for archive in (source / name / "lib").glob("*.a"):
            shutil.copy2(archive, partial / name / "lib" / archive.name)
    partial.replace(folder)


def pjproject(build: str) -> Path:
    """Returns the folder of PJMEDIA's libraries, "stock" or "native", building what is not there.

    Raises:
        PeerError: When the source or a tool is missing, or a step fails.
    """
    archive, disabled = source_archive(), recipe().DISABLED
    folder = _folder_for(build, archive, disabled)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / ".lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        if folder.exists():
            return folder
        for tool in ("gcc", "make", "xz"):
            if shutil.which(tool) is None:
                raise PeerError(f"{tool} is missing", f"apt-get install {tool} libc6-dev xz-utils")
        with tempfile.TemporaryDirectory(prefix="pjproject-") as work:
            subprocess.run(
                ["tar", "xf", str(archive), "-C", work, "--strip-components=1"], check=True
            )
            _compile(Path(work), build, disabled, folder.with_suffix(".log"))
            _keep(Path(work), folder)
    return folder


def link_arguments(folder: Path) -> list[str]:
    """Returns what a C program against the libraries in `folder` is compiled with."""
    includes = [f"-isystem{folder / name / 'include'}" for name in LIBRARIES]
    archives = [str(path) for name in LIBRARIES for path in sorted((folder / name).glob("lib/*.a"))]
    defines = ["-DPJ_AUTOCONF=1", "-DPJ_IS_BIG_ENDIAN=0", "-DPJ_IS_LITTLE_ENDIAN=1"]
    libraries = ["-lssl", "-lcrypto", "-luuid", "-lm", "-lpthread"]
    return [*defines, *includes, "-Wl,--start-group", *archives, "-Wl,--end-group", *libraries]


def rtpengine() -> Tool:
    """Returns the unpacked rtpengine and what it needs to run.

    Raises:
        PeerError: When it is not unpacked.
    """
    root = cache_folder() / "peers" / "rtpengine"
    program = root / "usr" / "bin" / "rtpengine"
    if not program.exists():
        raise PeerError("rtpengine is not unpacked")
    base = sorted([*root.glob("usr/lib/*-linux-*"), *root.glob("lib/*-linux-*")])
    folders = [path for lib in base for path in (lib, *(p for p in lib.iterdir() if p.is_dir()))]
    libraries = [path for path in folders if any(path.glob("*.so.*"))]
    return Tool(program, {"LD_LIBRARY_PATH": os.pathsep.join(map(str, libraries))}, root)


def _fetch_source() -> str:
    try:
        return str(source_archive())
    except PeerError:
        folder = cache_folder() / "pjproject"
        subprocess.run([sys.executable, str(RECIPE), "--download", str(folder)], check=True)
        return str(source_archive())


def make_ready(say: Callable[[str], None]) -> int:
    """Installs, unpacks and builds every peer; returns how many could not be had."""
    shell = Shell(cache_folder() / "log" / "peers.log")
    steps: dict[str, Callable[[], object]] = {
        "headers of librem and GStreamer": lambda: BuildTools(
            system_python=False, more=HEADER_PACKAGES
        ).install(shell),
        "rtpengine": lambda: ServerSysroot(RTPENGINE_PACKAGES, "peers/rtpengine").unpack(shell),
        "source of pjproject": _fetch_source,
        "PJMEDIA, stock": lambda: pjproject("stock"),
        "PJMEDIA, native": lambda: pjproject("native"),
    }
    failed = 0
    for name, step in steps.items():
        try:
            say(f"{name}: {step()}")
        except (PeerError, SetupError, subprocess.CalledProcessError) as error:
            failed += 1
            say(f"{name}: {error}")
    return failed


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(make_ready(_say) > 0)
