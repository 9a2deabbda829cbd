"""What the story saw, before anybody judges it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..dealer import Call


@dataclass(slots=True)
class Kill:
    """The runtime's death and return; times are UTC seconds, durations seconds."""

    at_unix: float = 0.0
    calls_back_s: float = 0.0
    registered_back_s: float = 0.0
    before: list[Call] = field(default_factory=list)
    after: list[Call] = field(default_factory=list)
    matrix_pid_same: bool = False


@dataclass(slots=True)
class Findings:
    """Everything that the story leaves for the judge and the report."""

    stages: list[dict[str, Any]] = field(default_factory=list)
    registered_after_s: float = 0.0
    wrong_password_refused: bool = False
    legs: list[dict[str, Any]] = field(default_factory=list)
    kill: Kill = field(default_factory=Kill)
    bye_reached_party: bool = False
    party_hang_up_freed_line: bool = False
    powered_on_unix: float = 0.0
    talked_s: float = 0.0
    ear: dict[str, Path] = field(default_factory=dict)
    captures: dict[str, Path] = field(default_factory=dict)
