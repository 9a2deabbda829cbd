"""Generated from the public headers by engine_stub.py: do not edit."""

from collections.abc import Callable
from typing import Generic, Literal, TypeVar, overload

from _typeshed import ReadableBuffer

T = TypeVar("T")

class CData:
    """An array or pointer of cffi; indexing gives what it points to."""

    def __len__(self) -> int: ...

class Out(CData, Generic[T]):
    """A pointer that a function of the engine fills."""

    def __getitem__(self, index: int) -> T: ...

class Numbers(CData):
    """An array of numbers."""

    def __getitem__(self, index: int) -> int: ...
    def __setitem__(self, index: int, value: int) -> None: ...

class BusHandle(CData): ...
class DecoderHandle(CData): ...
class DeviceHandle(CData): ...
class EncoderHandle(CData): ...
class EngineHandle(CData): ...
class JitterHandle(CData): ...
class LegHandle(CData): ...
class RecordingHandle(CData): ...

class TickStats(CData):
    ticks: int
    late: int
    skipped: int
    lateness_max_ns: int
    lateness: list[int]
    busy_ns: int

class LegRemote(CData):
    address: CData
    rtp_port: int
    rtcp_port: int
    codec: int
    payload_type: int
    ptime_ms: int
    send: int
    receive: int

class LegStats(CData):
    packets_sent: int
    octets_sent: int
    send_errors: int
    last_errno: int
    packets_received: int
    octets_received: int
    packets_expected: int
    packets_late: int
    packets_duplicate: int
    packets_reordered: int
    packets_foreign: int
    packets_malformed: int
    packets_other: int
    concealed_frames: int
    resets: int
    jitter_us: int
    round_trip_us: int
    receive_energy: int
    transmit_energy: int
    receive_gap_max_ns: int
    send_gap_max_ns: int
    buffered_samples: int
    reports_sent: int
    reports_received: int
    remote_fraction_lost: int
    remote_packets_lost: int
    remote_jitter: int
    remote_ssrc: int
    bye_received: int

class DeviceStats(CData):
    capture_fill: int
    playback_fill: int
    capture_underruns: int
    capture_overruns: int
    playback_underruns: int
    playback_overruns: int
    capture_energy: int
    playback_energy: int

class ForkStats(CData):
    packets_sent: int
    octets_sent: int
    samples: int
    send_errors: int
    last_errno: int
    first_sequence: int
    last_sequence: int
    reports_received: int
    remote_fraction_lost: int
    round_trip_us: int
    active: int

class Rtp(CData):
    ssrc: int
    timestamp: int
    sequence: int
    payload_octets: int
    payload_offset: int
    payload_type: int
    marker: int

class Rtcp(CData):
    sender_ssrc: int
    ntp_middle: int
    last_report: int
    delay_since: int
    jitter: int
    packets_lost: int
    fraction_lost: int
    has_block: int
    bye: int

class CodecTraits(CData):
    name: CData
    rate_hz: int
    clock_hz: int
    frame_octets: int

class EncoderOptions(CData):
    bitrate_bps: int
    loss_percent: int
    fec: int
    dtx: int

class _Ffi:
    NULL: CData
    @staticmethod
    def gc(cdata: T, destructor: Callable[[T], None]) -> T: ...
    @staticmethod
    def from_buffer(cdecl: str, python_buffer: ReadableBuffer) -> CData: ...
    @staticmethod
    def string(cdata: CData) -> bytes: ...
    @staticmethod
    def buffer(cdata: CData, size: int = -1) -> memoryview: ...
    @overload
    @staticmethod
    def new(cdecl: Literal["ot_tick_stats *"]) -> TickStats: ...
    @overload
    @staticmethod
    def new(cdecl: Literal["ot_leg_remote *"]) -> LegRemote: ...
    @overload
    @staticmethod
    def new(cdecl: Literal["ot_leg_stats *"]) -> LegStats: ...
    @overload
    @staticmethod
    def new(cdecl: Literal["ot_device_stats *"]) -> DeviceStats: ...
    @overload
    @staticmethod
    def new(cdecl: Literal["ot_fork_stats *"]) -> ForkStats: ...
    @overload
    @staticmethod
    def new(cdecl: Literal["ot_rtp *"]) -> Rtp: ...
    @overload
    @staticmethod
    def new(cdecl: Literal["ot_rtcp *"]) -> Rtcp: ...
    @overload
    @staticmethod
    def new(cdecl: Literal["ot_codec_traits *"]) -> CodecTraits: ...
    @overload
    @staticmethod
    def new(cdecl: Literal["ot_encoder_options *"]) -> EncoderOptions: ...
    @overload
    @staticmethod
    def new(cdecl: Literal["ot_bus **"]) -> Out[BusHandle]: ...
    @overload
    @staticmethod
    def new(cdecl: Literal["ot_decoder **"]) -> Out[DecoderHandle]: ...
    @overload
    @staticmethod
    def new(cdecl: Literal["ot_device **"]) -> Out[DeviceHandle]: ...
    @overload
    @staticmethod
    def new(cdecl: Literal["ot_encoder **"]) -> Out[EncoderHandle]: ...
    @overload
    @staticmethod
    def new(cdecl: Literal["ot_engine **"]) -> Out[EngineHandle]: ...
    @overload
    @staticmethod
    def new(cdecl: Literal["ot_jitter **"]) -> Out[JitterHandle]: ...
    @overload
    @staticmethod
    def new(cdecl: Literal["ot_leg **"]) -> Out[LegHandle]: ...
    @overload
    @staticmethod
    def new(cdecl: Literal["ot_recording **"]) -> Out[RecordingHandle]: ...
    @overload
    @staticmethod
    def new(cdecl: Literal["uint8_t[]"], init: int | bytes | list[int]) -> Numbers: ...
    @overload
    @staticmethod
    def new(cdecl: Literal["int16_t[]"], init: int | bytes | list[int]) -> Numbers: ...
    @overload
    @staticmethod
    def new(cdecl: Literal["int32_t[]"], init: int | bytes | list[int]) -> Numbers: ...
    @overload
    @staticmethod
    def new(cdecl: Literal["uint64_t[]"], init: int | bytes | list[int]) -> Numbers: ...
    @overload
    @staticmethod
    def new(cdecl: Literal["float[]"], init: int | bytes | list[int]) -> Numbers: ...
    @overload
    @staticmethod
    def new(cdecl: Literal["char[]"], init: bytes) -> CData: ...

