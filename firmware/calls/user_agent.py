"""PJSIP as the one thread that owns it sees it; nothing here may run on another thread.

PJSIP does signalling only: a loop media transport stands where RTP sockets would be, and every
description that PJSIP writes gets the matrix's address and ports before it leaves.

A callback that raises must not reach C++: each is guarded.  Calls are Python objects whose
destructor enters PJSIP, so they live in a dictionary of this thread until they are over, are
deleted outside callbacks, and no exception that leaves this thread carries a frame of theirs.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from ...hal.clock import Clock
from ..wire.errors import WireError
from ..wire.sip import NameAddress, Request
from . import _library as pj
from .adoption import Adopted, Adoption, advance, answer_for, in_dialog, read_request
from .errors import AgentError, CallFailedError, UnknownCallError
from .events import (
    Account,
    BodyPart,
    CallEnded,
    CallReplaced,
    Dialog,
    DialogChanged,
    Event,
    IncomingCall,
    LocalMedia,
    Note,
    RawRequest,
    Response,
)
from .pjsip_account import PjAccount, account_settings
from .pjsip_call import PjCall, placed, split_address
from .pjsip_endpoint import AgentSettings, PjsipLog, Tap, endpoint_settings
from .pjsip_messages import add_content, call_parameters, raw

logger = logging.getLogger(__name__)

IDLE_WAIT_MS = 1000
"""How long a wait for network events may last: the tap's wake() ends it early."""
DESTROY_SILENTLY = 3
"""PJSUA_DESTROY_NO_NETWORK, which SWIG does not export."""


@dataclass(frozen=True, slots=True)
class Invitation:
    """Everything that shapes an INVITE."""

    call_id: str
    account: str
    target: str
    media: tuple[LocalMedia, ...]
    headers: tuple[tuple[str, str], ...] = ()
    parts: tuple[BodyPart, ...] = ()
    contact_parameters: str = ""
    offer: str | None = None
    note: Note | None = None


def _ignore(event: Event) -> None:
    """Takes an event that nobody may hear any more."""
    del event


