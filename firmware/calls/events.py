"""What the SIP agent is told and what it tells, as frozen values."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field

from ...hal.wire.json_lines import JsonObject, JsonValue

Note = Mapping[str, JsonValue]
"""What the owner of a call wants to find again after a restart."""


class Direction(enum.StrEnum):
    """Which way the voice goes, in the words of SDP (RFC 8866 section 6.7)."""

    SENDRECV = "sendrecv"
    SENDONLY = "sendonly"
    RECVONLY = "recvonly"
    INACTIVE = "inactive"


class Transport(enum.StrEnum):
    """What carries SIP."""

    UDP = "udp"
    TCP = "tcp"


@dataclass(frozen=True, slots=True)
class LocalMedia:
    """Our end of one ``m=audio`` line: a port of the mixing matrix.

    Attributes:
        address: Address of the matrix.
        rtp_port: Its RTP port; RTCP is the next one.
        direction: Written into every description; None leaves PJSIP's.
        label: Written as ``a=label`` (RFC 4574); None writes none.
        codecs: The only ones that are offered, as SDP names them; empty is all.
    """

    address: str
    rtp_port: int
    direction: Direction | None = None
    label: str | None = None
    codecs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Account:
    """Who we are towards one server.

    Attributes:
        name: Ours, for example ``pbx-1`` or ``direct``.
        identity: Address of record, ``sip:1001@turret.example``.
        registrar: ``sip:10.11.0.20:5060``; None never registers.
        username: For digest authentication, empty for none.
        password: The secret that goes with it.
        transport: What carries REGISTER.
        expires_s: How long a registration is asked to last.
    """

    name: str
    identity: str
    registrar: str | None = None
    username: str = ""
    password: str = field(default="", repr=False)
    transport: Transport = Transport.UDP
    expires_s: int = 60


@dataclass(frozen=True, slots=True)
class BodyPart:
    """A part beside the SDP of a multipart body (RFC 5621)."""

    content_type: str
    body: str
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class RawRequest:
    """A request written by hand, inside a dialog or outside.

    Attributes:
        method: ``OPTIONS``, ``BYE``, ...
        target: Request-URI.
        from_header: With the tag, when there is one; else a tag is made up.
        to_header: With the tag inside a dialog.
        sip_call_id: Made up when empty.
        cseq: Drawn at random when 0.
        contact: Contact in name-addr form; empty for none.
        route_set: In sending order.
        headers: Further headers.
        content_type: Of the body.
        body: Empty for none.
        username: Answers one digest challenge when not empty.
        password: The secret that goes with it.
    """

    method: str
    target: str
    from_header: str
    to_header: str
    sip_call_id: str = ""
    cseq: int = 0
    contact: str = ""
    route_set: tuple[str, ...] = ()
    headers: tuple[tuple[str, str], ...] = ()
    content_type: str = ""
    body: str = ""
    username: str = ""
    password: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Response:
    """The final answer to a raw request; 408 when none came, 503 when nothing could be sent."""

    status: int
    reason: str
    message: str = ""


@dataclass(frozen=True, slots=True)
class Dialog:
    """A dialog as RFC 3261 section 12 defines it; enough to go on with it after a crash.

    URIs are in name-addr form, tags bare, the route set in sending order.  ``local_cseq`` and
    ``remote_cseq`` are the last numbers used, -1 for none.  ``supported`` and ``allow`` are
    the peer's.
    """

    sip_call_id: str
    local_uri: str
    local_tag: str
    remote_uri: str
    remote_tag: str
    remote_target: str
    local_contact: str = ""
    local_cseq: int = 0
    remote_cseq: int = -1
    route_set: tuple[str, ...] = ()
    supported: str = ""
    allow: str = ""
    transport: str = ""

    def supports(self, option: str) -> bool:
        """Whether the peer listed the option tag in Supported."""
        return option.lower() in (word.strip().lower() for word in self.supported.split(","))


@dataclass(frozen=True, slots=True)
class NegotiatedMedia:
    """What offer and answer agreed on for one ``m=audio`` line.

    A refused or inactive line has port 0 and neither sends nor receives.

    Attributes:
        codec: As SDP names it, in capitals.
        event_payload_type: Of telephone events (RFC 4733), None when there are none.
        fec: The peer can use Opus's recovery of lost packets (RFC 7587 section 6.1).
        dtx: The peer would rather have Opus's silence unsent.
    """

    index: int
    remote_address: str = ""
    remote_rtp_port: int = 0
    remote_rtcp_port: int = 0
    codec: str = "PCMU"
    payload_type: int = 0
    event_payload_type: int | None = None
    ptime_ms: int = 20
    send: bool = False
    receive: bool = False
    fec: bool = False
    dtx: bool = False


@dataclass(frozen=True, slots=True)
class RegistrationChanged:
    """A registrar answered, or did not: 200 with ``expires_s`` above 0 is registered."""

    account: str
    status: int
    reason: str
    expires_s: int = 0

    @property
    def registered(self) -> bool:
        """Whether the account can be called at that registrar now."""
        return self.status // 100 == 2 and self.expires_s > 0


@dataclass(frozen=True, slots=True)
class IncomingCall:
    """Somebody calls; ``offer`` is their SDP, empty when they want ours."""

    call_id: str
    account: str
    sip_call_id: str
    remote_uri: str
    remote_name: str
    local_uri: str
    source: str
    offer: str


@dataclass(frozen=True, slots=True)
class CallProgress:
    """A provisional answer: 100 says that somebody is there, 180 that it rings."""

    call_id: str
    status: int
    reason: str


@dataclass(frozen=True, slots=True)
class CallConnected:
    """Answered and acknowledged."""

    call_id: str
    dialog: Dialog


@dataclass(frozen=True, slots=True)
class MediaChanged:
    """Offer and answer are done, at the start of a call or inside it."""

    call_id: str
    media: tuple[NegotiatedMedia, ...]


@dataclass(frozen=True, slots=True)
class DialogChanged:
    """The dialog, or its owner's note, is to be written to the journal."""

    call_id: str
    account: str
    dialog: Dialog
    note: JsonObject


@dataclass(frozen=True, slots=True)
class CallReplaced:
    """The peer took the call over into a new dialog (RFC 3891): go on as ``new_call_id``."""

    call_id: str
    new_call_id: str


@dataclass(frozen=True, slots=True)
class CallEnded:
    """The call is over; for one that never came about ``status`` says why."""

    call_id: str
    status: int
    reason: str
    by_peer: bool


Event = (
    RegistrationChanged
    | IncomingCall
    | CallProgress
    | CallConnected
    | MediaChanged
    | DialogChanged
    | CallReplaced
    | CallEnded
)
