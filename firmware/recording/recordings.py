"""Every word twice: the recordings of the matrix, and a session with each recorder.

::

    recordings = Recordings(tools, unit="TP-0001", recorders=recorders_of(a, b), ledger=ledger)
    await recordings.start(user, channels=3, left_over=journal.entries())    # at login
    recordings.call_started(RecordedCall.of(line, clock))
    recordings.call_ended(line.line_id)
    await recordings.stop()                                                  # at logout
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Iterable
from dataclasses import replace
from typing import cast

from ...hal.errors import HalError
from ...hal.matrix import MatrixEvent, Topic
from ...hal.wire.json_lines import JsonObject, JsonValue
from ..calls.journal import Entry
from .cti import CallBook, RecordedCall, User
from .errors import LedgerError
from .ledger import Ledger
from .mixes import close_mixes, open_mixes
from .session import KIND, RecorderSession, State, Tools
from .watch import RecorderAddress

logger = logging.getLogger(__name__)

NONE_LEFT = "recording.none"
LEDGER = "recording.ledger"
REOPEN_S = 1.0
POLICIES = ("warn", "block")


def recorders_of(a: str, b: str) -> tuple[RecorderAddress, ...]:
    """Reads the two configured addresses; an empty one is no recorder.

    Raises:
        RecorderUriError: One cannot be used.
    """
    pairs = (("a", a), ("b", b))
    return tuple(RecorderAddress.parse(role, uri) for role, uri in pairs if uri)


class Recordings:
    """Recording of one unit, from login to logout.

    Args:
        tools: Agent, matrix, alarms and time; ``changed`` is called when the panel should look.
        unit: Serial number.
        recorders: None, one or two.
        ledger: The call log, None for no log.
        policy: ``warn`` or ``block``: whether calls go on when both recorders are lost.
    """

    def __init__(
        self,
        tools: Tools,
        *,
        unit: str,
        recorders: tuple[RecorderAddress, ...],
        ledger: Ledger | None = None,
        policy: str = "warn",
    ) -> None:
        self._tools = tools
        self._unit, self._recorders, self._ledger = unit, recorders, ledger
        self._policy = policy
        self._sessions: tuple[RecorderSession, ...] = ()
        self._labels: tuple[str, ...] = ()
        self._channels = 0
        self._book: CallBook | None = None
        self._listener: asyncio.Task[None] | None = None

    # ------------------------------------------------------------ life

    async def start(self, user: User, *, channels: int, left_over: Iterable[Entry] = ()) -> None:
        """Opens the recordings and begins a session with each recorder; returns at once.

        Args:
            user: Who is logged in.
            channels: How many speaker channels there are.
            left_over: What the journal holds; sessions of a former process are taken over.

        Raises:
            MatrixError: The matrix refused or is gone.
        """
        self._labels = await open_mixes(self._tools.matrix, channels)
        self._channels = channels
        book = self._book = CallBook(self._unit, user, self._tools.clock)
        labels = self._labels

        tools = replace(self._tools, changed=self._changed)

        def session(address: RecorderAddress) -> RecorderSession:
            return RecorderSession(
                address, tools, labels, lambda: book.metadata(address.role, labels)
            )

        self._sessions = tuple(session(address) for address in self._recorders)
        self._listener = asyncio.get_running_loop().create_task(self._listen())
        await self._begin(left_over)
        self._note("recording.started", {"user": user.name, "recorders": len(self._sessions)})

    async def _begin(self, left_over: Iterable[Entry]) -> None:
        entries = [entry for entry in left_over if entry.note.get("kind") == KIND]
        newest = {str(entry.note.get("recorder")): entry for entry in entries}
        for session in self._sessions:
            entry = newest.get(session.address.role)
            session.start(entry)
            entries = [each for each in entries if each is not entry]
        for entry in entries:
            await RecorderSession.end_left_over(self._tools.agent, entry)

    async def stop(self) -> None:
        """Ends both sessions and the recordings."""
        if self._listener is not None:
            self._listener.cancel()
            await asyncio.gather(self._listener, return_exceptions=True)
        self._listener = None
        sessions, self._sessions = self._sessions, ()
        await asyncio.gather(*(session.stop() for session in sessions))
        try:
            await close_mixes(self._tools.matrix, self._labels)
        except HalError as error:
            logger.warning("recordings not closed: %s", error)
        self._tools.alarms.clear(NONE_LEFT)
        self._note("recording.stopped", {})
        self._book = None

    # ------------------------------------------------------------ calls

    def call_started(self, call: RecordedCall) -> None:
        """Notes a call that was answered, or that changed (moved, taken over)."""
        if self._book is not None and self._book.start(call):
            self._note("call.started", call.as_json())
            self._tell()

    def call_ended(self, call_id: str) -> None:
        """Notes that a call is over."""
        call = None if self._book is None else self._book.end(call_id)
        if call is not None:
            self._note("call.ended", call.as_json())
            self._tell()

    def allows_calls(self) -> bool:
        """Returns False when both recorders are lost and the policy is to block."""
        if self._policy != "block" or not self._sessions:
            return True
        return any(session.state is State.RECORDING for session in self._sessions)

    def _tell(self) -> None:
        for session in self._sessions:
            session.changed()

    # ------------------------------------------------------------ what is shown

    @property
    def state(self) -> str:
        """``recording``, ``degraded`` (one lost), ``lost`` (both), ``connecting`` or ``off``."""
        states = [session.state for session in self._sessions]
        if not states:
            return "off"
        if all(state is State.RECORDING for state in states):
            return "recording"
        if State.RECORDING in states:
            return "degraded"
        return "connecting" if State.CONNECTING in states else "lost"

    def snapshot(self) -> JsonObject:
        """Returns what the panel shows."""
        recorders = [cast(JsonValue, session.snapshot()) for session in self._sessions]
        return {
            "state": self.state,
            "policy": self._policy,
            "streams": list(self._labels) if self._sessions else [],
            "recorders": recorders or [cast(JsonValue, _idle(each)) for each in self._recorders],
        }

    def _changed(self) -> None:
        if self.state == "lost":
            self._tools.alarms.raise_(
                NONE_LEFT,
                "",
                "Nothing is recorded: every recorder is lost",
                "New calls are refused until one is back"
                if self._policy == "block"
                else "Calls go on unrecorded; bring a recorder back",
            )
        elif self.state in ("recording", "degraded"):
            self._tools.alarms.clear(NONE_LEFT)
        self._tools.changed()

    def _note(self, kind: str, fields: JsonObject) -> None:
        if self._ledger is None:
            return
        try:
            self._ledger.append(kind, fields)
        except LedgerError as error:
            self._tools.alarms.raise_(
                LEDGER, "", f"The call log is not written: {error}", "Check the unit's storage"
            )
        else:
            self._tools.alarms.clear(LEDGER)

    # ------------------------------------------------------------ the matrix's alarms

    async def _listen(self) -> None:
        """Passes on what the matrix says about the forks, across its reconnects."""
        while True:
            with contextlib.suppress(HalError):
                async for event in self._tools.matrix.events((Topic.ALARMS,)):
                    if event.event == "connected":
                        await self._compare()
                    self._hear(event)
            await asyncio.sleep(REOPEN_S)

    async def _compare(self) -> None:
        """Makes good what a restart of the matrix took: the recordings and their forks.

        Raises:
            MatrixError: The matrix refused or is gone again.
        """
        await open_mixes(self._tools.matrix, self._channels)
        for session in self._sessions:
            await session.compare()

    def _hear(self, event: MatrixEvent) -> None:
        if event.event != "alarm":
            return
        code, index = event.details.get("code"), event.details.get("index")
        for session in self._sessions:
            if session.address.index == index and code in (
                "recording.refused",
                "recording.accepted",
            ):
                session.refused(raised=code == "recording.refused")


def _idle(address: RecorderAddress) -> JsonObject:
    return {"name": address.role, "uri": address.uri, "state": State.IDLE.value}
