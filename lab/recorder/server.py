"""The session recording server: SIPREC calls in, recording sessions out."""

from __future__ import annotations

import asyncio
import logging

from ...firmware.wire.errors import MalformedError
from ...firmware.wire.sdp import SessionDescription
from ...firmware.wire.sip import Request
from ...firmware.wire.siprec import CONTENT_TYPE, OPTION_TAG, Metadata
from ...hal.clock import Clock
from ..sip import Answer, Dialog, SipRefusedError, SipServer
from .session import RecordingSession, Where, recover

logger = logging.getLogger(__name__)

SAVE_INTERVAL_S = 1.0
ABANDONED_S = 120.0


class RecorderServer:
    """A recorder at one address; several sessions at once.

    Args:
        where: where to listen and write.
        port: SIP port for UDP and TCP.
        clock: the time.
        replaces: whether a new session may take an old one over (RFC 3891).
    """

    def __init__(
        self, where: Where, *, port: int = 5060, clock: Clock, replaces: bool = True
    ) -> None:
        self._where, self._clock = where, clock
        self._sessions: dict[str, tuple[Dialog, RecordingSession]] = {}
        self.sip = SipServer(
            self,
            address=where.address,
            port=port,
            name=f"OpenTurret recorder {where.name}",
            extensions=("siprec", "timer", *(("replaces",) if replaces else ())),
            content_types=("application/sdp", CONTENT_TYPE),
        )
        self._saver: asyncio.Task[None] | None = None

    @property
    def sessions(self) -> tuple[RecordingSession, ...]:
        """The sessions that are up."""
        return tuple(session for _, session in self._sessions.values())

    async def start(self) -> None:
        """Finish what a killed predecessor left, then listen.

        Raises:
            OSError: the address, the port or the folder cannot be had.
        """
        self._where.folder.mkdir(parents=True, exist_ok=True)
        for folder in recover(self._where.folder):
            logger.warning("recovered %s", folder.name)
        await self.sip.start()
        self._saver = asyncio.create_task(self._save_regularly())

    async def close(self) -> None:
        """End every session."""
        if self._saver is not None:
            self._saver.cancel()
        await self.sip.close()

    async def _save_regularly(self) -> None:
        while True:
            await asyncio.sleep(SAVE_INTERVAL_S)
            for dialog, session in tuple(self._sessions.values()):
                self._save(session)
                if session.silent_s > ABANDONED_S:
                    logger.warning("%s: nobody speaks any more", session.folder.name)
                    self.sip.hang_up(dialog)

    @staticmethod
    def _save(session: RecordingSession) -> None:
        try:
            session.save("recording")
        except OSError:
            logger.exception("the sidecar of %s cannot be written", session.folder.name)

    # ------------------------------------------------------------------ the call handler

    def invited(self, dialog: Dialog, invite: Request, replaced: Dialog | None) -> Answer:
        """Open a session, or go on with the one whose dialog is replaced."""
        if OPTION_TAG not in (tag.lower() for tag in invite.headers.items("Require")):
            raise SipRefusedError(421, "only recording sessions here", ("Require", OPTION_TAG))
        offer = _offer(invite)
        metadata = _metadata(invite)
        session = self._take_over(dialog, replaced) or self._open(dialog, invite)
        try:
            answer = session.offer(offer)
            _keep(session, metadata)
        except BaseException:
            if replaced is None:
                session.close()
            raise
        self._sessions[dialog.local_tag] = dialog, session
        if replaced is not None:
            self._sessions.pop(replaced.local_tag, None)
        logger.info("recording %s into %s", dialog.remote_uri, session.folder.name)
        return Answer(body=bytes(answer))

    def updated(self, dialog: Dialog, request: Request) -> Answer:
        """Take new metadata, a new offer, or both."""
        _, session = self._sessions[dialog.local_tag]
        offer = _offer(request) if request.part("application/sdp") is not None else None
        _keep(session, _metadata(request))
        if offer is None:
            return Answer()
        return Answer(body=bytes(session.offer(offer)))

    def ended(self, dialog: Dialog) -> None:
        """Close the session, unless another dialog went on with it."""
        _, session = self._sessions.pop(dialog.local_tag, (dialog, None))
        if session is not None:
            session.close()
            logger.info("recorded %s", session.folder.name)

    def _take_over(self, dialog: Dialog, replaced: Dialog | None) -> RecordingSession | None:
        if replaced is None or replaced.local_tag not in self._sessions:
            return None
        _, session = self._sessions[replaced.local_tag]
        session.taken_over(dialog.call_id)
        return session

    def _open(self, dialog: Dialog, invite: Request) -> RecordingSession:
        contact = "" if invite.contact is None else str(invite.contact)
        return RecordingSession(
            dialog.call_id, dialog.remote_uri, contact, self._where, self._clock
        )


def _offer(request: Request) -> SessionDescription:
    body = request.part("application/sdp")
    if body is None:
        raise SipRefusedError(488, "the request offers no media")
    return SessionDescription.parse(body)


def _metadata(request: Request) -> bytes | None:
    """Return the metadata document; a broken one is refused (RFC 7866 section 7.1.2).

    Raises:
        MalformedError: it is not recording metadata.
    """
    document = request.part(CONTENT_TYPE)
    if document is None:
        return None
    if not document.strip():
        raise MalformedError("the metadata is empty")
    Metadata.parse(document)
    return document


def _keep(session: RecordingSession, metadata: bytes | None) -> None:
    if metadata is not None:
        session.metadata(metadata)
