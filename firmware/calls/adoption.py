"""Dialogs that PJSIP does not know: kept by hand from the journal until they end.

What the peer asks inside such a dialog is answered like this: BYE with 200, and the dialog is
over; re-INVITE and an UPDATE with a description with 488, which leaves the session as it is
(RFC 3261 section 14.2, RFC 3311 section 5.2); OPTIONS, INFO, PRACK and an UPDATE without a
description with 200; a CSeq that does not grow with 500 (RFC 3261 section 12.2.2); the rest
with 405.

A far end that refreshes its session by re-INVITE (RFC 4028) is refused in the same way: the tap
answers with a status alone and cannot carry a description.  The call goes on until the session
expires there; the BYE that then comes frees the line.  A refresh by UPDATE without a description
holds.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from ..wire.errors import WireError
from ..wire.sip import NameAddress, Request, parse_message
from .events import Dialog, Note, RawRequest

REFRESHES_TARGET = ("INVITE", "UPDATE")
ANSWERED_OK = ("OPTIONS", "INFO", "PRACK", "UPDATE", "MESSAGE")


@dataclass(frozen=True, slots=True)
class Adopted:
    """A dialog that outlived the process that made it."""

    call_id: str
    account: str
    dialog: Dialog
    note: Note


def with_tag(uri: str, tag: str) -> str:
    """Writes a From or To of a dialog.

    >>> with_tag('<sip:1001@turret.example>', 'a1')
    '<sip:1001@turret.example>;tag=a1'
    """
    address = NameAddress.parse(uri)
    kept = tuple(item for item in address.parameters if item[0] != "tag")
    return str(replace(address, parameters=(*kept, ("tag", tag)) if tag else kept))


def in_dialog(method: str, dialog: Dialog) -> RawRequest:
    """Builds the next request of a dialog (RFC 3261 section 12.2.1.1).

    One that refreshes the target names our Contact (RFC 3311 section 5.1).
    """
    return RawRequest(
        method,
        dialog.remote_target,
        with_tag(dialog.local_uri, dialog.local_tag),
        with_tag(dialog.remote_uri, dialog.remote_tag),
        sip_call_id=dialog.sip_call_id,
        cseq=dialog.local_cseq + 1,
        contact=dialog.local_contact if method in REFRESHES_TARGET else "",
        route_set=dialog.route_set,
    )


class Adoption:
    """The adopted dialogs of a process, found by what identifies a dialog."""

    def __init__(self) -> None:
        self._by_call: dict[str, Adopted] = {}

    def __contains__(self, call_id: object) -> bool:
        return call_id in self._by_call

    def __getitem__(self, call_id: str) -> Adopted:
        return self._by_call[call_id]

    def keep(self, adopted: Adopted) -> None:
        """Takes a dialog in, or its newer state."""
        self._by_call[adopted.call_id] = adopted

    def drop(self, call_id: str) -> None:
        """Forgets a dialog."""
        self._by_call.pop(call_id, None)

    def find(self, sip_call_id: str, *, local_tag: str, remote_tag: str) -> Adopted | None:
        """Returns the dialog of these three, or None."""
        wanted = (sip_call_id, local_tag, remote_tag)
        for each in self._by_call.values():
            dialog = each.dialog
            if wanted == (dialog.sip_call_id, dialog.local_tag, dialog.remote_tag):
                return each
        return None


def advance(adopted: Adopted, cseq: int) -> Adopted:
    """Notes the peer's newest CSeq."""
    return replace(adopted, dialog=replace(adopted.dialog, remote_cseq=cseq))


def answer_for(request: Request, adopted: Adopted) -> int:
    """Returns the status that a request inside an adopted dialog gets; 0 swallows an ACK."""
    if request.method == "ACK":
        return 0
    if request.cseq.number <= adopted.dialog.remote_cseq:
        return 500
    if request.method == "BYE":
        return 200
    if request.method == "INVITE" or (request.method == "UPDATE" and request.body):
        return 488
    return 200 if request.method in ANSWERED_OK else 405


def read_request(message: str) -> Request | None:
    """Reads what the tap showed; None when it is not a request that we can read."""
    try:
        parsed = parse_message(message.encode("utf-8", "surrogateescape"))
    except WireError:
        return None
    return parsed if isinstance(parsed, Request) else None
