"""Judges new firmware by what the unit does with it, and never harder than the good one.

Three things are demanded:

``matrix``    the engine's ticks advance (OLDCB ``status``); not of a matrix beside an XMA2
``hal``       the runtime has opened devices of the board (its report ``hal``)
``register``  a PBX has taken the registration (its report ``register``)

What the good firmware could not do either is not demanded, so a unit without devices, without
a user or without PBX keeps new firmware.  A registration is demanded only while somebody is
logged in, and a missing one counts only if a PBX answers OPTIONS: when the PBX is down for
everybody, no firmware is to blame.
"""

import asyncio
import json
import logging
import random
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from ..hal.clock import Clock
from .cache import read_bounded, write_atomically
from .document import Document
from .errors import HealthError
from .probes import MatrixStatus, any_pbx_answers, matrix_status
from .services import MATRIX_PORT, XMA_KEY

logger = logging.getLogger(__name__)

TIMEOUT_KEY: Final = "application.boot.health.timeout"
TIMEOUT_S: Final = 120
SHORTEST_S: Final = 20
LONGEST_S: Final = 3600
PBX_KEY: Final = "application.sip.pbx.servers"
MATRIX_KEY: Final = "application.oldcb.address"
REPORTS: Final = ("hal", "register")
"""The stages of the runtime that say something about its health."""

_MAX_BYTES: Final = 4096
_DONE: Final = "done"


@dataclass(frozen=True, slots=True)
class Pace:
    """How the gate looks.

    Attributes:
        look_s: Time between two looks.
        hold_s: How long all has to be well without a break.
    """

    look_s: float = 1.0
    hold_s: float = 10.0


class Abilities:
    """What the good firmware could do here, kept for the judgement of the next one.

    Args:
        path: The file; it is written only when something has changed.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def known(self) -> Mapping[str, bool]:
        """Returns for each report whether the good firmware reached it; unknown is True."""
        try:
            found = json.loads(read_bounded(self._path, _MAX_BYTES) or b"{}")
        except ValueError:
            found = {}
        found = found if isinstance(found, dict) else {}
        return {name: found.get(name) is not False for name in REPORTS}

    def learn(self, name: str, *, able: bool) -> None:
        """Keeps whether the good firmware reached a report."""
        known = self.known()
        if known[name] == able and self._path.exists():
            return
        try:
            write_atomically(self._path, json.dumps({**known, name: able}).encode())
        except OSError:
            logger.exception("what the firmware can do is not kept")


@dataclass(frozen=True, slots=True)
class Demands:
    """What a unit has to do to be healthy.

    Attributes:
        matrix: Host and port of OLDCB; None beside an XMA2.
        hal: Whether devices have to open.
        pbxs: Servers of which one has to take the registration; empty when none has to.
    """

    matrix: tuple[str, int] | None
    hal: bool
    pbxs: tuple[str, ...]

    @property
    def reports(self) -> tuple[str, ...]:
        """The stages that the runtime has to reach."""
        return (*(("hal",) if self.hal else ()), *(("register",) if self.pbxs else ()))

    @classmethod
    def of(
        cls, configuration: Document, known: Mapping[str, bool], *, logged_in: bool
    ) -> "Demands":
        """Returns what a configuration and the good firmware let expect."""
        values = configuration.values
        host = values.get(MATRIX_KEY, "127.0.0.1")
        local = isinstance(host, str) and host not in ("", "0.0.0.0")
        matrix = (str(host) if local else "127.0.0.1", MATRIX_PORT)
        pbxs = values.get(PBX_KEY)
        wanted = logged_in and known["register"]
        return cls(
            None if values.get(XMA_KEY) is True else matrix,
            known["hal"],
            tuple(map(str, pbxs)) if wanted and isinstance(pbxs, list) else (),
        )


def timeout_s(configuration: Document) -> int:
    """Returns how long a unit may take to be healthy, in seconds, 20 to 3600."""
    value = configuration.values.get(TIMEOUT_KEY)
    if not isinstance(value, int) or isinstance(value, bool):
        return TIMEOUT_S
    return min(max(value, SHORTEST_S), LONGEST_S)


@dataclass(slots=True)
class HealthGate:
    """Looks at a unit until it is healthy, or time is up.

    Attributes:
        demands: What it has to do.
        report: Returns state and detail of a stage that the runtime reports.
        processes: Returns what changes when a service had to be started again.
        clock: Tells the time.
        rng: Makes requests differ.
        pace: How often and how long to look.
        ask: Asks a matrix how it is.
        answers: Asks whether a PBX is there.
    """

    demands: Demands
    report: Callable[[str], tuple[str, str]]
    processes: Callable[[], object]
    clock: Clock
    rng: random.Random
    pace: Pace = field(default_factory=Pace)
    ask: Callable[[str, int], Awaitable[MatrixStatus | None]] = matrix_status
    answers: Callable[[Iterable[str], random.Random], Awaitable[bool]] = any_pbx_answers
    _ticks_before: int | None = None
    _processes_before: object = None

    async def pass_within(self, timeout_s: float) -> str:
        """Returns in words what is well, once it has been so for long enough.

        Raises:
            HealthError: Time is up; says what is missing.
        """
        deadline = self.clock.monotonic() + timeout_s
        well_since: float | None = None
        while True:
            missing = await self._missing()
            now = self.clock.monotonic()
            if missing and now >= deadline:
                return await self._excused(missing, timeout_s)
            well_since = None if missing else (now if well_since is None else well_since)
            if well_since is not None and now - well_since >= self.pace.hold_s:
                return self._words()
            await asyncio.sleep(self.pace.look_s)

    async def _missing(self) -> dict[str, str]:
        """Returns what is not well now: a word about each."""
        found = {"processes": self._steady(), "matrix": await self._ticking()}
        found |= {name: self._reported(name) for name in self.demands.reports}
        return {name: words for name, words in found.items() if words}

    def _steady(self) -> str:
        now, before = self.processes(), self._processes_before
        self._processes_before = now
        return "" if now == before else "a service was started again"

    async def _ticking(self) -> str:
        if self.demands.matrix is None:
            return ""
        status = await self.ask(*self.demands.matrix)
        before, now = self._ticks_before, status and status.ticks
        self._ticks_before = now
        if now is None:
            return "the matrix does not answer on {}:{}".format(*self.demands.matrix)
        return "" if before is not None and now > before else f"the engine stands at tick {now}"

    def _reported(self, name: str) -> str:
        state, detail = self.report(name)
        return "" if state == _DONE else f"the runtime says {name}: {detail or state}"

    async def _excused(self, missing: Mapping[str, str], timeout_s: float) -> str:
        """Lets pass a unit that lacks only a registration that nobody could have now.

        Raises:
            HealthError: Something else is missing, or a PBX is there.
        """
        if set(missing) == {"register"} and not await self.answers(self.demands.pbxs, self.rng):
            return f"{self._words()}; no PBX answers, so no registration is demanded"
        raise HealthError(
            f"not healthy after {timeout_s:.0f} s: {'; '.join(missing.values())}",
            "read state/log/matrix.log and state/log/runtime.log",
        )

    def _words(self) -> str:
        words = [f"{self._ticks_before} ticks"] if self.demands.matrix else []
        reported = (self.report(name)[1] for name in self.demands.reports)
        return ", ".join([*words, *reported])
