"""``turret rig up``: a bench with units that a rig exports, until Ctrl-C."""

from __future__ import annotations

import argparse
import asyncio
import ipaddress
import json
import logging
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from .. import namespace, plan
from ..bench import Bench
from ..errors import LabError
from ..stopping import stoppable
from .export_files import write_environments, write_exports
from .floor import Floor, FloorSockets

MAX_UNITS = 16
"""More would starve each other of one machine's processors."""

_EXAMPLES = """examples:
  turret rig up                       one TouchPro; its files stand in ./rig
  turret rig up --units 2             two of them
  turret rig up --address 10.0.0.7    for other machines of the rig to reach
  turret rig up --json                for machines: one JSON object when it is up

It writes floor.yaml and hands.yaml, which `turret rig export` reads, and emulated.yaml and
board.yaml, environments for pytest --lg-env. It switches nothing on: that is done by whoever
holds a unit. docs/build-a-rig.md goes on from here.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the floor.

    Returns:
        The exit status: 0 after Ctrl-C, 1 when the bench could not come up.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    options = _parser().parse_args(arguments)
    try:
        if namespace.inside():
            asyncio.run(stoppable(_run(options)))
            return 0
        return _enter(options, arguments)
    except* (LabError, OSError) as errors:
        for error in errors.exceptions:
            sys.stderr.write(f"turret rig up: {error}\n")
    return 1


def _enter(options: argparse.Namespace, arguments: list[str]) -> int:
    sockets = FloorSockets.listen(options.units, options.address)
    numbers = sockets.descriptors()
    command = [sys.executable, "-m", __spec__.name, *arguments]
    command += ["--sockets", ",".join(map(str, numbers))]
    return namespace.enter(command, pass_fds=numbers)


async def _run(options: argparse.Namespace) -> None:
    logging.basicConfig(level=logging.WARNING)
    options.folder.mkdir(parents=True, exist_ok=True)
    sockets = FloorSockets.adopt([int(number) for number in options.sockets.split(",")])
    with tempfile.TemporaryDirectory(prefix="openturret-") as temporary:
        bench = Bench(Path(temporary), units=options.units)
        async with bench:
            floor = Floor(bench, sockets)
            await floor.open()
            exports = write_exports(options.folder, tuple(bench.units), sockets)
            write_environments(options.folder)
            _say(_as_json(bench, exports) if options.json else _as_text(bench, exports))
            await asyncio.Event().wait()


def _as_json(bench: Bench, exports: Sequence[Path]) -> str:
    return json.dumps(
        {
            "exports": [str(path) for path in exports],
            "folder": str(bench.folders.root),
            "units": list(bench.units),
        }
    )


def _as_text(bench: Bench, exports: Sequence[Path]) -> str:
    person = plan.PEOPLE[0]
    return "\n".join(
        [
            f"{', '.join(bench.units)}: ready to be switched on; Ctrl-C ends everything",
            f"exports: {', '.join(map(str, exports))}",
            f"log in as {person.user} / {person.password}; "
            f"{', '.join(party.number for party in plan.PARTIES)} answer",
            f"files:   {bench.folders.root}",
        ]
    )


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="turret rig up",
        description="Emulated units on a bench, reached from this machine and, with --address, "
        "from others: a power switch, their panels, the hands at their hardware. Needs no "
        "privilege.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--units", type=_units, default=1, help="how many (1)")
    parser.add_argument("--folder", type=Path, default=Path("rig"), help="for the exports (./rig)")
    parser.add_argument(
        "--address", type=_address, default="127.0.0.1", help="where to listen (127.0.0.1)"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object when it is up")
    parser.add_argument("--sockets", help=argparse.SUPPRESS)
    return parser


def _units(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= MAX_UNITS:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 to {MAX_UNITS}")
    return int(text)


def _address(text: str) -> str:
    """An address that others can reach, because it is what they are told."""
    try:
        if not ipaddress.IPv4Address(text).is_unspecified:
            return text
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not an IPv4 address") from error
    raise argparse.ArgumentTypeError(f"{text} is nowhere; name the address that others reach")


if __name__ == "__main__":
    sys.exit(main())
