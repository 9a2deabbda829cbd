"""The lines in use: what the agent reports about calls, turned into states, legs and buses.

Events of the agent are handled one after the other by one task.  A call that nobody reacts to
is tried on the next route after NO_REACTION_S; what then still comes of it is ignored.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass

from ...hal.clock import Clock
from ...hal.errors import HalError
from ..wire.errors import WireError
from ..wire.sip import Replaces, SipUri
from .agent import Agent, new_call_id
from .errors import CallFailedError, CallsError, LineError, UnknownCallError
from .events import (
    CallConnected,
    CallEnded,
    CallProgress,
    CallReplaced,
    Dialog,
    Event,
    IncomingCall,
    MediaChanged,
)
from .line import CallKind, Line, LineState, Route
from .registration import DIRECT
from .voice import Voice

logger = logging.getLogger(__name__)
NO_REACTION_S = 2.0
"""A PBX that lives answers 100 Trying within milliseconds."""
OTHER_ROUTE_HELPS = frozenset({0, 404, 408, 480, 500, 502, 503, 504})
OLD_DIALOG_GRACE_S = 5.0
"""How long the peer may take to end the dialog that an INVITE with Replaces has replaced."""


def who(uri: str) -> str:
    """Returns the user part of a SIP URI, or the URI when it has none.

    >>> who('sip:2001@turret.example')
    '2001'
    """
    try:
        return SipUri.parse(uri).user or uri
    except WireError:
        return uri


@dataclass(frozen=True, slots=True)
class Watchers:
    """Who is told.

    Attributes:
        changed: Anything that the panel shows has changed.
        incoming: A new call rings; False refuses it.
        connected: A line is answered.
        ended: A line is gone; its last state, and the SIP status and reason.
    """

    changed: Callable[[], None]
    incoming: Callable[[Line], bool]
    connected: Callable[[Line], None]
    ended: Callable[[Line, int, str], None]


class Lines:
    """Every call of the desk.

    Args:
        agent: Signals.
        voice: Mixes.
        clock: Says when a call was answered.
        watchers: Who is told.
    """

    def __init__(self, agent: Agent, voice: Voice, clock: Clock, watchers: Watchers) -> None:
        self._agent = agent
        self._voice = voice
        self._clock = clock
        self._watchers = watchers
        self._lines: dict[str, Line] = {}
        self._by_call: dict[str, Line] = {}
        self._queue: asyncio.Queue[Event] = asyncio.Queue()
        self._unsubscribe: Callable[[], None] | None = None
        self._worker: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def __iter__(self) -> Iterator[Line]:
        return iter(tuple(self._lines.values()))

    def __getitem__(self, line_id: str) -> Line:
        line = self._lines.get(line_id)
        if line is None:
            raise LineError(f"there is no call {line_id!r}", "it may have just ended")
        return line

    def on(self, bus: str) -> Line | None:
        """Returns the live line of a bus; a held one only when there is no other."""
        found = [line for line in self if line.bus == bus]
        found.sort(key=lambda line: line.state is LineState.HELD)
        return found[0] if found else None

    # ------------------------------------------------------------ life

    def start(self) -> None:
        """Starts to listen to the agent."""
        self._unsubscribe = self._agent.subscribe(self._queue.put_nowait)
        self._worker = asyncio.get_running_loop().create_task(self._work())

    async def stop(self) -> None:
        """Stops to listen; lines, legs and dialogs stay as they are."""
        if self._unsubscribe is not None:
            self._unsubscribe()
        if self._worker is None:
            return
        tasks = (self._worker, *self._tasks)
        self._worker = None
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # ------------------------------------------------------------ what the desk asks

    async def call(self, line: Line, routes: Iterable[Route]) -> None:
        """Calls out on the first route that works.

        Raises:
            CallFailedError: No route took the INVITE.
            MatrixError: There is no leg for it.
        """
        line.routes_left = list(routes)
        line.state = LineState.DIALING
        self._lines[line.line_id] = line
        try:
            await self._voice.open(line)
            await self._voice.join(line)
            await self._next_route(line)
        except (CallsError, HalError):
            await self._forget(line)
            raise
        self._watchers.changed()

    async def answer(self, line: Line, bus: str) -> None:
        """Takes an incoming call onto a bus.

        Raises:
            LineError: It is not ringing here.
            CallsError: The agent refused.
            MatrixError: There is no leg for it.
        """
        if line.state is not LineState.INCOMING or line.bus:
            raise LineError(f"call {line.line_id} is {line.state}", "only a ringing call is taken")
        line.bus = bus
        try:
            media = await self._voice.open(line)
            await self._voice.join(line)
            await self._agent.answer(line.call_id, media=[media], note=line.note())
        except (CallsError, HalError):
            line.bus = ""
            await self._voice.close(line)
            raise
        self._watchers.changed()

    async def hang_up(self, line: Line, *, status: int | None = None) -> None:
        """Ends a line; it is gone at once, whatever the peer says to the BYE."""
        line.routes_left.clear()
        self._by_call.pop(line.call_id, None)
        try:
            if line.call_id:
                await self._agent.hang_up(line.call_id, status=status)
        except CallsError as error:
            logger.warning("hang up %s: %s", line.remote, error)
        await self._finish(line, 200, "hung up here")

    async def end_silent(self, line: Line) -> None:
        """Ends a line whose leg has gone with the matrix; the leg's number may be another's now."""
        line.routes_left.clear()
        line.leg = line.target = None
        self._by_call.pop(line.call_id, None)
        try:
            await self._agent.hang_up(line.call_id)
        except CallsError as error:
            logger.warning("hang up %s: %s", line.remote, error)
        await self._finish(line, 503, "the mixing matrix has lost it")

    async def hold(self, line: Line) -> None:
        """Puts the peer on hold and takes the leg off its bus.

        Raises:
            LineError: It is not connected, or adopted: its dialog cannot carry an offer.
        """
        if line.state is not LineState.CONNECTED or line.adopted:
            raise LineError(f"call {line.line_id} cannot be held", "only a call made here can")
        await self._agent.hold(line.call_id)
        line.state = LineState.HELD
        await self._voice.leave(line)
        await self._write_down(line)

    async def resume(self, line: Line, bus: str) -> None:
        """Takes a held call back, onto this bus.

        Raises:
            LineError: It is not on hold.
        """
        if line.state is not LineState.HELD or line.adopted:
            raise LineError(f"call {line.line_id} is not on hold here")
        await self._agent.reinvite(line.call_id)
        line.bus, line.state = bus, LineState.CONNECTED
        await self._voice.join(line)
        await self._write_down(line)

    async def move(self, line: Line, bus: str) -> None:
        """Moves a live call to another bus; its dialog does not notice."""
        await self._voice.leave(line)
        line.bus = bus
        await self._voice.join(line)
        await self._write_down(line)

    # ------------------------------------------------------------ after a restart

    def take(self, line: Line) -> None:
        """Shows a line that a former process made."""
        self._lines[line.line_id] = line
        self._by_call[line.call_id] = line
        self._watchers.changed()

    async def replace(self, line: Line, dialog: Dialog) -> None:
        """Takes an adopted call over by INVITE with Replaces, offering the same leg (RFC 3891).

        The voice goes on meanwhile, and when the peer refuses, the line stays adopted.
        """
        replaces = Replaces(dialog.sip_call_id, dialog.remote_tag, dialog.local_tag)
        media = await self._voice.open(line)
        call_id = new_call_id()
        self._by_call[call_id] = line
        try:
            await self._agent.invite(
                dialog.remote_target,
                account=DIRECT,
                media=[media],
                headers=[("Replaces", str(replaces))],
                note={**line.note(), "replaces": dialog.sip_call_id},
                call_id=call_id,
            )
        except CallsError as error:
            self._by_call.pop(call_id, None)
            logger.warning("take-over of %s not sent: %s", line.remote, error)

    # ------------------------------------------------------------ what the agent reports

    async def _work(self) -> None:
        while True:
            event = await self._queue.get()
            try:
                await self._handle(event)
            except (CallsError, HalError) as error:
                logger.warning("%s: %s", type(event).__name__, error)
            except Exception:
                logger.exception("%s", type(event).__name__)

    async def _handle(self, event: Event) -> None:
        match event:
            case IncomingCall():
                await self._ring(event)
            case CallProgress(call_id, status):
                self._progress(call_id, status)
            case MediaChanged(call_id, media) if media and call_id in self._by_call:
                await self._voice.connect(self._by_call[call_id], media[0])
            case CallConnected(call_id, dialog) if call_id in self._by_call:
                await self._connected(self._by_call[call_id], call_id, dialog)
            case CallReplaced(call_id, new_call_id_) if call_id in self._by_call:
                line = self._by_call[new_call_id_] = self._by_call[call_id]
                line.call_id = new_call_id_
            case CallEnded(call_id, status, reason):
                await self._ended(call_id, status, reason)
            case _:
                pass

    async def _ring(self, event: IncomingCall) -> None:
        line = Line(
            event.call_id,
            CallKind.CALL,
            "",
            who(event.remote_uri),
            event.remote_name,
            outgoing=False,
            state=LineState.INCOMING,
            call_id=event.call_id,
            sip_call_id=event.sip_call_id,
            account=event.account,
        )
        if not self._watchers.incoming(line):
            await self._agent.hang_up(event.call_id, status=480)
            return
        self._lines[line.line_id] = self._by_call[event.call_id] = line
        await self._agent.ring(event.call_id)
        self._watchers.changed()

    def _progress(self, call_id: str, status: int) -> None:
        line = self._by_call.get(call_id)
        if line is None:
            return
        line.answered = True
        if status > 100 and line.state is LineState.DIALING:
            line.state = LineState.RINGING
            self._watchers.changed()

    async def _connected(self, line: Line, call_id: str, dialog: Dialog) -> None:
        if line.call_id != call_id:
            self._took_over(line, call_id)
        line.answered = True
        line.sip_call_id = dialog.sip_call_id
        if line.state not in (LineState.CONNECTED, LineState.HELD):
            line.state = LineState.CONNECTED
            line.connected_unix_s = self._clock.unix()
        self._watchers.connected(line)
        await self._write_down(line)

    def _took_over(self, line: Line, call_id: str) -> None:
        """Makes the replacing dialog the line's own; the peer now ends the old one."""
        old, line.call_id, line.account = line.call_id, call_id, DIRECT
        line.adopted = False
        line.state = LineState.CONNECTED
        self._by_call.pop(old, None)
        self._later(OLD_DIALOG_GRACE_S, lambda: self._end_old(old))

    async def _end_old(self, call_id: str) -> None:
        try:
            await self._agent.hang_up(call_id)
        except CallsError:
            return
        logger.warning("the peer left the replaced dialog open; ended from here")

    async def _ended(self, call_id: str, status: int, reason: str) -> None:
        line = self._by_call.pop(call_id, None)
        if line is None or line.call_id != call_id:
            return
        tried_in_vain = line.state in (LineState.DIALING, LineState.RINGING)
        if tried_in_vain and line.routes_left and status in OTHER_ROUTE_HELPS:
            await self._go_on(line)
            return
        await self._finish(line, status, reason)

    # ------------------------------------------------------------ routes

    async def _next_route(self, line: Line) -> None:
        """Sends an INVITE on the first route left that takes one.

        Raises:
            CallFailedError: None does.
        """
        failure = CallFailedError(f"{line.remote}: there is no way to call")
        while line.routes_left:
            route = line.routes_left.pop(0)
            try:
                await self._invite(line, route)
            except CallFailedError as error:
                failure = error
                continue
            return
        raise failure

    async def _invite(self, line: Line, route: Route) -> None:
        line.account, line.call_id, line.answered = route.account, new_call_id(), False
        call_id = line.call_id
        self._by_call[call_id] = line
        media = await self._voice.open(line)
        try:
            await self._agent.invite(
                route.target,
                account=route.account,
                media=[media],
                note=line.note(),
                call_id=call_id,
            )
        except CallsError:
            self._by_call.pop(call_id, None)
            raise
        if line.routes_left:
            self._later(NO_REACTION_S, lambda: self._give_up(line, call_id))

    async def _give_up(self, line: Line, call_id: str) -> None:
        if line.answered or self._by_call.get(call_id) is not line:
            return
        logger.warning("no reaction from %s, next route", line.account)
        self._by_call.pop(call_id)
        with suppress(UnknownCallError):
            await self._agent.hang_up(call_id)
        await self._go_on(line)

    async def _go_on(self, line: Line) -> None:
        """Tries the next route; a line that none is left for is over."""
        try:
            await self._next_route(line)
        except (CallsError, HalError) as error:
            await self._finish(line, getattr(error, "status", 0) or 503, str(error))

    def _later(self, delay_s: float, action: Callable[[], object]) -> None:
        async def run() -> None:
            await asyncio.sleep(delay_s)
            result = action()
            if asyncio.iscoroutine(result):
                try:
                    await result
                except (CallsError, HalError) as error:
                    logger.warning("%s", error)

        task = asyncio.get_running_loop().create_task(run())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # ------------------------------------------------------------ the end

    async def _write_down(self, line: Line) -> None:
        self._agent.annotate(line.call_id, line.note())
        await self._voice.retag(line)
        self._watchers.changed()

    async def _finish(self, line: Line, status: int, reason: str) -> None:
        if line.line_id not in self._lines:
            return
        await self._forget(line)
        self._watchers.ended(line, status, reason)
        self._watchers.changed()

    async def _forget(self, line: Line) -> None:
        self._lines.pop(line.line_id, None)
        await self._voice.close(line)