class UserAgent:
    """PJSIP's one endpoint with its accounts, calls and adopted dialogs.

    Args:
        settings: How it presents itself.
        emit: Gets every event, on this thread.
        new_call_id: Makes up our id of a call that comes in.
        clock: Bounds how much PJSIP may log.
    """

    def __init__(
        self,
        settings: AgentSettings,
        emit: Callable[[Event], None],
        new_call_id: Callable[[], str],
        clock: Clock,
    ) -> None:
        self._emit = emit
        self.tap: Tap | None = None
        self._settings = settings
        self._new_call_id = new_call_id
        self._clock = clock
        self._endpoint: pj.Endpoint | None = None
        self._accounts: dict[str, PjAccount] = {}
        self._companions: dict[tuple[str, str], PjAccount] = {}
        self._retired: list[PjAccount] = []
        self._calls: dict[str, PjCall] = {}
        self._finished: list[PjCall] = []
        self._successors: dict[str, PjCall] = {}
        self._adoption = Adoption()
        self._waiting: dict[int, Callable[[Response], None]] = {}
        self._last_token = 0
        self._sources: frozenset[str] | None = None

    # ------------------------------------------------------------ life

    def open(self) -> None:
        """Starts PJSIP and binds its transports.

        Raises:
            AgentError: PJSIP refused, for example because the port is taken.
        """
        pj.RequestTap.setLogLevel(self._settings.log_level)
        self._endpoint = endpoint = pj.Endpoint()
        try:
            endpoint.libCreate()
            endpoint.libInit(endpoint_settings(self._settings, PjsipLog(self._clock)))
            self._bind(endpoint)
            endpoint.libStart()
            self.tap = Tap(self)
            self.tap.start()
        except pj.Error as error:
            reason = error.info()
            self.close()
            raise AgentError(f"SIP at {self._place()}: {reason}") from None
        endpoint.audDevManager().setNoDev()
        priorities = self._settings.priorities
        for codec in endpoint.codecEnum2():
            endpoint.codecSetPriority(codec.codecId, priorities.get(codec.codecId, 0))

    def close(self, *, hang_up: bool = False) -> None:
        """Ends PJSIP.

        Args:
            hang_up: Ends the calls and registrations too; otherwise nothing is sent and nothing
                is reported, and the journal keeps the dialogs for the next process.
        """
        if not hang_up:
            self._emit = _ignore
        if self.tap is not None:
            self.tap.stop()
        self.tap = None
        for token in tuple(self._waiting):
            self.answered(token, Response(503, "the agent stops"))
        for call in self._calls.values():
            call.ended_by_us = True
        if self._endpoint is not None:
            self._endpoint.libDestroy(0 if hang_up else DESTROY_SILENTLY)
        self._calls.clear()
        self._successors.clear()
        self._finished.clear()
        self._accounts.clear()
        self._companions.clear()
        self._retired.clear()
        self._endpoint = None

    def wait(self) -> None:
        """Handles what the network brought, or waits for it; then buries what is over."""
        if self._endpoint is not None:
            self._endpoint.libHandleEvents(IDLE_WAIT_MS)
        self._finished.clear()
        if self._retired:
            self._bury_accounts()

    def report(self, event: Event) -> None:
        """Passes an event on."""
        self._emit(event)

    def journals(self) -> bool:
        """Whether dialogs can be read now."""
        return self.tap is not None

    def _place(self) -> str:
        return f"{self._settings.address}:{self._settings.port}"

    def _bind(self, endpoint: pj.Endpoint) -> None:
        config = pj.TransportConfig()
        config.port = self._settings.port
        config.boundAddress = config.publicAddress = self._settings.address
        endpoint.transportCreate(pj.PJSIP_TRANSPORT_UDP, config)
        endpoint.transportCreate(pj.PJSIP_TRANSPORT_TCP, config)

    # ------------------------------------------------------------ accounts

    def add_account(self, settings: Account) -> None:
        """Adds an account, or replaces the one of that name; registers when it has a registrar.

        Raises:
            AgentError: PJSIP refused.
        """
        self.remove_account(settings.name)
        account = PjAccount(self, settings)
        try:
            account.create(account_settings(settings))
        except pj.Error as error:
            raise AgentError(f"account {settings.name}: {error.info()}") from None
        self._accounts[settings.name] = account

    def remove_account(self, name: str) -> None:
        """Unregisters and removes an account; nothing when there is none."""
        account = self._accounts.pop(name, None)
        if account is not None:
            self._retired.append(account)
        for key in [key for key in self._companions if key[0] == name]:
            self._retired.append(self._companions.pop(key))
        self._bury_accounts()
        for left in self._retired:
            left.retire()

    def _bury_accounts(self) -> None:
        """Deletes removed accounts whose last call is over: a call needs its account."""
        busy = {id(call.account) for call in self._calls.values()}
        free = [account for account in self._retired if id(account) not in busy]
        self._retired = [account for account in self._retired if id(account) in busy]
        for account in free:
            account.shutdown()

    def register(self, name: str) -> None:
        """Sends a REGISTER now.

        Raises:
            AgentError: There is no such account, or PJSIP refused.
        """
        try:
            self._account(name).setRegistration(True)
        except pj.Error as error:
            raise AgentError(f"account {name}: {error.info()}") from None

    def _calling(self, invitation: Invitation) -> PjAccount:
        """Returns the account that calls, with the Contact that this call needs.

        PJSIP knows Contact parameters per account only, and over TCP it would name whatever
        address the route to the peer begins at; so such calls get a companion of the account.

        Raises:
            AgentError: There is no such account, or PJSIP refused.
        """
        account = self._account(invitation.account)
        carrier = ";transport=tcp" if ";transport=tcp" in invitation.target.lower() else ""
        if not (carrier or invitation.contact_parameters):
            return account
        key = (invitation.account, carrier + invitation.contact_parameters)
        if key not in self._companions:
            contact = self._contact(account.settings, carrier) + invitation.contact_parameters
            self._companions[key] = self._companion(account.settings, contact)
        return self._companions[key]

    def _contact(self, settings: Account, carrier: str) -> str:
        user, at, _ = settings.identity.removeprefix("sip:").rpartition("@")
        return f"<sip:{user}{at}{self._place()}{carrier}>"

    def _companion(self, settings: Account, contact: str) -> PjAccount:
        settings = replace(settings, registrar=None)
        config = account_settings(settings)
        config.sipConfig.contactForced = contact
        made = PjAccount(self, settings)
        try:
            made.create(config)
        except pj.Error as error:
            raise AgentError(f"account {settings.name}: {error.info()}") from None
        return made

    def _account(self, name: str) -> PjAccount:
        account = self._accounts.get(name)
        if account is None:
            raise AgentError(f"there is no account {name!r}")
        return account

    # ------------------------------------------------------------ calls

    def invite(self, invitation: Invitation) -> None:
        """Sends an INVITE.

        Raises:
            CallFailedError: PJSIP could not send it.
            AgentError: There is no such account.
        """
        account = self._calling(invitation)
        call = PjCall(account, self, invitation.call_id)
        call.media, call.offer = invitation.media, invitation.offer
        call.note = None if invitation.note is None else dict(invitation.note)
        prm = call_parameters(len(invitation.media))
        add_content(prm, invitation.headers, invitation.parts)
        self._calls[invitation.call_id] = call
        try:
            call.makeCall(invitation.target, prm)
        except pj.Error as error:
            self._calls.pop(invitation.call_id, None)
            self._finished.append(call)
            raise CallFailedError(f"{invitation.target}: {error.info()}", 503) from None

    def reinvite(
        self,
        call_id: str,
        media: tuple[LocalMedia, ...] | None,
        headers: Sequence[tuple[str, str]],
        parts: Sequence[BodyPart],
    ) -> None:
        """Offers again inside the dialog, with held media live again.

        Raises:
            UnknownCallError: There is no such call in PJSIP.
            AgentError: PJSIP refused, for example while another offer is open.
        """
        call = self._call(call_id)
        call.media = media or call.media
        prm = call_parameters(len(call.media))
        prm.opt.flag |= pj.PJSUA_CALL_UNHOLD
        add_content(prm, headers, parts)
        self._do(call, lambda: call.reinvite(prm))

    def hold(self, call_id: str) -> None:
        """Offers sendonly (RFC 3264 section 8.4).

        Raises:
            UnknownCallError: There is no such call in PJSIP.
            AgentError: PJSIP refused.
        """
        call = self._call(call_id)
        self._do(call, lambda: call.setHold(call_parameters(len(call.media))))

    def answer(
        self, call_id: str, status: int, media: tuple[LocalMedia, ...], note: Note | None
    ) -> None:
        """Answers an incoming call: 180 rings, 200 takes it.

        Raises:
            UnknownCallError: There is no such call.
            AgentError: PJSIP refused.
        """
        call = self._call(call_id)
        call.media = media or call.media
        call.note = call.note if note is None else dict(note)
        prm = call_parameters(max(len(call.media), 1), status)
        if call.draft and call.media:
            prm.sdp.wholeSdp = placed(call.draft, call.media)
        self._do(call, lambda: call.answer(prm))

    def hang_up(self, call_id: str, status: int) -> None:
        """Ends a call, whatever its state: CANCEL, BYE or refusal; an adopted one by hand.

        Raises:
            UnknownCallError: There is no such call.
            AgentError: PJSIP refused.
        """
        if call_id in self._adoption:
            self._end_adopted(self._adoption[call_id])
            return
        call = self._call(call_id)
        call.ended_by_us = True
        self._do(call, lambda: call.hangup(call_parameters(0, status)))

    def annotate(self, call_id: str, note: Note) -> None:
        """Replaces the note of a call; nothing when the call has just ended."""
        if call_id in self._adoption:
            self._keep(replace(self._adoption[call_id], note=note))
        elif call_id in self._calls:
            self._calls[call_id].annotate(note)

    def dialog(self, call_id: str) -> Dialog:
        """Returns the dialog of a call.

        Raises:
            UnknownCallError: There is no such call, or it has no dialog yet.
        """
        if call_id in self._adoption:
            return self._adoption[call_id].dialog
        try:
            return self.read_dialog(self._call(call_id))
        except pj.Error:
            raise UnknownCallError(f"call {call_id} has no dialog") from None

    def _call(self, call_id: str) -> PjCall:
        call = self._calls.get(call_id)
        if call is None:
            raise UnknownCallError(f"there is no call {call_id!r}")
        return call

    def _do(self, call: PjCall, action: Callable[[], None]) -> None:
        try:
            action()
        except pj.Error as error:
            raise AgentError(f"call {call.call_id}: {error.info()}") from None

    # ------------------------------------------------------------ what PJSIP reports

    def take_in(self, account: PjAccount, prm: pj.OnIncomingCallParam) -> None:
        """Makes a call of an INVITE."""
        call = PjCall(account, self, self._new_call_id(), prm.callId)
        self._calls[call.call_id] = call
        request = read_request(prm.rdata.wholeMsg)
        try:
            self.report(incoming(call, request, prm.rdata.srcAddress))
        except (WireError, AttributeError) as error:
            logger.warning("INVITE from %s refused: %s", prm.rdata.srcAddress, error)
            self.hang_up(call.call_id, 400)

    def over(self, call: PjCall, status: int, reason: str) -> None:
        """Reports the end of a call and lets go of it once the callback is through."""
        known = self._calls.pop(call.call_id, None)
        if known is None:
            return
        self._finished.append(call)
        self.report(CallEnded(call.call_id, status, reason, not call.ended_by_us))

    def successor(self, call: PjCall) -> PjCall:
        """Returns a call with the same media for the dialog that replaces this one's."""
        made = PjCall(call.account, self, self._new_call_id())
        made.media, made.note = call.media, call.note
        self._successors[call.call_id] = made
        return made

    def replaced(self, call: PjCall) -> None:
        """Puts the successor in the place of the call."""
        made = self._successors.pop(call.call_id, None)
        if made is None:
            return
        self._calls[made.call_id] = made
        self.report(CallReplaced(call.call_id, made.call_id))

    def read_dialog(self, call: PjCall) -> Dialog:
        """Reads the dialog of a call out of PJSIP."""
        if self.tap is None:
            raise UnknownCallError(f"call {call.call_id} has no dialog")
        state = self.tap.dialogState(call.getId())
        return Dialog(
            state.callId,
            state.localUri,
            state.localTag,
            state.remoteUri,
            state.remoteTag,
            state.remoteTarget,
            state.localContact,
            state.localCseq,
            state.remoteCseq,
            tuple(state.routeSet),
            state.supported,
            state.allow,
            state.transport,
        )

    # ------------------------------------------------------------ raw requests

    def send(self, request: RawRequest, done: Callable[[Response], None]) -> None:
        """Sends a raw request; ``done`` gets the final answer.

        Raises:
            AgentError: It could not be built or sent.
        """
        if self.tap is None:
            raise AgentError("PJSIP is not running")
        self._last_token += 1
        self._waiting[self._last_token] = done
        try:
            self.tap.sendRequest(raw(request), self._last_token)
        except pj.Error as error:
            del self._waiting[self._last_token]
            raise AgentError(f"{request.method} {request.target}: {error.info()}") from None

    def answered(self, token: int, response: Response) -> None:
        """Gives an answer to whoever waits for it."""
        done = self._waiting.pop(token, None)
        if done is not None:
            done(response)

    # ------------------------------------------------------------ adopted dialogs

    def allow_only(self, sources: frozenset[str] | None) -> None:
        """Refuses what comes from other addresses outside a dialog with 403; None allows all."""
        self._sources = sources

    def admit(self, method: str, source: str) -> int:
        """Returns 0 for a request outside a dialog that may come in, else a status."""
        address, _ = split_address(source)
        if self._sources is None or address in self._sources:
            return 0
        logger.debug("%s from %s refused: not one of the configured servers", method, source)
        return 403

    def adopt(self, adopted: Adopted) -> None:
        """Keeps a dialog that outlived the process that made it."""
        self._keep(adopted)

    def in_adopted(self, sip_call_id: str, from_tag: str, to_tag: str, message: str) -> int:
        """Answers a request inside an adopted dialog; 0 when it is none of ours."""
        adopted = self._adoption.find(sip_call_id, local_tag=to_tag, remote_tag=from_tag)
        request = read_request(message) if adopted else None
        if adopted is None or request is None:
            return 0
        status = answer_for(request, adopted)
        if status == 500:
            return status
        self._keep(advance(adopted, request.cseq.number))
        if status == 200 and request.method == "BYE":
            self._drop(adopted.call_id, CallEnded(adopted.call_id, 200, "BYE", by_peer=True))
        return status or 1

    def _keep(self, adopted: Adopted) -> None:
        self._adoption.keep(adopted)
        self.report(
            DialogChanged(adopted.call_id, adopted.account, adopted.dialog, dict(adopted.note))
        )

    def _drop(self, call_id: str, event: CallEnded) -> None:
        if call_id in self._adoption:
            self._adoption.drop(call_id)
            self.report(event)

    def _end_adopted(self, adopted: Adopted) -> None:
        account = self._accounts.get(adopted.account)
        request = in_dialog("BYE", adopted.dialog)
        if account is not None:
            settings = account.settings
            request = replace(request, username=settings.username, password=settings.password)
        self._keep(replace(adopted, dialog=replace(adopted.dialog, local_cseq=request.cseq)))

        def done(response: Response) -> None:
            ended = CallEnded(adopted.call_id, response.status, response.reason, by_peer=False)
            self._drop(adopted.call_id, ended)

        self.send(request, done)


def incoming(call: PjCall, request: Request | None, source: str) -> IncomingCall:
    """Reads who calls out of an INVITE.

    Raises:
        WireError: It cannot be read.
    """
    if request is None:
        raise WireError("the INVITE cannot be read")
    sender: NameAddress = request.sender
    return IncomingCall(
        call.call_id,
        call.account.settings.name,
        request.call_id,
        sender.uri,
        sender.display,
        request.recipient.uri,
        source,
        (request.part("application/sdp") or b"").decode("utf-8", "surrogateescape"),
    )
