"""A line in use: one call of this unit, from the first digit to the last word."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field

from ...hal.matrix import Leg, LegTarget
from ...hal.wire.json_lines import JsonObject


class LineState(enum.StrEnum):
    """What the panel shows; ``connected`` is the field's I-busy, ``held`` its I-hold."""

    IDLE = "idle"
    DIALING = "dialing"
    RINGING = "ringing"
    INCOMING = "incoming"
    CONNECTED = "connected"
    HELD = "held"


@dataclass(frozen=True, slots=True)
class Route:
    """One way to reach somebody: which account, which Request-URI."""

    account: str
    target: str


class CallKind(enum.StrEnum):
    """Who the call belongs to."""

    CALL = "call"
    CHANNEL = "channel"


@dataclass(slots=True)
class Line:
    """One call of the desk.

    Attributes:
        line_id: Ours, stable over PBX fail-over and over a restart.
        kind: A call of a handset, or an always-open speaker channel.
        bus: The bus that carries it; empty until somebody takes an incoming call.
        remote: Number or URI of the far end.
        remote_name: What the far end calls itself.
        outgoing: Whether we called.
        label: What the panel shows for a speaker channel.
        state: See LineState.
        call_id: The agent's id of the dialog that carries it now.
        sip_call_id: Call-ID of that dialog.
        account: The account of that dialog.
        leg: The matrix's leg; None until there is one.
        target: Where the leg sends to; None until offer and answer are done.
        routes_left: Ways that an outgoing call may still try.
        answered: Whether anybody has reacted to the INVITE at all.
        adopted: The dialog is kept by hand since a restart.
        lifted_by: What took the handset off-hook for it: ``device``, ``panel`` or nothing.
        connected_unix_s: When it was answered.
    """

    line_id: str
    kind: CallKind
    bus: str
    remote: str
    remote_name: str = ""
    outgoing: bool = True
    label: str = ""
    state: LineState = LineState.IDLE
    call_id: str = ""
    sip_call_id: str = ""
    account: str = ""
    leg: Leg | None = None
    target: LegTarget | None = None
    routes_left: list[Route] = field(default_factory=list)
    answered: bool = False
    adopted: bool = False
    lifted_by: str = ""
    connected_unix_s: float | None = None

    def tag(self) -> JsonObject:
        """What a newcomer finds on the leg."""
        return {
            "kind": self.kind.value,
            "call_id": self.line_id,
            "sip_call_id": self.sip_call_id,
            "line": self.label or self.remote,
            "device": self.bus,
            "remote": self.remote,
            "remote_name": self.remote_name,
            "direction": "out" if self.outgoing else "in",
            "codec": self.leg.codec.value if self.leg is not None else "",
            "connected_unix_s": self.connected_unix_s,
        }

    def note(self) -> JsonObject:
        """What the journal keeps beside the dialog."""
        return {
            **self.tag(),
            "label": self.label,
            "state": self.state.value,
            "lifted_by": self.lifted_by,
            "leg": self.leg.leg if self.leg is not None else None,
        }

    def snapshot(self) -> JsonObject:
        """What the panel shows."""
        return {
            "id": self.line_id,
            "kind": self.kind.value,
            "state": self.state.value,
            "position": self.bus,
            "label": self.label,
            "remote": self.remote,
            "remote_name": self.remote_name,
            "direction": "out" if self.outgoing else "in",
            "account": self.account,
            "adopted": self.adopted,
            "sip_call_id": self.sip_call_id,
            "leg": self.leg.leg if self.leg is not None else None,
            "codec": self.leg.codec.value if self.leg is not None else None,
            "connected_unix_s": self.connected_unix_s,
        }


def restored(note: JsonObject) -> Line:
    """Makes the line of a note that the journal kept."""
    connected = note.get("connected_unix_s")
    return Line(
        str(note.get("call_id", "")),
        CallKind(str(note.get("kind", "call"))),
        str(note.get("device", "")),
        str(note.get("remote", "")),
        str(note.get("remote_name", "")),
        outgoing=note.get("direction") == "out",
        label=str(note.get("label", "")),
        state=LineState.HELD if note.get("state") == "held" else LineState.CONNECTED,
        sip_call_id=str(note.get("sip_call_id", "")),
        adopted=True,
        lifted_by=str(note.get("lifted_by", "")),
        connected_unix_s=float(connected) if isinstance(connected, int | float) else None,
    )
