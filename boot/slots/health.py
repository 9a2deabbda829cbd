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
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from ...hal.clock import Clock
from ...hal.wire.json_lines import JsonObject, decode
from ..cache import read_bounded, write_atomically
from ..document import Document
from ..errors import HealthError
from ..supervision.services import MATRIX_PORT, XMA_KEY
from .probes import MatrixStatus, matrix_status

logger = logging.getLogger(__name__)

TIMEOUT_KEY: Final = "application.boot.health.timeout"
TIMEOUT_S: Final = 120
SHORTEST_S: Final = 20
LONGEST_S: Final = 3600
UPDATE_KEY: Final = "application.boot.update"
PBX_KEY: Final = "application.sip.pbx.servers"
MATRIX_KEY: Final = "application.oldcb.address"
REPORTS: Final = ("hal", "register")
"""The stages of the runtime that say something about its health."""

LOOPBACK: Final = "127.0.0.1"
_MAX_BYTES: Final = 4096
_DONE: Final = "done"


@dataclass(frozen=True, slots=True)
class Pace:
    """How the gate looks.

    Attributes:
        look_s: Time between two looks.
        hold_s: How long all has to be well without a break.
        limit_s: How long it may take to be so; None for what the configuration says.
    """

    look_s: float = 1.0
    hold_s: float = 10.0
    limit_s: float | None = None


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
            found: JsonObject = decode(read_bounded(self._path, _MAX_BYTES) or b"{}")
        except ValueError:
            found = {}
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
        pbxs = configuration.values.get(PBX_KEY)
        wanted = logged_in and known["register"] and isinstance(pbxs, list)
        return cls(
            matrix_address(configuration),
            known["hal"],
            tuple(map(str, pbxs)) if wanted and isinstance(pbxs, list) else (),
        )


def matrix_address(configuration: Document) -> tuple[str, int] | None:
    """Returns host and port of OLDCB; None beside an XMA2, where nobody answers there."""
    if configuration.values.get(XMA_KEY) is True:
        return None
    host = configuration.values.get(MATRIX_KEY)
    everywhere = not isinstance(host, str) or host in ("", "0.0.0.0")
    return (LOOPBACK if everywhere else str(host), MATRIX_PORT)


def updates_when_idle(configuration: Document) -> bool:
    """Whether firmware that comes while the unit runs is tried as soon as no call is up."""
    return configuration.values.get(UPDATE_KEY) == "idle"


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
        pace: How often and how long to look.
        limit_s: How long the unit may take, in seconds.
        answers: Asks whether one of these PBXs is there.
        ask: Asks a matrix how it is.
    """

    demands: Demands
    report: Callable[[str], tuple[str, str]]
    processes: Callable[[], object]
    clock: Clock
    limit_s: float
    answers: Callable[[Sequence[str]], Awaitable[bool]]
    pace: Pace = field(default_factory=Pace)
    ask: Callable[[str, int], Awaitable[MatrixStatus | None]] = matrix_status
    _ticks_before: int | None = None
    _processes_before: object = None

    async def passed(self) -> str:
        """Returns in words what is well, once it has been so for long enough.

        Raises:
            HealthError: Time is up; says what is missing.
        """
        deadline = self.clock.monotonic() + self.limit_s
        well_since: float | None = None
        while True:
            missing = await self._missing()
            now = self.clock.monotonic()
            if missing and now >= deadline:
                return await self._excused(missing)
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
        before, now = self._ticks_before, status.ticks if status else None
        self._ticks_before = now
        if now is None:
            return "the matrix does not answer on {}:{}".format(*self.demands.matrix)
        return "" if before is not None and now > before else f"the engine stands at tick {now}"

    def _reported(self, name: str) -> str:
        state, detail = self.report(name)
        return "" if state == _DONE else f"the runtime says {name}: {detail or state}"

    async def _excused(self, missing: Mapping[str, str]) -> str:
        """Lets pass a unit that lacks only a registration that nobody could have now.

        Raises:
            HealthError: Something else is missing, or a PBX is there.
        """
        if set(missing) == {"register"} and not await self.answers(self.demands.pbxs):
            return f"{self._words()}; no PBX answers, so no registration is demanded"
        raise HealthError(
            f"not healthy after {self.limit_s:.0f} s: {'; '.join(missing.values())}",
            "read state/log/matrix.log and state/log/runtime.log",
        )

    def _words(self) -> str:
        words = [f"{self._ticks_before} ticks"] if self.demands.matrix else []
        reported = (self.report(name)[1] for name in self.demands.reports)
        return ", ".join([*words, *reported])
