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
from ..hal.syslog import Redactor
from .cache import write_atomically
from .errors import BootError
from .events import Event

logger = logging.getLogger(__name__)

StageState: TypeAlias = Literal["waiting", "running", "done", "failed"]

STARTING = "starting"
IN_SAFE_MODE = "safe mode"
RUNNING = "running"
"""What the board shows instead of a stage once the boot is over."""

SEQUENCE = ("link", "dhcp", "dns", "tftp", "tss", "trust", "slot", "matrix", "runtime")
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
        code: Why it failed, or is still in trouble, for machines.
        error: The same for people.
        remedy: What they can do about it.
        server: Which server it deals with.
        file: Which file.
        detail: The one thing worth reading: an address, a version, an attempt.
    """

    name: str
    clock: Clock = field(repr=False)
    state: StageState = "waiting"
    started: float | None = None
    duration_s: float | None = None
    round_trips: int = 0
    code: str | None = None
    error: str | None = None
    remedy: str | None = None
    server: str = ""
    file: str = ""
    detail: str = ""
    _begun: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def count(self, round_trips: int = 1) -> None:
        """Adds round trips; any thread may call it."""
        with self._lock:
            self.round_trips += round_trips

    def begin(self, detail: str = "") -> None:
        """Starts the stage, or goes on with it: time and round trips add up."""
        self.state, self.detail = "running", detail
        self.absolve()
        self.started = self.started or self.clock.unix()
        self._begun = self.clock.monotonic()

    def reset(self) -> None:
        """Forgets an earlier attempt."""
        self.state, self.detail, self.server, self.file = "waiting", "", "", ""
        self.absolve()
        self.started = self.duration_s = None
        self.round_trips = 0

    def blame(self, error: BootError) -> None:
        """Says what is wrong, and where if the raiser did not know it."""
        error.at(server=self.server, file=self.file)
        self.code, self.error, self.remedy = error.code, str(error), error.remedy
        self.server, self.file = error.server, error.file

    def absolve(self) -> None:
        """Says that nothing is wrong any more."""
        self.code = self.error = self.remedy = None

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
            "code": self.code,
            "error": self.error,
            "remedy": self.remedy,
            "server": self.server,
            "file": self.file,
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
    """All stages and alarms of a unit; every change goes to a file, the log and the event log.

    Args:
        path: ``status.json``.
        clock: Tells the time.
        facts: What else is shown, such as the serial number.
        redactor: Takes secrets out of what is shown.
    """

    def __init__(
        self,
        path: Path,
        clock: Clock,
        facts: Mapping[str, object],
        redactor: Redactor | None = None,
    ) -> None:
        self._path = path
        self._clock = clock
        self._facts = dict(facts)
        self._redactor = redactor or Redactor()
        self._stages = {name: Stage(name, clock) for name in SEQUENCE}
        self._alarms: dict[str, Alarm] = {}
        self._current = STARTING
        self._is_written = True

    @property
    def current(self) -> str:
        """The stage that the boot is in, ``running`` or ``safe mode``."""
        return self._current

    def stage(self, name: str) -> Stage:
        """Returns a stage, appending it when it is not one of the fixed sequence."""
        return self._stages.setdefault(name, Stage(name, self._clock))

    def said(self, name: str) -> tuple[StageState, str]:
        """Returns state and detail of a stage, also of one that nobody has spoken of yet."""
        stage = self._stages.get(name)
        return (stage.state, stage.detail) if stage else ("waiting", "")

    def counter(self, name: str) -> Callable[[int], None]:
        """Returns what a client of that stage calls per round trip."""
        return self.stage(name).count

    # ------------------------------------------------------------ stages

    def begin(self, name: str, detail: str = "") -> None:
        """Says that a stage has started."""
        if self._current not in (RUNNING, IN_SAFE_MODE):
            self._current = name
        self.stage(name).begin(detail)
        self._tell(logging.INFO, Event("started", name, detail), "%s: started %s", name, detail)

    @contextlib.contextmanager
    def step(self, name: str, *, server: str = "", file: str = "") -> Iterator[Stage]:
        """Runs a stage: done at the end of the block, failed when it raises a BootError.

        Args:
            name: The stage.
            server: Whom it deals with; an error that names no server is told of this one.
            file: What it deals with, likewise.
        """
        self.begin(name)
        stage = self.stage(name)
        stage.server, stage.file = server, file
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
        self._tell(logging.INFO, Event("noted", name, detail), "%s: %s", name, detail)

    def done(self, name: str, detail: str = "") -> None:
        """Says that a stage has reached its end."""
        stage = self.stage(name)
        stage.detail = detail or stage.detail
        stage.absolve()
        stage.finish("done")
        event = Event("done", name, stage.detail, stage.duration_s, stage.round_trips,
                      server=stage.server, file=stage.file)  # fmt: skip
        self._tell(logging.INFO, event, "%s: done in %.3f s, %d round trips, %s", name,
                   stage.duration_s or 0.0, stage.round_trips, stage.detail)  # fmt: skip

    def fail(self, name: str, error: BootError) -> None:
        """Says why a stage ended early and what can be done."""
        stage = self.stage(name)
        stage.blame(error)
        stage.finish("failed")
        event = Event.of("failed", name, error)
        self._tell(logging.ERROR, event, "%s: failed: %s; %s", name, error, error.remedy)

    def trouble(self, name: str, error: BootError, detail: str) -> None:
        """Says why a stage is still running and when it tries again."""
        stage = self.stage(name)
        stage.blame(error)
        stage.detail = detail
        event = Event.of("trouble", name, error, detail)
        self._tell(logging.WARNING, event, "%s: %s; %s", name, error, detail)

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
        event = Event(state, name, detail, stage.duration_s)
        self._tell(logging.INFO, event, "%s: %s %s", name, state, detail)

    # ------------------------------------------------------------ the boot as a whole

    def starting(self) -> None:
        """Says that a new boot has begun: what an earlier one left in the file is over."""
        self._current = STARTING
        self._tell(logging.INFO, Event("boot started"), "the boot starts")

    def running(self) -> None:
        """Says that the boot is over and the unit runs."""
        self._current = RUNNING
        self._tell(logging.INFO, Event("running"), "running")

    def safe_mode(self) -> None:
        """Says that the unit cannot run now and waits for a reason to try again."""
        self._current = IN_SAFE_MODE
        self._tell(logging.ERROR, Event("safe mode"), "safe mode")

    # ------------------------------------------------------------ alarms and facts

    def raise_alarm(self, code: str, message: str, remedy: str) -> None:
        """Shows an alarm until it is cleared; repeating it keeps its first time."""
        since = self._alarms[code].since if code in self._alarms else self._clock.unix()
        self._alarms[code] = Alarm(code, message, remedy, since)
        event = Event("alarm raised", code=code, message=message, remedy=remedy)
        self._tell(logging.WARNING, event, "alarm %s: %s; %s", code, message, remedy)

    def clear_alarm(self, code: str) -> None:
        """Takes an alarm away, if it is there."""
        if self._alarms.pop(code, None) is not None:
            event = Event("alarm cleared", code=code)
            self._tell(logging.INFO, event, "alarm %s cleared", code)

    def tell(self, level: int, event: Event) -> None:
        """Tells of something that changes neither stage nor alarm, in the log and as an event."""
        words = (event.stage, event.message or event.detail)
        self._tell(level, event, "%s", ": ".join(filter(None, words)))

    def learn(self, **facts: object) -> None:
        """Adds facts such as ``firmware_version`` or ``config_version``."""
        self._facts.update(facts)
        self._save()

    def as_json(self) -> dict[str, object]:
        """Returns everything, as the control socket and status.json show it."""
        return {
            "stage": self._current,
            "stages": [self._cleaned(stage.as_json()) for stage in self._stages.values()],
            "alarms": [self._cleaned(alarm.as_json()) for alarm in self._alarms.values()],
            **self._facts,
        }

    def _cleaned(self, shown: Mapping[str, object]) -> dict[str, object]:
        clean = self._redactor.clean
        return {key: clean(each) if isinstance(each, str) else each for key, each in shown.items()}

    def _tell(self, level: int, event: Event, text: str, *values: object) -> None:
        logger.log(level, text, *values, extra=event.extra())
        self._save()

    def _save(self) -> None:
        data = json.dumps(self.as_json(), indent=1).encode()
        try:
            write_atomically(self._path, data, durable=False)
        except OSError as error:
            if self._is_written:
                logger.warning("status.json is not written: %s", error)
            self._is_written = False
        else:
            self._is_written = True
