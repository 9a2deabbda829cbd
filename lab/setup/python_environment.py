"""The virtual environment of the checkout and the wheels that go into it."""

import os
import shutil
import sys
from pathlib import Path

from ..errors import ToolMissingError
from ..tools import Tool, cache_folder, tool
from .cache import Stamp, fingerprint, fingerprint_files
from .errors import SetupError
from .shell import Shell, output_of

PYPI_REMEDY = "check that this machine reaches its Python package index, then run the command again"
SOURCE_FOLDERS = ("boot", "c_ext", "drivers", "firmware", "hal", "lab")
BUILT_SUFFIXES = {".pyc", ".so", ".o"}
GENERATED = "_engine.c"


def is_system_python() -> bool:
    """Whether set-up runs on Debian's own interpreter, whose headers are a separate package."""
    return Path(sys.executable).resolve().parent == Path("/usr/bin")


def wheel_cache() -> Path:
    """Where the wheels that we build ourselves are kept."""
    return cache_folder() / "wheels"


class PjsuaWheel:
    """pjsua2, built from source once and kept per user."""

    def __init__(self, checkout: Path) -> None:
        self._builder = checkout / "firmware" / "calls" / "pjsip" / "build.py"
        recipe = self._builder.parent
        self._mark = fingerprint_files(filter(Path.is_file, recipe.iterdir()), recipe)
        self._stamp = Stamp(wheel_cache() / f"pjsua2-{sys.implementation.cache_tag}.stamp")

    def build(self, shell: Shell) -> str:
        """Build the wheel unless one made by the same recipe is cached.

        Raises:
            SetupError: the source cannot be had or does not compile.
        """
        if self._stamp.holds(self._mark) and any(wheel_cache().glob("pjsua2-*.whl")):
            return "cached"
        swig = _swig()
        shell.run(
            sys.executable, self._builder, "--python", sys.executable,
            "--download", cache_folder() / "pjproject", "--out", wheel_cache(), "--swig", swig.path,
            env=swig.env,
            remedy="read the log it names; a failed download can simply be tried again",
        )  # fmt: skip
        self._stamp.set(self._mark)
        return "built"


def _swig() -> Tool:
    try:
        return tool("swig4.0")
    except ToolMissingError as error:
        raise SetupError(str(error), "apt-get install swig") from error


class FirmwareWheel:
    """Our own wheel: what the environment installs and what the bench ships as firmware."""

    def __init__(self, checkout: Path) -> None:
        self._checkout = checkout
        self._mark = fingerprint_files(_sources(checkout), checkout)
        self.folder = cache_folder() / "firmware" / self._mark

    def path(self) -> Path | None:
        """The built wheel, or None."""
        return next(self.folder.glob("openturret-*.whl"), None)

    def build(self, shell: Shell, python: Path) -> str:
        """Build the wheel (this compiles the engine) unless these very sources are cached.

        Raises:
            SetupError: the engine does not compile, or the build requirements cannot be had.
        """
        if self.path():
            return "cached"
        shutil.rmtree(self.folder.parent, ignore_errors=True)
        source = self.folder / "source"
        _copy_sources(self._checkout, source)
        shell.run(
            python, "-m", "pip", "wheel", "--no-deps", "--wheel-dir", self.folder, source,
            remedy="read the log; the engine needs gcc and the headers of Python",
        )  # fmt: skip
        shutil.rmtree(source)
        return "built"


def _sources(checkout: Path) -> list[Path]:
    inside = [
        path
        for folder in SOURCE_FOLDERS
        for path in (checkout / folder).rglob("*")
        if path.is_file() and path.suffix not in BUILT_SUFFIXES and path.name != GENERATED
    ]
    tops = ("pyproject.toml", "setup.py", "MANIFEST.in", "README.md", "LICENSE")
    return inside + [checkout / name for name in tops]


def _copy_sources(checkout: Path, target: Path) -> None:
    for path in _sources(checkout):
        copy = target / path.relative_to(checkout)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copy)


class VirtualEnvironment:
    """`.venv` of the checkout."""

    def __init__(self, checkout: Path) -> None:
        self._checkout = checkout
        self.folder = checkout / ".venv"
        self.python = self.folder / "bin" / "python"
        self._stamp = Stamp(self.folder / "requirements.stamp")
        self._product = Stamp(self.folder / "product.stamp")

    def create(self, shell: Shell) -> str:
        """Make the environment and install everything but ourselves.

        Raises:
            SetupError: venv is not available, or a requirement cannot be installed.
        """
        ours = (wheel.name for wheel in sorted(wheel_cache().glob("*.whl")))
        project = (self._checkout / "pyproject.toml").read_bytes()
        mark = fingerprint(sys.version, str(self.folder), project, *ours)
        if self._stamp.holds(mark) and self.python.exists():
            return "present"
        shell.run(
            sys.executable, "-m", "venv", "--clear", self.folder,
            remedy="on Debian: apt-get install python3-venv",
        )  # fmt: skip
        self._pip(shell, "--upgrade", "pip>=25.1")
        self._pip(shell, *self._requirements(), "tox>=4.30")
        self._stamp.set(mark)
        return "created"

    def install(self, shell: Shell, wheel: Path) -> str:
        """Install our own wheel when it changed."""
        mark = wheel.parent.name
        if self._product.holds(mark):
            return "present"
        self._pip(shell, "--no-deps", "--force-reinstall", wheel)
        self._product.set(mark)
        return "installed"

    def _requirements(self) -> list[str]:
        listed = output_of(self.python, "-c", _LIST_REQUIREMENTS, self._checkout / "pyproject.toml")
        return listed.splitlines()

    def _pip(self, shell: Shell, *words: str | Path) -> None:
        shell.run(
            self.python, "-m", "pip", "install", "--find-links", wheel_cache(), *words,
            remedy=PYPI_REMEDY, env={"PIP_DISABLE_PIP_VERSION_CHECK": "1"},
        )  # fmt: skip


_LIST_REQUIREMENTS = """
import sys, tomllib
data = tomllib.load(open(sys.argv[1], "rb"))
project, groups = data["project"], data["dependency-groups"]
extras = project["optional-dependencies"]
wanted = [one for name in ("unit", "rauc", "rig", "bench", "flash") for one in extras[name]]

def members(name):
    for one in groups[name]:
        yield from [one] if isinstance(one, str) else members(one["include-group"])

wanted += [*members("test"), *groups["lint"][:1]]
print(*project["dependencies"], *wanted, sep="\\n")
"""


def is_checkout(folder: Path) -> bool:
    """Whether a folder is a checkout of this project."""
    return all((folder / name).exists() for name in ("pyproject.toml", *SOURCE_FOLDERS))


def require_writable(folder: Path) -> None:
    """Check that set-up may write to the checkout.

    Raises:
        SetupError: it may not.
    """
    if not os.access(folder, os.W_OK):
        raise SetupError(
            f"{folder} cannot be written to",
            "run the command as the folder's owner, or in a clone of your own",
        )
