"""The typed Python face of the media engine: names and units here, all work in C.

One engine has one thread that wakes every 10 ms and carries every leg, device, bus and
recording at 8 kHz.  Nothing in this module touches a sample of a call: Python says what is
connected to what, and may be slow.  All methods may be called from any thread, except that one
device has one writing and one reading thread.
"""

import enum
import math
import os
from dataclasses import dataclass
from errno import (
    EADDRINUSE,
    EAGAIN,
    EALREADY,
    EBADF,
    EINVAL,
    ENOSPC,
)
from typing import TYPE_CHECKING, Generic, TypeAlias, TypeVar

from ._engine import ffi, lib
from .errors import (
    AddressInUseError,
    CapacityError,
    ClosedError,
    EngineError,
    EngineStalledError,
    EngineStateError,
    SettingError,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from . import _engine as c

Handle = TypeVar("Handle")

TICK_MS = lib.OT_TICK_MS
TICK_SAMPLES = lib.OT_TICK_SAMPLES
RATE_HZ = lib.OT_RATE_HZ

_ERRORS: dict[int, type[EngineError]] = {
    EADDRINUSE: AddressInUseError,
    ENOSPC: CapacityError,
    EBADF: ClosedError,
    EALREADY: EngineStateError,
    EAGAIN: EngineStalledError,
    EINVAL: SettingError,
}


def _check(code: int, what: str) -> None:
    """Raises the exception that an errno from C stands for."""
    if code:
        raise _ERRORS.get(code, EngineError)(code, f"{what}: {os.strerror(code)}")


def _within(value: int, bits: int, what: str) -> int:
    """Returns a value that fits an unsigned C integer, or raises."""
    if not 0 <= value < 1 << bits:
        raise SettingError(EINVAL, f"{what} {value} is not in 0 to {(1 << bits) - 1}")
    return value


def _port(value: int) -> int:
    return _within(value, 16, "port")


def _ptime(value: int) -> int:
    return _within(value, 8, "packet time in ms")


def _level_dbfs(energy: int) -> float:
    return lib.ot_level_dbfs(energy, TICK_SAMPLES)


def _gain_db(gain: float | None) -> float:
    return -math.inf if gain is None else gain


class Codec(enum.Enum):
    """ITU-T G.711, by the static payload types of RFC 3551."""

    PCMU = 0
    PCMA = 8


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


@dataclass(frozen=True, slots=True)
class LegStats:
    """What one leg has sent, received and measured.

    Levels are in dBFS with a full-scale square wave as 0 and silence as -127.  Gaps are the
    longest time between two packets since `Leg.reset_gaps`.  `packets_other` came from the right
    place with a payload type that is not the negotiated one; `packets_foreign` came from
    elsewhere and was dropped.  `round_trip_ms` is None until the far end has reported.
    """

    packets_sent: int
    octets_sent: int
    send_errors: int
    last_errno: int
    packets_received: int
    octets_received: int
    packets_expected: int
    packets_lost: int
    packets_late: int
    packets_duplicate: int
    packets_reordered: int
    packets_foreign: int
    packets_malformed: int
    packets_other: int
    concealed_frames: int
    resets: int
    jitter_ms: float
    round_trip_ms: float | None
    buffered_ms: float
    receive_level_dbfs: float
    transmit_level_dbfs: float
    receive_gap_max_ms: float
    send_gap_max_ms: float
    reports_sent: int
    reports_received: int
    remote_fraction_lost: float
    remote_packets_lost: int
    remote_jitter_ms: float
    bye_received: bool


@dataclass(frozen=True, slots=True)
class DeviceStats:
    """The rings between a device and the engine; fill in milliseconds, levels in dBFS."""

    capture_fill_ms: float
    playback_fill_ms: float
    capture_underruns: int
    capture_overruns: int
    playback_underruns: int
    playback_overruns: int
    capture_level_dbfs: float
    playback_level_dbfs: float


@dataclass(frozen=True, slots=True)
class ForkStats:
    """One recorder's copy of a recording.

    `first_sequence` and `last_sequence` are RTP sequence numbers, None before the first packet.
    `last_errno` is the latest refusal (``errno.ECONNREFUSED`` when nobody listens), 0 for none.
    """

    active: bool
    packets_sent: int
    octets_sent: int
    samples: int
    send_errors: int
    last_errno: int
    first_sequence: int | None
    last_sequence: int | None
    reports_received: int
    remote_fraction_lost: float
    round_trip_ms: float | None


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
        _check(lib.ot_engine_create(out), "cannot make an engine")
        self._handle = ffi.gc(out[0], lib.ot_engine_destroy)

    @property
    def realtime(self) -> bool:
        """Whether the running thread was granted SCHED_FIFO."""
        return bool(lib.ot_engine_is_realtime(self._handle))

    def start(self) -> None:
        """Starts the thread.

        Raises:
            EngineStateError: It runs already.
        """
        code = lib.ot_engine_start(self._handle, self._wants_realtime)
        _check(code, "cannot start the engine")

    def stop(self) -> None:
        """Stops the thread after its current tick; legs stay open but fall silent."""
        _check(lib.ot_engine_stop(self._handle), "cannot stop the engine")

    def step(self, ticks: int = 1) -> None:
        """Runs ticks by hand, as fast as they go; for tests and offline work.

        Raises:
            EngineStateError: The thread runs.
        """
        _check(lib.ot_engine_step(self._handle, ticks), "cannot step the engine")

    def ticks(self) -> TickStats:
        """Returns how the thread kept its time.

        Raises:
            EngineStalledError: A tick did not end within a second.
        """
        stats = ffi.new("ot_tick_stats *")
        _check(lib.ot_engine_read_ticks(self._handle, stats), "cannot read the ticks")
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
    ) -> "Leg":
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
            out, self._handle, own, _port(rtp_port), codec.value, _ptime(ptime_ms)
        )
        _check(code, f"cannot open RTP {address}:{rtp_port}")
        return Leg(self, out[0], rtp_port)

    def open_bus(self) -> "Bus":
        """Opens a bus: whoever listens hears all who talk, except itself.

        Raises:
            CapacityError: All buses are in use.
        """
        out = ffi.new("ot_bus **")
        _check(lib.ot_bus_open(out, self._handle), "cannot open a bus")
        return Bus(self, out[0])

    def open_device(self, *, capture_ms: int = 60, playback_ms: int = 60) -> "Device":
        """Opens the two rings between an audio device and the engine.

        Reading a ring begins when it is half full; the delay is about half its length.

        Args:
            capture_ms: The most that may wait from the device, 20 to 512.
            playback_ms: The most that may wait for the device, 20 to 512.

        Raises:
            SettingError: A length is out of bounds.
            CapacityError: All devices are in use.
        """
        out = ffi.new("ot_device **")
        code = lib.ot_device_open(
            out,
            self._handle,
            _within(capture_ms, 16, "capture time in ms"),
            _within(playback_ms, 16, "playback time in ms"),
        )
        _check(code, "cannot open a device")
        return Device(self, out[0])

    def open_recording(self, *, codec: Codec = Codec.PCMU, ptime_ms: int = 20) -> "Recording":
        """Opens a recording, without taps and without recorders yet.

        Raises:
            SettingError: The packet time is not 10, 20 or 30 ms.
            CapacityError: All recordings are in use.
        """
        out = ffi.new("ot_recording **")
        code = lib.ot_recording_open(out, self._handle, codec.value, _ptime(ptime_ms))
        _check(code, "cannot open a recording")
        return Recording(self, out[0])


