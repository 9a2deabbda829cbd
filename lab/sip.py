"""A small SIP user agent for the bench: listens on UDP and TCP, answers calls, ends calls.

RFC 3261 without authentication, forking and TLS; RFC 3581 (rport), RFC 3891 (Replaces).  What a
call means is the business of a `CallHandler`; this module keeps transactions and dialogs and
refuses what RFC 4475 says must be refused.  It places no calls of its own but in-dialog requests.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Protocol

from ..firmware.wire.errors import SipMessageError, WireError
from ..firmware.wire.sip import (
    CSeq,
    Headers,
    Message,
    Replaces,
    Request,
    Response,
    Via,
    frame_length,
    parse_message,
)
from .errors import LabError
from .sip_dialog import (
    ALLOWED,
    Answer,
    Dialog,
    Peer,
    SipRefusedError,
    answer_headers,
    check_request,
    nearest_via,
    new_dialog,
    next_hop,
    transaction_key,
)

__all__ = [
    "Answer",
    "CallHandler",
    "Dialog",
    "NoAnswerError",
    "Peer",
    "SipCounters",
    "SipRefusedError",
    "SipServer",
]

logger = logging.getLogger(__name__)

T1_S, T2_S, GIVE_UP_S = 0.5, 4.0, 32.0
MAX_CONNECTIONS = 64
MAX_TRANSACTIONS = 8_192
MAX_DIALOGS = 512
_REASONS = {
    100: "Trying",
    200: "OK",
    400: "Bad Request",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    415: "Unsupported Media Type",
    416: "Unsupported URI Scheme",
    420: "Bad Extension",
    421: "Extension Required",
    481: "Call/Transaction Does Not Exist",
    486: "Busy Here",
    488: "Not Acceptable Here",
    500: "Server Internal Error",
    501: "Not Implemented",
    503: "Service Unavailable",
    505: "Version Not Supported",
    513: "Message Too Large",
    603: "Decline",
}


class NoAnswerError(LabError, TimeoutError):
    """The peer did not answer a request in time."""


class CallHandler(Protocol):
    """What a server does with its calls.

    Every method may raise `SipRefusedError` or any `WireError` (answered with 400).
    """

    def invited(self, dialog: Dialog, invite: Request, replaced: Dialog | None) -> Answer:
        """Answers a new call; ``replaced`` is the dialog that it takes over, if any."""
        ...

    def updated(self, dialog: Dialog, request: Request) -> Answer:
        """Answers a re-INVITE or UPDATE."""
        ...

    def ended(self, dialog: Dialog) -> None:
        """Hears that the call is over, whoever ended it."""
        ...


@dataclass(slots=True)
class SipCounters:
    """What came in and how it was answered; ``statuses`` counts each answer once."""

    requests: int = 0
    responses: int = 0
    malformed: int = 0
    refused: int = 0
    retransmitted: int = 0
    statuses: Counter[int] = field(default_factory=Counter)


class _Retry:
    """Sends again and again, twice as late each time up to T2, until stopped or given up."""

    def __init__(self, send: Callable[[], None], give_up: Callable[[], None]) -> None:
        self._send, self._give_up = send, give_up
        self._loop = asyncio.get_running_loop()
        self._deadline = self._loop.time() + GIVE_UP_S
        self._interval = T1_S
        self._timer = self._loop.call_later(T1_S, self._fire)

    def stop(self) -> None:
        self._timer.cancel()

    def _fire(self) -> None:
        if self._loop.time() >= self._deadline:
            self._give_up()
            return
        self._send()
        self._interval = min(2 * self._interval, T2_S)
        self._timer = self._loop.call_later(self._interval, self._fire)


@dataclass(slots=True)
class _Transaction:
    """A request that was answered; the answer is kept for its retransmissions."""

    data: bytes
    peer: Peer
    retry: _Retry | None = None


@dataclass(slots=True)
class _Pending:
    """A request of ours that waits for its final answer."""

    future: asyncio.Future[Response]
    retry: _Retry | None = None


class SipServer:
    """A user agent at one address and port, over UDP and TCP.

    Args:
        handler: what to do with calls.
        address: address to listen on.
        port: port to listen on, 0 for any free one.
        name: what it calls itself in the headers Server and User-Agent.
        extensions: option tags that it supports.
        content_types: bodies that it understands besides multipart ones.
    """

    def __init__(
        self,
        handler: CallHandler,
        *,
        address: str,
        port: int = 5060,
        name: str = "OpenTurret bench",
        extensions: tuple[str, ...] = ("replaces",),
        content_types: tuple[str, ...] = ("application/sdp",),
    ) -> None:
        self._handler = handler
        self.address, self.port, self._name = address, port, name
        self._extensions, self._content_types = extensions, content_types
        self.counters = SipCounters()
        self._dialogs: dict[tuple[str, str], Dialog] = {}
        self._answered: dict[tuple[str, ...], _Transaction] = {}
        self._waiting_for_ack: dict[tuple[str, str, int], _Retry] = {}
        self._pending: dict[str, _Pending] = {}
        self._connections: dict[asyncio.WriteTransport, None] = {}
        self._udp: asyncio.DatagramTransport | None = None
        self._tcp: asyncio.Server | None = None

    # ------------------------------------------------------------------ life

    async def start(self) -> None:
        """Start to listen; afterwards ``port`` says where.

        Raises:
            OSError: the address or port cannot be had.
        """
        loop = asyncio.get_running_loop()
        tcp = await loop.create_server(lambda: _Stream(self), self.address, self.port)
        self._tcp = tcp
        self.port = int(tcp.sockets[0].getsockname()[1])
        try:
            self._udp, _ = await loop.create_datagram_endpoint(
                lambda: _Datagrams(self), (self.address, self.port)
            )
        except OSError:
            tcp.close()
            raise

    async def close(self) -> None:
        """End every call with a BYE and stop listening."""
        for dialog in tuple(self._dialogs.values()):
            self.hang_up(dialog)
        for each in self._pending.values():
            _stop(each.retry)
            each.future.cancel()
        for transaction in self._answered.values():
            _stop(transaction.retry)
        if self._udp is not None:
            self._udp.close()
        if self._tcp is not None:
            self._tcp.close()
        for connection in tuple(self._connections):
            connection.close()
        await asyncio.sleep(0)

    @property
    def dialogs(self) -> tuple[Dialog, ...]:
        """The dialogs that are up."""
        return tuple(self._dialogs.values())

    # ------------------------------------------------------------------ what comes in

    def connected(self, transport: asyncio.WriteTransport) -> None:
        """Take note of a TCP connection; when there are too many, the oldest idle one goes."""
        self._connections[transport] = None
        if len(self._connections) > MAX_CONNECTIONS:
            busy = {dialog.peer.connection for dialog in self.dialogs}
            oldest = next((each for each in self._connections if each not in busy), transport)
            self._connections.pop(oldest)
            oldest.abort()

    def disconnected(self, transport: asyncio.WriteTransport) -> None:
        """Forget a TCP connection."""
        self._connections.pop(transport, None)

    def receive(self, data: bytes, peer: Peer) -> None:
        """Take one whole message from the wire; never raises."""
        if not data.strip(b"\r\n\0 "):
            return
        try:
            message = parse_message(data)
        except SipMessageError as error:
            self._refuse_unreadable(error, peer)
            return
        self._dispatch(message, peer)

    def _dispatch(self, message: Message, peer: Peer) -> None:
        try:
            if isinstance(message, Response):
                self._take_response(message)
            else:
                self._take_request(message, peer)
        except WireError as error:
            self.counters.malformed += 1
            logger.info("dropped a message from %s: %s", peer.address, error)

    def _refuse_unreadable(self, error: SipMessageError, peer: Peer) -> None:
        self.counters.malformed += 1
        logger.info("unreadable message from %s: %s", peer.address, error)
        if isinstance(error.head, Request) and error.head.method != "ACK":
            try:
                response = self._response(error.head, Answer(error.status), peer)
                self._send(bytes(response), self._way_back(error.head, peer))
            except WireError as further:
                logger.info("it cannot be answered: %s", further)

    def _take_response(self, response: Response) -> None:
        self.counters.responses += 1
        branch = response.vias[0].branch if response.vias else None
        pending = self._pending.get(branch or "")
        if pending is not None and response.status >= 200 and not pending.future.done():
            _stop(pending.retry)
            pending.future.set_result(response)

    def _take_request(self, request: Request, peer: Peer) -> None:
        self.counters.requests += 1
        key = transaction_key(request, peer)
        if request.method == "ACK":
            self._take_ack(request, key)
            return
        known = self._answered.get(key)
        if known is not None:
            self.counters.retransmitted += 1
            self._send(known.data, known.peer)
            return
        dialog, answer = self._decide(request, peer)
        self._answer(request, key, answer, peer, dialog)

    def _take_ack(self, request: Request, key: tuple[str, ...]) -> None:
        failed = self._answered.get(key)
        if failed is not None:
            _stop(failed.retry)
        tag = request.recipient.tag or ""
        _stop(self._waiting_for_ack.pop((request.call_id, tag, request.cseq.number), None))

    # ------------------------------------------------------------------ deciding

    def _decide(self, request: Request, peer: Peer) -> tuple[Dialog | None, Answer]:
        """Answer a request; never lets a handler's error out."""
        try:
            check_request(request, self._extensions, self._content_types)
            return self._serve(request, peer)
        except SipRefusedError as error:
            self.counters.refused += 1
            logger.info("%s refused with %d: %s", request.method, error.status, error)
            return None, Answer(error.status, error.headers)
        except WireError as error:
            self.counters.malformed += 1
            logger.info("%s is malformed: %s", request.method, error)
            return None, Answer(400)
        except Exception:
            logger.exception("%s could not be served", request.method)
            return None, Answer(500)

    def _serve(self, request: Request, peer: Peer) -> tuple[Dialog | None, Answer]:
        if request.method == "CANCEL":
            return None, self._cancel(request, peer)
        if request.recipient.tag is not None:
            return self._serve_in_dialog(request, peer)
        if request.method == "OPTIONS":
            return None, Answer(200, (("Accept", "application/sdp"),))
        if request.method == "INVITE":
            return self._serve_invite(request, peer)
        raise SipRefusedError(481, f"{request.method} outside of a dialog")

    def _cancel(self, request: Request, peer: Peer) -> Answer:
        key = ("INVITE", *transaction_key(request, peer)[1:])
        return Answer(200 if key in self._answered else 481)

    def _serve_in_dialog(self, request: Request, peer: Peer) -> tuple[Dialog, Answer]:
        dialog = self._dialogs.get((request.call_id, request.recipient.tag or ""))
        if dialog is None or dialog.remote_tag != (request.sender.tag or ""):
            raise SipRefusedError(481, f"{request.method} for a dialog that is not there")
        if request.cseq.number < dialog.remote_cseq:
            raise SipRefusedError(500, "the sequence number went back (section 12.2.2)")
        dialog.remote_cseq, dialog.peer = request.cseq.number, peer
        if request.method == "BYE":
            self._forget(dialog)
            return dialog, Answer(200)
        if request.method == "OPTIONS":
            return dialog, Answer(200, (("Accept", "application/sdp"),))
        if request.contact is not None:
            dialog.target = request.contact.uri
        return dialog, self._handler.updated(dialog, request)

    def _serve_invite(self, request: Request, peer: Peer) -> tuple[Dialog, Answer]:
        if len(self._dialogs) >= MAX_DIALOGS:
            raise SipRefusedError(503, f"{MAX_DIALOGS} calls are up")
        replaced = self._replaced(request, peer)
        dialog = new_dialog(request, peer)
        answer = self._handler.invited(dialog, request, replaced)
        if answer.status < 300:
            self._dialogs[dialog.call_id, dialog.local_tag] = dialog
            if replaced is not None:
                asyncio.get_running_loop().call_soon(self.hang_up, replaced)
        return dialog, answer

    def _replaced(self, request: Request, peer: Peer) -> Dialog | None:
        if not request.headers.all("Replaces") or "replaces" not in self._extensions:
            return None
        wanted = Replaces.parse(request.headers.only("Replaces"))
        old = self._dialogs.get((wanted.call_id, wanted.to_tag))
        if old is None or old.remote_tag != wanted.from_tag:
            raise SipRefusedError(481, "Replaces names a dialog that is not there")
        if wanted.early_only:
            raise SipRefusedError(486, "Replaces wants an early dialog, this one is confirmed")
        if request.sender.uri != old.remote_uri and peer.address != old.peer.address:
            raise SipRefusedError(403, "only the same party may replace a call")
        return old

    def _forget(self, dialog: Dialog) -> None:
        if dialog.ended:
            return
        dialog.ended = True
        self._dialogs.pop((dialog.call_id, dialog.local_tag), None)
        self._handler.ended(dialog)

    # ------------------------------------------------------------------ answering

    def _answer(
        self,
        request: Request,
        key: tuple[str, ...],
        answer: Answer,
        peer: Peer,
        dialog: Dialog | None,
    ) -> None:
        response = self._response(request, answer, peer, dialog)
        back = self._way_back(request, peer)
        transaction = _Transaction(bytes(response), back)
        self._remember(key, transaction)
        self._send(transaction.data, back)
        if request.method != "INVITE":
            return
        if answer.status < 300 and dialog is not None:
            self._wait_for_ack(request, transaction, dialog)
        elif peer.transport == "UDP":
            transaction.retry = _Retry(lambda: self._send(transaction.data, back), lambda: None)

    def _remember(self, key: tuple[str, ...], transaction: _Transaction) -> None:
        if len(self._answered) >= MAX_TRANSACTIONS:
            oldest = next(iter(self._answered))
            _stop(self._answered.pop(oldest).retry)
        self._answered[key] = transaction
        loop = asyncio.get_running_loop()
        loop.call_later(GIVE_UP_S, self._answered.pop, key, None)

    def _wait_for_ack(self, request: Request, transaction: _Transaction, dialog: Dialog) -> None:
        """Retransmit a 2xx until its ACK comes (section 13.3.1.4), over TCP as well."""
        key = (dialog.call_id, dialog.local_tag, request.cseq.number)

        def give_up() -> None:
            self._waiting_for_ack.pop(key, None)
            logger.warning("no ACK in call %s: hanging up", dialog.call_id)
            self.hang_up(dialog)

        self._waiting_for_ack[key] = transaction.retry = _Retry(
            lambda: self._send(transaction.data, transaction.peer), give_up
        )

    def _response(
        self, request: Request, answer: Answer, peer: Peer, dialog: Dialog | None = None
    ) -> Response:
        headers = answer_headers(request, peer, dialog)
        headers = headers.added("Server", self._name)
        headers = headers.added("Allow", ", ".join(ALLOWED))
        headers = headers.added("Supported", ", ".join(self._extensions))
        if dialog is not None and answer.status < 300 and request.method != "BYE":
            headers = headers.added("Contact", self._contact(peer, dialog.user))
        for name, value in answer.headers:
            headers = headers.added(name, value)
        if answer.body:
            headers = headers.added("Content-Type", answer.content_type)
        self.counters.statuses[answer.status] += 1
        reason = _REASONS.get(answer.status, "Refused")
        return Response(headers, answer.body, status=answer.status, reason=reason)

    def _contact(self, peer: Peer, user: str) -> str:
        transport = ";transport=tcp" if peer.transport == "TCP" else ""
        place = f"{user}@" if user else ""
        return f"<sip:{place}{self.address}:{self.port}{transport}>"

    def _way_back(self, request: Request, peer: Peer) -> Peer:
        """Where a response over UDP goes (section 18.2.2, RFC 3581)."""
        via = nearest_via(request)
        if peer.transport == "TCP" or via.parameter("rport") is not None:
            return peer
        return replace(peer, port=via.port or 5060)

    def _send(self, data: bytes, peer: Peer) -> None:
        if peer.connection is not None:
            if not peer.connection.is_closing():
                peer.connection.write(data)
        elif self._udp is not None and not self._udp.is_closing():
            self._udp.sendto(data, (peer.address, peer.port))

    # ------------------------------------------------------------------ our own requests

    def hang_up(self, dialog: Dialog) -> None:
        """End a call with a BYE, without waiting for the answer."""
        if dialog.ended:
            return
        self._forget(dialog)
        self._start_request(dialog, "BYE")

    async def request(
        self, dialog: Dialog, method: str, *, headers: Headers | None = None, body: bytes = b""
    ) -> Response:
        """Send a request in a dialog and return its final answer.

        Raises:
            NoAnswerError: no final answer within 32 s.
        """
        return await self._start_request(dialog, method, headers, body)

    def _start_request(
        self, dialog: Dialog, method: str, extra: Headers | None = None, body: bytes = b""
    ) -> asyncio.Future[Response]:
        dialog.local_cseq += 1
        branch = f"z9hG4bK{secrets.token_hex(8)}"
        data = bytes(self._in_dialog(dialog, method, branch, extra or Headers(), body))
        hop = next_hop(dialog)
        future: asyncio.Future[Response] = asyncio.get_running_loop().create_future()
        future.add_done_callback(lambda _: self._pending.pop(branch, None))

        def give_up() -> None:
            if not future.done():
                future.set_exception(NoAnswerError(f"{method} was not answered"))
                future.exception()

        pending = _Pending(future, _Retry(lambda: self._send_udp(data, hop), give_up))
        self._pending[branch] = pending
        self._send(data, hop)
        return future

    def _send_udp(self, data: bytes, hop: Peer) -> None:
        if hop.transport == "UDP":
            self._send(data, hop)

    def _in_dialog(
        self, dialog: Dialog, method: str, branch: str, extra: Headers, body: bytes
    ) -> Request:
        via = Via(
            dialog.peer.transport, self.address, self.port, (("branch", branch), ("rport", None))
        )
        headers = Headers.of(
            ("Via", str(via)),
            ("Max-Forwards", "70"),
            *(("Route", route) for route in dialog.routes),
            ("From", f"<{dialog.local_uri}>;tag={dialog.local_tag}"),
            (
                "To",
                f"<{dialog.remote_uri}>" + (f";tag={dialog.remote_tag}" * bool(dialog.remote_tag)),
            ),
            ("Call-ID", dialog.call_id),
            ("CSeq", str(CSeq(dialog.local_cseq, method))),
            ("Contact", self._contact(dialog.peer, dialog.user)),
            ("User-Agent", self._name),
            *extra,
        )
        return Request(headers, body, method=method, uri=dialog.target)


