"""Recording metadata (RFC 7865): what was recorded, who spoke, on which line of the turret.

What a turret adds (unit, user, line, device, mix) goes into our own namespace inside the session
element, where RFC 7865 lets anybody extend it (section 6.3); other recorders may skip it.
The parser refuses document types and entities, and bounds depth and size.
"""

from __future__ import annotations

import base64
import re
import uuid
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from xml.parsers import expat

from .errors import MalformedError, TooLargeError

NAMESPACE = "urn:ietf:params:xml:ns:recording:1"
OURS = "urn:openturret:recording:1"
CONTENT_TYPE = "application/rs-metadata+xml"
OPTION_TAG = "siprec"
MAX_BYTES = 262_144
MAX_ELEMENTS = 4_096
MAX_DEPTH = 16
ET.register_namespace("", NAMESPACE)
ET.register_namespace("ot", OURS)


def identifier(*words: str) -> str:
    """Make the 24-character identifier of RFC 7865 section 6.10 from words that stay the same.

    >>> identifier("02-54-50-00-00-01", "handsets") == identifier("02-54-50-00-00-01", "handsets")
    True
    """
    return base64.b64encode(uuid.uuid5(uuid.NAMESPACE_URL, "/".join((OURS, *words))).bytes).decode()


@dataclass(frozen=True, slots=True)
class Participant:
    """Somebody who speaks or listens (RFC 7865 section 6.4).

    Attributes:
        participant_id: 24-character identifier.
        aor: address of record, a URI.
        name: display name, may be empty.
    """

    participant_id: str
    aor: str
    name: str = ""


@dataclass(frozen=True, slots=True)
class Stream:
    """One recorded stream (section 6.5).

    Attributes:
        stream_id: 24-character identifier.
        label: the ``a=label`` of its media line.
        session_id: the communication session that it belongs to, None for a mix of many.
    """

    stream_id: str
    label: str
    session_id: str | None = None


@dataclass(frozen=True, slots=True)
class Call:
    """A communication session (section 6.3) and what a turret knows of it.

    Attributes:
        session_id: 24-character identifier.
        sip_call_id: Call-ID of the call, may be empty.
        start: when it began.
        stop: when it ended, None while it runs.
        unit: serial number of the turret.
        user: who was logged in.
        line: line or speaker channel.
        device: handset-left, handset-right, speaker-1 and so on.
        direction: ``in`` or ``out``, empty when neither.
        codec: codec of the call on the line.
        mix: label of the stream that carries the call.
        recorder: role of the recorder that this is sent to, ``a`` or ``b``.
        participants: identifiers of who takes part.
    """

    session_id: str
    sip_call_id: str = ""
    start: datetime | None = None
    stop: datetime | None = None
    unit: str = ""
    user: str = ""
    line: str = ""
    device: str = ""
    direction: str = ""
    codec: str = ""
    mix: str = ""
    recorder: str = ""
    participants: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Metadata:
    """A whole metadata document; ``bytes(metadata)`` is the part of the SIP body.

    Attributes:
        calls: communication sessions, running and just ended.
        participants: everybody who is named.
        streams: the recorded streams.
        senders: pairs of participant and stream identifier: who is heard in which stream.
        complete: a whole picture; False for a change only (section 6.1.1).
    """

    calls: tuple[Call, ...] = ()
    participants: tuple[Participant, ...] = ()
    streams: tuple[Stream, ...] = ()
    senders: tuple[tuple[str, str], ...] = ()
    complete: bool = True

    @classmethod
    def parse(cls, data: bytes) -> Metadata:
        """Parse a metadata document.

        Raises:
            MalformedError: not well-formed, holds a document type, or is not recording metadata.
            TooLargeError: bigger or deeper than the bounds of this module.
        """
        root = parse_xml(data)
        if root.tag != f"{{{NAMESPACE}}}recording":
            raise MalformedError("the document is not recording metadata")
        return cls(
            tuple(_parse_calls(root)),
            tuple(_parse_participants(root)),
            tuple(_parse_streams(root)),
            tuple(_parse_senders(root)),
            _text(root, "datamode") != "partial",
        )

    def __bytes__(self) -> bytes:
        root = ET.Element(f"{{{NAMESPACE}}}recording")
        _add(root, "datamode", "complete" if self.complete else "partial")
        for call in self.calls:
            _add_call(root, call)
        for participant in self.participants:
            _add_participant(root, participant)
        for stream in self.streams:
            _add_stream(root, stream)
        for call in self.calls:
            _add_associations(root, call)
        for participant_id, stream_ids in _by_participant(self.senders):
            _add_sender(root, participant_id, stream_ids)
        return bytes(ET.tostring(root, encoding="utf-8", xml_declaration=True))


# ---------------------------------------------------------------------------- reading


def parse_xml(data: bytes) -> ET.Element:
    """Parse XML that may come from anybody: no document type, no entities, bounded.

    Raises:
        MalformedError: not well-formed, or a document type is declared.
        TooLargeError: too many bytes or elements, or too deep.
    """
    if len(data) > MAX_BYTES:
        raise TooLargeError(f"{len(data)} bytes of metadata are more than {MAX_BYTES}")
    builder = _Builder()
    try:
        return builder.parse(data)
    except (expat.ExpatError, UnicodeError, LookupError, AssertionError) as error:
        raise MalformedError(f"the metadata is not well-formed: {error}") from error