class _Part(Generic[Handle]):
    """A handle that keeps its engine alive and knows when it was closed."""

    def __init__(self, engine: Engine, handle: Handle) -> None:
        self._engine = engine
        self._open_handle: Handle | None = handle

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._open_handle is None

    @property
    def _handle(self) -> Handle:
        if self._open_handle is None:
            raise ClosedError(EBADF, f"this {type(self).__name__.lower()} was closed")
        return self._open_handle

    def _close(self, close: "Callable[[Handle], int]") -> None:
        if self._open_handle is None:
            return
        _check(close(self._open_handle), f"cannot close the {type(self).__name__.lower()}")
        self._open_handle = None


class Leg(_Part["c.LegHandle"]):
    """An RTP stream each way with one far end, and its RTCP."""

    def __init__(self, engine: Engine, handle: "c.LegHandle", rtp_port: int) -> None:
        super().__init__(engine, handle)
        self.id: int = lib.ot_leg_port(handle)
        self.ssrc: int = lib.ot_leg_ssrc(handle)
        self.rtp_port = rtp_port

    def connect(
        self,
        *,
        address: str,
        rtp_port: int,
        codec: Codec,
        payload_type: int,
        rtcp_port: int | None = None,
        ptime_ms: int = 20,
        send: bool = True,
        receive: bool = True,
    ) -> None:
        """Names the far end; packets from anywhere else are counted and dropped.

        A connected leg that sends does so continuously, silence included.  May be called again
        (hold, re-INVITE); sequence numbers and SSRC go on.

        Args:
            address: The far end's address, a dotted quad.
            rtp_port: Where it listens and what it sends from.
            codec: How both directions are encoded.
            payload_type: As negotiated, 0 to 127.
            rtcp_port: The far end's; None is the one after `rtp_port`.
            ptime_ms: What we put into one packet: 10, 20 or 30.
            send: Whether we send.
            receive: Whether we play what comes.

        Raises:
            SettingError: Something is out of bounds.
            EngineError: No route leads there.
            ClosedError: The leg was closed.
        """
        remote = ffi.new("ot_leg_remote *")
        dotted = ffi.new("char[]", address.encode())
        remote.address = dotted
        remote.rtp_port = _port(rtp_port)
        remote.rtcp_port = _port(rtcp_port or 0)
        remote.codec = codec.value
        remote.payload_type = _within(payload_type, 7, "payload type")
        remote.ptime_ms = _ptime(ptime_ms)
        remote.send = send
        remote.receive = receive
        code = lib.ot_leg_connect(self._handle, remote)
        _check(code, f"cannot connect RTP to {address}:{rtp_port}")

    def stats(self) -> LegStats:
        """Returns the statistics as they stood between two ticks.

        Raises:
            ClosedError: The leg was closed.
            EngineStalledError: A tick did not end within a second.
        """
        raw = ffi.new("ot_leg_stats *")
        _check(lib.ot_leg_read(self._handle, raw), "cannot read the leg")
        return _leg_stats(raw)

    def reset_gaps(self) -> None:
        """Starts measuring the longest gaps anew.

        Raises:
            ClosedError: The leg was closed.
        """
        _check(lib.ot_leg_reset_gaps(self._handle), "cannot reset the gaps")

    def close(self) -> None:
        """Fades out, says RTCP BYE and gives the ports back; closing twice does nothing."""
        self._close(lib.ot_leg_close)


