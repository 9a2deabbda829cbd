"""``turret config`` and ``turret ports``: what a unit's keys mean, hold and open."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeAlias

from . import ports
from .errors import ConfigError
from .key import Key
from .keys import KEYS
from .store import Configuration, Explanation, Origin, combine, load, read_layer

Say: TypeAlias = Callable[[str], object]

_CONFIG_EPILOG = """examples:
  turret config list --prefix application.recording
  turret config explain application.sip.connection.port
  turret config get application.sip.pbx.servers --state /var/lib/openturret
  turret config validate unit.yaml
  turret config validate alice.yaml --as profile

exit codes: 0 done, 1 the configuration is wrong or the key unknown, 2 wrong usage"""

_PORTS_EPILOG = """examples:
  turret ports                                  what a unit opens by default
  turret ports --state /var/lib/openturret      what this unit opens
  turret ports --unit unit.yaml --json          for a firewall's machinery

states: open = something listens there; closed = the configuration keeps it closed;
not served = the configuration opens it, but this release has nothing there yet

exit codes: 0 done, 1 the configuration is wrong, 2 wrong usage"""


def main(argv: Sequence[str] | None = None, say: Say = sys.stdout.write) -> int:
    """Runs ``turret config``; returns its exit code."""
    options = _config_parser().parse_args(argv)
    return _reporting(options, say)


def ports_main(argv: Sequence[str] | None = None, say: Say = sys.stdout.write) -> int:
    """Runs ``turret ports``; returns its exit code."""
    parser = _parser("turret ports", "The ports that a unit opens.", _PORTS_EPILOG)
    _add_files(parser)
    parser.set_defaults(run=_ports)
    return _reporting(parser.parse_args(argv), say)


def _reporting(options: argparse.Namespace, say: Say) -> int:
    try:
        code = options.run(options, say)
    except ConfigError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return int(code)


def _parser(program: str, description: str, epilog: str) -> argparse.ArgumentParser:
    return argparse.ArgumentParser(
        prog=program,
        description=description,
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def _config_parser() -> argparse.ArgumentParser:
    parser = _parser("turret config", "Every configuration key of a unit.", _CONFIG_EPILOG)
    commands = parser.add_subparsers(required=True, metavar="list|get|explain|validate")
    listing = commands.add_parser("list", help="the keys, with type, default and meaning")
    listing.add_argument("--prefix", default="", help="only keys that start so")
    _add_json(listing)
    listing.set_defaults(run=_list)
    for name, run, text in (
        ("get", _get, "the value of one key"),
        ("explain", _explain, "what a key means and which file gave it its value"),
    ):
        command = commands.add_parser(name, help=text)
        command.add_argument("key")
        _add_files(command)
        command.set_defaults(run=run)
    _add_validate(commands.add_parser("validate", help="check a file before it reaches a unit"))
    return parser


def _add_validate(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path)
    parser.add_argument(
        "--as",
        dest="origin",
        choices=["unit", "profile"],
        default="unit",
        help="what the file is (default: unit)",
    )
    _add_json(parser)
    parser.set_defaults(run=_validate)


def _add_json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON for machines")


def _add_files(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--state", type=Path, help="state folder of a unit")
    parser.add_argument("--unit", type=Path, help="a unit's configuration file")
    parser.add_argument("--profile", type=Path, help="a user's profile file")
    _add_json(parser)


def _loaded(options: argparse.Namespace) -> Configuration:
    unit, profile = options.unit, options.profile
    if options.state is not None:
        unit = unit or options.state / "config" / "unit.yaml"
        current = options.state / "profile" / "current.yaml"
        profile = profile or (current if current.exists() else None)
    return load(unit, profile)


def _list(options: argparse.Namespace, say: Say) -> int:
    chosen = [key for key in KEYS if key.name.startswith(options.prefix)]
    if options.json:
        say(json.dumps([_as_json(key) for key in chosen], indent=2) + "\n")
        return 0
    for key in chosen:
        say(f"{key.name} = {key.show(key.default)}\n    {key.description}\n")
    return 0


def _as_json(key: Key) -> dict[str, object]:
    return {
        "name": key.name,
        "type": key.kind.value,
        "default": key.default,
        "allowed": key.allowed,
        "unit": key.unit,
        "port": key.port,
        "source": key.source.value,
        "needs_restart": key.needs_restart,
        "secret": key.secret,
        "aliases": key.aliases,
        "description": key.description,
    }


def _get(options: argparse.Namespace, say: Say) -> int:
    explanation = _loaded(options).explain(options.key)
    value = explanation.winner.value
    if explanation.key.secret:
        value = "(hidden)" if value else ""
    if options.json:
        say(json.dumps({"name": explanation.name, "value": value}) + "\n")
    else:
        say((value if isinstance(value, str) else explanation.key.show(value)) + "\n")
    return 0


def _explain(options: argparse.Namespace, say: Say) -> int:
    explanation = _loaded(options).explain(options.key)
    if options.json:
        say(json.dumps(_explained(explanation), indent=2) + "\n")
        return 0
    key = explanation.key
    say(f"{explanation.name}\n    {key.description}\n")
    say(f"    must be {key.allowed}; {key.source.value}\n")
    say(f"    {_effect(key)}\n")
    for setting in explanation.settings:
        mark = "*" if setting is explanation.winner else " "
        say(f"  {mark} {setting.origin.value:<8}{key.show(setting.value)}  {setting.place}\n")
    return 0


def _effect(key: Key) -> str:
    takes = "after a restart of the runtime" if key.needs_restart else "at the next login"
    return f"takes effect {takes}" + (f"; governs port {key.port}" if key.port else "")


def _explained(explanation: Explanation) -> dict[str, object]:
    key = explanation.key
    settings = [
        {
            "origin": setting.origin.value,
            "value": "(hidden)" if key.secret and setting.value else setting.value,
            "place": setting.place,
        }
        for setting in explanation.settings
    ]
    return {**_as_json(key), "name": explanation.name, "settings": settings}


def _validate(options: argparse.Namespace, say: Say) -> int:
    problems: list[str] = []
    warnings: tuple[str, ...] = ()
    try:
        warnings = combine(read_layer(options.file, Origin(options.origin))).warnings
    except ConfigError as error:
        problems = str(error).splitlines()
    if options.json:
        say(json.dumps({"valid": not problems, "problems": problems, "warnings": warnings}) + "\n")
    else:
        _say_verdict(options.file, problems, warnings, say)
    return 1 if problems else 0


def _say_verdict(file: Path, problems: list[str], warnings: Sequence[str], say: Say) -> None:
    for warning in warnings:
        say(f"warning: {warning}\n")
    for problem in problems:
        say(f"error: {problem}\n")
    say(f"{file}: {'refused' if problems else 'valid'}\n")


def _ports(options: argparse.Namespace, say: Say) -> int:
    states = ports.states(_loaded(options))
    if options.json:
        say(json.dumps([_port_as_json(state) for state in states], indent=2) + "\n")
        return 0
    say(f"{'PROTO':<8}{'PORT':<13}{'STATE':<12}USE\n")
    for state in states:
        say(
            f"{state.port.protocol.value:<8}{_span(state):<13}{_opened(state):<12}{state.port.use}\n"
        )
    return 0


def _span(state: ports.PortState) -> str:
    return str(state.first) if state.first == state.last else f"{state.first}-{state.last}"


def _opened(state: ports.PortState) -> str:
    if state.is_open and not state.is_served:
        return "not served"
    return "open" if state.is_open else "closed"


def _port_as_json(state: ports.PortState) -> dict[str, object]:
    return {
        "name": state.port.name,
        "protocol": state.port.protocol.value,
        "first": state.first,
        "last": state.last,
        "open": state.is_open,
        "served": state.is_served,
        "use": state.port.use,
        "keys": [key.name for key in KEYS if key.port == state.port.name],
    }


if __name__ == "__main__":
    sys.exit(main())
