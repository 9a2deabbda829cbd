"""What the boot is doing, for people and machines: stages, round trips, alarms.

A round trip is one message of ours that had to be answered before the boot could go on.
"""

import contextlib
import json
import logging
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias

from ..hal.clock import Clock
from .cache import write_atomically
from .errors import BootError

logger = logging.getLogger(__name__)

StageState: TypeAlias = Literal["waiting", "running", "done", "failed"]

RUNNING = "running"
"""What the board shows instead of a stage once the boot is over."""

SEQUENCE = ("link", "dhcp", "dns", "tftp", "ftpes", "trust", "slot", "matrix", "runtime")
"""The stages of every boot, in order; login, profile and register follow when they happen."""

_STATES: dict[str, StageState] = {
    "waiting": "waiting",
    "running": "running",
    "done": "done",
    "failed": "failed",
}


@dataclass(slots=True)
class Stage:
    """One step of the boot, kept up to date while it runs.

    Attributes:
        started: Seconds since 1970.
        duration_s: Final once the stage is done or failed.
        round_trips: Messages of ours that had to be answered.
        detail: The one thing worth reading: an address, a version, an attempt.
    """

    name: str
    clock: Clock = field(repr=False)
    state: StageState = "waiting"
    started: float | None = None
    duration_s: float | None = None
    round_trips: int = 0
    error: str | None = None
    remedy: str | None = None
    detail: str = ""
    _begun: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def count(self, round_trips: int = 1) -> None:
        """Adds round trips; any thread may call it."""
        with self._lock:
            self.round_trips += round_trips

    def begin(self, detail: str = "") -> None:
        """Starts the stage, or goes on with it: time and round trips add up."""
        self.state, self.detail, self.error, self.remedy = "running", detail, None, None
        self.started = self.started or self.clock.unix()
        self._begun = self.clock.monotonic()

    def reset(self) -> None:
        """Forgets an earlier attempt."""
        self.state, self.detail, self.error, self.remedy = "waiting", "", None, None
        self.started = self.duration_s = None
        self.round_trips = 0

    def finish(self, state: StageState, duration_s: float | None = None) -> None:
        """Ends the stage as done or failed.

        Args:
            state: How it ended.
            duration_s: How long it took, where somebody else measured it.
        """
        self.state = state
        if self.started is None:
            self.started, self._begun = self.clock.unix(), self.clock.monotonic()
        elapsed = self.clock.monotonic() - self._begun + (self.duration_s or 0.0)
        self.duration_s = elapsed if duration_s is None else duration_s

    def as_json(self) -> dict[str, object]:
        """Returns the stage as the control socket and status.json show it."""
        duration = self.duration_s
        return {
            "name": self.name,
            "state": self.state,
            "started": self.started,
            "duration_s": None if duration is None else round(duration, 4),
            "round_trips": self.round_trips,
            "error": self.error,
            "remedy": self.remedy,
            "detail": self.detail,
        }


@dataclass(frozen=True, slots=True)
class Alarm:
    """Something that a person should know until it goes away."""

    code: str
    message: str
    remedy: str
    since: float

    def as_json(self) -> dict[str, object]:
        """Returns the alarm as the control socket and status.json show it."""
        return {
            "code": self.code,
            "message": self.message,
            "remedy": self.remedy,
            "since": self.since,
        }