def _leg_stats(raw: "c.LegStats") -> LegStats:
    return LegStats(
        packets_sent=raw.packets_sent,
        octets_sent=raw.octets_sent,
        send_errors=raw.send_errors,
        last_errno=raw.last_errno,
        packets_received=raw.packets_received,
        octets_received=raw.octets_received,
        packets_expected=raw.packets_expected,
        packets_lost=max(0, raw.packets_expected - raw.packets_received),
        packets_late=raw.packets_late,
        packets_duplicate=raw.packets_duplicate,
        packets_reordered=raw.packets_reordered,
        packets_foreign=raw.packets_foreign,
        packets_malformed=raw.packets_malformed,
        packets_other=raw.packets_other,
        concealed_frames=raw.concealed_frames,
        resets=raw.resets,
        jitter_ms=raw.jitter_us / 1e3,
        round_trip_ms=raw.round_trip_us / 1e3 if raw.round_trip_us else None,
        buffered_ms=raw.buffered_samples * 1e3 / RATE_HZ,
        receive_level_dbfs=_level_dbfs(raw.receive_energy),
        transmit_level_dbfs=_level_dbfs(raw.transmit_energy),
        receive_gap_max_ms=raw.receive_gap_max_ns / 1e6,
        send_gap_max_ms=raw.send_gap_max_ns / 1e6,
        reports_sent=raw.reports_sent,
        reports_received=raw.reports_received,
        remote_fraction_lost=raw.remote_fraction_lost / 256,
        remote_packets_lost=raw.remote_packets_lost,
        remote_jitter_ms=raw.remote_jitter * 1e3 / RATE_HZ,
        bye_received=bool(raw.bye_received),
    )


