"""The SIP agent as asyncio sees it; PJSIP runs on a thread of its own behind it.

Who calls::

    agent = Agent(AgentSettings(address="10.1.0.101"))
    await agent.start()
    agent.subscribe(listener)                   # events, on the loop, in order
    await agent.add_account(Account("direct", "sip:1001@turret.example"))
    call_id = await agent.invite(target, account="direct", media=[LocalMedia(address, port)])

Every method returns as soon as PJSIP has taken the request; what becomes of it comes as events.
``note`` makes a call one for the journal: it is written beside the dialog, whenever either
changes, and found again after a restart (:mod:`.journal`).  A raw request is awaited to its end.

One agent per process: that is PJSIP's limit.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import secrets
import threading
from collections.abc import Callable, Sequence
from typing import TypeVar

from ...hal.clock import Clock, SystemClock
from .adoption import Adopted
from .errors import AgentError, AgentStoppedError, CallsError
from .events import (
    Account,
    BodyPart,
    Dialog,
    Event,
    LocalMedia,
    Note,
    RawRequest,
    Response,
)
from .pjsip_endpoint import AgentSettings
from .user_agent import Invitation, UserAgent

__all__ = ["Agent", "AgentSettings", "new_call_id"]

logger = logging.getLogger(__name__)
T = TypeVar("T")
Listener = Callable[[Event], None]
Job = Callable[[], None]


def new_call_id() -> str:
    """Makes up one of our call ids."""
    return f"call-{secrets.token_hex(6)}"


def _bare(error: Exception) -> Exception:
    """Strips the frames, which hold calls that only PJSIP's thread may delete."""
    error.__traceback__ = error.__context__ = error.__cause__ = None
    return error


