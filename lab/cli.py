"""The ``turret`` command: finds who answers for a subcommand and starts nothing else."""

from __future__ import annotations

import argparse
import importlib
import importlib.metadata
import importlib.util
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

EXIT_FAILED: Final = 1
EXIT_USAGE: Final = 2
EXIT_NOT_INSTALLED: Final = 3
EXIT_INTERRUPTED: Final = 130


@dataclass(frozen=True, slots=True)
class Command:
    """A subcommand.

    Attributes:
        name: The word after ``turret``.
        module: Module of its ``main(argv) -> int``.
        function: Name of that function.
        extra: The extra that brings what it needs, "" when a plain installation has it.
        summary: What it does, in a line.
        example: A command line that somebody can try.
        needs: Modules that only the processes it starts import: asked for beforehand.
    """

    name: str
    module: str
    function: str
    extra: str
    summary: str
    example: str
    needs: tuple[str, ...] = ()


_COMMANDS: Final = (
    Command(
        "demo",
        "openturret.lab.demo.cli",
        "main",
        "dev",
        "a whole trading floor on this machine: boots a turret, calls, kills, listens",
        "turret demo --stay",
        needs=("pjsua2",),
    ),
    Command(
        "bench",
        "openturret.lab.bench_cli",
        "main",
        "bench",
        "the data centres that a turret talks to, up and ready",
        "turret bench up",
    ),
    Command(
        "rig",
        "openturret.lab.rig.cli",
        "main",
        "bench",
        "rigs that outgrow one machine: units as places of labgrid",
        "turret rig up --units 2",
    ),
    Command(
        "bundle",
        "openturret.lab.bundle.cli",
        "main",
        "bench",
        "builds, signs and publishes what units fetch, from a folder of YAML files",
        "turret bundle init ./site",
    ),
    Command(
        "tss",
        "openturret.lab.workbench.cli",
        "main",
        "bench",
        "a TSS on an engineer's desk: DHCP, TFTP, FTPES, HTTPS and syslog from a folder",
        "turret tss serve ./site --interface eth0",
    ),
    Command(
        "boot",
        "openturret.boot.cli",
        "main",
        "unit",
        "the boot agent of a unit: DHCP, DNS, TFTP, FTPES, verify, supervise",
        "turret boot --state state --factory factory --interface eth0",
    ),
    Command(
        "matrix",
        "openturret.firmware.matrix.__main__",
        "main",
        "",
        "the mixing matrix of a unit (OLDCB on TCP 4250 and 4251)",
        "turret matrix --state state",
    ),
    Command(
        "run",
        "openturret.firmware.__main__",
        "main",
        "unit",
        "the runtime of a unit: SIP, lines, recording, panel",
        "turret run --state state",
    ),
    Command(
        "devices",
        "openturret.drivers.devices_cli",
        "main",
        "",
        "what is plugged in, which position of the board it takes, and why not",
        "turret devices --board board.yaml",
    ),
    Command(
        "selftest",
        "openturret.drivers.selftest.cli",
        "main",
        "",
        "plays, listens and lights everything, and says a verdict for each device",
        "turret selftest --board board.yaml",
    ),
    Command(
        "flash",
        "openturret.drivers.flash.cli",
        "main",
        "flash",
        "firmware onto peripherals: USB DFU and serial SMP, signed, read back, many at once",
        "turret flash handset-1.1.0.dfu --key maker.pem",
    ),
    Command(
        "ports",
        "openturret.firmware.config.cli",
        "ports_main",
        "",
        "the ports that a unit opens",
        "turret ports --unit unit.yaml",
    ),
    Command(
        "config",
        "openturret.firmware.config.cli",
        "main",
        "",
        "what the configuration keys mean and hold",
        "turret config explain application.sip.connection.port",
    ),
)
COMMANDS: Final[Mapping[str, Command]] = MappingProxyType({item.name: item for item in _COMMANDS})

_WHOLE: Final = frozenset({"bench", "dev", "flash"})
"""Extras that bring everything that their commands import."""

_EXTRAS: Final = MappingProxyType(
    {
        "aiohttp": "unit",
        "cryptography": "unit",
        "pjsua2": "unit",
        "tuf": "unit",
        "securesystemslib": "unit",
        "pyaudio": "rig",
        "numpy": "bench",
        "OpenSSL": "bench",
        "pyftpdlib": "bench",
        "sqlalchemy": "bench",
    }
)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs ``turret``; returns the exit code of whoever answers for the subcommand."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    command = COMMANDS.get(arguments[0]) if arguments else None
    if command is None:
        return _answer_without_command(arguments)
    return _run(command, arguments[1:])


def _answer_without_command(arguments: list[str]) -> int:
    options = _parser().parse_args(arguments)
    if options.json:
        sys.stdout.write(json.dumps(_as_json(), indent=2) + "\n")
        return 0
    _parser().print_help(sys.stderr)
    return EXIT_USAGE


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="turret",
        description="OpenTurret: the firmware of a trading turret, and the bench around it.",
        epilog=_epilog(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"turret {_version()}")
    parser.add_argument("--json", action="store_true", help="list the commands as JSON")
    parser.add_argument("command", nargs="?", choices=list(COMMANDS), help="see below")
    return parser


def _epilog() -> str:
    width = max(map(len, COMMANDS)) + 2
    summaries = "\n".join(f"  {item.name:<{width}}{item.summary}" for item in _COMMANDS)
    examples = "\n".join(f"  {item.example}" for item in _COMMANDS)
    return (
        f"commands:\n{summaries}\n\nexamples:\n{examples}\n\n"
        "`turret COMMAND --help` teaches each of them.\n"
        f"exit codes: 0 done, {EXIT_FAILED} failed, {EXIT_USAGE} wrong usage, "
        f"{EXIT_NOT_INSTALLED} something is not installed"
    )


def _version() -> str:
    try:
        return importlib.metadata.version("openturret")
    except importlib.metadata.PackageNotFoundError:
        return "from a checkout"


def _as_json() -> list[dict[str, str]]:
    return [
        {"name": item.name, "summary": item.summary, "extra": item.extra, "example": item.example}
        for item in _COMMANDS
    ]


def _run(command: Command, arguments: list[str]) -> int:
    try:
        code = _entry(command)(arguments)
        sys.stdout.flush()
    except ImportError as error:
        return _say_not_installed(command, error)
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # The reader of a pipe left; keep Python's own flush at exit from complaining.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return code


def _entry(command: Command) -> Callable[[list[str]], int]:
    for name in command.needs:
        if importlib.util.find_spec(name) is None:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
    function: Callable[[list[str]], int] = getattr(
        importlib.import_module(command.module), command.function
    )
    return function


def _say_not_installed(command: Command, error: ImportError) -> int:
    if "openturret[" in str(error):
        sys.stderr.write(f"turret {command.name}: {error}\n")
        return EXIT_NOT_INSTALLED
    missing = (error.name or "").partition(".")[0]
    extra = _extra_with(missing, command)
    if not extra:
        raise error
    sys.stderr.write(
        f"turret {command.name}: {missing} is not installed; "
        f"pip install 'openturret[{extra}]' brings it\n"
    )
    return EXIT_NOT_INSTALLED


def _extra_with(missing: str, command: Command) -> str:
    """The extra that brings a module for a command, "" when none does."""
    if missing == "openturret":
        return ""
    if command.extra in _WHOLE:
        return command.extra
    return _EXTRAS.get(missing, command.extra)


if __name__ == "__main__":
    sys.exit(main())
