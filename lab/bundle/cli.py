"""The command ``turret bundle``: a folder of YAML files becomes what units fetch."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Final

from ..errors import LabError
from ..tss.content import Change
from ..tss.keys import ROLES
from ..tss.record import EnrolledUnit
from . import manufacture
from .errors import BundleError, UnitListError
from .export import export
from .folder import SiteFolder, create
from .manufacture import NamePlate
from .pack import pack
from .publisher import Outcome, Publisher

Answer = dict[str, object]
"""What a command found, for machines; people get it in words."""

_DESCRIPTION: Final = """\
Builds, signs and publishes what the units of a site fetch from a TSS.

A site is a folder of plain YAML files:

  sites/default.yaml        the configuration of every unit
  units/<mac>.yaml          what one unit has otherwise (MAC with dashes)
  profiles/<user>.yaml      what follows a user to every unit
  firmware/<family>/*.whl   the firmware of a family, such as touchpro
  factory/<mac>/            what is written into a unit at manufacture (made here, secret)
  tss/                      database, keys and the signed tree (made here, secret)

Every value is checked against the keys that a unit knows before anything is signed. A unit
that fetches during a publication gets the old tree or the new one.
"""
_EXAMPLES: Final = """\
from nothing to a unit that boots:
  turret bundle init ./site
  turret bundle add-unit ./site 02:54:50:00:00:01 --serial TP000001
  turret bundle publish ./site --pack
  turret tss serve ./site --interface eth0

a change of configuration:
  turret bundle check ./site
  turret bundle publish ./site --dry-run
  turret bundle publish ./site

exit codes: 0 done, 1 refused (nothing was changed), 2 wrong usage
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs ``turret bundle``; returns its exit code."""
    options = _parser().parse_args(argv)
    try:
        answer = options.run(options)
    except (LabError, OSError) as error:
        return _refuse(options, error)
    if options.json:
        sys.stdout.write(json.dumps(answer, indent=1) + "\n")
    return int(bool(answer.get("refused")))


def _refuse(options: argparse.Namespace, error: Exception) -> int:
    problems = error.problems if isinstance(error, BundleError) else (str(error),)
    if options.json:
        sys.stdout.write(json.dumps({"problems": problems}, indent=1) + "\n")
    for problem in problems:
        sys.stderr.write(f"turret bundle: {problem}\n")
    sys.stderr.write(f"{_counted(len(problems), 'problem')}; nothing was changed\n")
    return 1


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _init(options: argparse.Namespace) -> Answer:
    say = _sayer(options)
    written = create(options.site)
    for path in written:
        say(f"wrote {path}")
    publisher = Publisher(SiteFolder(options.site))
    publisher.authority()
    say(f"{options.site} is a site; next: turret bundle add-unit {options.site} MAC")
    return {"site": str(options.site), "written": [str(path) for path in written]}


def _add_unit(options: argparse.Namespace) -> Answer:
    plates = _plates(options)
    folders = manufacture.add_units(Publisher(SiteFolder(options.site)), plates)
    return _made(options, plates, folders)


def _plates(options: argparse.Namespace) -> list[NamePlate]:
    if options.list is not None:
        if options.mac:
            raise UnitListError("give a MAC or --list, not both")
        return manufacture.read_list(options.list)
    if not options.mac:
        raise UnitListError("give the MAC of the unit, such as 02:54:50:00:00:01, or --list")
    return [NamePlate.of(options.mac, options.serial, options.model, options.board)]


def _made(
    options: argparse.Namespace, plates: Sequence[NamePlate], folders: Sequence[Path]
) -> Answer:
    say = _sayer(options)
    for plate, folder in zip(plates, folders, strict=True):
        say(f"{plate.mac} {plate.model} {plate.serial}: copy {folder} to the unit as /factory")
    return {
        "units": [
            {**asdict(plate), "factory": str(folder)}
            for plate, folder in zip(plates, folders, strict=True)
        ]
    }


def _factory(options: argparse.Namespace) -> Answer:
    publisher = Publisher(SiteFolder(options.site))
    known = _known(publisher, options.mac)
    plate = NamePlate.of(known.mac, known.serial, known.model, options.board)
    return _made(options, [plate], [manufacture.remake(publisher, plate)])


def _known(publisher: Publisher, mac: str) -> EnrolledUnit:
    """A unit that was added.

    Raises:
        UnitListError: it was not.
    """
    plain = NamePlate.of(mac, "", "", "").mac
    for unit in publisher.units():
        if unit.mac == plain:
            return unit
    raise UnitListError(f"{plain} was not added: `turret bundle add-unit` adds it")


def _check(options: argparse.Namespace) -> Answer:
    checked = Publisher(SiteFolder(options.site)).check()
    refused = options.strict and bool(checked.warnings)
    say = _sayer(options)
    _warn(options, checked.warnings)
    content = checked.content
    say(
        f"{_counted(len(content.configurations), 'configuration')}, "
        f"{_counted(len(content.profiles), 'profile')}, "
        f"{_counted(len(content.firmware), 'image')}: "
        + ("refused, because of the warnings" if refused else "good")
    )
    return {"refused": refused, "warnings": list(checked.warnings)}


def _pack(options: argparse.Namespace) -> Answer:
    image = pack(SiteFolder(options.site).require(), options.family, options.version)
    _sayer(options)(f"packed {image}")
    return {"image": str(image)}


def _publish(options: argparse.Namespace) -> Answer:
    say = _sayer(options)
    publisher = Publisher(SiteFolder(options.site))
    if options.pack and not options.dry_run:
        say("packing this checkout")
        pack(publisher.site, options.family)
    outcome = publisher.publish(say, dry_run=options.dry_run, anew=options.anew)
    _warn(options, outcome.warnings)
    for change in outcome.changes:
        say(f"  {_described(change)}")
    say(_verdict(outcome, options))
    copied = 0
    if options.to is not None and not options.dry_run:
        copied = export(publisher.tss.tree.folder, options.to)
        say(f"{_counted(copied, 'file')} copied to {options.to}")
    return {
        "version": outcome.version,
        "published": outcome.published,
        "changes": [asdict(change) for change in outcome.changes],
        "warnings": list(outcome.warnings),
        "copied": copied,
    }


def _described(change: Change) -> str:
    version = f", version {change.version}" if change.version else ""
    return f"{change.kind} {change.name}: {change.what}{version}"


def _verdict(outcome: Outcome, options: argparse.Namespace) -> str:
    if options.dry_run:
        return f"{_counted(len(outcome.changes), 'change')} would be published; nothing was done"
    if outcome.published:
        return f"version {outcome.version} is published"
    return f"nothing has changed; version {outcome.version} stays"


def _revoke(options: argparse.Namespace) -> Answer:
    publisher = Publisher(SiteFolder(options.site))
    mac = _known(publisher, options.mac).mac
    publisher.tss.revoke_unit(mac)
    _sayer(options)(
        f"{mac} is shut out: password and certificates count no more. It keeps what it has; "
        f"`turret bundle factory` lets it in again with a new password"
    )
    return {"revoked": mac}


def _certificates(options: argparse.Namespace) -> Answer:
    demanded = options.wanted == "demanded"
    Publisher(SiteFolder(options.site)).tss.demand_certificates(demanded=demanded)
    _sayer(options)(
        "a factory password only enrols from now on; units fetch with their certificates"
        if demanded
        else "a factory password is as good as a certificate from now on"
    )
    return {"demanded": demanded}


def _rotate_root(options: argparse.Namespace) -> Answer:
    publisher = Publisher(SiteFolder(options.site))
    roles = options.role or []
    version = publisher.rotate_root(*roles)
    _sayer(options)(
        f"root {version} is published: {', '.join(roles) or 'every role'} has new keys. "
        "Units follow by themselves; factory folders that were not copied yet stay good"
    )
    return {"root": version}


def _show(options: argparse.Namespace) -> Answer:
    publisher = Publisher(SiteFolder(options.site))
    units, publication = publisher.units(), publisher.publication()
    say = _sayer(options)
    if publication is None:
        say("nothing is published yet")
    else:
        until = publication.expires
        say(f"version {publication.version}, good until {until:%Y-%m-%d %H:%M} UTC")
    for unit in units:
        say(f"{unit.mac}  {unit.model:<10} {unit.serial}{'  revoked' if unit.revoked else ''}")
    say(f"{_counted(sum(not unit.revoked for unit in units), 'unit')} may fetch")
    return {
        "root": publisher.tss.root_version,
        "version": publication.version if publication else None,
        "expires": publication.expires.isoformat() if publication else None,
        "units": [asdict(unit) for unit in units],
    }


def _sayer(options: argparse.Namespace) -> Callable[[str], None]:
    """Tells people; with ``--json`` standard output belongs to the JSON."""
    stream = sys.stderr if options.json else sys.stdout

    def say(text: str) -> None:
        if not options.json:
            stream.write(f"{text}\n")
            stream.flush()

    return say


def _warn(options: argparse.Namespace, warnings: Sequence[str]) -> None:
    for warning in warnings if not options.json else ():
        sys.stderr.write(f"warning: {warning}\n")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="turret bundle",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    made = [_add_command(commands, *entry) for entry in _COMMANDS]
    usages = "".join(command.format_usage().replace("usage: ", "  ") for command in made)
    parser.epilog = f"usages:\n{usages}\n{_EXAMPLES}"
    return parser


def _add_command(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],
    name: str,
    run: Callable[[argparse.Namespace], Answer],
    add: Callable[[argparse.ArgumentParser], None],
    text: str,
    example: str,
) -> argparse.ArgumentParser:
    command: argparse.ArgumentParser = commands.add_parser(
        name,
        help=text.splitlines()[0],
        description=text,
        epilog=f"example:\n  {example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_argument("site", type=Path, help="the folder of the site")
    add(command)
    command.add_argument("--json", action="store_true", help="one JSON object for machines")
    command.set_defaults(run=run)
    return command


def _nothing(_command: argparse.ArgumentParser) -> None:
    """Has no arguments of its own."""


def _unit_arguments(command: argparse.ArgumentParser) -> None:
    command.add_argument("mac", nargs="?", default="", help="such as 02:54:50:00:00:01")
    command.add_argument("--serial", default="", help="its serial number (default: the MAC)")
    command.add_argument("--model", default="", help="TouchPro or FlexPro (default: TouchPro)")
    _board_argument(command)
    command.add_argument("--list", type=Path, help="many units: CSV of mac,serial,model,board")


def _mac_argument(command: argparse.ArgumentParser) -> None:
    command.add_argument("mac", help="of a unit that was added")


def _certificates_arguments(command: argparse.ArgumentParser) -> None:
    command.add_argument("wanted", choices=["demanded", "optional"])


def _rotation_arguments(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--role", action="append", choices=ROLES, help="whose keys; all when none is given"
    )


def _factory_arguments(command: argparse.ArgumentParser) -> None:
    _mac_argument(command)
    _board_argument(command)


def _board_argument(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--board", default="", help="a board that OpenTurret ships, or a file (default: its model)"
    )


def _check_arguments(command: argparse.ArgumentParser) -> None:
    command.add_argument("--strict", action="store_true", help="refuse warnings too")


def _pack_arguments(command: argparse.ArgumentParser) -> None:
    _family_argument(command)
    command.add_argument("--version", default="", help="(default: the release's, counted up)")


def _family_argument(command: argparse.ArgumentParser) -> None:
    command.add_argument("--family", default="touchpro", help="whose firmware (default: touchpro)")


def _publish_arguments(command: argparse.ArgumentParser) -> None:
    command.add_argument("--dry-run", action="store_true", help="only tell what would change")
    command.add_argument("--pack", action="store_true", help="pack this checkout first")
    _family_argument(command)
    command.add_argument("--anew", action="store_true", help="sign although nothing has changed")
    command.add_argument("--to", type=Path, help="copy the tree to the folder of a TSS as well")


_COMMANDS: Final = (
    (
        "init", _init, _nothing,
        "make a site\n\nWhat is in the folder already stays as it is.",
        "turret bundle init ./site",
    ),
    (
        "add-unit", _add_unit, _unit_arguments,
        "let units fetch, and write their factory folders\n\n"
        "Each unit gets a password of its own, which stands in its factory folder only.",
        "turret bundle add-unit ./site 02:54:50:00:00:01 --serial TP000001 --model TouchPro",
    ),
    (
        "factory", _factory, _factory_arguments,
        "write a unit's factory folder again, with a new password\n\n"
        "The unit cannot fetch with the old one from now on.",
        "turret bundle factory ./site 02:54:50:00:00:01",
    ),
    (
        "check", _check, _check_arguments,
        "check every file\n\nAll problems are told, with file, line, key, value and remedy.",
        "turret bundle check ./site --strict",
    ),
    (
        "pack", _pack, _pack_arguments,
        "pack this checkout as firmware\n\nNothing is written when the image would be the same.",
        "turret bundle pack ./site --family touchpro",
    ),
    (
        "publish", _publish, _publish_arguments,
        "check, sign and publish\n\n"
        "Nothing is published when anything is wrong. Units that have the old tree lose nothing.",
        "turret bundle publish ./site --pack",
    ),
    (
        "revoke", _revoke, _mac_argument,
        "shut a unit out at once\n\nNothing has to be published for it.",
        "turret bundle revoke ./site 02:54:50:00:00:01",
    ),
    (
        "certificates", _certificates, _certificates_arguments,
        "say whether units need a certificate of their own\n\n"
        "A unit gets one over HTTPS with its factory password (EST, RFC 7030). Once they are\n"
        "demanded, the password does nothing else.",
        "turret bundle certificates ./site demanded",
    ),
    (
        "rotate-root", _rotate_root, _rotation_arguments,
        "give roles new keys, because one is lost or stolen, or is old\n\n"
        "Everything is signed anew; units in the field notice nothing.",
        "turret bundle rotate-root ./site --role timestamp",
    ),
    (
        "show", _show, _nothing,
        "what is published, and which units may fetch",
        "turret bundle show ./site",
    ),
)  # fmt: skip
