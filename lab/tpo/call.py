"""One call to a hoot: what it hears is spoken by the hoot, what the caller says is kept."""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from ...firmware.wire.rtp import RtpPacket
from ...firmware.wire.sdp import Attribute, Media, Origin, SessionDescription
from ...hal.clock import Clock
from ..g711 import Law
from ..recorder.archive import StreamArchive, safe_name
from ..rtp_port import RtpPort
from ..sip import SipRefusedError
from .hoot import FRAME_SAMPLES, Hoot

RATE_HZ = 8_000
TELEPHONE_EVENT = "telephone-event"


@dataclass(frozen=True, slots=True)
class Where:
    """Where the proxy listens and writes.

    Attributes:
        address: address of its RTP ports.
        ports: range of its RTP ports.
        folder: where the WAV files of the calls go.
    """

    address: str
    ports: range
    folder: Path


class HootCall:
    """The media of one call.  A call that replaces another goes on with the same media.

    Args:
        hoot: what is spoken.
        call_id: Call-ID, from the wire.
        where: where to listen and write.
        clock: the time.
        rng: where SSRC, first sequence number and first timestamp come from.
    """

    def __init__(
        self, hoot: Hoot, call_id: str, where: Where, clock: Clock, rng: random.Random
    ) -> None:
        self.hoot, self.call_id, self._clock, self._where = hoot, call_id, clock, where
        self.law = Law.PCMU
        self.replacements = 0
        self.sent = 0
        self._speaks = False
        self._sequence, self._timestamp = rng.getrandbits(15), rng.getrandbits(31)
        self._rng, self._version = rng, 0
        self.port = RtpPort(
            address=where.address,
            ports=where.ports,
            clock=clock,
            received=self._heard,
            name=hoot.user,
            rng=rng,
        )
        self._archive: StreamArchive | None = None

    def _heard(self, packet: RtpPacket) -> None:
        if self._archive is not None:
            self._archive.write(packet, self._clock.unix())

    def offer(self, offer: SessionDescription) -> SessionDescription:
        """Take an offer and return the answer.

        Raises:
            SipRefusedError: no G.711 audio is offered.
            MalformedError: the offer says no address, or an rtpmap is broken.
        """
        chosen = next((media for media in offer.media if _law(media) is not None), None)
        law = None if chosen is None else _law(chosen)
        if chosen is None or law is None:
            raise SipRefusedError(488, "no G.711 audio is offered")
        self.law = law
        self._open_archive()
        address = offer.address_of(chosen)
        self.port.lock(address, chosen.port, chosen.rtcp_port)
        direction = offer.direction_of(chosen)
        self._speaks = direction in ("sendrecv", "recvonly") and address != "0.0.0.0"
        self._version += 1
        media = tuple(
            self._answer(each, direction) if each is chosen else _refused(each)
            for each in offer.media
        )
        origin = Origin(self._where.address, self.hoot.user, self.port.ssrc, self._version)
        return SessionDescription(origin, media, self._where.address, name=self.hoot.user)

    def _open_archive(self) -> None:
        if self._archive is None:
            name = safe_name(f"{self.hoot.user}-{self.call_id}")
            self._archive = StreamArchive(self._where.folder, name, self.law)

    def _answer(self, media: Media, direction: str) -> Media:
        number = int(self.law)
        events = [c for c in media.codecs if c.encoding.lower() == TELEPHONE_EVENT][:1]
        attributes = [Attribute("rtpmap", f"{number} {self.law.name}/{RATE_HZ}")]
        attributes += [Attribute("rtpmap", str(each)) for each in events]
        attributes += [Attribute("fmtp", f"{each.payload_type} 0-15") for each in events]
        opposite = {"sendonly": "recvonly", "recvonly": "sendonly"}.get(direction, direction)
        attributes += [Attribute("ptime", "20"), Attribute(opposite)]
        formats = (str(number), *(str(each.payload_type) for each in events))
        return replace(
            media,
            port=self.port.port,
            formats=formats,
            attributes=tuple(attributes),
            address=None,
            other=(),
        )

    def speak(self, frame: int) -> None:
        """Send frame ``frame`` of the hoot; time goes on while the caller does not listen."""
        if self._speaks:
            payload = self.hoot.frame(frame, self.law)
            self.port.send(
                RtpPacket(
                    int(self.law),
                    self._sequence & 0xFFFF,
                    self._timestamp & 0xFFFFFFFF,
                    self.port.ssrc,
                    payload,
                    marker=not self.sent,
                )
            )
            self._sequence += 1
            self.sent += 1
        self._timestamp += FRAME_SAMPLES

    def taken_over(self, call_id: str) -> None:
        """Note that a new dialog goes on with this media (RFC 3891)."""
        self.call_id = call_id
        self.replacements += 1

    def describe(self) -> dict[str, object]:
        """Say what was sent and heard, for the status."""
        heard = self.port.reception
        return {
            "user": self.hoot.user,
            "call_id": self.call_id,
            "source": list(self.port.source or ()),
            "rtp_port": self.port.port,
            "codec": self.law.name,
            "replacements": self.replacements,
            "packets_sent": self.sent,
            "packets_received": heard.packets,
            "packets_lost": heard.lost,
            "packets_foreign": heard.foreign,
            "packets_malformed": heard.malformed,
            "max_gap_ms": round(heard.max_gap_ms, 3),
            "ssrc_changes": max(0, heard.segments - 1),
            "seconds_heard": 0 if self._archive is None else self._archive.samples / RATE_HZ,
            "wav": None if self._archive is None else self._archive.wav.path.name,
        }

    def close(self) -> None:
        """Free the ports and close the file."""
        self.port.close()
        if self._archive is not None:
            self._archive.close()


def _law(media: Media) -> Law | None:
    if media.kind != "audio" or not media.port or media.protocol != "RTP/AVP":
        return None
    formats: Iterable[str] = media.formats
    return next((Law(int(each)) for each in formats if each in ("0", "8")), None)


def _refused(media: Media) -> Media:
    return replace(media, port=0, attributes=(), address=None, other=())