class _Builder:
    """Builds elements from expat's events and counts them; expat is used without expansion."""

    def __init__(self) -> None:
        self._tree = ET.TreeBuilder()
        self._depth = self._elements = 0
        self._parser = expat.ParserCreate(None, "}")
        self._parser.StartDoctypeDeclHandler = self._refuse
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._tree.data

    def parse(self, data: bytes) -> ET.Element:
        self._parser.Parse(data, True)
        return self._tree.close()

    def _refuse(self, *_: object) -> None:
        raise MalformedError("metadata may not declare a document type")

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        self._depth, self._elements = self._depth + 1, self._elements + 1
        if self._depth > MAX_DEPTH or self._elements > MAX_ELEMENTS:
            raise TooLargeError("the metadata has too many elements or is too deep")
        self._tree.start(_qualified(tag), attributes)

    def _end(self, tag: str) -> None:
        self._depth -= 1
        self._tree.end(_qualified(tag))


def _qualified(tag: str) -> str:
    return "{" + tag if "}" in tag else tag


def _all(parent: ET.Element, name: str, namespace: str = NAMESPACE) -> list[ET.Element]:
    return parent.findall(f"{{{namespace}}}{name}")


def _text(parent: ET.Element, name: str, namespace: str = NAMESPACE) -> str:
    found = parent.find(f"{{{namespace}}}{name}")
    return "" if found is None else (found.text or "").strip()


def _need(element: ET.Element, name: str) -> str:
    value = element.get(name)
    if not value:
        raise MalformedError(f"{element.tag.rpartition('}')[2]} has no {name}")
    return value


def _parse_calls(root: ET.Element) -> Iterator[Call]:
    who: dict[str, list[str]] = {}
    for association in _all(root, "participantsessionassoc"):
        session_id = _need(association, "session_id")
        who.setdefault(session_id, []).append(_need(association, "participant_id"))
    for session in _all(root, "session"):
        session_id = _need(session, "session_id")
        yield Call(
            session_id=session_id,
            sip_call_id=_text(session, "sipSessionID"),
            start=_time(_text(session, "start-time")),
            stop=_time(_text(session, "stop-time")),
            participants=tuple(who.get(session_id, ())),
            **{name: _text(session, name, OURS) for name in _OUR_FIELDS},
        )


_OUR_FIELDS = ("unit", "user", "line", "device", "direction", "codec", "mix", "recorder")


def _parse_participants(root: ET.Element) -> Iterator[Participant]:
    for participant in _all(root, "participant"):
        who = participant.find(f"{{{NAMESPACE}}}nameID")
        aor = "" if who is None else who.get("aor", "")
        name = "" if who is None else _text(who, "name")
        yield Participant(_need(participant, "participant_id"), aor, name)


def _parse_streams(root: ET.Element) -> Iterator[Stream]:
    for stream in _all(root, "stream"):
        label = _text(stream, "label")
        yield Stream(_need(stream, "stream_id"), label, stream.get("session_id"))


def _parse_senders(root: ET.Element) -> Iterator[tuple[str, str]]:
    for association in _all(root, "participantstreamassoc"):
        participant = _need(association, "participant_id")
        for sent in _all(association, "send"):
            yield participant, (sent.text or "").strip()


def _time(text: str) -> datetime | None:
    if not text:
        return None
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise MalformedError(f"{text[:40]!r} is not a time") from error


# ---------------------------------------------------------------------------- writing


def _add(parent: ET.Element, name: str, text: str = "", namespace: str = NAMESPACE) -> ET.Element:
    element = ET.SubElement(parent, f"{{{namespace}}}{name}")
    element.text = _clean(text) or None
    return element


def _clean(text: str) -> str:
    """Drop what XML 1.0 cannot carry."""
    return re.sub("[^\t\n\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", "", text)


def _stamp(when: datetime) -> str:
    return when.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _add_call(root: ET.Element, call: Call) -> None:
    session = _add(root, "session")
    session.set("session_id", call.session_id)
    if call.sip_call_id:
        _add(session, "sipSessionID", call.sip_call_id)
    if call.start is not None:
        _add(session, "start-time", _stamp(call.start))
    if call.stop is not None:
        _add(session, "stop-time", _stamp(call.stop))
    for name in _OUR_FIELDS:
        if getattr(call, name):
            _add(session, name, getattr(call, name), OURS)


def _add_participant(root: ET.Element, participant: Participant) -> None:
    element = _add(root, "participant")
    element.set("participant_id", participant.participant_id)
    who = _add(element, "nameID")
    who.set("aor", _clean(participant.aor))
    if participant.name:
        _add(who, "name", participant.name)


def _add_stream(root: ET.Element, stream: Stream) -> None:
    element = _add(root, "stream")
    element.set("stream_id", stream.stream_id)
    if stream.session_id is not None:
        element.set("session_id", stream.session_id)
    _add(element, "label", stream.label)


def _add_associations(root: ET.Element, call: Call) -> None:
    for participant_id in call.participants:
        element = _add(root, "participantsessionassoc")
        element.set("participant_id", participant_id)
        element.set("session_id", call.session_id)
        if call.start is not None:
            _add(element, "associate-time", _stamp(call.start))


def _add_sender(root: ET.Element, participant_id: str, stream_ids: Iterable[str]) -> None:
    element = _add(root, "participantstreamassoc")
    element.set("participant_id", participant_id)
    for stream_id in stream_ids:
        _add(element, "send", stream_id)


def _by_participant(senders: Iterable[tuple[str, str]]) -> Iterator[tuple[str, list[str]]]:
    streams: dict[str, list[str]] = {}
    for participant_id, stream_id in senders:
        streams.setdefault(participant_id, []).append(stream_id)
    yield from streams.items()
