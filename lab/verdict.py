"""The closing table of a demonstration: what was measured, what it must be, whether it is."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table.

    Attributes:
        section: what the line is about, such as "voice heard".
        name: what was measured.
        value: the figure with its unit.
        bound: what it must be, empty when it only informs.
        passed: whether it is.
        timed: whether the figure also depends on how busy the machine is.
    """

    section: str
    name: str
    value: str
    bound: str = ""
    passed: bool = True
    timed: bool = False

    def as_json(self) -> dict[str, object]:
        """The row for machines."""
        return asdict(self)


class Verdict:
    """Collects the rows of the table."""

    def __init__(self) -> None:
        self.rows: list[Row] = []

    @property
    def passed(self) -> bool:
        """Whether every line passed and there is at least one."""
        return bool(self.rows) and all(row.passed for row in self.rows)

    def note(self, section: str, name: str, value: str) -> None:
        """Add a figure that only informs."""
        self.rows.append(Row(section, name, value))

    def at_least(
        self, section: str, name: str, value: float, bound: float, unit: str, digits: int = 1
    ) -> None:
        """Add a figure that must reach a bound."""
        shown, limit = _spell(value, unit, digits), _spell(bound, unit, digits)
        self.rows.append(Row(section, name, shown, f"≥ {limit}", value >= bound))

    def within(
        self, section: str, name: str, value: float, bound: float, unit: str, digits: int = 1
    ) -> None:
        """Add a time that must not pass a bound."""
        shown, limit = _spell(value, unit, digits), _spell(bound, unit, digits)
        self.rows.append(Row(section, name, shown, f"≤ {limit}", value <= bound, timed=True))

    def holds(self, section: str, name: str, truth: bool, value: str, bound: str) -> None:
        """Add a statement that must be true."""
        self.rows.append(Row(section, name, value, bound, truth))


def _spell(value: float, unit: str, digits: int) -> str:
    return f"{value:.{digits}f} {unit}".rstrip()


def as_text(rows: Iterable[Row]) -> str:
    """The table for a terminal, a heading per section."""
    lines: list[str] = []
    section = ""
    for row in rows:
        if row.section != section:
            section = row.section
            lines.append(f"\n{section}")
        mark = "  " if not row.bound else "ok" if row.passed else "NO"
        lines.append(f"  {mark} {row.name:<52} {row.value:>18}  {row.bound}".rstrip())
    return "\n".join(lines)
