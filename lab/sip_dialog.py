"""Dialogs of the bench's SIP server, and the rules by which it takes or refuses a request.

RFC 3261 sections 8.2, 12 and 17.2.3; the refusals are the ones that RFC 4475 asks for.
"""

from __future__ import annotations

import asyncio
import ipaddress
import secrets
from dataclasses import dataclass

from ..firmware.wire.errors import MalformedError, WireError
from ..firmware.wire.sip import Headers, NameAddress, Request, SipUri, Via, uri_scheme
from .errors import LabError

ALLOWED = ("INVITE", "ACK", "BYE", "CANCEL", "OPTIONS", "UPDATE")
KNOWN = (
    *ALLOWED,
    "REGISTER",
    "INFO",
    "PRACK",
    "SUBSCRIBE",
    "NOTIFY",
    "MESSAGE",
    "REFER",
    "PUBLISH",
)


class SipRefusedError(LabError):
    """A handler refuses a request.

    Attributes:
        status: the status to answer with.
        headers: headers to add to the answer.
    """

    def __init__(self, status: int, text: str, *headers: tuple[str, str]) -> None:
        super().__init__(text)
        self.status = status
        self.headers = headers


@dataclass(frozen=True, slots=True)
class Peer:
    """Where a message came from, and so where its answer goes.

    Attributes:
        transport: ``UDP`` or ``TCP``.
        address: IP address.
        port: port.
        connection: the TCP connection, None over UDP.
    """

    transport: str
    address: str
    port: int
    connection: asyncio.WriteTransport | None = None


@dataclass(slots=True)
class Dialog:
    """One dialog as the called side sees it (RFC 3261 section 12.1.1).

    Attributes:
        call_id: Call-ID.
        local_tag: our tag.
        remote_tag: the caller's tag.
        local_uri: our address, as the caller wrote it in To.
        remote_uri: the caller's address.
        user: user part of the request URI: which line was called.
        target: where in-dialog requests of ours go to.
        routes: route set of in-dialog requests of ours.
        peer: where the last request came from.
        remote_cseq: last sequence number of the caller.
        local_cseq: last sequence number of ours.
        ended: nothing may be sent in it any more.
    """

    call_id: str
    local_tag: str
    remote_tag: str
    local_uri: str
    remote_uri: str
    user: str
    target: str
    routes: tuple[str, ...]
    peer: Peer
    remote_cseq: int
    local_cseq: int = 0
    ended: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """What to answer to a request.

    Attributes:
        status: 200 to 699.
        headers: headers to add.
        body: body bytes.
        content_type: type of the body.
    """

    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    content_type: str = "application/sdp"


def check_request(
    request: Request, extensions: tuple[str, ...], content_types: tuple[str, ...]
) -> None:
    """Refuse what no user agent may serve (RFC 3261 section 8.2).

    Raises:
        SipRefusedError: with the status to answer.
        MalformedError: a header that every request needs is missing or broken.
    """
    _ = (request.call_id, request.sender, request.recipient, request.vias, request.contact)
    if request.cseq.method != request.method:
        raise MalformedError("CSeq names another method")
    if request.method not in ALLOWED:
        status = 405 if request.method in KNOWN else 501
        raise SipRefusedError(status, f"{request.method} is not served here")
    if uri_scheme(request.uri) not in ("sip", "sips"):
        raise SipRefusedError(416, f"no {uri_scheme(request.uri)} here")
    SipUri.parse(request.uri)
    required = (*request.headers.items("Require"), *request.headers.items("Proxy-Require"))
    unknown = [tag for tag in required if tag.lower() not in extensions]
    if unknown and request.method != "CANCEL":
        raise SipRefusedError(420, f"{unknown} is unknown", ("Unsupported", ", ".join(unknown)))
    _check_body(request, content_types)


