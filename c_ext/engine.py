"""The typed Python face of the media engine: names and units here, all work in C.

One engine has one thread that wakes every 10 ms and carries every leg, device, source, bus and
recording.  Nothing in this package touches a sample of a call: Python says what is connected to
what, and may be slow.  All methods may be called from any thread, except that one device has one
writing and one reading thread.
"""

import enum
import math
from dataclasses import dataclass

from ._engine import ffi, lib
from .bus import Bus
from .codec import Codec
from .device import Device
from .leg import Leg, packet_time, port_number
from .part import check, within
from .recording import Recording
from .source import Source

TICK_MS = lib.OT_TICK_MS
TICK_SAMPLES = lib.OT_TICK_SAMPLES
RATE_HZ = lib.OT_RATE_HZ
RATES_HZ = (8000, 16000, 48000)


class Happening(enum.Enum):
    """What an event is about."""

    DIGIT_BEGAN = lib.OT_DIGIT_BEGAN
    DIGIT_ENDED = lib.OT_DIGIT_ENDED
    DIGIT_HEARD = lib.OT_DIGIT_HEARD
    SOURCE_ENDED = lib.OT_SOURCE_ENDED


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened in the engine.

    Attributes:
        happening: What.
        port: The `id` of the leg or source.
        value: The telephone event (RFC 4733), or for DIGIT_HEARD the character's code.
        duration_ms: How long a digit was held that ended.
    """

    happening: Happening
    port: int
    value: int
    duration_ms: int


@dataclass(frozen=True, slots=True)
class TickStats:
    """How the engine's thread kept its time.

    Attributes:
        ticks: Ticks that ran.
        late: Of these, the ones that began 1 ms or more after their time.
        skipped: Ticks that never ran, because the thread woke too late to catch up.
        lateness_max_us: The worst lateness in microseconds.
        lateness: (upper bound in microseconds, ticks below it) pairs; the last bound is infinite.
        busy_s: Time spent inside ticks, in seconds.
    """

    ticks: int
    late: int
    skipped: int
    lateness_max_us: float
    lateness: tuple[tuple[float, int], ...]
    busy_s: float


class Engine:
    """One C thread with absolute 10 ms ticks that carries all media of a unit."""

    def __init__(self, *, realtime: bool = True) -> None:
        """Makes an engine that stands still.

        Args:
            realtime: Ask for SCHED_FIFO when started; see `realtime` for the answer.

        Raises:
            EngineError: No memory or descriptors were left.
        """
        self._wants_realtime = realtime
        out = ffi.new("ot_engine **")
        check(lib.ot_engine_create(out), "cannot make an engine")
        self.handle = ffi.gc(out[0], lib.ot_engine_destroy)

    @property
    def realtime(self) -> bool:
        """Whether the running thread was granted SCHED_FIFO."""
        return bool(lib.ot_engine_is_realtime(self.handle))

    def start(self) -> None:
        """Starts the thread.

        Raises:
            EngineStateError: It runs already.
        """
        code = lib.ot_engine_start(self.handle, self._wants_realtime)
        check(code, "cannot start the engine")

    def stop(self) -> None:
        """Stops the thread after its current tick; legs stay open but fall silent."""
        check(lib.ot_engine_stop(self.handle), "cannot stop the engine")

    def step(self, ticks: int = 1) -> None:
        """Runs ticks by hand, as fast as they go; for tests and offline work.

        Raises:
            EngineStateError: The thread runs.
        """
        check(lib.ot_engine_step(self.handle, ticks), "cannot step the engine")

    def ticks(self) -> TickStats:
        """Returns how the thread kept its time.

        Raises:
            EngineStalledError: A tick did not end within a second.
        """
        stats = ffi.new("ot_tick_stats *")
        check(lib.ot_engine_read_ticks(self.handle, stats), "cannot read the ticks")
        bounds = [float(lib.ot_lateness_bound_us(i)) for i in range(lib.OT_LATENESS_BUCKETS)]
        bounds[-1] = math.inf
        return TickStats(
            ticks=stats.ticks,
            late=stats.late,
            skipped=stats.skipped,
            lateness_max_us=stats.lateness_max_ns / 1e3,
            lateness=tuple(zip(bounds, stats.lateness, strict=True)),
            busy_s=stats.busy_ns / 1e9,
        )

    def open_leg(
        self, *, address: str, rtp_port: int, codec: Codec = Codec.PCMU, ptime_ms: int = 20
    ) -> Leg:
        """Binds an even RTP port and the RTCP port after it.

        Args:
            address: The unit's own address, a dotted quad.
            rtp_port: Even.
            codec: What the leg will most likely speak; `Leg.connect` decides.
            ptime_ms: 10, 20 or 30.

        Raises:
            AddressInUseError: One of the ports is taken.
            SettingError: The port is odd, the address or packet time impossible.
            CapacityError: All legs are in use.
        """
        out = ffi.new("ot_leg **")
        own = address.encode()
        code = lib.ot_leg_open(
            out, self.handle, own, port_number(rtp_port), codec.value, packet_time(ptime_ms)
        )
        check(code, f"cannot open RTP {address}:{rtp_port}")
        return Leg(self, out[0], rtp_port, codec)

    def open_bus(self, *, rate_hz: int = RATE_HZ) -> Bus:
        """Opens a bus: whoever listens hears all who talk, except itself.

        Args:
            rate_hz: At which it mixes: 8000, 16000 or 48000.

        Raises:
            SettingError: There is no such rate.
            CapacityError: All buses are in use.
        """
        out = ffi.new("ot_bus **")
        code = lib.ot_bus_open(out, self.handle, within(rate_hz, 32, "rate in Hz"))
        check(code, "cannot open a bus")
        return Bus(self, out[0])

    def open_device(
        self, *, rate_hz: int = RATE_HZ, capture_ms: int = 60, playback_ms: int = 60
    ) -> Device:
        """Opens the two rings between an audio device and the engine.

        Reading a ring begins when it is half full; the delay is about half its length.  A clock
        that differs from ours by up to 300 ppm is followed without a seam.

        Args:
            rate_hz: Of the device: 8000, 16000 or 48000.
            capture_ms: The most that may wait from the device, 20 to 512.
            playback_ms: The most that may wait for the device, 20 to 512.

        Raises:
            SettingError: A length is out of bounds, or there is no such rate.
            CapacityError: All devices are in use.
        """
        out = ffi.new("ot_device **")
        code = lib.ot_device_open(
            out,
            self.handle,
            within(rate_hz, 32, "rate in Hz"),
            within(capture_ms, 16, "capture time in ms"),
            within(playback_ms, 16, "playback time in ms"),
        )
        check(code, "cannot open a device")
        return Device(self, out[0], rate_hz)

    def open_source(self, *, rate_hz: int = RATE_HZ) -> Source:
        """Opens a source, silent at first.

        Raises:
            SettingError: There is no such rate.
            CapacityError: All sources are in use.
        """
        out = ffi.new("ot_source **")
        code = lib.ot_source_open(out, self.handle, within(rate_hz, 32, "rate in Hz"))
        check(code, "cannot open a source")
        return Source(self, out[0], rate_hz)

    def open_recording(
        self, *, codec: Codec = Codec.PCMU, ptime_ms: int = 20, stereo: bool = False
    ) -> Recording:
        """Opens a recording, without taps and without recorders yet.

        Args:
            codec: Stereo is for PCMU, PCMA and L16 alone.
            ptime_ms: 10, 20 or 30.
            stereo: What the far ends say on the left, what the unit says on the right.

        Raises:
            SettingError: The packet time is impossible, or the codec for stereo.
            CapacityError: All recordings are in use.
        """
        out = ffi.new("ot_recording **")
        code = lib.ot_recording_open(out, self.handle, codec.value, packet_time(ptime_ms), stereo)
        check(code, "cannot open a recording")
        return Recording(self, out[0])

    def next_event(self) -> Event | None:
        """Returns the next of what happened, None when nothing did."""
        raw = ffi.new("ot_event *")
        if lib.ot_engine_next_event(self.handle, raw):
            return None
        return Event(Happening(raw.happening), raw.port, raw.value, raw.duration_ms)

    @property
    def events_lost(self) -> int:
        """How much happened that nobody asked for in time."""
        return lib.ot_engine_events_lost(self.handle)
