"""The mixing matrix: legs, buses, devices and recordings, whoever answers for them.

The internal matrix answers over OLDCB, an XMA2 by itself; nothing above knows which.
Everything opened here outlives the one who opened it: a newcomer lists and takes over.
Ports of a bus are named ``leg:7``, ``device:handset-left``, ``source:ringback`` and ``sink:memo``.
"""

import enum
from collections.abc import AsyncIterator, Collection, Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol

from .wire.json_lines import JsonObject, JsonValue


class Codec(enum.StrEnum):
    """How a leg's samples travel; the three of Opus differ in the rate of our end alone."""

    PCMU = "PCMU"
    PCMA = "PCMA"
    G722 = "G722"
    L16_8K = "L16_8K"
    L16_16K = "L16_16K"
    L16_48K = "L16_48K"
    OPUS_8K = "OPUS_8K"
    OPUS_16K = "OPUS_16K"
    OPUS_48K = "OPUS_48K"

    @property
    def payload_type(self) -> int | None:
        """The static payload type of RFC 3551; None is a dynamic one, which must be negotiated.

        >>> Codec.G722.payload_type, Codec.OPUS_48K.payload_type
        (9, None)
        """
        return _STATIC_TYPES.get(self)

    @property
    def ptimes_ms(self) -> tuple[int, ...]:
        """The packet times it can have, in ms: Opus has no 30, L16 at 48 kHz must fit a packet.

        >>> Codec.PCMU.ptimes_ms, Codec.OPUS_16K.ptimes_ms
        ((10, 20, 30), (10, 20))
        """
        if self is Codec.L16_48K:
            return (10,)
        return (10, 20) if self.name.startswith("OPUS") else (10, 20, 30)


_STATIC_TYPES: Final[Mapping[Codec, int]] = {Codec.PCMU: 0, Codec.PCMA: 8, Codec.G722: 9}


class SrtpSuite(enum.StrEnum):
    """How SRTP protects a leg, by the names of SDES (RFC 4568, RFC 7714); the best first."""

    AEAD_AES_256_GCM = "AEAD_AES_256_GCM"
    AEAD_AES_128_GCM = "AEAD_AES_128_GCM"
    AES_CM_128_HMAC_SHA1_80 = "AES_CM_128_HMAC_SHA1_80"
    AES_CM_128_HMAC_SHA1_32 = "AES_CM_128_HMAC_SHA1_32"

    @property
    def key_octets(self) -> int:
        """Octets of a master key with its salt behind it.

        >>> SrtpSuite.AEAD_AES_128_GCM.key_octets
        28
        """
        return _KEY_OCTETS[self]


_KEY_OCTETS: Final[Mapping[SrtpSuite, int]] = {
    SrtpSuite.AEAD_AES_256_GCM: 44,
    SrtpSuite.AEAD_AES_128_GCM: 28,
    SrtpSuite.AES_CM_128_HMAC_SHA1_80: 30,
    SrtpSuite.AES_CM_128_HMAC_SHA1_32: 30,
}


class Topic(enum.StrEnum):
    """What a reader of events may ask for."""

    LEVELS = "levels"
    ALARMS = "alarms"
    LEGS = "legs"
    RECORDINGS = "recordings"
    DIGITS = "digits"
    SOURCES = "sources"
    SINKS = "sinks"
    DEVICES = "devices"


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


def source_port(name: str) -> str:
    """Returns the name of a source as a port of a bus.

    >>> source_port("ringback")
    'source:ringback'
    """
    return f"source:{name}"


def sink_port(name: str) -> str:
    """Returns the name of a sink as a port of a bus.

    >>> sink_port("memo")
    'sink:memo'
    """
    return f"sink:{name}"


@dataclass(frozen=True, slots=True)
class Srtp:
    """The keys of one leg, each a master key with its salt, in base64 as SDES carries them.

    The matrix never says them again: in what it lists both are empty.  Given back like that they
    stand for the keys that the leg has, so that a newcomer can hold a call it has no keys of.
    """

    suite: SrtpSuite
    send: str = field(default="", repr=False)
    receive: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class LegTarget:
    """Where a leg sends to, the only source that it listens to, and what was negotiated.

    A payload type of None: that was not negotiated.

    Attributes:
        payload_type: As negotiated, 0 to 127.
        ptime_ms: 10, 20 or 30; for Opus 10 or 20.
        event_type: Telephone events (RFC 4733), at the clock of the codec.
        noise_type: Comfort noise (RFC 3389); our silence is then described instead of sent.
        redundant_type: Redundant audio (RFC 2198).
        redundancy: Older payloads in each packet that we send, 0 to 2.
        inband_digits: Look for DTMF in the sound that comes.
        bitrate_bps: Of Opus; 0 is its own choice.
        loss_percent: Of our packets, 0 to 100: how much Opus spends on recovery.
        fec: Opus carries the packet before once more.
        dtx: Opus lets silence pass unsent.
        srtp: None is plain RTP.
    """

    address: str
    rtp_port: int
    codec: Codec = Codec.PCMU
    payload_type: int = 0
    rtcp_port: int | None = None
    ptime_ms: int = 20
    send: bool = True
    receive: bool = True
    event_type: int | None = None
    noise_type: int | None = None
    redundant_type: int | None = None
    redundancy: int = 1
    inband_digits: bool = False
    bitrate_bps: int = 0
    loss_percent: int = 0
    fec: bool = False
    dtx: bool = False
    srtp: Srtp | None = None


