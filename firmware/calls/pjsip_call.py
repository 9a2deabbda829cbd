"""A call inside PJSIP, and the descriptions that it sends and gets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from ...hal.wire.json_lines import JsonObject
from ..wire.sdp import restrict, rewrite
from . import _library as pj
from .callbacks import guarded
from .events import (
    CallConnected,
    CallProgress,
    Dialog,
    DialogChanged,
    Event,
    LocalMedia,
    MediaChanged,
    NegotiatedMedia,
    Note,
)
from .pjsip_account import PjAccount


class CallOwner(Protocol):
    """Who hears of a call."""

    def report(self, event: Event) -> None:
        """Passes an event on."""
        ...

    def over(self, call: PjCall, status: int, reason: str) -> None:
        """Hears that the call has ended."""
        ...

    def successor(self, call: PjCall) -> PjCall:
        """Returns the call that is to replace this one."""
        ...

    def replaced(self, call: PjCall) -> None:
        """Hears that the successor has taken over."""
        ...

    def read_dialog(self, call: PjCall) -> Dialog:
        """Reads the dialog of the call out of PJSIP."""
        ...

    def journals(self) -> bool:
        """Whether dialogs can be read now."""
        ...


class PjCall(pj.Call):
    """A call inside PJSIP.

    PJSIP drafts the answer to an offer when the INVITE comes in, before there is a leg; the
    draft is kept and placed when somebody answers.
    """

    def __init__(
        self, account: PjAccount, owner: CallOwner, call_id: str, pj_id: int = pj.PJSUA_INVALID_ID
    ) -> None:
        super().__init__(account, pj_id)
        self.account = account
        self.call_id = call_id
        self.media: tuple[LocalMedia, ...] = ()
        self.offer: str | None = None
        self.draft = ""
        self.note: JsonObject | None = None
        self.ended_by_us = False
        self._owner = owner
        self._written: Dialog | None = None

    @guarded
    def onCallSdpCreated(self, prm: pj.OnCallSdpCreatedParam) -> None:  # noqa: N802
        """Puts the matrix's address and ports into PJSIP's description."""
        if self.offer is not None and not prm.remSdp.wholeSdp:
            prm.sdp.wholeSdp = self.offer
        elif self.media:
            prm.sdp.wholeSdp = placed(prm.sdp.wholeSdp, self.media)
        else:
            self.draft = prm.sdp.wholeSdp

    @guarded
    def onCallState(self, prm: pj.OnCallStateParam) -> None:  # noqa: N802
        """Reports ringing, answered, over."""
        info = self.getInfo()
        if info.state == pj.PJSIP_INV_STATE_EARLY:
            self._owner.report(CallProgress(self.call_id, info.lastStatusCode, info.lastReason))
        elif info.state == pj.PJSIP_INV_STATE_CONFIRMED:
            self.write_down()
            self._owner.report(CallConnected(self.call_id, self.dialog()))
        elif info.state == pj.PJSIP_INV_STATE_DISCONNECTED:
            self._owner.over(self, info.lastStatusCode, info.lastReason)

    @guarded
    def onCallMediaState(self, prm: pj.OnCallMediaStateParam) -> None:  # noqa: N802
        """Reports what offer and answer agreed on."""
        info = self.getInfo()
        media = tuple(self._negotiated(each.index, each.status) for each in info.media)
        self._owner.report(MediaChanged(self.call_id, media))

    @guarded
    def onCallTsxState(self, prm: pj.OnCallTsxStateParam) -> None:  # noqa: N802
        """Notes a 100 Trying, and every change of the dialog for the journal."""
        if prm.e.type != pj.PJSIP_EVENT_TSX_STATE:
            return
        transaction = prm.e.body.tsxState.tsx
        if transaction.statusCode == 100 and prm.e.body.tsxState.type == pj.PJSIP_EVENT_RX_MSG:
            self._owner.report(CallProgress(self.call_id, 100, transaction.statusText))
        self.write_down()

    @guarded
    def onCallReplaceRequest(self, prm: pj.OnCallReplaceRequestParam) -> None:  # noqa: N802
        """Lets the peer take the call over: same media, new dialog."""
        successor = self._owner.successor(self)
        prm.newCall = successor

    @guarded
    def onCallReplaced(self, prm: pj.OnCallReplacedParam) -> None:  # noqa: N802
        """Reports the take-over."""
        self._owner.replaced(self)

    def dialog(self) -> Dialog:
        """Reads the dialog out of PJSIP."""
        return self._owner.read_dialog(self)

    def write_down(self) -> None:
        """Sends the dialog to the journal when it is confirmed and has changed."""
        if not self._owner.journals() or self.note is None:
            return
        if self.getInfo().state != pj.PJSIP_INV_STATE_CONFIRMED:
            return
        dialog = self.dialog()
        if dialog == self._written:
            return
        self._written = dialog
        name = self.account.settings.name
        self._owner.report(DialogChanged(self.call_id, name, dialog, self.note))

    def annotate(self, note: Note) -> None:
        """Replaces the note and writes it down."""
        self.note = dict(note)
        self._written = None
        self.write_down()

    def _negotiated(self, index: int, status: int) -> NegotiatedMedia:
        if status in (0, 4):
            return NegotiatedMedia(index)
        try:
            return negotiated(index, self.getStreamInfo(index))
        except pj.Error:
            return NegotiatedMedia(index)


def placed(text: str, media: Sequence[LocalMedia]) -> str:
    """Rewrites a description to where the matrix really listens."""
    labels = [each.label for each in media if each.label is not None]
    return rewrite(
        restrict(text, media[0].codecs) if media[0].codecs else text,
        media[0].address,
        [each.rtp_port for each in media],
        labels=labels if len(labels) == len(media) else (),
        direction=media[0].direction,
    )


def split_address(text: str) -> tuple[str, int]:
    """Splits PJSIP's ``address:port``; an absent one gives port 0.

    >>> split_address('10.20.0.10:4002')
    ('10.20.0.10', 4002)
    """
    address, _, port = text.rpartition(":")
    return address.strip("[]"), int(port) if port.isdigit() else 0


def negotiated(index: int, info: pj.StreamInfo) -> NegotiatedMedia:
    """Translates PJSIP's view of a stream."""
    address, port = split_address(info.remoteRtpAddress)
    _, rtcp_port = split_address(info.remoteRtcpAddress)
    codec = info.audCodecParam
    wishes = {each.name.lower(): each.val for each in codec.setting.encFmtp}
    return NegotiatedMedia(
        index,
        address,
        port,
        rtcp_port or port + 1,
        info.codecName.upper(),
        info.txPt,
        info.audTxEventPt if info.audTxEventPt > 0 else None,
        (codec.info.frameLen * codec.setting.frmPerPkt) or 20,
        bool(info.dir & pj.PJMEDIA_DIR_ENCODING) and port > 0,
        bool(info.dir & pj.PJMEDIA_DIR_DECODING) and port > 0,
        fec=wishes.get("useinbandfec") == "1",
        dtx=wishes.get("usedtx") == "1",
    )
