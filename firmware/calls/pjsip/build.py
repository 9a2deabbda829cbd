#!/usr/bin/env python3
"""Builds the pjsua2 wheel: PJSIP, its Python face and our request tap.

Needs nothing but Python, a C++ compiler, make, swig and the headers of OpenSSL,
UUID and Opus, so it runs before any virtual environment exists::

    python3 build.py --download DIR
    python3 build.py --tarball T --out DIR --python PY [--swig PATH]

The wheel is relocatable: PJSIP is linked in statically.  Its version is PJSIP's
own with a local tag that carries a hash of the flags and of the tap's source,
so that pip sees a changed build as another version.  The last line printed is
the path of the wheel.

PJSIP comes from the pjproject component of Debian's asterisk source package,
because the PyPI sdist does not build by itself.
"""

from __future__ import annotations

import argparse
import base64
import csv
import fcntl
import hashlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
TAP_SOURCES = ("request_tap.hpp", "request_tap.cpp", "request_tap.i")
PACKAGING = 1
"""Raise it when this recipe changes the wheel in a way no other input shows."""
OLDEST = (2, 15)
LIBRARIES = ("pjlib", "pjlib-util", "pjnath", "pjmedia", "pjsip")
CONFIG_SITE = {
    "PJSUA_MAX_CALLS": 64,
    "PJSUA_MAX_ACC": 16,
    "PJ_IOQUEUE_MAX_HANDLES": 256,
    "PJSIP_MAX_PKT_LEN": 32768,
    "PJSIP_MAX_TRANSPORTS": 64,
    "PJMEDIA_HAS_VIDEO": 0,
    "PJSIP_TD_TIMEOUT": 6000,
    "PJMEDIA_RTP_PT_TELEPHONE_EVENTS": 101,
    "PJ_ENABLE_EXTRA_CHECK": 1,
    "PJMEDIA_CONF_USE_SWITCH_BOARD": 1,
    "PJMEDIA_CONF_SWITCH_BOARD_BUF_SIZE": 16384,
}
"""An assert build aborts under legitimate load, so NDEBUG is set too; the default
transaction timeout makes fail-over over UDP take 42 s.  PJSIP's own bridge refuses codecs of
another rate unless it can resample; its switch board takes them once a frame of Opus fits,
and no sound is in either."""
COMPILE = ("-O1", "-g0", "-fPIC", "-DNDEBUG")
# fmt: off
DISABLED = (
    "sound", "video", "upnp", "resample", "libsrtp", "libyuv", "libwebrtc", "speex-aec",
    "speex-codec", "gsm-codec", "ilbc-codec", "g7221-codec", "l16-codec", "silk", "bcg729",
    "opencore-amr", "lyra", "sdl", "ffmpeg", "v4l2", "openh264", "vpx",
)
# fmt: on
SYSTEM_LIBRARIES = ("ssl", "crypto", "uuid", "opus", "m", "pthread")
DEBIAN_PACKAGES = "g++ make swig libopus-dev libssl-dev uuid-dev xz-utils"


class BuildError(Exception):
    """A step that could not be done: which, why, and the remedy."""

    def __init__(self, step: str, reason: str, remedy: str) -> None:
        super().__init__(f"{step}: {reason}\n  remedy: {remedy}")


@dataclass(frozen=True)
class Target:
    """The interpreter that the wheel is for."""

    executable: Path
    include: tuple[str, ...]
    suffix: str
    tag: str


