"""After a crash: which legs of the matrix and which dialogs of the journal belong together.

The matrix kept the voice going; each leg's tag says whose it is.  A leg with a dialog becomes a
line again: adopted at once, so that a BYE from the far end is heard, and taken over by INVITE
with Replaces as soon as somebody is logged in and the peer supports it.  A leg without a dialog
is closed.  A dialog without a leg is ended with BYE, for nobody hears anything in it.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass

from ...hal.errors import MatrixError
from ...hal.matrix import Leg, MixingMatrix
from .agent import Agent
from .errors import CallsError
from .journal import Entry, Journal
from .line import CallKind, Line, restored
from .lines import Lines

logger = logging.getLogger(__name__)
OURS = frozenset(kind.value for kind in CallKind)


@dataclass(frozen=True, slots=True)
class Plan:
    """What belongs together and what is left over."""

    calls: tuple[tuple[Entry, Leg], ...]
    lost_dialogs: tuple[Entry, ...]
    lost_legs: tuple[Leg, ...]


def plan(entries: Iterable[Entry], legs: Iterable[Leg]) -> Plan:
    """Pairs dialogs and legs by the line that both name; leaves alone what is not the desk's.

    When a crash came between a take-over and the end of the dialog it replaces, two dialogs name
    one line: the newer has the leg, the older is lost.
    """
    by_line = {str(leg.tag.get("call_id")): leg for leg in legs if leg.tag.get("kind") in OURS}
    newest = {str(e.note.get("call_id")): e for e in entries if e.kind in OURS}
    calls = [(entry, by_line.pop(line)) for line, entry in newest.items() if line in by_line]
    kept = {entry.call_id for entry, _ in calls}
    lost = (e for e in entries if e.kind in OURS and e.call_id not in kept)
    return Plan(tuple(calls), tuple(lost), tuple(by_line.values()))


class Recovery:
    """Brings the desk's lines back, once per start of the runtime.

    Args:
        agent: Adopts.
        matrix: Knows the legs.
        journal: Knows the dialogs.
        lines: Gets the lines back.
    """

    def __init__(self, agent: Agent, matrix: MixingMatrix, journal: Journal, lines: Lines) -> None:
        self._agent = agent
        self._matrix = matrix
        self._journal = journal
        self._lines = lines
        self._adopted: list[tuple[Line, Entry]] = []

    async def adopt(self) -> tuple[Line, ...]:
        """Adopts what is live and clears away what is not; returns the lines.

        Raises:
            MatrixError: The matrix is gone.
        """
        self._adopted = []
        found = plan(self._journal.entries(), await self._matrix.leg_list())
        for entry, leg in found.calls:
            await self._adopt(entry, leg)
        for entry in found.lost_dialogs:
            await self._end(entry)
        for leg in found.lost_legs:
            await self._close(leg)
        return tuple(line for line, _ in self._adopted)

    async def take_over(self) -> None:
        """Replaces the dialogs of peers that support it; needs an account to call with."""
        adopted, self._adopted = self._adopted, []
        for line, entry in adopted:
            if line.adopted and entry.dialog.supports("replaces"):
                await self._lines.replace(line, entry.dialog)

    async def _adopt(self, entry: Entry, leg: Leg) -> None:
        line = restored(entry.note)
        line.leg, line.target = leg, leg.target
        line.call_id, line.account = entry.call_id, entry.account
        line.sip_call_id = entry.dialog.sip_call_id
        self._lines.take(line)
        await self._agent.adopt(entry.call_id, entry.dialog, note=entry.note, account=entry.account)
        self._adopted.append((line, entry))
        logger.info("call with %s goes on, leg %d", line.remote, leg.leg)

    async def _end(self, entry: Entry) -> None:
        logger.info("dialog %s has no leg: BYE", entry.dialog.sip_call_id)
        try:
            await self._agent.adopt(
                entry.call_id, entry.dialog, note=entry.note, account=entry.account
            )
            await self._agent.hang_up(entry.call_id)
        except CallsError as error:
            logger.warning("dialog %s not ended: %s", entry.dialog.sip_call_id, error)

    async def _close(self, leg: Leg) -> None:
        logger.info("leg %d has no dialog: closed", leg.leg)
        try:
            await self._matrix.leg_close(leg.leg)
        except MatrixError as error:
            logger.warning("leg %d not closed: %s", leg.leg, error)
