"""What goes into a message that PJSIP writes: parameters, headers, body parts, raw requests."""

from __future__ import annotations

from collections.abc import Sequence

from . import _library as pj
from .events import BodyPart, RawRequest


def call_parameters(streams: int, status: int = 0) -> pj.CallOpParam:
    """Returns the parameters of a call of so many audio lines and nothing else."""
    prm = pj.CallOpParam(True)
    prm.opt.audioCount, prm.opt.videoCount, prm.opt.textCount = streams, 0, 0
    prm.statusCode = status
    return prm


def header(name: str, value: str) -> pj.SipHeader:
    """Returns a header for PJSIP."""
    made = pj.SipHeader()
    made.hName, made.hValue = name, value
    return made


def body_part(part: BodyPart) -> pj.SipMultipartPart:
    """Returns a body part for PJSIP."""
    made = pj.SipMultipartPart()
    made.contentType.type, _, made.contentType.subType = part.content_type.partition("/")
    made.body = part.body
    for name, value in part.headers:
        made.headers.append(header(name, value))
    return made


def add_content(
    prm: pj.CallOpParam, headers: Sequence[tuple[str, str]], parts: Sequence[BodyPart]
) -> None:
    """Adds headers and body parts to a message."""
    for name, value in headers:
        prm.txOption.headers.append(header(name, value))
    if parts:
        content = prm.txOption.multipartContentType
        content.type, content.subType = "multipart", "mixed"
    for part in parts:
        prm.txOption.multipartParts.append(body_part(part))


def raw(request: RawRequest) -> pj.RawRequest:
    """Returns a raw request for the tap."""
    made = pj.RawRequest()
    made.method, made.targetUri = request.method, request.target
    made.fromHeader, made.toHeader = request.from_header, request.to_header
    made.callId, made.cseq, made.contact = request.sip_call_id, request.cseq, request.contact
    made.contentType, made.body = request.content_type, request.body
    made.username, made.password = request.username, request.password
    for route in request.route_set:
        made.routeSet.append(route)
    for name, value in request.headers:
        made.headers.append(header(name, value))
    return made