class Agent:
    """Registers, calls and answers.

    Args:
        settings: Address, port and name.
        clock: Bounds how much PJSIP may log.
    """

    def __init__(self, settings: AgentSettings, clock: Clock | None = None) -> None:
        self._settings = settings
        self._clock = clock or SystemClock()
        self._jobs: queue.SimpleQueue[Job] = queue.SimpleQueue()
        self._listeners: list[Listener] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._user_agent: UserAgent | None = None
        self._stopping = False
        self._hang_up = False
        self._closed = False

    @property
    def settings(self) -> AgentSettings:
        """Address, port and name."""
        return self._settings

    # ------------------------------------------------------------ life

    async def start(self) -> None:
        """Binds UDP and TCP and starts the thread.

        Raises:
            AgentError: PJSIP refused, for example because the port is taken.
        """
        self._loop = asyncio.get_running_loop()
        started: asyncio.Future[None] = self._loop.create_future()
        self._stopping = self._closed = False
        self._user_agent = UserAgent(self._settings, self._publish, new_call_id, self._clock)
        self._thread = threading.Thread(
            target=self._run, args=(self._user_agent, started), name="sip", daemon=True
        )
        self._thread.start()
        await started

    async def stop(self, *, hang_up: bool = False) -> None:
        """Ends the thread; without ``hang_up`` live calls go on and stay in the journal."""
        thread, self._thread = self._thread, None
        if thread is None:
            return
        self._stopping, self._hang_up = True, hang_up
        self._post(lambda: None)
        await asyncio.to_thread(thread.join)
        self._user_agent = None

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Calls the listener with every event from now on; returns what ends that."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    # ------------------------------------------------------------ accounts

    async def add_account(self, account: Account) -> None:
        """Adds an account, or replaces the one of that name; registers if it has a registrar.

        Raises:
            AgentError: PJSIP refused.
        """
        await self._do(lambda ua: ua.add_account(account))

    async def remove_account(self, name: str) -> None:
        """Unregisters and removes an account; nothing when there is none."""
        await self._do(lambda ua: ua.remove_account(name))

    async def register(self, name: str) -> None:
        """Sends a REGISTER now; the answer comes as RegistrationChanged.

        Raises:
            AgentError: There is no such account, or PJSIP refused.
        """
        await self._do(lambda ua: ua.register(name))

    async def allow_only(self, sources: frozenset[str] | None) -> None:
        """Refuses what comes from other addresses outside a dialog with 403; None allows all."""
        await self._do(lambda ua: ua.allow_only(sources))

    # ------------------------------------------------------------ calls

    async def invite(
        self,
        target: str,
        *,
        account: str,
        media: Sequence[LocalMedia],
        headers: Sequence[tuple[str, str]] = (),
        parts: Sequence[BodyPart] = (),
        contact_parameters: str = "",
        offer: str | None = None,
        note: Note | None = None,
        call_id: str | None = None,
    ) -> str:
        """Calls.

        Args:
            target: Request-URI; ``;transport=tcp`` in it chooses TCP.
            account: Name of the account that calls.
            media: One per ``m=audio`` line.
            headers: Further headers.
            parts: Further body parts; the body is then multipart/mixed with the SDP first.
            contact_parameters: Feature tags behind the Contact, ``;+sip.src``.
            offer: A whole SDP instead of PJSIP's, in every offer of this call.
            note: Written to the journal with the dialog; None keeps the call out of it.
            call_id: Ours; made up when None.

        Returns:
            Our id of the call, which every event of it carries.

        Raises:
            CallFailedError: PJSIP could not send it.
            AgentError: There is no such account.
        """
        invitation = Invitation(
            call_id or new_call_id(),
            account,
            target,
            tuple(media),
            tuple(headers),
            tuple(parts),
            contact_parameters,
            offer,
            note,
        )
        await self._do(lambda ua: ua.invite(invitation))
        return invitation.call_id

    async def ring(self, call_id: str) -> None:
        """Answers 180.

        Raises:
            UnknownCallError: There is no such call.
        """
        await self._do(lambda ua: ua.answer(call_id, 180, (), None))

    async def answer(
        self, call_id: str, *, media: Sequence[LocalMedia], note: Note | None = None
    ) -> None:
        """Answers 200.

        Raises:
            UnknownCallError: There is no such call.
            AgentError: PJSIP refused.
        """
        await self._do(lambda ua: ua.answer(call_id, 200, tuple(media), note))

    async def reinvite(
        self,
        call_id: str,
        *,
        media: Sequence[LocalMedia] | None = None,
        headers: Sequence[tuple[str, str]] = (),
        parts: Sequence[BodyPart] = (),
    ) -> None:
        """Offers again inside the dialog; what was on hold is live again.

        Raises:
            UnknownCallError: There is no such call in PJSIP; an adopted one cannot.
            AgentError: PJSIP refused, for example while another offer is open.
        """
        chosen = None if media is None else tuple(media)
        await self._do(lambda ua: ua.reinvite(call_id, chosen, headers, parts))

    async def hold(self, call_id: str) -> None:
        """Puts the peer on hold.

        Raises:
            UnknownCallError: There is no such call in PJSIP; an adopted one cannot.
            AgentError: PJSIP refused.
        """
        await self._do(lambda ua: ua.hold(call_id))

    async def hang_up(self, call_id: str, *, status: int | None = None) -> None:
        """Ends a call in whatever state: CANCEL, BYE or a refusal with ``status``.

        Raises:
            UnknownCallError: There is no such call.
            AgentError: It could not be sent.
        """
        await self._do(lambda ua: ua.hang_up(call_id, status or 0))

    async def dialog(self, call_id: str) -> Dialog:
        """Returns the dialog of a call.

        Raises:
            UnknownCallError: There is no such call, or it has no dialog yet.
        """
        return await self._do(lambda ua: ua.dialog(call_id))

    def annotate(self, call_id: str, note: Note) -> None:
        """Replaces what the journal says about a call; nothing when it has just ended."""
        user_agent = self._running()
        self._post(lambda: user_agent.annotate(call_id, note))

    async def adopt(
        self, call_id: str, dialog: Dialog, *, note: Note | None = None, account: str = ""
    ) -> None:
        """Keeps a dialog that outlived its process, see :mod:`.adoption`.

        Args:
            call_id: Ours, as it was.
            dialog: From the journal.
            note: From the journal.
            account: Whose credentials a BYE may use.
        """
        adopted = Adopted(call_id, account, dialog, note or {})
        await self._do(lambda ua: ua.adopt(adopted))

    async def request(self, request: RawRequest) -> Response:
        """Sends a request by hand and waits for the final answer.

        Returns:
            The answer; 408 when none came, 503 when the transport failed.

        Raises:
            AgentError: It could not be built or sent.
        """
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Response] = loop.create_future()

        def done(response: Response) -> None:
            loop.call_soon_threadsafe(_resolve, answer, response)

        await self._do(lambda ua: ua.send(request, done))
        return await answer

    async def pulse(self) -> None:
        """Returns once PJSIP's thread has done nothing for us: it lives.

        Raises:
            AgentStoppedError: There is no thread.
        """
        await self._do(lambda _: None)

    # ------------------------------------------------------------ the thread

    def _running(self) -> UserAgent:
        if self._user_agent is None or self._thread is None:
            raise AgentStoppedError("the SIP agent is not running")
        return self._user_agent

    async def _do(self, action: Callable[[UserAgent], T]) -> T:
        """Runs an action on PJSIP's thread."""
        user_agent = self._running()
        loop = asyncio.get_running_loop()
        result: asyncio.Future[T] = loop.create_future()

        def job() -> None:
            try:
                value = self._act(user_agent, action)
            except CallsError as error:
                loop.call_soon_threadsafe(_fail, result, _bare(error))
            except Exception as error:
                logger.exception("a job of the SIP thread")
                loop.call_soon_threadsafe(_fail, result, AgentError(f"{error!r}"))
            else:
                loop.call_soon_threadsafe(_resolve, result, value)

        self._post(job)
        return await result

    def _act(self, user_agent: UserAgent, action: Callable[[UserAgent], T]) -> T:
        if self._closed:
            raise AgentStoppedError("the SIP agent has stopped")
        return action(user_agent)

    def _post(self, job: Job) -> None:
        self._jobs.put(job)
        tap = self._user_agent.tap if self._user_agent is not None else None
        if tap is not None:
            tap.wake()

    def _run(self, user_agent: UserAgent, started: asyncio.Future[None]) -> None:
        """Is the thread: owns PJSIP from its first call to its last."""
        loop = started.get_loop()
        try:
            user_agent.open()
        except CallsError as error:
            loop.call_soon_threadsafe(_fail, started, _bare(error))
            return
        except Exception as error:
            logger.exception("the SIP thread cannot start")
            loop.call_soon_threadsafe(_fail, started, AgentError(f"{error!r}"))
            return
        loop.call_soon_threadsafe(_resolve, started, None)
        while not self._stopping:
            self._run_jobs()
            user_agent.wait()
        self._closed = True
        user_agent.close(hang_up=self._hang_up)
        self._run_jobs()

    def _run_jobs(self) -> None:
        while not self._jobs.empty():
            try:
                self._jobs.get_nowait()()
            except Exception:
                logger.exception("a job of the SIP thread")

    def _publish(self, event: Event) -> None:
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._deliver, event)

    def _deliver(self, event: Event) -> None:
        for listener in tuple(self._listeners):
            try:
                listener(event)
            except Exception:
                logger.exception("listener to %s", type(event).__name__)


def _resolve(future: asyncio.Future[T], value: T) -> None:
    if not future.done():
        future.set_result(value)


def _fail(future: asyncio.Future[T], error: Exception) -> None:
    if not future.done():
        future.set_exception(error)
