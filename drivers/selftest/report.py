"""Verdicts in lines for people and in JSON for machines."""

from collections.abc import Sequence
from typing import Final

from .verdict import Outcome, Verdict

_POSITION: Final = 15
_CHECK: Final = 12


def line(verdict: Verdict) -> str:
    """Returns a verdict as a line, with its remedy on a second one."""
    head = f"{verdict.position:<{_POSITION}} {verdict.check:<{_CHECK}} {verdict.outcome:<8}"
    remedy = f"{'':<{_POSITION + _CHECK + 10}}  → {verdict.remedy}\n" if verdict.remedy else ""
    return f"{head} {verdict.text}\n{remedy}"


def summary(verdicts: Sequence[Verdict]) -> str:
    """Returns how it all ended, in a line."""
    counts = {outcome: sum(v.outcome is outcome for v in verdicts) for outcome in Outcome}
    failed = list(dict.fromkeys(v.position for v in verdicts if v.outcome is Outcome.FAILED))
    names = f": {', '.join(failed)}" if failed else ""
    said = ", ".join(f"{count} {outcome}" for outcome, count in counts.items())
    return f"\n{len(_positions(verdicts))} devices, {len(verdicts)} checks: {said}{names}\n"


def passed(verdicts: Sequence[Verdict]) -> bool:
    """Whether nothing failed."""
    return all(verdict.outcome is not Outcome.FAILED for verdict in verdicts)


def as_json(board: str, verdicts: Sequence[Verdict]) -> dict[str, object]:
    """Returns the verdicts as ``--json`` prints them: by device."""
    devices = [_device(position, verdicts) for position in _positions(verdicts)]
    return {"board": board, "passed": passed(verdicts), "devices": devices}


def _device(position: str, verdicts: Sequence[Verdict]) -> dict[str, object]:
    own = [verdict for verdict in verdicts if verdict.position == position]
    return {"position": position, "passed": passed(own), "checks": [_check(v) for v in own]}


def _check(verdict: Verdict) -> dict[str, object]:
    return {
        "check": verdict.check,
        "outcome": verdict.outcome,
        "text": verdict.text,
        "figures": dict(verdict.figures),
        "remedy": verdict.remedy,
    }


def _positions(verdicts: Sequence[Verdict]) -> list[str]:
    return list(dict.fromkeys(verdict.position for verdict in verdicts))
