"""The command ``turret tss``: serves a bench TSS from a folder."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import logging
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from ..bundle.folder import SiteFolder, create
from ..bundle.manufacture import NamePlate, add_units
from ..bundle.pack import pack
from ..bundle.publisher import Publisher
from ..errors import LabError
from ..plan import SYSLOG_PORT
from ..stopping import stoppable
from . import addresses, hints, place
from .dnsmasq import Dhcp
from .events import Event
from .place import Place
from .workbench import FirstVisit, Plan, Workbench, find_dhcp_server

Say = Callable[[str], None]

_DESCRIPTION: Final = """\
A whole TSS for one unit or a hundred, from one folder: DHCP, DNS and TFTP (dnsmasq), FTPES
and HTTPS with enrolment, and a syslog sink. Everything that a unit asks is shown as it
happens. A folder that is not there yet is made: keys, certificates, firmware of this checkout.

A LAN that has a DHCP server keeps it: `serve` asks first, and then serves no addresses but
says which options that server must give.
"""
_EXAMPLES: Final = """\
examples:
  turret tss serve ./site --interface eth0 --unit 02:54:50:00:00:01
  turret tss serve ./site --interface eth0 --dhcp off --json
  turret tss options --address 192.0.2.10 --server kea
  turret tss check --interface eth0

