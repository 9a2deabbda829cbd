"""``turret devices``: what is plugged in, which position it takes, why something does not match."""

import argparse
import asyncio
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, TypeAlias

from ..hal import board as boards
from ..hal.board import Board, load_board
from ..hal.errors import BoardError, HalError
from ..hal.registry import Registry
from .inventory import Inventory, Usb, on_usb, take_inventory, watch
from .inventory_report import as_json, changed, report
from .usb.present import present

Say: TypeAlias = Callable[[str], object]
Look: TypeAlias = Callable[[], Inventory]

EXIT_INCOMPLETE: Final = 1
EXIT_USAGE: Final = 2
SHIPPED: Final = Path(boards.__file__).parent / "boards"

_EPILOG: Final = f"""examples:
  turret devices                                what is on USB, with what a board asks for
  turret devices --board board.yaml             what each position takes, and why not
  turret devices --board board.yaml --watch     the same, and then every change, until Ctrl-C
  turret devices --board board.yaml --json      for machines; with --watch one line each

A position takes the one device that agrees with all that its match says: vid and pid are the kind,
serial is the unit, port is the place. Two handsets of one kind need a port each, or a serial each;
where two devices answer to one position, neither is taken. Product names never decide.

states: ready; missing; ambiguous; closed = it is there, but may not be opened; no driver = its
driver is not installed; unseen = looking would disturb it, `turret selftest` asks its driver

boards to copy and adapt: {SHIPPED}

exit codes: 0 every position is filled that is not optional, {EXIT_INCOMPLETE} one is not,
{EXIT_USAGE} wrong usage or a board that is refused"""


def _print(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


def main(
    argv: Sequence[str] | None = None,
    say: Say = _print,
    usb: Usb = present,
) -> int:
    """Runs ``turret devices``; returns its exit code.

    Args:
        argv: The words after ``turret devices``.
        say: Takes what is printed.
        usb: Returns what is on USB now.
    """
    options = _parser().parse_args(argv)
    try:
        board = None if options.board is None else load_board(options.board)
    except BoardError as error:
        sys.stderr.write(f"{options.board}: {error}\n")
        return EXIT_USAGE
    try:
        return _run(options, _looking(board, usb), say)
    except HalError as error:
        sys.stderr.write(f"turret devices: {error}\n")
        return EXIT_INCOMPLETE


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="turret devices",
        description="What is plugged in, which position of the board it takes, and why something "
        "does not match.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--board", type=Path, metavar="FILE", help="the unit's board description")
    parser.add_argument("--json", action="store_true", help="print JSON for machines")
    parser.add_argument("--watch", action="store_true", help="go on and say what changes")
    return parser


def _looking(board: Board | None, usb: Usb) -> Look:
    drivers = frozenset(Registry().names())
    return lambda: take_inventory(board, on_usb(board, usb), drivers)


def _run(options: argparse.Namespace, look: Look, say: Say) -> int:
    first = look()
    if options.json:
        say(json.dumps(as_json(first), indent=None if options.watch else 2) + "\n")
    else:
        say("".join(report(first)))
    if options.watch:
        asyncio.run(_follow(first, look, say, machines=options.json))
    return 0 if first.complete else EXIT_INCOMPLETE


async def _follow(seen: Inventory, look: Look, say: Say, *, machines: bool) -> None:
    async for now in watch(look, seen):
        say(json.dumps(as_json(now)) + "\n" if machines else "".join(changed(seen, now)))
        seen = now