class Steps:
    """Runs named steps: one progress line each, full output in a file."""

    def __init__(self, logs: Path, say: Callable[[str], None]) -> None:
        self.logs = logs
        self.say = say
        self.started = time.monotonic()
        self.logs.mkdir(parents=True, exist_ok=True)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Prints the line with the time the step took and the time so far."""
        before = time.monotonic()
        yield
        now = time.monotonic()
        self.say(f"pjsua2: {name:<24} {now - before:6.1f} s  (at {now - self.started:6.1f} s)")

    def run(
        self,
        name: str,
        commands: Sequence[Sequence[str]],
        *,
        cwd: Path,
        remedy: str,
        env: dict[str, str] | None = None,
    ) -> None:
        """Runs the commands of a step one after the other.

        Raises:
            BuildError: When one cannot be started or fails.
        """
        log = self.logs / f"{name.replace(' ', '-')}.log"
        with self.step(name), log.open("wb") as output:
            for command in commands:
                self._run_one(name, command, output, cwd=cwd, remedy=remedy, env=env)

    def _run_one(
        self,
        name: str,
        command: Sequence[str],
        output: io.BufferedWriter,
        *,
        cwd: Path,
        remedy: str,
        env: dict[str, str] | None,
    ) -> None:
        output.write((" ".join(command) + "\n").encode())
        output.flush()
        try:
            result = subprocess.run(
                command, cwd=cwd, env=env, stdin=subprocess.DEVNULL, stdout=output, stderr=output
            )
        except OSError as error:
            raise BuildError(name, f"{command[0]}: {error.strerror}", remedy) from error
        if result.returncode:
            tail = "\n  ".join(Path(output.name).read_text(errors="replace").splitlines()[-12:])
            reason = f"{command[0]} ended with {result.returncode}, log {output.name}\n  {tail}"
            raise BuildError(name, reason, remedy)


def find_tool(name: str, package: str) -> str:
    """Returns the path of a program of the build.

    Raises:
        BuildError: When it is not installed.
    """
    found = shutil.which(name)
    if found is None:
        raise BuildError("tools", f"{name} is not installed", f"apt-get install {package}")
    return found


def check_tools() -> None:
    """Looks for everything that is needed before minutes are spent.

    Raises:
        BuildError: When a program or a header is missing.
    """
    for name, package in (("g++", "g++"), ("make", "make"), ("xz", "xz-utils"), ("ar", "binutils")):
        find_tool(name, package)
    probe = "#include <openssl/ssl.h>\n#include <uuid/uuid.h>\n#include <opus/opus.h>\n"
    result = subprocess.run(
        ["g++", "-E", "-x", "c++", "-"], input=probe.encode(), capture_output=True
    )
    if result.returncode:
        reason = result.stderr.decode(errors="replace").strip().splitlines()[0]
        raise BuildError("tools", reason, "apt-get install libopus-dev libssl-dev uuid-dev")


def swig_command(swig: Path | None) -> tuple[str, dict[str, str]]:
    """Returns swig and the environment it needs; an unpacked one needs SWIG_LIB."""
    path = str(swig) if swig else find_tool("swig", "swig")
    library = Path(path).resolve().parent.parent / "share" / "swig4.0"
    env = dict(os.environ)
    if swig and library.is_dir():
        env.setdefault("SWIG_LIB", str(library))
    return path, env


def inspect_python(executable: Path) -> Target:
    """Asks the interpreter for what an extension module needs.

    Raises:
        BuildError: When it does not run or its headers are missing.
    """
    question = (
        "import json,sys,sysconfig as s;print(json.dumps([s.get_path('include'),"
        "s.get_path('platinclude'),s.get_config_var('EXT_SUFFIX'),"
        "'cp%d%d'%sys.version_info[:2],s.get_platform()]))"
    )
    try:
        answer = subprocess.run(
            [str(executable), "-c", question], capture_output=True, check=True, text=True
        )
    except (OSError, subprocess.CalledProcessError) as error:
        raise BuildError(
            "python", f"{executable}: {error}", "give --python a Python 3.11+"
        ) from error
    include, platform_include, suffix, abi, platform = json.loads(answer.stdout)
    if not (Path(include) / "Python.h").exists():
        raise BuildError("python", f"no Python.h in {include}", "apt-get install python3-dev")
    tag = f"{abi}-{abi}-{re.sub('[^A-Za-z0-9_]', '_', platform)}"
    return Target(executable, tuple({include, platform_include}), suffix, tag)


def cache_key(target: Target) -> str:
    """Hashes everything that shapes the wheel besides PJSIP itself."""
    digest = hashlib.sha256()
    for part in (PACKAGING, CONFIG_SITE, COMPILE, DISABLED, SYSTEM_LIBRARIES, target.tag):
        digest.update(repr(part).encode())
    for name in TAP_SOURCES:
        digest.update((HERE / name).read_bytes())
    return "g" + digest.hexdigest()[:8]


def read_version(version_mak: str) -> str:
    """Reads PJSIP's own version from its version.mak.

    Raises:
        BuildError: When it is older than what this recipe was made for.
    """
    fields = dict(re.findall(r"PJ_VERSION_(\w+)\s*:=[ \t]*(\S*)", version_mak))
    numbers = [fields.get("MAJOR", ""), fields.get("MINOR", ""), fields.get("REV", "")]
    if not (numbers[0].isdigit() and numbers[1].isdigit()):
        raise BuildError("version", "version.mak names no version", "give another --tarball")
    version = ".".join(part for part in numbers if part)
    if (int(numbers[0]), int(numbers[1])) < OLDEST:
        raise BuildError("version", f"pjproject {version} is too old", "2.15 or newer is needed")
    return version


def tarball_version(tarball: Path) -> str:
    """Reads the version out of the archive without unpacking it.

    Raises:
        BuildError: When the archive is not a pjproject source.
    """
    listing = subprocess.run(["tar", "tf", str(tarball)], capture_output=True, text=True)
    names = [n for n in listing.stdout.splitlines() if re.fullmatch(r"[^/]+/version\.mak", n)]
    if listing.returncode or not names:
        reason = f"{tarball} is not a pjproject source archive"
        raise BuildError("tarball", reason, "fetch it again with --download")
    text = subprocess.run(
        ["tar", "xOf", str(tarball), names[0]], capture_output=True, text=True, check=True
    )
    return read_version(text.stdout)


def write_config(source: Path) -> None:
    """Writes config_site.h and drops the one file that Debian prunes."""
    lines = (f"#define {name} {value}\n" for name, value in CONFIG_SITE.items())
    (source / "pjlib/include/pj/config_site.h").write_text("".join(lines))
    makefile = source / "pjmedia/build/Makefile"
    makefile.write_text(makefile.read_text().replace("bdimad_dev.o", ""))


def build_libraries(steps: Steps, source: Path, jobs: int) -> None:
    """Configures and compiles PJSIP's static libraries."""
    flags = " ".join(COMPILE)
    configure = ["./aconfigure", f"CFLAGS={flags}", f"CXXFLAGS={flags}"]
    configure += [f"--disable-{name}" for name in DISABLED]
    remedy = f"apt-get install {DEBIAN_PACKAGES}"
    steps.run("configure", [configure], cwd=source, remedy=remedy)
    for name in LIBRARIES:
        (source / name / "lib").mkdir(exist_ok=True)
    make = [["make", f"-j{jobs}", "-C", f"{name}/build", "lib"] for name in LIBRARIES]
    steps.run("compile PJSIP", make, cwd=source, remedy=remedy)


