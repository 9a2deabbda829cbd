"""The mixing matrix: legs, buses, devices and recordings, whoever answers for them.

The internal matrix answers over OLDCB, an XMA2 by itself; nothing above knows which.
Everything opened here outlives the one who opened it: a newcomer lists and takes over.
Ports of a bus are named ``leg:7`` and ``device:handset-left``.
"""

import enum
from collections.abc import AsyncIterator, Collection, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from .wire.json_lines import JsonObject, JsonValue


class Codec(enum.StrEnum):
    """How a leg's samples travel, with the static payload type of RFC 3551."""

    PCMU = "PCMU"
    PCMA = "PCMA"

    @property
    def payload_type(self) -> int:
        """The static payload type: 0 or 8."""
        return 0 if self is Codec.PCMU else 8


class Topic(enum.StrEnum):
    """What a reader of events may ask for."""

    LEVELS = "levels"
    ALARMS = "alarms"
    LEGS = "legs"
    RECORDINGS = "recordings"


def leg_port(leg: int) -> str:
    """Returns the name of a leg as a port of a bus.

    >>> leg_port(7)
    'leg:7'
    """
    return f"leg:{leg}"


def device_port(position: str) -> str:
    """Returns the name of a device as a port of a bus.

    >>> device_port("handset-left")
    'device:handset-left'
    """
    return f"device:{position}"


@dataclass(frozen=True, slots=True)
class LegTarget:
    """Where a leg sends to and the only source that it listens to."""

    address: str
    rtp_port: int
    codec: Codec = Codec.PCMU
    payload_type: int = 0
    rtcp_port: int | None = None
    ptime_ms: int = 20
    send: bool = True
    receive: bool = True


@dataclass(frozen=True, slots=True)
class LegStats:
    """Counters of one leg; delays in ms, levels in dBFS.

    ``round_trip_ms`` is None until the far end has reported.
    """

    packets_sent: int = 0
    octets_sent: int = 0
    packets_received: int = 0
    packets_lost: int = 0
    packets_late: int = 0
    packets_duplicate: int = 0
    packets_reordered: int = 0
    packets_foreign: int = 0
    packets_malformed: int = 0
    packets_other: int = 0
    send_errors: int = 0
    concealed_frames: int = 0
    jitter_ms: float = 0.0
    round_trip_ms: float | None = None
    receive_level_dbfs: float = -127.0
    transmit_level_dbfs: float = -127.0
    receive_gap_max_ms: float = 0.0
    send_gap_max_ms: float = 0.0
    remote_fraction_lost: float = 0.0
    bye_received: bool = False


@dataclass(frozen=True, slots=True)
class Leg:
    """One RTP stream in each direction, with whatever its owner tagged it with."""

    leg: int
    rtp_port: int
    rtcp_port: int
    ssrc: int
    address: str
    codec: Codec = Codec.PCMU
    ptime_ms: int = 20
    tag: JsonObject = field(default_factory=dict)
    target: LegTarget | None = None
    stats: LegStats = field(default_factory=LegStats)


@dataclass(frozen=True, slots=True)
class Membership:
    """A port on a bus; None is "does not talk" or "does not listen", gains in dB."""

    port: str
    talk_db: float | None = None
    listen_db: float | None = None


@dataclass(frozen=True, slots=True)
class Bus:
    """A bus and who is on it."""

    bus: str
    members: tuple[Membership, ...] = ()


@dataclass(frozen=True, slots=True)
class AudioDevice:
    """An audio device of the board as the matrix sees it."""

    device: str
    open: bool
    attached: bool
    stats: JsonObject = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RecordingPort:
    """The local port pair of one recording fork."""

    address: str
    rtp_port: int
    ssrc: int


@dataclass(frozen=True, slots=True)
class ForkTarget:
    """Where a recording fork sends to."""

    address: str
    rtp_port: int
    payload_type: int = 0


@dataclass(frozen=True, slots=True)
class Fork:
    """One of the two destinations of a recording."""

    index: int
    rtp_port: int
    target: ForkTarget | None = None
    packets_sent: int = 0
    send_errors: int = 0
    refused: bool = False
    first_sequence: int | None = None
    last_sequence: int | None = None
    samples: int = 0