class _Lib:
    OT_RATE_HZ: int
    OT_TICK_MS: int
    OT_TICK_SAMPLES: int
    OT_LEGS_MAX: int
    OT_DEVICES_MAX: int
    OT_PORTS_MAX: int
    OT_BUSES_MAX: int
    OT_RECORDINGS_MAX: int
    OT_TAPS_MAX: int
    OT_FORKS: int
    OT_JITTER_TARGET_MS: int
    OT_RAMP_TICKS: int
    OT_CATCH_UP_TICKS: int
    OT_LATENESS_BUCKETS: int
    OT_PAYLOAD_MAX: int
    OT_PUT_STORED: int
    OT_PUT_DUPLICATE: int
    OT_PUT_LATE: int
    OT_PUT_REORDERED: int
    OT_PUT_PROBATION: int
    OT_PUT_RESET: int
    OT_GET_SILENCE: int
    OT_GET_VOICE: int
    OT_GET_CONCEALED: int
    OT_PCMU: int
    OT_PCMA: int
    OT_G722: int
    OT_L16_8K: int
    OT_L16_16K: int
    OT_L16_48K: int
    OT_OPUS_8K: int
    OT_OPUS_16K: int
    OT_OPUS_48K: int
    @staticmethod
    def ot_engine_create(engine: Out[EngineHandle], /) -> int: ...
    @staticmethod
    def ot_engine_destroy(engine: EngineHandle, /) -> None: ...
    @staticmethod
    def ot_engine_start(engine: EngineHandle, realtime: int, /) -> int: ...
    @staticmethod
    def ot_engine_stop(engine: EngineHandle, /) -> int: ...
    @staticmethod
    def ot_engine_is_realtime(engine: EngineHandle, /) -> int: ...
    @staticmethod
    def ot_engine_step(engine: EngineHandle, ticks: int, /) -> int: ...
    @staticmethod
    def ot_engine_read_ticks(engine: EngineHandle, stats: TickStats, /) -> int: ...
    @staticmethod
    def ot_lateness_bound_us(bucket: int, /) -> int: ...
    @staticmethod
    def ot_leg_open(leg: Out[LegHandle], engine: EngineHandle, address: bytes, rtp_port: int, codec: int, ptime_ms: int, /) -> int: ...
    @staticmethod
    def ot_leg_connect(leg: LegHandle, remote: LegRemote, /) -> int: ...
    @staticmethod
    def ot_leg_reset_gaps(leg: LegHandle, /) -> int: ...
    @staticmethod
    def ot_leg_read(leg: LegHandle, stats: LegStats, /) -> int: ...
    @staticmethod
    def ot_leg_port(leg: LegHandle, /) -> int: ...
    @staticmethod
    def ot_leg_ssrc(leg: LegHandle, /) -> int: ...
    @staticmethod
    def ot_leg_close(leg: LegHandle, /) -> int: ...
    @staticmethod
    def ot_device_open(device: Out[DeviceHandle], engine: EngineHandle, capture_ms: int, playback_ms: int, /) -> int: ...
    @staticmethod
    def ot_device_port(device: DeviceHandle, /) -> int: ...
    @staticmethod
    def ot_device_write(device: DeviceHandle, pcm: CData, samples: int, /) -> int: ...
    @staticmethod
    def ot_device_read(device: DeviceHandle, pcm: CData, samples: int, /) -> None: ...
    @staticmethod
    def ot_device_stats_read(device: DeviceHandle, stats: DeviceStats, /) -> int: ...
    @staticmethod
    def ot_device_close(device: DeviceHandle, /) -> int: ...
    @staticmethod
    def ot_bus_open(bus: Out[BusHandle], engine: EngineHandle, /) -> int: ...
    @staticmethod
    def ot_bus_join(bus: BusHandle, port: int, talk_db: float, listen_db: float, /) -> int: ...
    @staticmethod
    def ot_bus_leave(bus: BusHandle, port: int, /) -> int: ...
    @staticmethod
    def ot_bus_close(bus: BusHandle, /) -> int: ...
    @staticmethod
    def ot_recording_open(recording: Out[RecordingHandle], engine: EngineHandle, codec: int, ptime_ms: int, /) -> int: ...
    @staticmethod
    def ot_recording_ssrc(recording: RecordingHandle, /) -> int: ...
    @staticmethod
    def ot_recording_tap(recording: RecordingHandle, bus: BusHandle, /) -> int: ...
    @staticmethod
    def ot_recording_untap(recording: RecordingHandle, bus: BusHandle, /) -> int: ...
    @staticmethod
    def ot_recording_fork(recording: RecordingHandle, index: int, address: bytes, local_rtp_port: int, remote_address: bytes, remote_rtp_port: int, payload_type: int, /) -> int: ...
    @staticmethod
    def ot_recording_unfork(recording: RecordingHandle, index: int, /) -> int: ...
    @staticmethod
    def ot_recording_read(recording: RecordingHandle, index: int, stats: ForkStats, /) -> int: ...
    @staticmethod
    def ot_recording_close(recording: RecordingHandle, /) -> int: ...
    @staticmethod
    def ot_ulaw_encode(code: CData, pcm: CData, samples: int, /) -> None: ...
    @staticmethod
    def ot_ulaw_decode(pcm: CData, code: CData | bytes, samples: int, /) -> None: ...
    @staticmethod
    def ot_alaw_encode(code: CData, pcm: CData, samples: int, /) -> None: ...
    @staticmethod
    def ot_alaw_decode(pcm: CData, code: CData | bytes, samples: int, /) -> None: ...
    @staticmethod
    def ot_mix_minus_self(out: CData, sources: CData, count: int, samples: int, /) -> None: ...
    @staticmethod
    def ot_energy(pcm: CData, samples: int, /) -> int: ...
    @staticmethod
    def ot_level_dbfs(energy: int, samples: int, /) -> float: ...
    @staticmethod
    def ot_scale(out: CData, in_: CData, first: float, last: float, samples: int, /) -> None: ...
    @staticmethod
    def ot_cpu_variants() -> int: ...
    @staticmethod
    def ot_cpu_name(variant: int, /) -> CData: ...
    @staticmethod
    def ot_cpu_select(variant: int, /) -> int: ...
    @staticmethod
    def ot_rtp_parse(packet: Rtp, data: CData | bytes, octets: int, /) -> int: ...
    @staticmethod
    def ot_rtcp_parse(report: Rtcp, data: CData | bytes, octets: int, ssrc: int, /) -> int: ...
    @staticmethod
    def ot_jitter_create(jitter: Out[JitterHandle], codec: int, target_ms: int, /) -> int: ...
    @staticmethod
    def ot_jitter_destroy(jitter: JitterHandle, /) -> None: ...
    @staticmethod
    def ot_jitter_put(jitter: JitterHandle, packet: Rtp, payload: CData | bytes, /) -> int: ...
    @staticmethod
    def ot_jitter_get(jitter: JitterHandle, pcm: CData, /) -> int: ...
    @staticmethod
    def ot_jitter_buffered(jitter: JitterHandle, /) -> int: ...
    @staticmethod
    def ot_codec_find(codec: int, /) -> CodecTraits: ...
    @staticmethod
    def ot_encoder_create(encoder: Out[EncoderHandle], codec: int, ptime_ms: int, options: EncoderOptions, /) -> int: ...
    @staticmethod
    def ot_encoder_destroy(encoder: EncoderHandle, /) -> None: ...
    @staticmethod
    def ot_encoder_run(codec: int, encoder: EncoderHandle, code: CData, room: int, pcm: CData, samples: int, /) -> int: ...
    @staticmethod
    def ot_decoder_create(decoder: Out[DecoderHandle], codec: int, /) -> int: ...
    @staticmethod
    def ot_decoder_destroy(decoder: DecoderHandle, /) -> None: ...
    @staticmethod
    def ot_decoder_samples(codec: int, code: CData | bytes, octets: int, /) -> int: ...
    @staticmethod
    def ot_decoder_run(codec: int, decoder: DecoderHandle, pcm: CData, room: int, code: CData | bytes, octets: int, /) -> int: ...
    @staticmethod
    def ot_decoder_conceal(codec: int, decoder: DecoderHandle, pcm: CData, samples: int, next: CData | bytes, octets: int, /) -> int: ...

ffi: _Ffi
lib: _Lib
