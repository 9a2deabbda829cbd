"""One recording session: a folder with its streams, its metadata and a sidecar about them.

::

    <folder>/<UTC start>-<call id>/
        session.json                    written anew at every change and once a second
        metadata-001.xml …              every metadata document that came
        <label>.wav .g711 .index        see `archive`
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from ...firmware.wire.rtp import RtpPacket
from ...firmware.wire.sdp import Attribute, Media, Origin, SessionDescription
from ...hal.clock import Clock
from ..g711 import Law
from ..rtp_port import RtpPort
from ..sip import SipRefusedError
from ..wav import repair
from .archive import StreamArchive, payload_sha256, read_packets, safe_name
from .errors import LayoutError

logger = logging.getLogger(__name__)

MAX_STREAMS = 16
MAX_METADATA = 999
RATE_HZ = 8_000


@dataclass(frozen=True, slots=True)
class Where:
    """Where a recorder listens and writes.

    Attributes:
        name: its name in files and reports.
        address: address of its RTP ports.
        ports: range of its RTP ports.
        folder: where the session folders go.
        rtcp_interval_s: mean time between receiver reports.
    """

    name: str
    address: str
    ports: range
    folder: Path
    rtcp_interval_s: float = 5.0


class RecordedStream:
    """One media line of a session: its ports and its files."""

    def __init__(self, label: str, law: Law, where: Where, folder: Path, clock: Clock) -> None:
        self.label, self.law, self._clock = label, law, clock
        self.name = safe_name(label)
        self.port = RtpPort(
            address=where.address,
            ports=where.ports,
            clock=clock,
            received=self._write,
            rtcp_interval_s=where.rtcp_interval_s,
            name=where.name,
        )
        try:
            self.archive = StreamArchive(folder, self.name, law)
        except OSError:
            self.port.close()
            raise

    def _write(self, packet: RtpPacket) -> None:
        self.archive.write(packet, self._clock.unix())

    def close(self) -> None:
        """Free the ports and close the files."""
        self.port.close()
        self.archive.close()

    def describe(self) -> dict[str, object]:
        """Say what was received, for the sidecar."""
        heard = self.port.reception
        return {
            "label": self.label,
            "name": self.name,
            "codec": self.law.name,
            "payload_type": int(self.law),
            "rtp_port": self.port.port,
            "source": list(self.port.source or ()),
            "ssrc": heard.ssrc,
            "first_sequence": heard.first_sequence,
            "last_sequence": heard.last_sequence,
            "packets": heard.packets,
            "lost": heard.lost,
            "duplicates": heard.duplicates,
            "reordered": heard.reordered,
            "foreign": heard.foreign,
            "malformed": heard.malformed,
            "dropped": self.archive.dropped,
            "samples": self.archive.samples,
            "seconds": self.archive.samples / RATE_HZ,
            "payload_octets": self.archive.octets,
            "max_gap_ms": round(heard.max_gap_ms, 3),
            "jitter_ms": round(heard.jitter * 1000 / RATE_HZ, 3),
            "rtcp_received": self.port.rtcp_received,
            "first_packet_utc": _stamp(heard.first_unix),
            "last_packet_utc": _stamp(heard.last_unix),
        }


class RecordingSession:
    """Everything of one SIPREC session.

    Args:
        call_id: Call-ID of the session, from the wire.
        caller: address of who records.
        contact: its Contact, which should carry the feature tag ``+sip.src`` (RFC 7866).
        where: where to listen and write.
        clock: the time.
    """

    def __init__(self, call_id: str, caller: str, contact: str, where: Where, clock: Clock) -> None:
        self._clock, self._where = clock, where
        self._start = clock.unix()
        self._call_ids, self._caller, self._contact = [call_id], caller, contact
        self._streams: dict[str, RecordedStream] = {}
        self._metadata: list[str] = []
        self._version = 0
        self.folder = _make_folder(where.folder, call_id, self._start)

    @property
    def streams(self) -> tuple[RecordedStream, ...]:
        """The streams, in the order in which they were offered."""
        return tuple(self._streams.values())

    @property
    def silent_s(self) -> float:
        """Seconds since the last packet of any stream, or since the start."""
        last = (stream.port.reception.last_unix or self._start for stream in self.streams)
        return self._clock.unix() - max(last, default=self._start)

    def taken_over(self, call_id: str) -> None:
        """Note that a new dialog goes on with this session (RFC 3891)."""
        self._call_ids = [*self._call_ids[-9:], call_id]

    def offer(self, offer: SessionDescription) -> SessionDescription:
        """Take an offer and return the answer; new labels open streams, known ones go on.

        Raises:
            SipRefusedError: no line of it can be recorded, or there are too many.
            MalformedError: it says no address.
            OSError: no port or no file can be had.
        """
        if len(offer.media) > MAX_STREAMS:
            raise SipRefusedError(488, f"{len(offer.media)} streams are more than {MAX_STREAMS}")
        answers = tuple(self._take_media(offer, n, media) for n, media in enumerate(offer.media))
        if not any(media.port for media in answers):
            raise SipRefusedError(488, "nothing of the offer can be recorded")
        self._version += 1
        origin = Origin(self._where.address, "recorder", int(self._start), self._version)
        self.save("recording")
        return SessionDescription(origin, answers, self._where.address, name="recording")

    def _take_media(self, offer: SessionDescription, number: int, media: Media) -> Media:
        law = _law(media)
        if law is None or not media.port:
            return replace(media, port=0, attributes=(), address=None, other=())
        label = media.label or f"stream-{number + 1}"
        stream = self._streams.get(safe_name(label))
        if stream is None:
            stream = RecordedStream(label, law, self._where, self.folder, self._clock)
            self._streams[stream.name] = stream
        stream.port.lock(offer.address_of(media), media.port, media.rtcp_port)
        return _answer(media, stream, offer.direction_of(media))

    def metadata(self, document: bytes) -> None:
        """Keep a metadata document."""
        number = min(len(self._metadata) + 1, MAX_METADATA)
        name = f"metadata-{number:03d}.xml"
        (self.folder / name).write_bytes(document)
        if name not in self._metadata:
            self._metadata.append(name)
        self.save("recording")

    def save(self, state: str) -> None:
        """Write the sidecar."""
        save_json(self.folder / "session.json", self.describe(state))

    def describe(self, state: str) -> dict[str, object]:
        """Say everything of the session that is known now."""
        return {
            "recorder": self._where.name,
            "state": state,
            "call_id": self._call_ids[-1],
            "call_ids": self._call_ids,
            "caller": self._caller,
            "contact": self._contact,
            "start_utc": _stamp(self._start),
            "end_utc": None if state == "recording" else _stamp(self._clock.unix()),
            "metadata": self._metadata,
            "streams": [stream.describe() for stream in self.streams],
        }

    def close(self) -> None:
        """Close the files and write the final sidecar with the digests."""
        for stream in self.streams:
            stream.close()
        self.save("complete")
        finish(self.folder, "complete")


def finish(folder: Path, state: str) -> None:
    """Put the digests into a sidecar; repairs what a killed recorder left.

    Raises:
        LayoutError: the folder does not hold a session.
    """
    session = load(folder)
    streams = session.get("streams")
    for stream in streams if isinstance(streams, list) else []:
        _digest(folder, stream)
    session["state"] = state
    save_json(folder / "session.json", session)


def _digest(folder: Path, stream: dict[str, object]) -> None:
    name = safe_name(str(stream.get("name")))
    packets = read_packets(folder, name)
    stream["payload_sha256"] = payload_sha256(packets)
    stream["payload_octets"] = sum(len(packet.payload) for packet in packets)
    stream["packets"] = len(packets)
    samples = repair(folder / f"{name}.wav")
    stream["samples"], stream["seconds"] = samples, samples / RATE_HZ


def recover(folder: Path) -> tuple[Path, ...]:
    """Finish every session that a killed recorder left open, and say which."""
    recovered = []
    for path in sorted(folder.glob("*/session.json")):
        try:
            if load(path.parent).get("state") == "recording":
                finish(path.parent, "interrupted")
                recovered.append(path.parent)
        except (LayoutError, ValueError, OSError) as error:
            logger.warning("%s cannot be recovered: %s", path.parent.name, error)
    return tuple(recovered)


def load(folder: Path) -> dict[str, object]:
    """Read the sidecar of a session.

    Raises:
        LayoutError: there is none, or it is not one.
    """
    try:
        session = json.loads((folder / "session.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise LayoutError(f"{folder.name} holds no session: {error}") from error
    if not isinstance(session, dict):
        raise LayoutError(f"{folder.name}: the sidecar is not an object")
    return session


def save_json(path: Path, value: object) -> None:
    """Write a file so that a reader sees the old or the new one, whole."""
    beside = path.with_name(f".{path.name}.new")
    beside.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")
    beside.replace(path)


def _make_folder(parent: Path, call_id: str, start: float) -> Path:
    stamp = datetime.fromtimestamp(start, UTC).strftime("%Y%m%dT%H%M%SZ")
    name = f"{stamp}-{safe_name(call_id)}"
    for attempt in range(1_000):
        folder = parent / (f"{name}-{attempt}" if attempt else name)
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            continue
        return folder
    raise SipRefusedError(503, f"{os.fspath(parent)} is full of sessions of this name")


def _stamp(unix: float | None) -> str | None:
    if unix is None:
        return None
    stamp = datetime.fromtimestamp(unix, UTC).isoformat(timespec="milliseconds")
    return stamp.replace("+00:00", "Z")


def _law(media: Media) -> Law | None:
    """Return the first G.711 law that is offered under its static payload type."""
    if media.kind != "audio" or media.protocol != "RTP/AVP":
        return None
    offered: Iterable[str] = media.formats
    return next((Law(int(each)) for each in offered if each in ("0", "8")), None)


def _answer(media: Media, stream: RecordedStream, direction: str) -> Media:
    attributes = [
        Attribute("rtpmap", f"{int(stream.law)} {stream.law.name}/{RATE_HZ}"),
        Attribute("ptime", str(media.ptime_ms)),
        Attribute("inactive" if direction in ("inactive", "recvonly") else "recvonly"),
    ]
    if media.label is not None:
        attributes.append(Attribute("label", media.label))
    return replace(
        media,
        port=stream.port.port,
        formats=(str(int(stream.law)),),
        attributes=tuple(attributes),
        address=None,
        other=(),
    )