class Device(_Part["c.DeviceHandle"]):
    """The engine's end of a microphone and an earpiece or loudspeaker.

    One thread may write, one may read; neither ever waits for the engine.
    """

    def __init__(self, engine: Engine, handle: "c.DeviceHandle") -> None:
        super().__init__(engine, handle)
        self.id: int = lib.ot_device_port(handle)

    def write_capture(self, pcm: bytes) -> int:
        """Hands samples of the microphone to the engine.

        Args:
            pcm: Signed 16-bit native-endian mono at 8 kHz.

        Returns:
            The samples taken; fewer than given when the ring is full (an overrun).

        Raises:
            ClosedError: The device was closed.
        """
        samples = len(pcm) // 2
        return lib.ot_device_write(self._handle, ffi.from_buffer("int16_t[]", pcm), samples)

    def read_playback(self, samples: int) -> bytes:
        """Takes samples for the ear; silence fills what the engine has not mixed yet.

        Returns:
            Exactly `samples` signed 16-bit native-endian samples.

        Raises:
            ClosedError: The device was closed.
        """
        pcm = bytearray(2 * samples)
        lib.ot_device_read(self._handle, ffi.from_buffer("int16_t[]", pcm), samples)
        return bytes(pcm)

    def stats(self) -> DeviceStats:
        """Returns fill, underruns, overruns and levels.

        Raises:
            ClosedError: The device was closed.
        """
        raw = ffi.new("ot_device_stats *")
        _check(lib.ot_device_stats_read(self._handle, raw), "cannot read the device")
        return DeviceStats(
            capture_fill_ms=raw.capture_fill * 1e3 / RATE_HZ,
            playback_fill_ms=raw.playback_fill * 1e3 / RATE_HZ,
            capture_underruns=raw.capture_underruns,
            capture_overruns=raw.capture_overruns,
            playback_underruns=raw.playback_underruns,
            playback_overruns=raw.playback_overruns,
            capture_level_dbfs=_level_dbfs(raw.capture_energy),
            playback_level_dbfs=_level_dbfs(raw.playback_energy),
        )

    def close(self) -> None:
        """Fades out and leaves every bus; closing twice does nothing."""
        self._close(lib.ot_device_close)


Port: TypeAlias = Leg | Device


class Bus(_Part["c.BusHandle"]):
    """A place where ports talk and listen; nobody hears itself."""

    def join(self, port: Port, *, talk_db: float | None, listen_db: float | None) -> None:
        """Lets a port talk, listen or both; joining again moves the gains without a click.

        A port may be on several buses: it hears their sum.

        Args:
            port: A leg or device of the same engine.
            talk_db: Gain of what it says, at most +20 dB; None is not talking.
            listen_db: Gain of what it hears, at most +20 dB; None is not listening.

        Raises:
            ClosedError: The bus or port was closed, or they belong to different engines.
            SettingError: A gain is out of bounds.
        """
        if port._engine is not self._engine:  # noqa: SLF001
            raise ClosedError(EBADF, "the port belongs to another engine")
        port._handle  # noqa: B018, SLF001
        code = lib.ot_bus_join(self._handle, port.id, _gain_db(talk_db), _gain_db(listen_db))
        _check(code, "cannot join the bus")

    def leave(self, port: Port) -> None:
        """Fades a port out of the bus; leaving a bus one is not on does nothing.

        Raises:
            ClosedError: The bus was closed.
        """
        _check(lib.ot_bus_leave(self._handle, port.id), "cannot leave the bus")

    def close(self) -> None:
        """Empties the bus and untaps its recordings; closing twice does nothing."""
        self._close(lib.ot_bus_close)