def _check_body(request: Request, content_types: tuple[str, ...]) -> None:
    kind = request.content_type
    if not request.body or kind is None or request.method not in ("INVITE", "UPDATE"):
        return
    accepted = ("Accept", ", ".join((*content_types, "multipart/mixed")))
    if kind.kind != "multipart" and kind.name not in content_types:
        raise SipRefusedError(415, f"{kind.name} is not understood", accepted)
    if request.headers.get("Content-Encoding") not in (None, "identity"):
        raise SipRefusedError(
            415, "encoded bodies are not understood", ("Accept-Encoding", "identity")
        )


def nearest_via(request: Request) -> Via:
    """Return the hop that sent the request.

    Raises:
        MalformedError: there is none, so nobody could be answered.
    """
    items = request.headers.items("Via")
    if not items:
        raise MalformedError("the request has no Via: it cannot be answered")
    return Via.parse(items[0])


def transaction_key(request: Request, peer: Peer) -> tuple[str, ...]:
    """Tell transactions apart (section 17.2.3); ACK belongs to its INVITE."""
    nearest = nearest_via(request)
    method = "INVITE" if request.method == "ACK" else request.method
    branch = nearest.branch or ""
    if branch.startswith("z9hG4bK") and len(branch) > 7:
        return method, branch, nearest.host, str(nearest.port)
    cseq = str(request.cseq.number)
    tag = request.sender.tag or ""
    return method, branch, request.call_id, cseq, tag, f"{peer.address}:{peer.port}"


def new_dialog(request: Request, peer: Peer) -> Dialog:
    """Make the dialog that an INVITE asks for (section 12.1.1).

    Raises:
        MalformedError: an address in it is broken.
    """
    contact = request.contact or request.sender  # RFC 2543 knew INVITEs without Contact
    SipUri.parse(contact.uri)
    routes = tuple(str(NameAddress.parse(item)) for item in request.headers.items("Record-Route"))
    return Dialog(
        call_id=request.call_id,
        local_tag=secrets.token_hex(8),
        remote_tag=request.sender.tag or "",
        local_uri=request.recipient.uri,
        remote_uri=request.sender.uri,
        user=SipUri.parse(request.uri).user or "",
        target=contact.uri,
        routes=routes,
        peer=peer,
        remote_cseq=request.cseq.number,
    )


def answer_headers(request: Request, peer: Peer, dialog: Dialog | None) -> Headers:
    """Return what every answer repeats of its request (section 8.2.6.2), with our tag.

    Raises:
        MalformedError: the nearest hop cannot be read.
    """
    nearest, further = nearest_via(request), request.headers.items("Via")[1:]
    if nearest.parameter("rport") is not None:
        nearest = nearest.with_parameter("rport", str(peer.port))
    if nearest.host != peer.address or nearest.parameter("rport") is not None:
        nearest = nearest.with_parameter("received", peer.address)
    to = request.headers.get("To") or ""
    if dialog is not None and "tag=" not in to:
        to = f"{to};tag={dialog.local_tag}"
    elif ";tag=" not in to and to:
        to = f"{to};tag={secrets.token_hex(4)}"
    fields = [("Via", via) for via in (str(nearest), *further)]
    fields += [("Record-Route", value) for value in request.headers.all("Record-Route")]
    fields += [("From", value) for value in request.headers.all("From")[:1]]
    fields += [("To", to)] if to else []
    fields += [("Call-ID", value) for value in request.headers.all("Call-ID")[:1]]
    fields += [("CSeq", value) for value in request.headers.all("CSeq")[:1]]
    return Headers.of(*fields)


def next_hop(dialog: Dialog) -> Peer:
    """Where a request of ours goes: first route, else target; a name goes back as it came."""
    if dialog.peer.transport == "TCP":
        return dialog.peer
    try:
        text = NameAddress.parse(dialog.routes[0]).uri if dialog.routes else dialog.target
        uri = SipUri.parse(text)
        address = ipaddress.ip_address(uri.host.strip("[]"))
    except (WireError, ValueError):
        return dialog.peer
    return Peer("UDP", str(address), uri.port or 5060)