def includes(source: Path) -> list[str]:
    """Returns the -I options of PJSIP and of the tap."""
    return [f"-I{source / name / 'include'}" for name in LIBRARIES] + [f"-I{HERE}"]


def build_extension(steps: Steps, source: Path, work: Path, target: Target, swig: str,
                    env: dict[str, str]) -> Path:  # fmt: skip
    """Generates the wrapper, compiles it with the tap and links the module."""
    interface = work / "pjsua2.i"
    original = source / "pjsip-apps/src/swig/pjsua2.i"
    interface.write_text(original.read_text() + (HERE / "request_tap.i").read_text())
    generate = [swig, *includes(source), f"-I{original.parent}", "-c++", "-w312", "-threads"]
    generate += ["-python", "-outdir", str(work), "-o", str(work / "pjsua2_wrap.cpp")]
    steps.run(
        "generate wrapper",
        [[*generate, str(interface)]],
        cwd=work,
        env=env,
        remedy="apt-get install swig",
    )
    flags = [*COMPILE, "-w", "-fvisibility=hidden", "-DPJ_AUTOCONF=1", "-DPJ_IS_BIG_ENDIAN=0",
             "-DPJ_IS_LITTLE_ENDIAN=1", *includes(source)]  # fmt: skip
    flags += [f"-I{path}" for path in target.include]
    units = [(HERE / "request_tap.cpp", "request_tap.o"), (work / "pjsua2_wrap.cpp", "wrap.o")]
    compiles = [["g++", *flags, "-c", str(unit), "-o", str(work / name)] for unit, name in units]
    steps.run("compile wrapper", compiles, cwd=work, remedy="see the log; 1 GB of memory is needed")
    module = work / f"_pjsua2{target.suffix}"
    archives = [str(path) for name in LIBRARIES for path in sorted((source / name).glob("lib/*.a"))]
    link = ["g++", "-shared", "-o", str(module), *(str(work / name) for _, name in units),
            "-Wl,--start-group", *archives, "-Wl,--end-group", "-Wl,--exclude-libs,ALL",
            "-Wl,-Bsymbolic", "-Wl,--gc-sections", "-Wl,-s",
            *(f"-l{name}" for name in SYSTEM_LIBRARIES)]  # fmt: skip
    steps.run("link", [link], cwd=work, remedy=f"apt-get install {DEBIAN_PACKAGES}")
    return module


