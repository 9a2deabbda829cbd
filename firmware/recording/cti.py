"""What the recorders are told about the calls: who speaks with whom, on which line, since when.

In the field a CTI link carries this; with SIPREC it is the metadata of the session (RFC 7865).
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from ...hal.clock import Clock
from ...hal.wire.json_lines import JsonObject
from ..calls.line import Line
from ..wire.siprec import Call, Metadata, Participant, Stream, identifier

CHANNELS_PER_MIX = 3
HANDSETS = "handsets"
MAX_ENDED = 32
ENDED_KEPT_S = 60.0
_CHANNEL = re.compile(r"channel-(\d{1,2})")


def mix_of(bus: str) -> str:
    """Returns the label of the recording that carries a bus: handsets 2:1, speakers 3:1.

    >>> [mix_of(bus) for bus in ("handset-right", "channel-3", "channel-4")]
    ['handsets', 'speakers-1', 'speakers-2']
    """
    found = _CHANNEL.fullmatch(bus)
    return HANDSETS if found is None else f"speakers-{-(-int(found[1]) // CHANNELS_PER_MIX)}"


@dataclass(frozen=True, slots=True)
class User:
    """Who is logged in.

    Attributes:
        name: Identifier, such as ``alice``.
        address: Address of record, ``sip:1001@turret.example``.
        display: Name to show.
    """

    name: str
    address: str
    display: str = ""


@dataclass(frozen=True, slots=True)
class RecordedCall:
    """A call as the recorders hear of it.

    Attributes:
        call_id: Ours, stable over fail-over and restart.
        sip_call_id: Call-ID of its dialog.
        line: Line or channel as the panel shows it.
        device: Bus that carries it: ``handset-left``, ``channel-2``.
        remote: Number or URI of the far end.
        remote_name: What the far end calls itself.
        direction: ``in`` or ``out``.
        codec: Codec on the line.
        start_unix_s: When it was answered.
        stop_unix_s: When it ended, None while it runs.
    """

    call_id: str
    sip_call_id: str
    line: str
    device: str
    remote: str
    remote_name: str = ""
    direction: str = "out"
    codec: str = "PCMU"
    start_unix_s: float = 0.0
    stop_unix_s: float | None = None

    @classmethod
    def of(cls, line: Line, clock: Clock) -> RecordedCall:
        """Describes a line of the desk that has just been answered or brought back."""
        return cls(
            line.line_id,
            line.sip_call_id,
            line.label or line.remote,
            line.bus,
            line.remote,
            line.remote_name,
            "out" if line.outgoing else "in",
            line.leg.codec.value if line.leg is not None else "",
            line.connected_unix_s or clock.unix(),
        )

    def as_json(self) -> JsonObject:
        """Returns the call as the ledger keeps it."""
        return {
            "call_id": self.call_id,
            "sip_call_id": self.sip_call_id,
            "line": self.line,
            "device": self.device,
            "mix": mix_of(self.device),
            "remote": self.remote,
            "remote_name": self.remote_name,
            "direction": self.direction,
            "codec": self.codec,
            "start_unix_s": self.start_unix_s,
            "stop_unix_s": self.stop_unix_s,
        }


class CallBook:
    """The calls that run and those that have just ended.

    Args:
        unit: Serial number of the unit.
        user: Who is logged in.
        clock: The time.
    """

    def __init__(self, unit: str, user: User, clock: Clock) -> None:
        self._unit, self._user, self._clock = unit, user, clock
        self._running: dict[str, RecordedCall] = {}
        self._ended: deque[RecordedCall] = deque(maxlen=MAX_ENDED)

    def start(self, call: RecordedCall) -> bool:
        """Notes a call that was answered or changed; False when it is known like this."""
        known = self._running.get(call.call_id)
        self._running[call.call_id] = call
        return known != call

    def end(self, call_id: str) -> RecordedCall | None:
        """Notes that a call is over; returns it, or None when it is not known."""
        call = self._running.pop(call_id, None)
        if call is None:
            return None
        over = replace(call, stop_unix_s=self._clock.unix())
        self._ended.append(over)
        return over

    def metadata(self, recorder: str, labels: Sequence[str]) -> Metadata:
        """Builds the whole picture for one recorder."""
        calls = [*self._running.values(), *self._just_ended()]
        streams = {label: Stream(identifier(self._unit, label), label) for label in labels}
        ours = Participant(
            identifier("aor", self._user.address), self._user.address, self._user.display
        )
        others = {call.call_id: _participant(call) for call in calls}
        senders = [(ours.participant_id, stream.stream_id) for stream in streams.values()]
        senders += [
            (others[call.call_id].participant_id, streams[mix_of(call.device)].stream_id)
            for call in calls
            if mix_of(call.device) in streams
        ]
        return Metadata(
            tuple(self._call(c, recorder, ours, others[c.call_id]) for c in calls),
            tuple(dict.fromkeys((ours, *others.values()))),
            tuple(streams.values()),
            tuple(dict.fromkeys(senders)),
        )

    def _just_ended(self) -> list[RecordedCall]:
        oldest = self._clock.unix() - ENDED_KEPT_S
        return [call for call in self._ended if (call.stop_unix_s or 0) >= oldest]

    def _call(
        self, call: RecordedCall, recorder: str, ours: Participant, other: Participant
    ) -> Call:
        return Call(
            session_id=identifier(self._unit, call.call_id),
            sip_call_id=call.sip_call_id,
            start=datetime.fromtimestamp(call.start_unix_s, UTC),
            stop=_time(call.stop_unix_s),
            unit=self._unit,
            user=self._user.name,
            line=call.line,
            device=call.device,
            direction=call.direction,
            codec=call.codec,
            mix=mix_of(call.device),
            recorder=recorder,
            participants=(ours.participant_id, other.participant_id),
        )


def _time(unix_s: float | None) -> datetime | None:
    return None if unix_s is None else datetime.fromtimestamp(unix_s, UTC)


def _participant(call: RecordedCall) -> Participant:
    address = call.remote if ":" in call.remote else f"sip:{call.remote}"
    return Participant(identifier("aor", address), address, call.remote_name)
