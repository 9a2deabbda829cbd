"""What a benchmark found: rows of a common form, for people, tables and other programs."""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass


class BenchmarkError(Exception):
    """A benchmark cannot be run here."""


@dataclass(frozen=True, slots=True)
class Figure:
    """A median and the range it was drawn from.

    Attributes:
        benchmark: which measurement this is.
        subject: what was measured.
        n: how large its work was: legs, streams.
        median: the middle of the runs that count.
        least: the lowest of them.
        most: the highest of them.
        unit: of all three.
    """

    benchmark: str
    subject: str
    n: int
    median: float
    least: float
    most: float
    unit: str

    @classmethod
    def of(cls, benchmark: str, subject: str, n: int, values: Sequence[float], unit: str) -> Figure:
        """Summarises at least one value."""
        middle = statistics.median(values)
        return cls(benchmark, subject, n, middle, min(values), max(values), unit)

    @property
    def text(self) -> str:
        """Median and range as people read them, without the unit."""
        middle, least, most = map(self._written, (self.median, self.least, self.most))
        return middle if least == most else f"{middle} ({least} to {most})"

    @property
    def middle(self) -> str:
        """The median as people read it."""
        return self._written(self.median)

    def _written(self, number: float) -> str:
        digits = 0 if self.median >= 100 else 1 if self.median >= 20 else 2
        return f"{number:,.{digits}f}"


@dataclass(frozen=True, slots=True)
class Missing:
    """What could not be measured, and why; the reason names the remedy."""

    benchmark: str
    subject: str
    missing: str


Row = Figure | Missing


def parse_row(row: object) -> Row:
    """Reads a row of a benchmark's ``--json`` output.

    Raises:
        BenchmarkError: When it is neither a figure nor a missing one.
    """
    if not isinstance(row, dict):
        raise BenchmarkError(f"not a row of figures: {row!r}")
    try:
        if "missing" in row:
            return Missing(str(row["benchmark"]), str(row["subject"]), str(row["missing"]))
        return Figure(
            str(row["benchmark"]),
            str(row["subject"]),
            int(str(row["n"])),
            float(str(row["median"])),
            float(str(row["least"])),
            float(str(row["most"])),
            str(row["unit"]),
        )
    except (KeyError, ValueError) as error:
        raise BenchmarkError(f"not a row of figures: {row}") from error


def say(line: str) -> None:
    """Writes a line of progress or result."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def note(line: str) -> None:
    """Writes a line of progress where it does not mix with results."""
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def tell(rows: Iterable[Row], *, as_json: bool) -> None:
    """Writes rows as lines or as one JSON array."""
    if as_json:
        say(json.dumps([asdict(row) for row in rows], indent=1))
        return
    for row in rows:
        if isinstance(row, Missing):
            say(f"{row.benchmark:<16} {row.subject:<44} not here: {row.missing}")
        else:
            say(f"{row.benchmark:<16} {row.subject:<44} {row.n:>4}  {row.text} {row.unit}")