def _stop(retry: _Retry | None) -> None:
    if retry is not None:
        retry.stop()


class _Datagrams(asyncio.DatagramProtocol):
    """SIP over UDP."""

    def __init__(self, server: SipServer) -> None:
        self._server = server

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self._server.receive(data, Peer("UDP", addr[0], addr[1]))


@dataclass(slots=True)
class _Stream(asyncio.Protocol):
    """SIP over one TCP connection."""

    server: SipServer
    buffer: bytearray = field(default_factory=bytearray)
    transport: asyncio.WriteTransport | None = None
    peer: Peer | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if not isinstance(transport, asyncio.WriteTransport):  # pragma: no cover
            return
        self.server.connected(transport)
        address, port = transport.get_extra_info("peername")[:2]
        self.transport = transport
        self.peer = Peer("TCP", str(address), int(port), transport)

    def connection_lost(self, exc: Exception | None) -> None:
        if self.transport is not None:
            self.server.disconnected(self.transport)

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        try:
            self._take_messages()
        except SipMessageError as error:
            logger.info("closing a stream that cannot be cut: %s", error)
            self.buffer.clear()
            if self.transport is not None:
                self.transport.close()

    def _take_messages(self) -> None:
        while (length := frame_length(bytes(self.buffer))) is not None:
            data = bytes(self.buffer[:length])
            del self.buffer[:length]
            if self.peer is not None:
                self.server.receive(data, self.peer)
        if not self.buffer.strip(b"\r\n"):
            self.buffer.clear()
