"""The turret proxy: answers calls to its hoots and speaks to all of them at one pace.

Thin: no conferencing yet, callers hear the hoot and not each other.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Iterable, Mapping
from pathlib import Path

from ...firmware.wire.sdp import SessionDescription
from ...firmware.wire.sip import Request
from ...hal.clock import Clock
from ..recorder.session import save_json
from ..sip import Answer, Dialog, SipRefusedError, SipServer
from .call import HootCall, Where
from .hoot import Hoot

logger = logging.getLogger(__name__)

FRAME_S = 0.020
STATUS_INTERVAL_S = 0.5
MAX_CATCH_UP = 5
KEPT_ENDED = 100


class TurretProxy:
    """A proxy with its hoots.

    Args:
        hoots: what can be called.
        where: where to listen and write.
        port: SIP port for UDP and TCP.
        clock: the time.
        status: file that is kept up to date with what is sent and heard, None for no file.
        rng: where random numbers of RTP come from.
    """

    def __init__(
        self,
        hoots: Iterable[Hoot],
        where: Where,
        *,
        port: int = 5060,
        clock: Clock,
        status: Path | None = None,
        rng: random.Random | None = None,
    ) -> None:
        self._hoots: Mapping[str, Hoot] = {hoot.user: hoot for hoot in hoots}
        self._where, self._clock, self._status = where, clock, status
        self._rng = rng or random.Random()
        self._calls: dict[str, HootCall] = {}
        self._ended: list[dict[str, object]] = []
        self.sip = SipServer(
            self,
            address=where.address,
            port=port,
            name="OpenTurret TPO",
            extensions=("replaces", "timer"),
        )
        self._frame = 0
        self.frames_skipped = 0
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def calls(self) -> tuple[HootCall, ...]:
        """The calls that are up."""
        return tuple(self._calls.values())

    async def start(self) -> None:
        """Listen and begin to speak.

        Raises:
            OSError: the address, the port or the folder cannot be had.
        """
        self._where.folder.mkdir(parents=True, exist_ok=True)
        await self.sip.start()
        self._tasks = [asyncio.create_task(self._speak()), asyncio.create_task(self._report())]
        self.save()

    async def close(self) -> None:
        """End every call."""
        for task in self._tasks:
            task.cancel()
        await self.sip.close()
        self.save()

    def describe(self) -> dict[str, object]:
        """Say what every call sent and heard, ended ones too."""
        return {
            "port": self.sip.port,
            "hoots": sorted(self._hoots),
            "frames": self._frame,
            "frames_skipped": self.frames_skipped,
            "calls": [call.describe() for call in self.calls],
            "ended": self._ended,
        }

    def save(self) -> None:
        """Write the status file, if there is one."""
        if self._status is not None:
            save_json(self._status, self.describe())

    # ------------------------------------------------------------------ the pace

    async def _speak(self) -> None:
        """Send one frame every 20 ms on an absolute grid; what is hopelessly late is skipped."""
        loop = asyncio.get_running_loop()
        begin = loop.time()
        while True:
            due = int((loop.time() - begin) / FRAME_S)
            if due - self._frame > MAX_CATCH_UP:
                self._skip(due - self._frame - 1)
            while self._frame <= due:
                self._speak_frame()
            await asyncio.sleep(begin + self._frame * FRAME_S - loop.time())

    def _speak_frame(self) -> None:
        for call in self.calls:
            call.speak(self._frame)
        self._frame += 1

    def _skip(self, frames: int) -> None:
        logger.warning("%d frames were not spoken in time", frames)
        self._frame += frames
        self.frames_skipped += frames

    async def _report(self) -> None:
        while True:
            await asyncio.sleep(STATUS_INTERVAL_S)
            try:
                self.save()
            except OSError:
                logger.exception("the status cannot be written")

    # ------------------------------------------------------------------ the call handler

    def invited(self, dialog: Dialog, invite: Request, replaced: Dialog | None) -> Answer:
        """Answer a call to a hoot; one that replaces another goes on with its media."""
        hoot = self._hoots.get(dialog.user)
        if hoot is None:
            raise SipRefusedError(404, f"there is no hoot {dialog.user!r}")
        offer = _offer(invite)
        old = None if replaced is None else self._calls.get(replaced.local_tag)
        call = old or HootCall(hoot, dialog.call_id, self._where, self._clock, self._rng)
        try:
            answer = call.offer(offer)
        except BaseException:
            if old is None:
                call.close()
            raise
        if old is not None and replaced is not None:
            del self._calls[replaced.local_tag]
            call.taken_over(dialog.call_id)
        self._calls[dialog.local_tag] = call
        return Answer(body=bytes(answer))

    def updated(self, dialog: Dialog, request: Request) -> Answer:
        """Take a new offer, or none (a session refresh without media)."""
        call = self._calls[dialog.local_tag]
        if not request.body:
            return Answer()
        return Answer(body=bytes(call.offer(_offer(request))))

    def ended(self, dialog: Dialog) -> None:
        """Close the call, unless another dialog went on with it."""
        call = self._calls.pop(dialog.local_tag, None)
        if call is not None:
            call.close()
            self._ended = [*self._ended[1 - KEPT_ENDED :], call.describe()]


def _offer(request: Request) -> SessionDescription:
    body = request.part("application/sdp")
    if body is None:
        raise SipRefusedError(488, "the request offers no media")
    return SessionDescription.parse(body)
