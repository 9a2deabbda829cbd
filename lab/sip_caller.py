"""A caller for tests and fault tools: places one call at a time, message by message.

It does only what it is told: no retransmission, no authentication, no answer by itself.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Iterable
from dataclasses import dataclass

from ..firmware.wire.errors import WireError
from ..firmware.wire.sip import (
    CSeq,
    Headers,
    Message,
    Part,
    Request,
    Response,
    Via,
    build_multipart,
    frame_length,
    parse_message,
)
from .errors import LabError


class CallerError(LabError):
    """The far end did not do what the caller waited for."""


@dataclass(frozen=True, slots=True)
class Body:
    """A body and its type."""

    data: bytes = b""
    content_type: str = "application/sdp"


def siprec_body(sdp: bytes, metadata: bytes) -> Body:
    """Join a session description and recording metadata (RFC 7866 section 9.1)."""
    boundary = f"part-{secrets.token_hex(8)}"
    sdp_part = Part(Headers.of(("Content-Type", "application/sdp")), sdp)
    disposition = ("Content-Disposition", "recording-session")
    metadata_part = Part(
        Headers.of(("Content-Type", "application/rs-metadata+xml"), disposition), metadata
    )
    data = build_multipart((sdp_part, metadata_part), boundary)
    return Body(data, f"multipart/mixed;boundary={boundary}")


class SipCaller:
    """One caller on its own UDP socket or TCP connection; made by `connect`."""

    def __init__(self, transport: str, target: tuple[str, int]) -> None:
        self._transport_name, self._target = transport, target
        self._inbox: asyncio.Queue[Message] = asyncio.Queue()
        self._udp: asyncio.DatagramTransport | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._reading: asyncio.Task[None] | None = None
        self.address, self.port = "", 0
        self.uri = "sip:caller@bench.invalid"

    @classmethod
    async def connect(
        cls, address: str, port: int, *, transport: str = "UDP", source: str = ""
    ) -> SipCaller:
        """Open a socket towards a server.

        Raises:
            OSError: the server does not listen (TCP) or the source cannot be had.
        """
        caller = cls(transport, (address, port))
        if transport == "UDP":
            await caller._open_udp(source or address)
        else:
            await caller._open_tcp()
        return caller

    async def _open_udp(self, source: str) -> None:
        loop = asyncio.get_running_loop()
        self._udp, _ = await loop.create_datagram_endpoint(lambda: _Inbox(self._inbox), (source, 0))
        self.address, self.port = self._udp.get_extra_info("sockname")[:2]

    async def _open_tcp(self) -> None:
        reader, self._writer = await asyncio.open_connection(*self._target)
        self.address, self.port = self._writer.get_extra_info("sockname")[:2]
        self._reading = asyncio.create_task(self._read(reader))

    async def _read(self, reader: asyncio.StreamReader) -> None:
        buffer = b""
        while data := await reader.read(65_536):
            buffer += data
            while (length := frame_length(buffer)) is not None:
                self._inbox.put_nowait(parse_message(buffer[:length]))
                buffer = buffer[length:]

    async def close(self) -> None:
        """Close the socket."""
        if self._udp is not None:
            self._udp.close()
        if self._reading is not None:
            self._reading.cancel()
        if self._writer is not None:
            self._writer.close()
        await asyncio.sleep(0)

    # ------------------------------------------------------------------ messages

    def send(self, data: bytes) -> None:
        """Send bytes as they are."""
        if self._udp is not None:
            self._udp.sendto(data, self._target)
        elif self._writer is not None:
            self._writer.write(data)

    async def receive(self, timeout_s: float = 5.0) -> Message:
        """Return the next message.

        Raises:
            CallerError: none came in time.
        """
        try:
            return await asyncio.wait_for(self._inbox.get(), timeout_s)
        except TimeoutError as error:
            raise CallerError(f"nothing came for {timeout_s} s") from error

    async def response(self, method: str, timeout_s: float = 5.0) -> Response:
        """Return the next final answer to a method; other messages are skipped.

        Raises:
            CallerError: none came in time.
        """
        while True:
            message = await self.receive(timeout_s)
            if isinstance(message, Response) and message.cseq.method == method:
                return message

    async def request(self, method: str, timeout_s: float = 5.0) -> Request:
        """Return the next request of this method; other messages are skipped.

        Raises:
            CallerError: none came in time.
        """
        while True:
            message = await self.receive(timeout_s)
            if isinstance(message, Request) and message.method == method:
                return message

    def build(
        self,
        method: str,
        user: str,
        *,
        call_id: str | None = None,
        cseq: int = 1,
        to_tag: str = "",
        from_tag: str = "caller",
        body: Body | None = None,
        headers: Iterable[tuple[str, str]] = (),
    ) -> Request:
        """Build a request to a user of the server."""
        uri = f"sip:{user}@{self._target[0]}:{self._target[1]}"
        via = Via(
            self._transport_name,
            self.address,
            self.port,
            (("branch", f"z9hG4bK{secrets.token_hex(6)}"), ("rport", None)),
        )
        fields = Headers.of(
            ("Via", str(via)),
            ("Max-Forwards", "70"),
            ("From", f"<{self.uri}>;tag={from_tag}"),
            ("To", f"<{uri}>" + (f";tag={to_tag}" if to_tag else "")),
            ("Call-ID", call_id or secrets.token_hex(8)),
            ("CSeq", str(CSeq(cseq, method))),
            ("Contact", f"<sip:caller@{self.address}:{self.port}>"),
            *headers,
        )
        if body is None:
            return Request(fields, method=method, uri=uri)
        typed = fields.added("Content-Type", body.content_type)
        return Request(typed, body.data, method=method, uri=uri)

    # ------------------------------------------------------------------ calls

    async def invite(
        self,
        user: str,
        body: Body,
        *,
        headers: Iterable[tuple[str, str]] = (),
        call_id: str | None = None,
    ) -> PlacedCall:
        """Place a call and acknowledge its answer.

        Raises:
            CallerError: it was refused or not answered; the message says the status.
        """
        request = self.build("INVITE", user, body=body, headers=headers, call_id=call_id)
        self.send(bytes(request))
        response = await self.response("INVITE")
        call = PlacedCall(self, user, request, response)
        if response.status >= 300:
            raise CallerError(f"refused with {response.status} {response.reason}")
        call.acknowledge()
        return call


class PlacedCall:
    """A call that was answered."""

    def __init__(self, caller: SipCaller, user: str, invite: Request, answer: Response) -> None:
        self._caller, self._user = caller, user
        self.invite, self.answer = invite, answer
        self.call_id = invite.call_id
        self.to_tag = answer.recipient.tag or ""
        self.from_tag = invite.sender.tag or ""
        self._cseq = invite.cseq.number

    @property
    def replaces(self) -> str:
        """Value of the header Replaces by which another INVITE takes this call over."""
        return f"{self.call_id};to-tag={self.to_tag};from-tag={self.from_tag}"

    def acknowledge(self) -> None:
        """Send the ACK of the last INVITE."""
        self._caller.send(bytes(self._in_dialog("ACK", self._cseq)))

    async def reinvite(self, body: Body) -> Response:
        """Send a re-INVITE and acknowledge its answer.

        Raises:
            CallerError: no answer in time.
        """
        response = await self.request("INVITE", body)
        self.acknowledge()
        return response

    async def request(self, method: str, body: Body | None = None) -> Response:
        """Send a request in the dialog and return its final answer.

        Raises:
            CallerError: no answer in time.
        """
        self._cseq += 1
        self._caller.send(bytes(self._in_dialog(method, self._cseq, body)))
        return await self._caller.response(method)

    async def bye(self) -> Response:
        """End the call.

        Raises:
            CallerError: no answer in time.
        """
        return await self.request("BYE")

    def _in_dialog(self, method: str, cseq: int, body: Body | None = None) -> Request:
        return self._caller.build(
            method,
            self._user,
            call_id=self.call_id,
            cseq=cseq,
            to_tag=self.to_tag,
            from_tag=self.from_tag,
            body=body,
        )


class _Inbox(asyncio.DatagramProtocol):
    def __init__(self, inbox: asyncio.Queue[Message]) -> None:
        self._inbox = inbox

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        try:
            self._inbox.put_nowait(parse_message(data))
        except WireError:
            return