exit codes: 0 ended by Ctrl-C or --once, 1 cannot serve, 2 wrong usage
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs ``turret tss``; returns its exit code."""
    options = _parser().parse_args(argv)
    logging.basicConfig(level=logging.ERROR)
    code = 0
    try:
        options.run(options)
    except* (LabError, OSError) as errors:
        _tell_errors(errors)
        code = 1
    return code


def _tell_errors(errors: BaseExceptionGroup[LabError | OSError]) -> None:
    for error in errors.exceptions:
        if isinstance(error, BaseExceptionGroup):
            _tell_errors(error)
        else:
            for line in str(error).splitlines():
                sys.stderr.write(f"turret tss: {line}\n")


def _serve(options: argparse.Namespace) -> None:
    asyncio.run(stoppable(_serve_until_stopped(options)))


async def _serve_until_stopped(options: argparse.Namespace) -> None:
    say = _sayer(options)
    where = place.find(options.interface, options.address)
    publisher = _prepared(options, where, say)
    plan = Plan(where, await _dhcp(options, where, publisher, say), syslog=not options.no_syslog)
    visit = FirstVisit()

    def tell(event: Event) -> None:
        visit.note(event)
        _show(options, event)

    async with Workbench(publisher, plan, tell) as bench:
        _announce(options, publisher, plan)
        await (_until(bench, visit) if options.once else bench.serve())


async def _until(bench: Workbench, visit: FirstVisit) -> None:
    """Serve until the first unit has come and gone."""
    serving = asyncio.create_task(bench.serve())
    over = asyncio.create_task(visit.over())
    await asyncio.wait({serving, over}, return_when=asyncio.FIRST_COMPLETED)
    over.cancel()
    if serving.done():
        serving.result()
    serving.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await serving


def _prepared(options: argparse.Namespace, where: Place, say: Say) -> Publisher:
    """The site, made where there is none, with its units, published."""
    site = SiteFolder(options.site)
    if not site.default.is_file():
        create(options.site, syslog=f"{where.address}:{SYSLOG_PORT}")
        say(f"made {options.site}; packing this checkout as its firmware")
        pack(site, "touchpro")
    publisher = Publisher(site)
    _add_missing(publisher, options.unit or [], say)
    if not options.as_published or publisher.publication() is None:
        outcome = publisher.publish(_silent)
        for warning in outcome.warnings:
            sys.stderr.write(f"warning: {warning}\n")
        say(f"version {outcome.version} is {'published' if outcome.published else 'unchanged'}")
    return publisher


def _add_missing(publisher: Publisher, macs: Sequence[str], say: Say) -> None:
    known = {unit.mac for unit in publisher.units()}
    plates = [NamePlate.of(mac, "", "", "") for mac in macs]
    for folder in add_units(publisher, [plate for plate in plates if plate.mac not in known]):
        say(f"added {folder.name.replace('-', ':')}: copy {folder} to the unit as /factory")


async def _dhcp(
    options: argparse.Namespace, where: Place, publisher: Publisher, say: Say
) -> Dhcp | None:
    """What DHCP hands out; None when it is not ours to hand out anything."""
    if options.dhcp == "off" or (options.dhcp == "auto" and await _is_served(where, say)):
        return None
    first, last = place.serving_range(where, options.range)
    macs = [unit.mac for unit in publisher.units()]
    reserved = addresses.reserve(publisher.site.tss / "addresses", macs, first, last)
    return Dhcp(first, last, options.domain, reserved)


async def _is_served(where: Place, say: Say) -> bool:
    say(f"asking {where.interface} for a DHCP server")
    found = await find_dhcp_server(where)
    if found is not None:
        say(f"{found} serves DHCP on {where.interface}: no addresses are handed out here")
    return found is not None


def _announce(options: argparse.Namespace, publisher: Publisher, plan: Plan) -> None:
    if options.json:
        _emit({"event": "ready", **_facts(publisher, plan)})
        return
    _sayer(options)("\n".join(_words(publisher, plan)))


def _facts(publisher: Publisher, plan: Plan) -> dict[str, object]:
    dhcp = plan.dhcp
    return {
        "address": plan.place.address,
        "interface": plan.place.interface,
        "dhcp": f"{dhcp.first}-{dhcp.last}" if dhcp else None,
        "ports": [f"{port.protocol}/{port.number}" for port in plan.ports()],
        "units": [
            {"mac": unit.mac, "factory": str(publisher.site.factory / unit.folder)}
            for unit in publisher.units()
        ],
    }


def _words(publisher: Publisher, plan: Plan) -> list[str]:
    """What an engineer needs to know before the unit is plugged in."""
    address, units = plan.place.address, publisher.units()
    lines = [f"serving {publisher.site.root} on {address} ({plan.place.interface})"]
    lines += [f"  {port.use:<7} {port.protocol.upper()} {port.number}" for port in plan.ports()]
    if plan.dhcp is not None:
        lines.append(f"  DHCP    UDP 67, {plan.dhcp.first} to {plan.dhcp.last}")
    else:
        lines += ["the DHCP server of this LAN must give units (`turret tss options` says how):"]
        lines += [f"  option 66 {address}, option 67 {hints.HINT_FILE}, option 150 {address}"]
    for unit in units:
        lines.append(f"unit {unit.mac}: /factory is {publisher.site.factory / unit.folder}")
    if not units:
        lines.append(f"no unit yet: turret bundle add-unit {publisher.site.root} MAC")
    if plan.syslog:
        lines.append(f"units that have application.syslog.server: {address}:{SYSLOG_PORT} log here")
    return [*lines, "plug the unit in; Ctrl-C ends this", ""]


def _show(options: argparse.Namespace, event: Event) -> None:
    if options.json:
        _emit({"event": "request", **event.as_json()})
    else:
        _sayer(options)(event.as_line())


def _emit(entry: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(entry) + "\n")
    sys.stdout.flush()


def _sayer(options: argparse.Namespace) -> Say:
    """Tells people; with ``--json`` standard output belongs to the JSON."""
    stream = sys.stderr if getattr(options, "json", False) else sys.stdout

    def say(text: str) -> None:
        stream.write(f"{text}\n")
        stream.flush()

    return say


def _silent(_text: str) -> None:
    """Says nothing."""


def _options(options: argparse.Namespace) -> None:
    servers = [options.server] if options.server else list(hints.SERVERS)
    for server in servers:
        sys.stdout.write(f"# {server}\n" if len(servers) > 1 else "")
        sys.stdout.write(hints.SERVERS[server](options.address) + "\n")


def _check(options: argparse.Namespace) -> None:
    where = place.find(options.interface, options.address)
    first, last = place.serving_range(where, "")
    plan = Plan(where, Dhcp(first, last, "turret.test"))
    plan.check()
    found = asyncio.run(find_dhcp_server(where))
    _sayer(options)(
        f"{where.address}: every port is free; "
        + (f"{found} serves DHCP on this LAN" if found else "nobody serves DHCP on this LAN")
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="turret tss",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(required=True, metavar="serve|options|check")
    made = [_serve_parser(commands), _options_parser(commands), _check_parser(commands)]
    usages = "".join(command.format_usage().replace("usage: ", "  ") for command in made)
    parser.epilog = f"usages:\n{usages}\n{_EXAMPLES}"
    return parser


Commands = argparse._SubParsersAction  # noqa: SLF001 - argparse gives its type no public name


def _serve_parser(commands: Commands[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    serve: argparse.ArgumentParser = commands.add_parser(
        "serve", help="serve until Ctrl-C", description="Serves a site until Ctrl-C."
    )
    serve.add_argument("site", type=Path, help="the folder of the site; made when missing")
    _place_arguments(serve)
    serve.add_argument(
        "--dhcp", choices=["auto", "serve", "off"], default="auto",
        help="hand out addresses: if nobody else does (auto), always, or never",
    )  # fmt: skip
    serve.add_argument("--range", default="", metavar="FIRST-LAST", help="of DHCP")
    serve.add_argument("--domain", default="turret.test", help="of DHCP and DNS (turret.test)")
    serve.add_argument("--unit", action="append", metavar="MAC", help="add it if it is new")
    serve.add_argument("--no-syslog", action="store_true", help="leave UDP 514 alone")
    serve.add_argument("--as-published", action="store_true", help="publish no changes first")
    serve.add_argument("--once", action="store_true", help="end when a unit has come and gone")
    serve.add_argument("--json", action="store_true", help="one JSON object per line")
    serve.set_defaults(run=_serve)
    return serve


def _options_parser(commands: Commands[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    text = "The lines to put into the DHCP server of a LAN, for units only."
    options: argparse.ArgumentParser = commands.add_parser(
        "options", help="lines for the LAN's own DHCP server", description=text
    )
    options.add_argument("--address", required=True, help="of the TSS")
    options.add_argument("--server", choices=list(hints.SERVERS), help="(default: all of them)")
    options.set_defaults(run=_options)
    return options


def _check_parser(commands: Commands[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    text = "Asks for every port and right, and for a DHCP server on the LAN; starts nothing."
    check: argparse.ArgumentParser = commands.add_parser(
        "check", help="whether it could serve here", description=text
    )
    _place_arguments(check)
    check.set_defaults(run=_check)
    return check


def _place_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--interface", required=True, help="where the unit is plugged in")
    parser.add_argument("--address", default="", help="which address of it (default: its first)")