def record_line(name: str, content: bytes) -> tuple[str, str, int]:
    """Returns the row of a file in the wheel's RECORD (PEP 376)."""
    digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
    return name, f"sha256={digest}", len(content)


def pack(files: dict[str, bytes], version: str, target: Target, out: Path) -> Path:
    """Writes the wheel (PEP 427) beside its final name and renames it there."""
    info = f"pjsua2-{version}.dist-info"
    contents = dict(files)
    contents[f"{info}/METADATA"] = (
        f"Metadata-Version: 2.1\nName: pjsua2\nVersion: {version}\n"
        "Summary: PJSIP's pjsua2 with OpenTurret's request tap\nLicense: GPL-2.0-or-later\n"
    ).encode()
    contents[f"{info}/WHEEL"] = (
        f"Wheel-Version: 1.0\nGenerator: openturret\nRoot-Is-Purelib: false\nTag: {target.tag}\n"
    ).encode()
    rows = io.StringIO()
    writer = csv.writer(rows, lineterminator="\n")
    writer.writerows(record_line(name, content) for name, content in contents.items())
    writer.writerow((f"{info}/RECORD", "", ""))
    contents[f"{info}/RECORD"] = rows.getvalue().encode()
    wheel = out / f"pjsua2-{version}-{target.tag}.whl"
    unfinished = wheel.with_suffix(".part")
    with zipfile.ZipFile(unfinished, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in contents.items():
            archive.writestr(zipfile.ZipInfo(name, (2020, 1, 1, 0, 0, 0)), content)
    unfinished.replace(wheel)
    return wheel


def remove_older(out: Path, wheel: Path, target: Target) -> None:
    """Leaves one wheel per interpreter, so that --find-links cannot pick a stale one."""
    for other in out.glob(f"pjsua2-*-{target.tag}.whl"):
        if other != wheel:
            other.unlink()


@contextmanager
def locked(out: Path) -> Iterator[None]:
    """Lets one build at a time fill the cache; the second finds the first one's wheel."""
    out.mkdir(parents=True, exist_ok=True)
    with (out / ".pjsua2.lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def build(tarball: Path, out: Path, python: Path, swig: Path | None, *, jobs: int,
          say: Callable[[str], None]) -> Path:  # fmt: skip
    """Returns the wheel, from the cache when nothing that shapes it has changed.

    Raises:
        BuildError: Naming the step, the reason and the remedy.
    """
    target = inspect_python(python)
    version = f"{tarball_version(tarball)}+openturret{PACKAGING}.{cache_key(target)}"
    wheel = out / f"pjsua2-{version}-{target.tag}.whl"
    with locked(out):
        if wheel.exists():
            say(f"pjsua2: {version} is in the cache")
            return wheel
        check_tools()
        swig_path, env = swig_command(swig)
        steps = Steps(out / "pjsua2-logs", say)
        with tempfile.TemporaryDirectory(prefix="pjsua2-") as folder:
            work = Path(folder)
            source = work / "pjproject"
            source.mkdir()
            untar = ["tar", "xf", str(tarball), "-C", str(source), "--strip-components=1"]
            steps.run("unpack", [untar], cwd=work, remedy="fetch it again with --download")
            write_config(source)
            build_libraries(steps, source, jobs)
            module = build_extension(steps, source, work, target, swig_path, env)
            files = {"pjsua2.py": (work / "pjsua2.py").read_bytes()}
            files[module.name] = module.read_bytes()
            with steps.step("pack"):
                pack(files, version, target, out)
        remove_older(out, wheel, target)
    return wheel


def apt_options(folder: Path) -> list[str]:
    """Points apt at a source list and a state of our own: the machine's stay as they are."""
    return [
        "-o", f"Dir::Etc::sourcelist={folder / 'sources.list'}",
        "-o", "Dir::Etc::sourceparts=/dev/null",
        "-o", f"Dir::State::Lists={folder / 'lists'}",
        "-o", f"Dir::Cache={folder / 'cache'}",
    ]  # fmt: skip


def machine_mirror() -> str:
    """Returns the mirror that this machine already uses.

    Raises:
        BuildError: Where apt or its package lists are missing.
    """
    remedy = "give --tarball a pjproject source archive, 2.15 or newer"
    query = ["apt-get", "indextargets", "--format", "$(REPO_URI)"]
    query += ["Created-By: Packages", "Label: Debian"]
    try:
        answer = subprocess.run(query, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise BuildError("mirror", f"apt-get indextargets: {error}", remedy) from error
    mirrors = answer.stdout.split()
    if not mirrors:
        reason = "apt knows no package list of Debian's"
        raise BuildError("mirror", reason, f"apt-get update, or {remedy}")
    return mirrors[0]


def download(folder: Path, say: Callable[[str], None]) -> Path:
    """Fetches the pjproject source through apt, which verifies signature and hash.

    Raises:
        BuildError: Naming the step, the reason and the remedy.
    """
    folder.mkdir(parents=True, exist_ok=True)
    present = sorted(folder.glob("*pjproject*.tar.*"))
    if present:
        say(f"pjsua2: {present[-1].name} is in the cache")
        return present[-1]
    apt = folder / "apt"
    for name in ("lists/partial", "cache/archives/partial"):
        (apt / name).mkdir(parents=True, exist_ok=True)
    key = "/usr/share/keyrings/debian-archive-keyring.gpg"
    (apt / "sources.list").write_text(
        f"deb-src [signed-by={key}] {machine_mirror()} unstable main\n"
    )
    steps = Steps(folder / "logs", say)
    remedy = "check the network, or give --tarball a pjproject source archive, 2.15 or newer"
    run = ["apt-get", *apt_options(apt)]
    steps.run(
        "read source index",
        [[*run, "--option=APT::Update::Error-Mode=any", "update"]],
        cwd=folder,
        remedy=remedy,
    )
    fetch = [*run, "source", "--download-only", "asterisk"]
    steps.run("download source", [fetch], cwd=folder, remedy=remedy)
    found = sorted(folder.glob("*pjproject*.tar.*"))
    if not found:
        raise BuildError("download source", "the package has no pjproject component", remedy)
    return found[-1]


def parse_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        description="Builds the pjsua2 wheel with OpenTurret's request tap.",
        epilog=f"Debian packages needed: {DEBIAN_PACKAGES}",
    )
    parser.add_argument("--download", type=Path, metavar="DIR", help="fetch the source into DIR")
    parser.add_argument("--tarball", type=Path, help="pjproject source archive, 2.15 or newer")
    parser.add_argument("--out", type=Path, metavar="DIR", help="where the wheel goes (a cache)")
    parser.add_argument("--python", type=Path, default=Path(sys.executable), metavar="PY",
                        help="the interpreter the wheel is for (default: this one)")  # fmt: skip
    parser.add_argument("--swig", type=Path, metavar="PATH", help="default: swig from PATH")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="default: every core")
    options = parser.parse_args(arguments)
    if options.out and not (options.tarball or options.download):
        parser.error("--out needs --tarball or --download")
    if not (options.out or options.download):
        parser.error("nothing to do: give --download, or --tarball and --out")
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit status."""
    options = parse_arguments(arguments)

    def say(line: str) -> None:
        sys.stdout.write(line + "\n")
        sys.stdout.flush()

    try:
        source = options.tarball or download(options.download, say)
        result = source
        if options.out:
            result = build(source.resolve(), options.out.resolve(), options.python, options.swig,
                           jobs=options.jobs, say=say)  # fmt: skip
    except BuildError as error:
        sys.stderr.write(f"pjsua2: {error}\n")
        return 1
    say(str(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