@dataclass(frozen=True, slots=True)
class LegStats:
    """Counters of one leg; delays in ms, levels in dBFS.

    ``round_trip_ms`` is None until the far end has reported, ``mos`` (1 to 4.5, ITU-T G.107) until
    enough was heard, ``remote_mos`` until the far end told its own.
    """

    packets_sent: int = 0
    octets_sent: int = 0
    packets_received: int = 0
    octets_received: int = 0
    packets_expected: int = 0
    packets_lost: int = 0
    packets_late: int = 0
    packets_duplicate: int = 0
    packets_reordered: int = 0
    packets_foreign: int = 0
    packets_malformed: int = 0
    packets_other: int = 0
    packets_recovered: int = 0
    packets_unauthentic: int = 0
    send_errors: int = 0
    last_errno: int = 0
    concealed_frames: int = 0
    noise_frames: int = 0
    resets: int = 0
    collisions: int = 0
    jitter_ms: float = 0.0
    round_trip_ms: float | None = None
    buffered_ms: float = 0.0
    delay_target_ms: int = 0
    receive_level_dbfs: float = -127.0
    transmit_level_dbfs: float = -127.0
    receive_active: bool = False
    transmit_active: bool = False
    receive_gap_max_ms: float = 0.0
    send_gap_max_ms: float = 0.0
    reports_sent: int = 0
    reports_received: int = 0
    remote_fraction_lost: float = 0.0
    remote_packets_lost: int = 0
    remote_jitter_ms: float = 0.0
    digits_sent: int = 0
    digits_received: int = 0
    mos: float | None = None
    remote_mos: float | None = None
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
    """A bus and who is on it; ``loudest`` talkers are mixed, 0 is everybody."""

    bus: str
    members: tuple[Membership, ...] = ()
    rate_hz: int = 8000
    loudest: int = 0


@dataclass(frozen=True, slots=True)
class Ducking:
    """A device plays more softly while somebody speaks at one of the ports.

    Attributes:
        ports: Who takes precedence.
        depth_db: By how much, 0 to 60.
        hold_ms: How long it stays low after the last word, at most 10,000.
        release_ms: How long it takes to come back, at most 10,000.
    """

    ports: tuple[str, ...]
    depth_db: float = 12.0
    hold_ms: int = 300
    release_ms: int = 500


@dataclass(frozen=True, slots=True)
class Cleaning:
    """What is done to the sound of a microphone.

    Attributes:
        echo: Take out what the unit's own loudspeakers play.
        gain_control: Bring speech to an even level.
        noise_db: How much steady noise is taken out, 0 to 40 dB.
        tail_ms: The longest echo that is taken out, 20 to 500 ms.
        echo_of: The devices whose sound it hears back: itself for a speakerphone, the
            loudspeakers around it for a gooseneck.
    """

    echo: bool = True
    gain_control: bool = False
    noise_db: int = 12
    tail_ms: int = 200
    echo_of: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class DeviceSettings:
    """What a device is set to; the matrix keeps it while the device is on no bus."""

    mute_capture: bool = False
    mute_playback: bool = False
    sidetone_db: float | None = None
    ducking: Ducking | None = None
    cleaning: Cleaning | None = None


@dataclass(frozen=True, slots=True)
class AudioDevice:
    """An audio device of the board as the matrix sees it.

    Attributes:
        device: Its position on the board.
        open: It is on a bus, or stands in for one that is.
        attached: Its audio runs.
        rate_hz: Of its audio; None while it is not open.
        why_away: Why its audio does not run, and the remedy; "" while it does.
        stand_in: The device that speaks and listens for it while it is away; "" when none does.
        xruns: ``input_overflows`` and ``output_underflows`` since it was opened; None when its
            driver cannot count them.
        stats: The rings between the device and the engine.
        settings: What it is set to.
    """

    device: str
    open: bool
    attached: bool
    rate_hz: int | None = None
    why_away: str = ""
    stand_in: str = ""
    xruns: JsonObject | None = None
    stats: JsonObject = field(default_factory=dict)
    settings: DeviceSettings = DeviceSettings()


