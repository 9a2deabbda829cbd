"""`python3 -m openturret.lab.setup`: what `make demo` and `make test` do first."""

import argparse
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path

from .. import namespace
from ..errors import LabError
from ..tools import cache_folder
from .debian import PEER_PACKAGES, RIVAL_PACKAGES, TEST_PACKAGES, BuildTools, ServerSysroot
from .errors import SetupError
from .guest import GuestKernel, GuestTools
from .python_environment import (
    FirmwareWheel,
    PjsuaWheel,
    VirtualEnvironment,
    is_checkout,
    is_system_python,
    require_writable,
)
from .shell import Shell

EXIT_FAILED = 1
EXIT_INTERRUPTED = 130
STORAGE_REMEDY = "make room, or set XDG_CACHE_HOME to a folder that you may write to"
LEFTOVERS = (".venv", ".tox", ".mypy_cache", ".pytest_cache", ".ruff_cache", ".hypothesis",
                   ".import_linter_cache", "build", "dist", "report", "openturret.egg-info",
                   ".coverage")  # fmt: skip


def say(text: str) -> None:
    """Write one line of progress."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def check_namespaces(_: Shell) -> str:
    """Check that the bench may create its namespaces.

    Raises:
        SetupError: the kernel or the container forbids it.
    """
    try:
        namespace.check()
    except LabError as error:
        raise SetupError("the bench cannot have its namespaces", str(error)) from error
    return "allowed"


class SetUp:
    """The steps, in order, each with a line that says how long it took."""

    def __init__(self, checkout: Path, *, tests: bool = False) -> None:
        self._checkout = checkout
        self._tests = tests
        self._tools = BuildTools(
            system_python=is_system_python(), more=TEST_PACKAGES if tests else ()
        )
        self._environment = VirtualEnvironment(checkout)
        self._firmware = FirmwareWheel(checkout)

    def run(self) -> None:
        """Do every step that is not done yet.

        Raises:
            SetupError: a step cannot be done.
        """
        step("build tools", self._tools.install)
        step("namespaces", check_namespaces)
        step("bench servers", ServerSysroot().unpack)
        if self._tests:
            step("tests' peers", ServerSysroot(PEER_PACKAGES, "peers").unpack)
            step("and a rival", ServerSysroot(RIVAL_PACKAGES, "rivals").unpack)
        step("pjsua2 wheel", PjsuaWheel(self._checkout).build)
        step("python packages", self._environment.create)
        step(
            "engine, firmware", lambda shell: self._firmware.build(shell, self._environment.python)
        )
        step("openturret", self._install)
        step("speech", self._speak)

    def run_guest(self) -> None:
        """Do the steps that a QEMU guest needs beside the others.

        Raises:
            SetupError: a step cannot be done.
        """
        step("guest tools", GuestTools().unpack)
        step("guest kernel", GuestKernel().unpack)

    def _install(self, shell: Shell) -> str:
        wheel = self._firmware.path()
        if wheel is None:
            raise SetupError("the firmware wheel was not built", "read the log of the step before")
        return self._environment.install(shell, wheel)

    def _speak(self, shell: Shell) -> str:
        shell.run(
            self._environment.python, "-m", "openturret.lab.speech",
            remedy="read the log; the sentences are spoken by espeak-ng", cwd=cache_folder(),
        )  # fmt: skip
        return "ready"


def step(name: str, work: Callable[[Shell], str]) -> None:
    """Do one step and say what came of it and how long it took."""
    sys.stdout.write(f"  {name:<18}")
    sys.stdout.flush()
    started = time.monotonic()
    log = cache_folder() / "log" / f"{name.replace(', ', '-').replace(' ', '-')}.log"
    result = work(Shell(log))
    say(f"{result:<44.44} {time.monotonic() - started:6.1f} s")


def clean(checkout: Path) -> None:
    """Take back what set-up did to the checkout and the host; the cache stays."""
    for name in LEFTOVERS:
        path = checkout / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    for made in checkout.glob("c_ext/_engine.*"):
        if made.suffix in {".c", ".o", ".so"}:
            made.unlink()
    for bytecode in [*checkout.rglob("__pycache__")]:
        shutil.rmtree(bytecode)
    step("packages", BuildTools(system_python=True).remove)
    say(f"  the cache stays: {cache_folder()}")


def main(argv: list[str] | None = None) -> int:
    """Set up, or with `--clean` take it back.

    Returns:
        The exit status: 0 when it is done, 1 when a step cannot be done, 130 after Ctrl-C.
    """
    parser = argparse.ArgumentParser(
        prog="python3 -m openturret.lab.setup",
        description="Installs what the bench needs: a few build packages, the bench's servers "
        "(unpacked privately, nothing is started), the pjsua2 wheel, .venv, the engine.",
    )
    parser.add_argument("--tests", action="store_true", help="what the tests need beside it")
    parser.add_argument("--guest", action="store_true", help="what a QEMU guest needs beside it")
    parser.add_argument("--clean", action="store_true", help="undo it all but the cache")
    options = parser.parse_args(argv)
    checkout = Path.cwd()
    if not is_checkout(checkout):
        parser.error("run it from a checkout of OpenTurret")
    try:
        require_writable(checkout)
        _do(checkout, options)
    except SetupError as error:
        return _stopped(str(error))
    except OSError as error:
        return _stopped(f"{error}\n  remedy: {STORAGE_REMEDY}")
    except KeyboardInterrupt:
        say("interrupted; run the command again to go on")
        return EXIT_INTERRUPTED
    return 0


def _do(checkout: Path, options: argparse.Namespace) -> None:
    if options.clean:
        clean(checkout)
        return
    setup = SetUp(checkout, tests=options.tests)
    setup.run()
    if options.guest:
        setup.run_guest()


def _stopped(why: str) -> int:
    say(f"cannot be done\nset-up stopped: {why}")
    return EXIT_FAILED


if __name__ == "__main__":
    sys.exit(main())
