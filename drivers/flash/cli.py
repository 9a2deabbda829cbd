"""``turret flash``: brings firmware onto peripherals, many at once, and reads back what runs."""

import argparse
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Final

from ...hal.board import load_board
from ...hal.errors import BoardError, HalError, MatchError
from ..errors import FirmwareFileError, SignatureError
from ..usb.present import present
from .console import Bars, JsonLines, Lines, Say, Teller
from .firmware import Firmware
from .flashing import Orders, Outcome, Result, flash_all
from .image import TrustedKey
from .pace import SystemPace
from .targets import Surroundings, choose

SIGNAL_S: Final = 0.2
"""How long a signal may wait until it is acted upon."""

EXIT_FAILED: Final = 1
EXIT_USAGE: Final = 2
EXIT_REFUSED: Final = 4
EXIT_NO_UNIT: Final = 5
EXIT_ROLLED_BACK: Final = 6
EXIT_STOPPED: Final = 130

_CODES: Final = {
    Result.FLASHED: 0,
    Result.CURRENT: 0,
    Result.POSSIBLE: 0,
    Result.FAILED: EXIT_FAILED,
    Result.STOPPED: EXIT_STOPPED,
    Result.ROLLED_BACK: EXIT_ROLLED_BACK,
}
"""By result; of several units the worst counts, which stands last."""

_EPILOG: Final = f"""\
phases: detach, erase, write, verify, reboot, confirm. A unit counts as flashed when its running
version was read back, not before. While it is written its old firmware stays in the other slot,
so cable, power and Ctrl-C may come at any moment: flash it again.

examples:
  turret flash handset-1.1.0.dfu --key maker.pem               every device the file is for
  turret flash handset-1.1.0.dfu --key maker.pem --device 1-1.2
  turret flash ring-2.0.0.bin --key maker.pem --device /dev/serial/by-path/…
  turret flash handset-1.1.0.dfu --board board.yaml --device handset-left
  turret flash handset-1.1.0.dfu --key maker.pem --dry-run     only check file and units
  turret flash handset-1.1.0.dfu --key maker.pem --json        a JSON object a line, for rigs

With --board and without --key, the key is BOARD.pem beside BOARD.yaml. How files are signed and
suffixed: docs/flashing.md.

exit codes:
    0  every unit runs the version of the file
  {EXIT_FAILED:>3}  a unit failed; it can be flashed again
  {EXIT_USAGE:>3}  wrong usage
    3  something is not installed
  {EXIT_REFUSED:>3}  the file is refused: damaged, or no trusted key signed it; nothing was written
  {EXIT_NO_UNIT:>3}  no such unit, or not exactly one; nothing was written
  {EXIT_ROLLED_BACK:>3}  a unit ROLLED BACK: it took the firmware and runs its former one again
  {EXIT_STOPPED:>3}  stopped by Ctrl-C; every unit can be flashed again"""


def _print(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


def main(
    argv: Sequence[str] | None = None,
    say: Say = _print,
    around: Callable[[SystemPace], Surroundings] = lambda pace: Surroundings(present, pace),
) -> int:
    """Runs ``turret flash``; returns its exit code.

    Args:
        argv: The words after ``turret flash``.
        say: Takes what is printed.
        around: Makes the surroundings in which units are looked for.
    """
    options = _parser().parse_args(argv)
    pace = SystemPace()
    try:
        board = None if options.board is None else load_board(options.board)
        firmware = Firmware.read(options.file, _keys(options))
        units = choose(options.device, board, firmware, around(pace))
    except HalError as error:
        sys.stderr.write(f"turret flash: {error}\n")
        return _refusal(error)
    teller = _teller(options, say, pace)
    orders = Orders(allow_downgrade=options.allow_downgrade, dry_run=options.dry_run)
    with _stopped_by_signals(pace):
        futures = flash_all(units, firmware, pace, teller.progress, orders)
        return _ended(futures, teller)


def _ended(futures: Sequence[Future[Outcome]], teller: Teller) -> int:
    results, left = set(), set(futures)
    while left:
        # Never longer: the system may give a signal to another thread, and Python's handlers run
        # in this one when it wakes.
        done, left = wait(left, SIGNAL_S, FIRST_COMPLETED)
        for future in done:
            outcome = future.result()
            teller.outcome(outcome)
            results.add(outcome.result)
    return next(code for result, code in reversed(_CODES.items()) if result in results)


@contextmanager
def _stopped_by_signals(pace: SystemPace) -> Iterator[None]:
    """Lets every unit end the block it is at when somebody presses Ctrl-C."""

    def stop(_number: int, _frame: FrameType | None) -> None:
        os.write(2, b"turret flash: stopping; every unit ends the block that it is at\n")
        pace.stop()

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _refusal(error: HalError) -> int:
    if isinstance(error, FirmwareFileError | SignatureError):
        return EXIT_REFUSED
    if isinstance(error, MatchError):
        return EXIT_NO_UNIT
    return EXIT_USAGE if isinstance(error, BoardError) else EXIT_FAILED


def _keys(options: argparse.Namespace) -> tuple[TrustedKey, ...]:
    paths: list[Path] = options.key
    if not paths and options.board is not None:
        paths = [options.board.with_suffix(".pem")]
    if not paths:
        raise SignatureError("no key is trusted", "give --key, or --board with a key beside it")
    return tuple(TrustedKey.read(path) for path in paths)


def _teller(options: argparse.Namespace, say: Say, pace: SystemPace) -> Teller:
    if options.json:
        return JsonLines(say, pace)
    return Bars(say, pace) if sys.stdout.isatty() else Lines(say)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="turret flash",
        description="Brings signed firmware onto peripherals: USB devices by DFU 1.1, serial ones "
        "by SMP; many at once.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("file", type=Path, metavar="FILE", help="signed firmware")
    parser.add_argument(
        "--device",
        action="append",
        default=[],
        metavar="PORT|POSITION",
        help="a USB port (1-1.2), a serial line (/dev/…) or a position of the board; may be "
        "repeated [every USB device that the file is for]",
    )
    parser.add_argument("--board", type=Path, metavar="FILE", help="the unit's board description")
    parser.add_argument(
        "--key",
        type=Path,
        action="append",
        default=[],
        metavar="PEM",
        help="an Ed25519 public key whose signatures count; may be repeated",
    )
    parser.add_argument(
        "--allow-downgrade", action="store_true", help="also write what is older than what runs"
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="check file and units, write nothing"
    )
    parser.add_argument("--json", action="store_true", help="print JSON lines for machines")
    return parser