@dataclass(frozen=True, slots=True)
class Recording:
    """A recording: the complete sum of the buses it taps, sent to at most two recorders."""

    name: str
    codec: Codec = Codec.PCMU
    buses: tuple[str, ...] = ()
    forks: tuple[Fork, ...] = ()


@dataclass(frozen=True, slots=True)
class MatrixInfo:
    """Who answers: protocol version, process and whether it runs in real time."""

    protocol: int
    version: str
    pid: int
    realtime: bool


@dataclass(frozen=True, slots=True)
class MatrixEvent:
    """Something the matrix reports; ``details`` is the event as OLDCB spells it."""

    event: str
    time: float
    details: JsonObject = field(default_factory=dict)


class MixingMatrix(Protocol):
    """Everything a unit can ask of its mixing matrix.

    Every method raises MatrixGoneError when nobody answers, UnknownPortError for a leg,
    bus, device or recording that is not there, and MatrixRequestError for nonsense.
    """

    async def hello(self) -> MatrixInfo:
        """Returns who answers."""
        ...

    async def leg_open(
        self,
        *,
        codec: Codec = Codec.PCMU,
        ptime_ms: int = 20,
        tag: Mapping[str, JsonValue] | None = None,
    ) -> Leg:
        """Binds a port pair; the leg is silent until connected.

        Raises:
            PortsExhaustedError: The configured range is used up.
        """
        ...

    async def leg_connect(self, leg: int, target: LegTarget) -> None:
        """Starts sending to the target and listening to nobody else; may be repeated."""
        ...

    async def leg_tag(self, leg: int, tag: Mapping[str, JsonValue]) -> None:
        """Replaces the note that a newcomer finds on the leg."""
        ...

    async def leg_close(self, leg: int) -> None:
        """Takes the leg off its buses and frees its ports."""
        ...

    async def leg_list(self) -> tuple[Leg, ...]:
        """Returns every leg, with its counters."""
        ...

    async def leg_reset_gaps(self, leg: int) -> None:
        """Starts the measurement of the longest gaps anew."""
        ...

    async def bus_join(
        self, bus: str, port: str, *, talk_db: float | None = None, listen_db: float | None = None
    ) -> None:
        """Puts a port on a bus, or changes its gains there; the bus is made on first join."""
        ...

    async def bus_leave(self, bus: str, port: str) -> None:
        """Takes a port off a bus; the last one takes the bus with it."""
        ...

    async def bus_list(self) -> tuple[Bus, ...]:
        """Returns every bus with its members."""
        ...

    async def device_list(self) -> tuple[AudioDevice, ...]:
        """Returns every audio device of the board."""
        ...

    async def recording_open(self, name: str, *, codec: Codec = Codec.PCMU) -> None:
        """Makes a recording of that name, tapping nothing yet."""
        ...

    async def recording_tap(self, name: str, bus: str) -> None:
        """Adds a bus to what is recorded; a bus that is not there yet is made."""
        ...

    async def recording_untap(self, name: str, bus: str) -> None:
        """Removes a bus from what is recorded."""
        ...

    async def recording_reserve(self, name: str, index: int) -> RecordingPort:
        """Binds the local port pair of fork 0 or 1 so that an SDP can name it.

        Raises:
            PortsExhaustedError: The configured range is used up.
        """
        ...

    async def recording_fork(self, name: str, index: int, target: ForkTarget) -> RecordingPort:
        """Starts sending the recording to a recorder, from the reserved pair if there is one.

        A fork that sends already moves to the new recorder, from a new pair.
        """
        ...

    async def recording_unfork(self, name: str, index: int) -> None:
        """Stops sending to that recorder and frees the ports."""
        ...

    async def recording_close(self, name: str) -> None:
        """Ends the recording and both its forks."""
        ...

    async def recording_list(self) -> tuple[Recording, ...]:
        """Returns every recording with its forks."""
        ...

    async def status(self) -> JsonObject:
        """Returns ticks, lateness, ports in use and the counters of the server."""
        ...

    def events(self, topics: Collection[Topic]) -> AsyncIterator[MatrixEvent]:
        """Yields what is asked for, across reconnects, until the iterator is closed."""
        ...