class Recording(_Part["c.RecordingHandle"]):
    """The complete sum of the tapped buses, encoded once and sent to up to two recorders.

    Both recorders get the same payload with the same sequence numbers, timestamps and SSRC.  A
    recorder that refuses or blocks is counted and delays nothing.
    """

    def __init__(self, engine: Engine, handle: "c.RecordingHandle") -> None:
        super().__init__(engine, handle)
        self.ssrc: int = lib.ot_recording_ssrc(handle)

    def tap(self, bus: Bus) -> None:
        """Adds everything said on a bus; tapping twice is tapping once.

        Raises:
            ClosedError: The recording or the bus was closed.
        """
        _check(lib.ot_recording_tap(self._handle, bus._handle), "cannot tap")  # noqa: SLF001

    def untap(self, bus: Bus) -> None:
        """Takes a bus out of the recording.

        Raises:
            ClosedError: The recording or the bus was closed.
        """
        _check(lib.ot_recording_untap(self._handle, bus._handle), "cannot untap")  # noqa: SLF001

    def fork(
        self,
        index: int,
        *,
        address: str,
        local_rtp_port: int,
        remote_address: str,
        remote_rtp_port: int,
        payload_type: int,
    ) -> None:
        """Starts sending to a recorder, from a local port pair of its own.

        Args:
            index: 0 or 1; a fork that is already there is replaced.
            address: The unit's own address, a dotted quad.
            local_rtp_port: Even; RTCP goes out of the port after it.
            remote_address: The recorder's address, a dotted quad.
            remote_rtp_port: Where the recorder listens; its RTCP is the port after it.
            payload_type: As negotiated, 0 to 127.

        Raises:
            AddressInUseError: A local port is taken.
            SettingError: Something is out of bounds.
            EngineError: No route leads there.
            ClosedError: The recording was closed.
        """
        code = lib.ot_recording_fork(
            self._handle,
            _within(index, 1, "fork"),
            address.encode(),
            _port(local_rtp_port),
            remote_address.encode(),
            _port(remote_rtp_port),
            _within(payload_type, 7, "payload type"),
        )
        _check(code, f"cannot record to {remote_address}:{remote_rtp_port}")

    def unfork(self, index: int) -> None:
        """Says BYE to a recorder and stops sending to it.

        Raises:
            SettingError: `index` is neither 0 nor 1.
            ClosedError: The recording was closed.
        """
        _check(
            lib.ot_recording_unfork(self._handle, _within(index, 1, "fork")), "cannot stop the fork"
        )

    def stats(self) -> tuple[ForkStats, ForkStats]:
        """Returns the statistics of both forks.

        Raises:
            ClosedError: The recording was closed.
            EngineStalledError: A tick did not end within a second.
        """
        return self._fork_stats(0), self._fork_stats(1)

    def _fork_stats(self, index: int) -> ForkStats:
        raw = ffi.new("ot_fork_stats *")
        _check(lib.ot_recording_read(self._handle, index, raw), "cannot read the recording")
        sent = raw.packets_sent > 0
        return ForkStats(
            active=bool(raw.active),
            packets_sent=raw.packets_sent,
            octets_sent=raw.octets_sent,
            samples=raw.samples,
            send_errors=raw.send_errors,
            last_errno=raw.last_errno,
            first_sequence=raw.first_sequence if sent else None,
            last_sequence=raw.last_sequence if sent else None,
            reports_received=raw.reports_received,
            remote_fraction_lost=raw.remote_fraction_lost / 256,
            round_trip_ms=raw.round_trip_us / 1e3 if raw.round_trip_us else None,
        )

    def close(self) -> None:
        """Says BYE to both recorders and ends; closing twice does nothing."""
        self._close(lib.ot_recording_close)
