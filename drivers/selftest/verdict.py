"""What a check found."""

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field


class Outcome(enum.StrEnum):
    """How a check ended; what nobody could see or hear is skipped, never passed."""

    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Verdict:
    """One check of one device.

    Attributes:
        position: Of the device.
        check: Name of the check: ``attached``, ``lamps``, ``microphone``.
        outcome: How it ended.
        text: What was found, or why nothing was.
        figures: What was measured, with the unit in the name: ``level_dbfs``, ``frequency_hz``.
        remedy: What to do about a failure.
    """

    position: str
    check: str
    outcome: Outcome
    text: str
    figures: Mapping[str, float] = field(default_factory=dict)
    remedy: str = ""
