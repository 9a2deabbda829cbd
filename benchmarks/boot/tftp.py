"""TFTP over a long and lossy way: the unit's client beside atftp, curl and tftp-hpa.

    python benchmarks/boot/fetch/tftp.py [--runs 5] [--delay-ms 40] [--long] [--quick] [--json]

Files of 1 and 16 MB come from Debian's atftpd over the relay of `openturret.lab.delay`, 40 ms there
and back, with 0 and 1 % of the frames lost each way, at windows of 1, 8 and 64 blocks of 1428
bytes.  curl knows no windows and tftp-hpa neither windows nor blocks other than 512 bytes: they
have a row where the window is 1.  Every client meets the same seeds of loss.  What came is compared
with what was sent.

The unit's client is timed inside a running process, as the boot agent has it; a peer from its start
to its end, which costs it a few milliseconds.  16 MB one block at a time take 8 minutes for each
transfer and are left out unless ``--long`` asks for them.  A transfer is given up after ten
minutes.

Figures are medians with the range, in seconds: less is better.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path
from typing import Final

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from benchmarks.figures import Figure, Missing, Row, note, tell
from openturret.boot.errors import TftpError
from openturret.boot.fetch.tftp import TftpClient
from openturret.boot.fetch.transfer import Settings
from openturret.lab import namespace
from openturret.lab.delay import FAR_ADDRESS, Way, delayed_link
from openturret.lab.errors import LabError, ToolMissingError
from openturret.lab.tftp_servers import serving
from openturret.lab.tools import tool

BENCHMARK: Final = "tftp"
BLOCK_BYTES: Final = 1428
LIMIT_S: Final = 600
MEGABYTE: Final = 1_000_000


class FailedError(Exception):
    """A transfer did not bring the file; says why."""


@dataclass(frozen=True, slots=True)
class Peer:
    """A client program.

    Attributes:
        name: the Debian package.
        program: its executable.
        arguments: for a window, the name of the file there, and its path here.
        windows: whether it knows windows of more than one block.
    """

    name: str
    program: str
    arguments: Callable[[int, str, Path], Sequence[str]]
    windows: bool = False

    def fetch(self, window: int, file: str, into: Path) -> None:
        """Fetches a file.

        Raises:
            FailedError: the program says so.
            ToolMissingError: the program is not installed.
        """
        program = tool(self.program)
        command = [str(program.path), *self.arguments(window, file, into)]
        try:
            done = subprocess.run(
                command, env=program.environment(), capture_output=True, text=True, timeout=LIMIT_S
            )
        except subprocess.TimeoutExpired:
            raise FailedError(f"not done after {LIMIT_S} s") from None
        if done.returncode:
            raise FailedError((done.stderr or done.stdout).strip()[-100:])


def _atftp(window: int, file: str, into: Path) -> list[str]:
    options = [f"blksize {BLOCK_BYTES}", *([f"windowsize {window}"] if window > 1 else [])]
    asked = [text for option in options for text in ("--option", option)]
    return [*asked, "--get", "--remote-file", file, "--local-file", str(into), FAR_ADDRESS]


def _curl(_window: int, file: str, into: Path) -> list[str]:
    return ["--silent", "--show-error", "--tftp-blksize", str(BLOCK_BYTES),
            "--output", str(into), f"tftp://{FAR_ADDRESS}/{file}"]  # fmt: skip


def _tftp_hpa(_window: int, file: str, into: Path) -> list[str]:
    return ["-m", "binary", FAR_ADDRESS, "-c", "get", file, str(into)]


PEERS: Final = (
    Peer("atftp", "atftp", _atftp, windows=True),
    Peer("curl", "curl", _curl),
    Peer("tftp-hpa", "tftp", _tftp_hpa),
)


class Unit:
    """The client of the boot agent."""

    name: Final = "openturret"
    windows: Final = True

    def fetch(self, window: int, file: str, into: Path) -> None:
        """Fetches a file.

        Raises:
            FailedError: the client says so.
        """
        settings = Settings(
            block_bytes=BLOCK_BYTES, window=window, deadline_s=LIMIT_S, max_bytes=64 * MEGABYTE
        )
        fetch = TftpClient(settings, lambda _: None).fetch(IPv4Address(FAR_ADDRESS), file)
        try:
            into.write_bytes(asyncio.run(fetch))
        except TftpError as error:
            raise FailedError(str(error)) from error


@dataclass(frozen=True, slots=True)
class Course:
    """What every client has to do.

    Attributes:
        size: bytes of the file.
        way: of the link, each direction.
        window: blocks for each acknowledgement.
    """

    size: int
    way: Way
    window: int

    @property
    def name(self) -> str:
        """For the subject of a row."""
        loss = f"{self.way.loss:.0%} lost"
        return f"{self.size / MEGABYTE:g} MB, window {self.window}, {loss}"


def run(client: Peer | Unit, course: Course, folder: Path, seed: int) -> float:
    """The seconds that one transfer takes.

    Raises:
        FailedError: the file did not come, or another did.
        LabError: the link or the server could not be made.
    """
    into = folder / "got"
    into.unlink(missing_ok=True)
    served = folder / "served"
    file = str(course.size)
    with (
        delayed_link(course.way, seed=seed) as link,
        serving("atftpd", served, FAR_ADDRESS, place=link.command),
    ):
        began = time.perf_counter()
        client.fetch(course.window, file, into)
        took_s = time.perf_counter() - began
    if not into.exists() or into.read_bytes() != (served / file).read_bytes():
        raise FailedError("what came is not what was sent")
    return took_s


def measure(client: Peer | Unit, course: Course, folder: Path, runs: int) -> Row:
    """The row of one client on one course."""
    subject = f"{client.name}: {course.name}"
    try:
        times = [run(client, course, folder, seed) for seed in range(1, runs + 1)]
    except (FailedError, ToolMissingError) as error:
        return Missing(BENCHMARK, subject, str(error))
    return Figure.of(BENCHMARK, subject, course.size, times, "s")


def courses(options: argparse.Namespace) -> Iterator[Course]:
    """What is to be measured, the short ones first."""
    sizes = [MEGABYTE // 10] if options.quick else [MEGABYTE, 16 * MEGABYTE]
    windows = [8, 64] if options.quick else [1, 8, 64]
    for size in sizes:
        for loss in (0.0, 0.01):
            for window in windows:
                if window > 1 or size == MEGABYTE or options.long:
                    yield Course(size, Way(options.delay_ms / 2, loss), window)


def write_files(folder: Path) -> None:
    """What atftpd serves."""
    folder.mkdir()
    folder.parent.chmod(0o755)
    for size in (MEGABYTE // 10, MEGABYTE, 16 * MEGABYTE):
        (folder / str(size)).write_bytes(random.Random(size).randbytes(size))


def rows(options: argparse.Namespace, folder: Path) -> Iterator[Row]:
    """Measures everything."""
    write_files(folder / "served")
    for course in courses(options):
        clients = [client for client in (Unit(), *PEERS) if client.windows or course.window == 1]
        for client in clients:
            row = measure(client, course, folder, options.runs)
            note(f"{row.subject}: {row.text if isinstance(row, Figure) else row.missing}")
            yield row


def parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=5, help="transfers for each row")
    parser.add_argument("--delay-ms", type=float, default=40.0, help="there and back")
    parser.add_argument("--long", action="store_true", help="16 MB one block at a time, too")
    parser.add_argument("--quick", action="store_true", help="100 kB once: proves that it runs")
    parser.add_argument("--json", action="store_true", help="rows as JSON")
    return parser


def main() -> int:
    """Run it."""
    options = parser().parse_args()
    options.runs = 1 if options.quick else options.runs
    try:
        if not namespace.inside():
            return namespace.enter([sys.executable, __file__, *sys.argv[1:]])
        with tempfile.TemporaryDirectory(prefix="ot-tftp-") as folder:
            found = list(rows(options, Path(folder)))
    except LabError as error:
        note(str(error))
        return 1
    tell(found, as_json=options.json)
    return 0


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        sys.exit(main())
