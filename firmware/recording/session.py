"""One SIPREC session with one recorder (RFC 7866): kept up, watched, brought back.

::

    connecting ── answered ──▶ recording ── silent ──▶ lost ── answers again ──▶ recording
        ▲                          │ ended                 │ its dialog is gone
        └───────── back-off ◀──────┴───────────────────────┘

While a recorder is silent its forks go on sending: one that only paused then loses nothing but the
pause.  Nothing here waits inside the voice's path, and the other recorder's session does not know.
"""

from __future__ import annotations

import asyncio
import enum
import logging
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from ...hal.backoff import Backoff, Waits
from ...hal.clock import Clock
from ...hal.errors import HalError
from ...hal.matrix import ForkTarget, MixingMatrix
from ...hal.wire.json_lines import JsonObject
from ..alarms import AlarmBoard
from ..calls.adoption import in_dialog
from ..calls.errors import CallsError
from ..calls.events import (
    BodyPart,
    CallConnected,
    CallEnded,
    Dialog,
    Direction,
    Event,
    LocalMedia,
    MediaChanged,
    NegotiatedMedia,
    Note,
    RawRequest,
    Response,
)
from ..calls.journal import Entry
from ..calls.registration import DIRECT
from ..wire.sip import Replaces
from ..wire.siprec import CONTENT_TYPE, Metadata
from .errors import SessionLostError
from .mixes import CODEC
from .watch import INTERVAL_S, Probe, RecorderAddress

logger = logging.getLogger(__name__)

LOST = "recording.lost"
KIND = "siprec"
CONNECT_S = 4.0
REFRESH_S = 2.0
GOODBYE_S = 1.0
FIRST_RETRY_S, LAST_RETRY_S = 0.5, 4.0
SILENT_S = 1.0
REFUSED_S = 3.0
SOURCE = ";+sip.src"
REQUIRE = ("Require", "siprec")
DISPOSITION = ("Content-Disposition", "recording-session")


class State(enum.StrEnum):
    """What the panel shows of a recorder."""

    IDLE = "idle"
    CONNECTING = "connecting"
    RECORDING = "recording"
    LOST = "lost"


class SessionAgent(Protocol):
    """What a session needs of the SIP agent; `firmware.calls.agent.Agent` has it."""

    async def invite(
        self,
        target: str,
        *,
        account: str,
        media: Sequence[LocalMedia],
        headers: Sequence[tuple[str, str]] = (),
        parts: Sequence[BodyPart] = (),
        contact_parameters: str = "",
        note: Note | None = None,
        call_id: str | None = None,
    ) -> str:
        """Calls; what becomes of it comes as events."""
        ...

    async def reinvite(
        self,
        call_id: str,
        *,
        media: Sequence[LocalMedia] | None = None,
        headers: Sequence[tuple[str, str]] = (),
        parts: Sequence[BodyPart] = (),
    ) -> None:
        """Offers again inside the dialog."""
        ...

    async def hang_up(self, call_id: str, *, status: int | None = None) -> None:
        """Ends a call in whatever state."""
        ...

    async def adopt(
        self, call_id: str, dialog: Dialog, *, note: Note | None = None, account: str = ""
    ) -> None:
        """Keeps a dialog that outlived its process."""
        ...

    async def request(self, request: RawRequest) -> Response:
        """Sends a request by hand and waits for the answer."""
        ...

    def subscribe(self, listener: Callable[[Event], None]) -> Callable[[], None]:
        """Calls the listener with every event."""
        ...


@dataclass(frozen=True, slots=True)
class Tools:
    """What both sessions share.

    Attributes:
        agent: Signals.
        matrix: Sends.
        alarms: Is told what is lost.
        clock: The time.
        rng: Spreads the retries.
        changed: Called when the panel should look again.
    """

    agent: SessionAgent
    matrix: MixingMatrix
    alarms: AlarmBoard
    clock: Clock
    rng: random.Random
    changed: Callable[[], None]