@dataclass(frozen=True, slots=True)
class Tone:
    """A tone in its cadence.

    Attributes:
        parts: (frequency in Hz, level in dBFS) of each sine in it, one to four.
        steps: (milliseconds on, milliseconds off), up to four; none is without a break.
        repeats: Of all steps; 0 is endless.
    """

    parts: tuple[tuple[int, float], ...]
    steps: tuple[tuple[int, int], ...] = ()
    repeats: int = 0


@dataclass(frozen=True, slots=True)
class Source:
    """Something that speaks without far end or microphone; ``says`` is empty while silent."""

    name: str
    rate_hz: int = 8000
    says: str = ""


@dataclass(frozen=True, slots=True)
class Sink:
    """A WAV file that keeps what it hears; ``ended`` says why it has stopped, empty while not."""

    name: str
    path: str
    rate_hz: int = 8000
    seconds: float = 0.0
    ended: str = ""


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
    ptime_ms: int = 20
    stereo: bool = False


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

    Every method raises MatrixGoneError when nobody answers, UnknownPortError for a leg, bus,
    device, source, sink or recording that is not there, MatrixConflictError for what does not fit
    what is there, and MatrixRequestError for nonsense.
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

    async def leg_dial(self, leg: int, digits: str, *, duration_ms: int = 100) -> None:
        """Sends digits as telephone events (RFC 4733), one after the other.

        Args:
            leg: Connected with an event type.
            digits: At most 32 of ``0123456789*#ABCD!``, where ``!`` is the hook flash.
            duration_ms: How long each is held, 40 to 5000.
        """
        ...

    async def bus_join(
        self,
        bus: str,
        port: str,
        *,
        talk_db: float | None = None,
        listen_db: float | None = None,
        rate_hz: int | None = None,
    ) -> None:
        """Puts a port on a bus, or changes its gains there; the bus is made on first join.

        Args:
            bus: Its name.
            port: As ``leg_port`` and its siblings name it.
            talk_db: Gain of what the port says; None is not talking.
            listen_db: Gain of what it hears; None is not listening.
            rate_hz: The rate of a bus that nobody is on yet: 8000, 16000 or 48000; None is
                whatever it has, 8000 when it is made.
        """
        ...

    async def bus_loudest(self, bus: str, count: int) -> None:
        """Mixes only so many of those who talk, the loudest; 0 is everybody."""
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

    async def device_mute(self, device: str, *, capture: bool, playback: bool) -> None:
        """Closes or opens microphone and earpiece; kept while the device is on no bus."""
        ...

    async def device_sidetone(self, device: str, gain_db: float | None) -> None:
        """Lets the speaker hear himself, at -60 to 0 dB; None is no side-tone."""
        ...

    async def device_duck(self, device: str, ducking: Ducking | None) -> None:
        """Lowers what a device plays while others speak; None ends it."""
        ...

    async def device_clean(self, device: str, cleaning: Cleaning | None) -> None:
        """Cleans what a microphone hears; None ends it."""
        ...

    async def source_open(self, name: str, *, rate_hz: int = 8000) -> Source:
        """Makes a source of that name, silent at first."""
        ...

    async def source_tone(self, name: str, tone: str | Tone, *, zone: str | None = None) -> None:
        """Says a tone in place of what the source said before.

        Args:
            name: Of the source.
            tone: ``ringback``, ``busy`` and so on by the zone's habits, or a tone of one's own.
            zone: ``fr``, ``gb`` or ``us``; None is the first.
        """
        ...

    async def source_wav(self, name: str, path: str, *, times: int = 1) -> None:
        """Says a WAV file of the unit's sounds folder; ``times`` 0 is for ever."""
        ...

    async def source_stop(self, name: str) -> None:
        """Silences a source without a click."""
        ...

    async def source_close(self, name: str) -> None:
        """Takes the source off its buses and ends it."""
        ...

    async def source_list(self) -> tuple[Source, ...]:
        """Returns every source."""
        ...

    async def sink_open(
        self, name: str, *, path: str | None = None, rate_hz: int = 8000, max_seconds: int = 3600
    ) -> Sink:
        """Begins a WAV file in the unit's recordings folder; it keeps what the sink hears.

        Args:
            name: Of the sink.
            path: Of the file, without folders; None is the name with ``.wav``.
            rate_hz: 8000, 16000 or 48000.
            max_seconds: Where the file ends, at most 14,400.
        """
        ...

    async def sink_close(self, name: str) -> None:
        """Takes the sink off its buses and finishes its file."""
        ...

    async def sink_list(self) -> tuple[Sink, ...]:
        """Returns every sink."""
        ...

    async def recording_open(
        self,
        name: str,
        *,
        codec: Codec = Codec.PCMU,
        ptime_ms: int = 20,
        stereo: bool = False,
    ) -> None:
        """Makes a recording of that name, tapping nothing yet.

        Args:
            name: Its name.
            codec: How it travels; stereo is for PCMU, PCMA and L16 alone.
            ptime_ms: 10, 20 or 30.
            stereo: What the far ends say on the left, what the unit says on the right.
        """
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
