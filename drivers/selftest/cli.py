"""``turret selftest``: every device of a board is tried, and gets its verdict."""

import argparse
import asyncio
import json
import logging
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, TypeAlias

from ...hal.board import Board, DeviceSpec, load_board
from ...hal.clock import SystemClock
from ...hal.errors import BoardError, HalError
from ...hal.registry import Registry
from ..emulated.hand import Hand
from ..inventory import Usb, on_usb, take_inventory
from ..usb.present import present
from .emulation import Emulation
from .hands import Hands, Nobody
from .person import Person, Terminal
from .report import as_json, line, passed, summary
from .run import Bench, selftest
from .verdict import Verdict

Say: TypeAlias = Callable[[str], object]

EXIT_FAILED: Final = 1
EXIT_USAGE: Final = 2
HAND_S: Final = 2.0
"""How long emulated hardware may take to start."""

_EPILOG: Final = f"""examples:
  turret selftest                              every device of ./board.yaml, with your hands
  turret selftest --board board.yaml handset-left gooseneck
  turret selftest --no-hands --json            what needs nobody, for machines
  turret selftest --emulated /run/openturret/hardware --board emulated.yaml

Stop the unit first: a device has one host. Each device is attached, its lamps lit, its hook, keys
and mute worked, a tone played and listened for. A device that hears itself, through an acoustic
coupler, is measured whole: frequency, level, latency. What nobody could see or hear is skipped, and
never passed. Levels are in dB of a full-scale sine.

exit codes: 0 nothing failed, {EXIT_FAILED} something did, {EXIT_USAGE} wrong usage or a board that
is refused"""


def _print(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


def main(
    argv: Sequence[str] | None = None,
    say: Say = _print,
    usb: Usb = present,
    registry: Registry | None = None,
) -> int:
    """Runs ``turret selftest``; returns its exit code.

    Args:
        argv: The words after ``turret selftest``.
        say: Takes what is printed.
        usb: Returns what is on USB now.
        registry: Knows the drivers; the installed ones by default.
    """
    options = _parser().parse_args(argv)
    try:
        board = load_board(options.board)
        specs = _chosen(board, options.positions)
    except BoardError as error:
        sys.stderr.write(f"{options.board}: {error}\n")
        return EXIT_USAGE
    if not (options.no_hands or options.emulated or sys.stdin.isatty()):
        sys.stderr.write("no terminal to ask at: give --no-hands, or --emulated FOLDER\n")
        return EXIT_USAGE
    logging.basicConfig(level=logging.ERROR)
    try:
        verdicts = asyncio.run(_run(options, board, specs, say, usb, registry or Registry()))
    except HalError as error:
        sys.stderr.write(f"turret selftest: {error}\n")
        return EXIT_FAILED
    return 0 if passed(verdicts) else EXIT_FAILED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="turret selftest",
        description="Plays, listens and lights everything, and says a verdict for each device.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("positions", nargs="*", metavar="POSITION", help="only these devices")
    parser.add_argument(
        "--board",
        type=Path,
        metavar="FILE",
        default=Path("board.yaml"),
        help="the unit's board description (default: board.yaml)",
    )
    parser.add_argument("--json", action="store_true", help="print JSON for machines, at the end")
    hands = parser.add_mutually_exclusive_group()
    hands.add_argument("--no-hands", action="store_true", help="only what needs nobody")
    hands.add_argument(
        "--emulated",
        type=Path,
        metavar="FOLDER",
        help="the hand at the emulated hardware that serves this folder does it all",
    )
    return parser


def _chosen(board: Board, positions: Sequence[str]) -> list[DeviceSpec]:
    for position in positions:
        if position not in board.devices:
            known = ", ".join(board.devices) or "none"
            raise BoardError(f"there is no position {position!r}", remedy=f"use one of {known}")
    return [board.devices[position] for position in dict.fromkeys(positions or board.devices)]


async def _run(
    options: argparse.Namespace,
    board: Board,
    specs: Sequence[DeviceSpec],
    say: Say,
    usb: Usb,
    registry: Registry,
) -> list[Verdict]:
    hands = await _hands(options)
    try:
        found = take_inventory(board, on_usb(board, usb), registry.names())
        places = {place.spec.position: place for place in found.places}
        verdicts = []
        async for verdict in selftest(Bench(registry, SystemClock(), hands, places), specs):
            verdicts.append(verdict)
            if not options.json:
                say(line(verdict))
    finally:
        await hands.close()
    ending = json.dumps(as_json(board.name, verdicts), indent=2) + "\n"
    say(ending if options.json else summary(verdicts))
    return verdicts


async def _hands(options: argparse.Namespace) -> Hands:
    if options.emulated is not None:
        return Emulation(await Hand.connect(options.emulated, patience_s=HAND_S))
    if options.no_hands:
        return Nobody()
    terminal = Terminal()
    return Person(terminal.ask, terminal.tell)