class RecorderSession:
    """The session with one recorder.

    Args:
        address: Which recorder.
        tools: Agent, matrix, alarms and time.
        labels: The recordings that it gets, one stream each.
        metadata: Builds the present picture.
    """

    def __init__(
        self,
        address: RecorderAddress,
        tools: Tools,
        labels: tuple[str, ...],
        metadata: Callable[[], Metadata],
    ) -> None:
        self.address, self._tools = address, tools
        self._labels, self._metadata = labels, metadata
        self._probe = Probe(address, tools.rng)
        self._waits = Waits(
            Backoff(first_s=FIRST_RETRY_S, cap_s=LAST_RETRY_S, jitter=0.5, rng=tools.rng)
        )
        self._wake = asyncio.Event()
        self._call_id = ""
        self._dialog: Dialog | None = None
        self._media: tuple[NegotiatedMedia, ...] = ()
        self._offers_answered = 0
        self._ended: CallEnded | None = None
        self._adopted: Entry | None = None
        self._refused_since: float | None = None
        self._silent = self._doubtful = self._stale = self._unforked = False
        self.state = State.IDLE
        self.since_unix_s = tools.clock.unix()
        self._unsubscribe = tools.agent.subscribe(self._hear)
        self._task: asyncio.Task[None] | None = None

    # ------------------------------------------------------------ life

    def start(self, entry: Entry | None = None) -> None:
        """Begins to record; ``entry`` is the dialog that a former process left."""
        self._task = asyncio.get_running_loop().create_task(self._run(entry))

    async def stop(self) -> None:
        """Ends the session with a BYE and frees its forks."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if self._call_id and self._ended is None:
            await self._hang_up(self._call_id)
            await self._wait(lambda: self._ended is not None, GOODBYE_S)
        await self._unfork()
        self._unsubscribe()
        self._probe.close()
        self._tools.alarms.clear(LOST, self.address.role)
        self._enter(State.IDLE)

    def changed(self) -> None:
        """Notes that the metadata is new; it is sent as soon as the recorder takes it."""
        self._stale = True
        self._wake.set()

    def refused(self, *, raised: bool) -> None:
        """Hears from the matrix that the recorder refuses packets, or takes them again."""
        self._refused_since = self._tools.clock.monotonic() if raised else None
        if raised and self.state is State.RECORDING:
            self._lose("it refuses the voice packets")
        self._wake.set()

    async def compare(self) -> None:
        """Begins anew when the matrix does not send what this session is there for.

        Raises:
            MatrixError: The matrix is gone.
        """
        if self.state is not State.CONNECTING and not await self._is_forked():
            self._unforked = True
            self._wake.set()

    def snapshot(self) -> JsonObject:
        """Returns what the panel shows."""
        return {
            "name": self.address.role,
            "uri": self.address.uri,
            "state": self.state.value,
            "since": self.since_unix_s,
            "streams": list(self._labels),
            "adopted": self._adopted is not None,
            "sip_call_id": self._dialog.sip_call_id if self._dialog is not None else "",
        }

    # ------------------------------------------------------------ the sequence

    async def _run(self, entry: Entry | None) -> None:
        while True:
            try:
                await self._establish(entry)
                self._waits.reset()
                await self._hold()
            except (SessionLostError, CallsError, HalError) as error:
                self._lose(str(error))
            except Exception:
                logger.exception("session with recorder %s", self.address.role)
                self._lose("the unit made a mistake; its log says more")
            entry = None
            await self._abandon()
            await asyncio.sleep(self._waits.next_s())

    async def _establish(self, entry: Entry | None) -> None:
        if self.state is not State.LOST:
            self._enter(State.CONNECTING)
        if entry is not None and await self._resume(entry):
            return
        await self._probe.ask()
        await self._invite(())
        self._gain()

    async def _hold(self) -> None:
        """Watches a session that is up; returns only by raising."""
        while True:
            begun = self._tools.clock.monotonic()
            self._check_ended()
            self._check_forked()
            await self._look()
            if self._stale and not self._silent:
                await self._send_metadata()
            pause = SILENT_S * self._tools.rng.uniform(0.5, 1.0) if self._silent else INTERVAL_S
            await self._rest(begun + pause - self._tools.clock.monotonic())

    async def _look(self) -> None:
        """Asks the recorder; after silence or refusal makes sure that its session still stands."""
        try:
            await self._probe.ask()
        except SessionLostError as error:
            self._silent = True
            self._lose(str(error))
            return
        self._silent = False
        self._check_ended()
        if self._doubtful:
            await self._send_metadata()
            self._doubtful = False
        self._check_refused()
        if self.state is State.LOST and self._refused_since is None:
            self._gain()

    def _check_refused(self) -> None:
        """Gives a session up that stands while its packets are refused."""
        since = self._refused_since
        if since is not None and self._tools.clock.monotonic() - since > REFUSED_S:
            raise SessionLostError("it refuses the voice packets of a session that it keeps")

    def _check_forked(self) -> None:
        if self._unforked:
            raise SessionLostError("the mixing matrix has restarted and sends it nothing")

    async def _rest(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(max(0.0, seconds)):
                await self._wake.wait()
        except TimeoutError:
            return
        self._wake.clear()

    # ------------------------------------------------------------ signalling

    async def _invite(self, headers: tuple[tuple[str, str], ...]) -> None:
        """Calls the recorder and forks the voice to where it answers.

        Raises:
            SessionLostError: It refused, or did not answer in time.
        """
        role, tools = self.address.role, self._tools
        self._ended, self._media, self._dialog = None, (), None
        self._stale = False
        media = [await self._local_media(label) for label in self._labels]
        call_id = f"{KIND}-{role}-{tools.rng.getrandbits(48):012x}"
        self._call_id = call_id
        await tools.agent.invite(
            self.address.uri,
            account=DIRECT,
            media=media,
            headers=(REQUIRE, *headers),
            parts=(self._part(),),
            contact_parameters=SOURCE,
            note={"kind": KIND, "recorder": role, "streams": list(self._labels)},
            call_id=call_id,
        )
        if not await self._wait(self._is_up, CONNECT_S):
            raise SessionLostError(self._why_not())
        await self._fork()

    async def _local_media(self, label: str) -> LocalMedia:
        port = await self._tools.matrix.recording_reserve(label, self.address.index)
        return LocalMedia(
            port.address,
            port.rtp_port,
            direction=Direction.SENDONLY,
            label=label,
            codecs=(CODEC.value,),
        )

    def _part(self) -> BodyPart:
        return BodyPart(CONTENT_TYPE, bytes(self._metadata()).decode(), (DISPOSITION,))

    def _is_up(self) -> bool:
        return self._ended is not None or bool(self._dialog is not None and self._media)

    def _why_not(self) -> str:
        if self._ended is None:
            return f"no answer to the INVITE within {CONNECT_S:g} s"
        return f"refused with {self._ended.status} {self._ended.reason}"

    async def _fork(self) -> None:
        """Sends the recordings to where the recorder listens.

        Raises:
            SessionLostError: The INVITE failed, or the recorder does not take every stream.
        """
        if self._ended is not None:
            raise SessionLostError(self._why_not())
        taken = {media.index: media for media in self._media if media.remote_rtp_port}
        for index, label in enumerate(self._labels):
            media = taken.get(index)
            if media is None or media.codec != CODEC.value:
                raise SessionLostError(f"it does not take the stream {label} in {CODEC}")
            target = ForkTarget(media.remote_address, media.remote_rtp_port, media.payload_type)
            await self._tools.matrix.recording_fork(label, self.address.index, target)
        self._unforked = False

    async def _send_metadata(self) -> None:
        """Tells the recorder what is going on, and so asks whether the session still stands.

        Raises:
            SessionLostError: It does not.
        """
        self._stale = False
        if self._adopted is not None:
            await self._update_adopted(self._adopted)
            return
        answered = self._offers_answered
        await self._tools.agent.reinvite(self._call_id, parts=(self._part(),))
        if not await self._wait(lambda: self._offers_answered > answered, REFRESH_S):
            raise SessionLostError("no answer to new metadata")
        self._check_ended()

    async def _update_adopted(self, entry: Entry) -> None:
        """Sends an UPDATE by hand in a dialog that PJSIP does not know."""
        agent, part = self._tools.agent, self._part()
        update = in_dialog("UPDATE", entry.dialog)
        request = replace(
            update,
            contact=update.contact and update.contact + SOURCE,
            content_type=part.content_type,
            body=part.body,
        )
        dialog = replace(entry.dialog, local_cseq=entry.dialog.local_cseq + 1)
        self._adopted = replace(entry, dialog=dialog)
        await agent.adopt(entry.call_id, dialog, note=entry.note, account=entry.account)
        response = await agent.request(request)
        if response.status in (408, 481, 503):
            raise SessionLostError(f"its session is gone: {response.status} {response.reason}")
        if response.status >= 300:
            logger.warning(
                "recorder %s: metadata refused with %d", self.address.role, response.status
            )

    async def _resume(self, entry: Entry) -> bool:
        """Goes on with the session of a former process; its forks never stopped.

        False when it cannot: then the old session is ended and a new one begins.
        """
        agent, dialog = self._tools.agent, entry.dialog
        if entry.note.get("streams") != list(self._labels) or not await self._is_forked():
            await self.end_left_over(agent, entry)
            return False
        await agent.adopt(entry.call_id, dialog, note=entry.note, account=entry.account)
        if dialog.supports("replaces") and await self._replace(dialog):
            self._gain()
            return True
        if self._call_id and self._ended is None:
            await self._hang_up(self._call_id)
        self._call_id, self._dialog, self._ended = entry.call_id, dialog, None
        self._adopted, self._stale = entry, True
        self._gain()
        return True

    async def _replace(self, dialog: Dialog) -> bool:
        """Takes the old session over by INVITE with Replaces (RFC 3891) from the same ports."""
        value = str(Replaces(dialog.sip_call_id, dialog.remote_tag, dialog.local_tag))
        try:
            await self._probe.ask()
            await self._invite((("Replaces", value),))
        except (SessionLostError, CallsError) as error:
            logger.warning("recorder %s: no take-over: %s", self.address.role, error)
            return False
        return True

    @staticmethod
    async def end_left_over(agent: SessionAgent, entry: Entry) -> None:
        """Ends a session that nobody goes on with."""
        try:
            await agent.adopt(entry.call_id, entry.dialog, note=entry.note, account=entry.account)
            await agent.hang_up(entry.call_id)
        except CallsError as error:
            logger.warning("old session %s not ended: %s", entry.dialog.sip_call_id, error)

    async def _is_forked(self) -> bool:
        there = {each.name: each.forks for each in await self._tools.matrix.recording_list()}
        index = self.address.index
        return all(
            any(fork.index == index and fork.target is not None for fork in there.get(label, ()))
            for label in self._labels
        )

    # ------------------------------------------------------------ ends

    def _check_ended(self) -> None:
        if self._ended is not None:
            raise SessionLostError(
                f"the session has ended: {self._ended.status} {self._ended.reason}"
            )

    async def _abandon(self) -> None:
        """Leaves a session that is no use any more, whatever is left of it."""
        if self._call_id and self._ended is None:
            await self._hang_up(self._call_id)
        self._call_id, self._dialog, self._adopted = "", None, None
        self._silent, self._refused_since = False, None
        await self._unfork()

    async def _hang_up(self, call_id: str) -> None:
        try:
            await self._tools.agent.hang_up(call_id)
        except CallsError as error:
            logger.info("recorder %s: not hung up: %s", self.address.role, error)

    async def _unfork(self) -> None:
        for label in self._labels:
            try:
                await self._tools.matrix.recording_unfork(label, self.address.index)
            except HalError as error:
                logger.debug("recorder %s: %s", self.address.role, error)

    # ------------------------------------------------------------ what is heard

    def _hear(self, event: Event) -> None:
        if getattr(event, "call_id", None) != self._call_id or not self._call_id:
            return
        match event:
            case CallConnected(_, dialog):
                self._dialog = dialog
            case MediaChanged(_, media):
                self._media = media
                self._offers_answered += 1
            case CallEnded():
                self._ended = event
                self._offers_answered += 1
            case _:
                return
        self._wake.set()

    async def _wait(self, done: Callable[[], bool], seconds: float) -> bool:
        deadline = self._tools.clock.monotonic() + seconds
        while not done():
            left = deadline - self._tools.clock.monotonic()
            if left <= 0:
                return False
            await self._rest(left)
        return True

    # ------------------------------------------------------------ what is shown

    def _gain(self) -> None:
        self._doubtful = False
        self._tools.alarms.clear(LOST, self.address.role)
        self._enter(State.RECORDING)

    def _lose(self, why: str) -> None:
        name, self._doubtful = self.address.role.upper(), True
        self._tools.alarms.raise_(
            LOST,
            self.address.role,
            f"Recorder {name} is lost: {why}",
            f"Check recorder {name} ({self.address.host}:{self.address.port}) and its network",
        )
        self._enter(State.LOST)

    def _enter(self, state: State) -> None:
        if state is self.state:
            return
        self.state, self.since_unix_s = state, self._tools.clock.unix()
        logger.info("recorder %s: %s", self.address.role, state.value)
        self._tools.changed()