class StatusBoard:
    """All stages and alarms of a unit, written to a file and the log on every change."""

    def __init__(self, path: Path, clock: Clock, facts: Mapping[str, object]) -> None:
        self._path = path
        self._clock = clock
        self._facts = dict(facts)
        self._stages = {name: Stage(name, clock) for name in SEQUENCE}
        self._alarms: dict[str, Alarm] = {}
        self._current = "starting"

    def stage(self, name: str) -> Stage:
        """Returns a stage, appending it when it is not one of the fixed sequence."""
        return self._stages.setdefault(name, Stage(name, self._clock))

    def counter(self, name: str) -> Callable[[int], None]:
        """Returns what a client of that stage calls per round trip."""
        return self.stage(name).count

    def begin(self, name: str, detail: str = "") -> None:
        """Says that a stage has started."""
        if self._current != RUNNING:
            self._current = name
        self.stage(name).begin(detail)
        logger.info("%s: started %s", name, detail)
        self._save()

    @contextlib.contextmanager
    def step(self, name: str) -> Iterator[Stage]:
        """Runs a stage: done at the end of the block, failed when it raises a BootError."""
        self.begin(name)
        stage = self.stage(name)
        try:
            yield stage
        except BootError as error:
            self.fail(name, error)
            raise
        self.done(name)

    def reset(self, names: Iterable[str]) -> None:
        """Forgets an earlier attempt at these stages."""
        for name in names:
            self.stage(name).reset()

    def note(self, name: str, detail: str) -> None:
        """Says how a running stage gets on."""
        self.stage(name).detail = detail
        logger.info("%s: %s", name, detail)
        self._save()

    def done(self, name: str, detail: str = "") -> None:
        """Says that a stage has reached its end."""
        stage = self.stage(name)
        stage.detail, stage.error, stage.remedy = detail or stage.detail, None, None
        stage.finish("done")
        logger.info("%s: done in %.3f s, %d round trips, %s", name, stage.duration_s or 0.0,
                    stage.round_trips, stage.detail)  # fmt: skip
        self._save()

    def fail(self, name: str, error: BootError) -> None:
        """Says why a stage ended early and what can be done."""
        stage = self.stage(name)
        stage.error, stage.remedy = str(error), error.remedy or None
        stage.finish("failed")
        logger.error("%s: failed: %s; %s", name, error, error.remedy)
        self._save()

    def trouble(self, name: str, error: BootError, detail: str) -> None:
        """Says why a stage is still running and when it tries again."""
        stage = self.stage(name)
        stage.error, stage.remedy, stage.detail = str(error), error.remedy or None, detail
        logger.warning("%s: %s; %s", name, error, detail)
        self._save()

    def report(self, name: str, state: str, detail: str, duration_s: float | None) -> None:
        """Takes over what another process says about its own stage.

        Raises:
            ValueError: The state is none of ours.
        """
        if state not in _STATES:
            raise ValueError(f"state {state!r} is not one of {sorted(_STATES)}")
        stage = self.stage(name)
        if state == "running":
            stage.begin(detail)
        else:
            stage.finish(_STATES[state], duration_s)
        stage.detail = detail
        stage.error = detail if state == "failed" else None
        logger.info("%s: %s %s", name, state, detail)
        self._save()

    def starting(self) -> None:
        """Says that a new boot has begun: what an earlier one left in the file is over."""
        self._save()

    def running(self) -> None:
        """Says that the boot is over and the unit runs."""
        self._current = RUNNING
        logger.info("running")
        self._save()

    def raise_alarm(self, code: str, message: str, remedy: str) -> None:
        """Shows an alarm until it is cleared; repeating it keeps its first time."""
        since = self._alarms[code].since if code in self._alarms else self._clock.unix()
        self._alarms[code] = Alarm(code, message, remedy, since)
        logger.warning("alarm %s: %s; %s", code, message, remedy)
        self._save()

    def clear_alarm(self, code: str) -> None:
        """Takes an alarm away, if it is there."""
        if self._alarms.pop(code, None) is not None:
            logger.info("alarm %s cleared", code)
            self._save()

    def learn(self, **facts: object) -> None:
        """Adds facts such as ``firmware_version`` or ``config_version``."""
        self._facts.update(facts)
        self._save()

    def as_json(self) -> dict[str, object]:
        """Returns everything, as the control socket and status.json show it."""
        return {
            "stage": self._current,
            "stages": [stage.as_json() for stage in self._stages.values()],
            "alarms": [alarm.as_json() for alarm in self._alarms.values()],
            **self._facts,
        }

    def _save(self) -> None:
        data = json.dumps(self.as_json(), indent=1).encode()
        try:
            write_atomically(self._path, data, durable=False)
        except OSError:
            logger.exception("status not written")
