"""Generated from the public headers by engine_stub.py: do not edit."""

from collections.abc import Callable
from typing import Any, Generic, Literal, TypeVar, overload

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
class EchoHandle(CData): ...
class EncoderHandle(CData): ...
class EngineHandle(CData): ...
class InbandHandle(CData): ...
class JitterHandle(CData): ...
class LegHandle(CData): ...
class PlcHandle(CData): ...
class RateHandle(CData): ...
class RecordingHandle(CData): ...
class SampleRingHandle(CData): ...
class ShieldHandle(CData): ...
class ShieldSlotHandle(CData): ...
class SourceHandle(CData): ...
class SrtpHandle(CData): ...

class Activity(CData):
    floor: int
    hang_over: int
    onset: int

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

class Comfort(CData):
    random: int
    tick_samples: int
    order: int
    started: int
    glide_ticks: int
    gain: float
    gain_target: float
    reflection: list[float]
    target: list[float]
    transmission: list[float]
    waves: list[float]

class ComfortMeter(CData):
    correlation: list[float]
    measures: int

class ComfortSender(CData):
    meter: ComfortMeter
    rate_hz: int
    quiet_ms: int
    since_ms: int
    described: int
    level: int

class Drift(CData):
    rate_hz: int
    tick: int
    target: int
    steady: int
    following: int
    events: int
    phase: int
    smoothed: float
    first: float
    integral: float
    ppm: float
    average: float
    averaged: int
    history: list[int]

class EchoOptions(CData):
    delay_ms: int
    cancel_echo: int
    suppress_noise_db: int
    agc: int

class TonePart(CData):
    frequency_hz: int
    level_dbfs: float

class ToneStep(CData):
    on_ms: int
    off_ms: int

class ToneSpec(CData):
    parts: list[TonePart]
    steps: list[ToneStep]
    repeats: int

class Tone(CData):
    rate_hz: int
    parts: int
    phase: list[int]
    step: list[int]
    peak: list[int]
    on: list[int]
    off: list[int]
    steps: int
    at_step: int
    at: int
    repeats: int
    repeats_left: int
    ramp: int
    stopping: int
    done: int

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
    event_type: int
    noise_type: int
    redundant_type: int
    redundancy: int
    inband_digits: int
    encoding: EncoderOptions
    srtp_suite: int
    srtp_octets: int
    srtp_send: CData
    srtp_receive: CData

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
    packets_recovered: int
    packets_unauthentic: int
    concealed_frames: int
    noise_frames: int
    resets: int
    collisions: int
    jitter_us: int
    round_trip_us: int
    receive_energy: int
    transmit_energy: int
    receive_active: int
    transmit_active: int
    receive_gap_max_ns: int
    send_gap_max_ns: int
    buffered_samples: int
    delay_target_ms: int
    digits_sent: int
    digits_received: int
    reports_sent: int
    reports_received: int
    remote_fraction_lost: int
    remote_packets_lost: int
    remote_jitter: int
    remote_ssrc: int
    ssrc: int
    mos_q8: int
    remote_mos_q8: int
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
    capture_active: int
    drift_ppb: int

class VoiceOptions(CData):
    echo: int
    gain_control: int
    noise_db: int
    tail_ms: int

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

class Event(CData):
    happening: int
    port: int
    value: int
    duration_ms: int
    tick: int

class Rtp(CData):
    ssrc: int
    timestamp: int
    sequence: int
    payload_octets: int
    payload_offset: int
    payload_type: int
    marker: int

class DeviceMeters(CData):
    capture_energy: int
    capture_peak: int
    playback_energy: int
    playback_peak: int
    capture_ppb: int
    playback_ppb: int

class Dtmf(CData):
    duration: int
    event: int
    end: int
    volume: int

class DtmfNotice(CData):
    duration_ms: int
    kind: int
    event: int
    volume: int

class DtmfTold(CData):
    count: int
    notices: list[DtmfNotice]

class DtmfReceiver(CData):
    clock_hz: int
    ssrc: int
    timestamp: int
    before: int
    duration: int
    known: int
    active: int
    event: int
    volume: int
    quiet_ticks: int

class DtmfWish(CData):
    duration: int
    event: int
    volume: int

class DtmfSender(CData):
    clock_hz: int
    started: int
    segment: int
    reached: int
    free_from: int
    ends_sent: int
    active: int
    first: int
    count: int
    queue: list[DtmfWish]

class DtmfPacket(CData):
    timestamp: int
    marker: int
    payload: list[int]

class DuckSettings(CData):
    depth_db: float
    attack_ms: int
    hold_ms: int
    release_ms: int

class Duck(CData):
    gain: float
    floor: float
    fall: float
    rise: float
    hold_ticks: int
    held: int

class DuckGain(CData):
    first: float
    last: float

class JitterStats(CData):
    late: int
    discarded: int
    recovered: int
    concealed_samples: int
    shortened_samples: int
    lengthened_samples: int
    skipped_samples: int
    resets: int
    target_ms: int
    spread_ms: int
    waiting_ms: int

class VoipMetrics(CData):
    ssrc: int
    loss_rate: int
    discard_rate: int
    burst_density: int
    gap_density: int
    burst_duration_ms: int
    gap_duration_ms: int
    round_trip_ms: int
    end_system_delay_ms: int
    signal_dbm0: int
    noise_dbm0: int
    echo_return_loss_db: int
    gmin: int
    r_factor: int
    external_r_factor: int
    mos_lq: int
    mos_cq: int
    receiver: int
    jitter_nominal_ms: int
    jitter_maximum_ms: int
    jitter_absolute_ms: int

class Quality(CData):
    expected: int
    lost: int
    discarded: int
    runs: int
    bursts: int
    burst_packets: int
    burst_losses: int
    since_loss: int
    open_packets: int
    open_losses: int
    open_at: int
    began_in_burst: int
    noise_power: int
    signal_sum: int
    signal_frames: int
    noise_sum: int
    noise_frames: int

class QualitySetup(CData):
    codec: int
    ssrc: int
    packet_ms: int
    round_trip_ms: int
    end_system_delay_ms: int
    remote_end_system_delay_ms: int
    jitter_nominal_ms: int
    jitter_maximum_ms: int
    jitter_absolute_ms: int
    echo_return_loss_db: int
    receiver: int

class RedBlock(CData):
    timestamp_offset: int
    offset: int
    octets: int
    payload_type: int

class Red(CData):
    count: int
    blocks: list[RedBlock]

class RedPayload(CData):
    data: CData
    timestamp: int
    octets: int
    payload_type: int

class RedKept(CData):
    timestamp: int
    octets: int
    payload_type: int
    used: int
    data: list[int]

class RedSender(CData):
    reach: int
    depth: int
    newest: int
    kept: list[RedKept]

class SrtpPacket(CData):
    octets: int
    data: list[int]

class ShieldPath(CData):
    rtp_fd: int
    rtcp_fd: int
    remote_address: int
    remote_rtcp_port: int
    inbound: SrtpHandle
    outbound: SrtpHandle

class ShieldSlotStats(CData):
    received: int
    sent: int
    reports_received: int
    reports_sent: int
    authentication_failures: int
    replays: int
    malformed: int
    foreign: int
    refused: int
    overflows_in: int
    overflows_out: int
    send_errors: int
    last_errno: int

class ShieldStats(CData):
    turns: int
    busy_ns: int
    late_in: int
    sends: int
    send_delay_ns: int
    send_delay_max_ns: int
    realtime: int
    running: int

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
    bye_count: int
    cname_octets: int
    has_metrics: int
    has_reference_reply: int
    names_us: int
    reference_middle: int
    last_reference: int
    delay_reference: int
    byes: list[int]
    metrics: VoipMetrics
    cname: list[int]

class Report(CData):
    ssrc: int
    ntp: int
    timestamp: int
    packets_sent: int
    octets_sent: int
    remote_ssrc: int
    highest_sequence: int
    jitter: int
    packets_lost: int
    last_report: int
    delay_since: int
    fraction_lost: int
    sender: int
    remote_ssrc_known: int
    bye: int
    reference: int
    last_reference: int
    delay_reference: int
    metrics: VoipMetrics
    cname: CData

class Collision(CData):
    seen_tick: int
    seen: int

class _Ffi:
    NULL: Any
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
    def new(cdecl: Literal["ot_activity *"]) -> Activity: ...
    @overload
    @staticmethod
    def new(cdecl: Literal["ot_codec_traits *"]) -> CodecTraits: ...
    @overload
    @staticmethod
    def new(cdecl: Literal["ot_encoder_options *"]) -> EncoderOptions: ...
    @overload
    @staticmethod
    def new(cdecl: Literal["ot_comfort *"]) -> Comfort: ...
    @overload
    @staticmethod
    def new(cdecl: Literal["ot_comfort_meter *"]) -> ComfortMeter: ...
    @overload
    @staticmethod
    def new(cdecl: Literal["ot_comfort_sender *"]) -> ComfortSender: ...
    @overload
    @staticmethod
    def new(cdecl: Literal["ot_drift *"]) -> Drift: ...
    @overload
    @staticmethod
    def new(cdecl: Literal["ot_echo_options *"]) -> EchoOptions: ...
    @overload
    @staticmethod
    def new(cdecl: Literal["ot_tone_part *"]) -> TonePart: ...
    @overload
    @staticmethod
    def new(cdecl: Literal["ot_tone_step *"]) -> ToneStep: ...
    @overload
    @staticmethod
    def new(cdecl: Literal["ot_tone_spec *"]) -> ToneSpec: ...
    @overload
    @staticmethod
    def new(cdecl: Literal["ot_tone *"]) -> Tone: ...
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
    def new(cdecl: Literal["ot_voice_options *"]) -> VoiceOptions: ...
    @overload
    @staticmethod
    def new(cdecl: Literal["ot_fork_stats *"]) -> ForkStats: ...
    @overload
    @staticmethod
    def new(cdecl: Literal["ot_event *"]) -> Event: ...
    @overload
    @staticmethod
    def new(cdecl: Literal["ot_rtp *"]) -> Rtp: ...
    @overload
    @staticmethod
    def new(cdecl: Literal["ot_device_meters *"]) -> DeviceMeters: ...
    @overload
    @staticmethod
    def new(cdecl: Literal["ot_dtmf *"]) -> Dtmf: ...
    @overload
    @staticmethod
    def new(cdecl: Literal["ot_dtmf_notice *"]) -> DtmfNotice: ...
    @overload
    @staticmethod
    def new(cdecl: Literal["ot_dtmf_told *"]) -> DtmfTold: ...
    @overload
    @staticmethod
    def new(cdecl: Literal["ot_dtmf_receiver *"]) -> DtmfReceiver: ...
    @overload
    @staticmethod
    def new(cdecl: Literal["ot_dtmf_wish *"]) -> DtmfWish: ...
    @overload
    @staticmethod
    def new(cdecl: Literal["ot_dtmf_sender *"]) -> DtmfSender: ...
    @overload
    @staticmethod
    def new(cdecl: Literal["ot_dtmf_packet *"]) -> DtmfPacket: ...
    @overload
    @staticmethod
    def new(cdecl: Literal["ot_duck_settings *"]) -> DuckSettings: ...
    @overload
    @staticmethod
    def new(cdecl: Literal["ot_duck *"]) -> Duck: ...
    @overload
    @staticmethod
    def new(cdecl: Literal["ot_duck_gain *"]) -> DuckGain: ...
    @overload
    @staticmethod
    def new(cdecl: Literal["ot_jitter_stats *"]) -> JitterStats: ...
    @overload
    @staticmethod
    def new(cdecl: Literal["ot_voip_metrics *"]) -> VoipMetrics: ...
    @overload
    @staticmethod
    def new(cdecl: Literal["ot_quality *"]) -> Quality: ...
    @overload
    @staticmethod
    def new(cdecl: Literal["ot_quality_setup *"]) -> QualitySetup: ...
    @overload
    @staticmethod
    def new(cdecl: Literal["ot_red_block *"]) -> RedBlock: ...
    @overload
    @staticmethod
    def new(cdecl: Literal["ot_red *"]) -> Red: ...
    @overload
    @staticmethod
    def new(cdecl: Literal["ot_red_payload *"]) -> RedPayload: ...
    @overload
    @staticmethod
    def new(cdecl: Literal["ot_red_kept *"]) -> RedKept: ...
    @overload
    @staticmethod
    def new(cdecl: Literal["ot_red_sender *"]) -> RedSender: ...
    @overload
    @staticmethod
    def new(cdecl: Literal["ot_srtp_packet *"]) -> SrtpPacket: ...
    @overload
    @staticmethod
    def new(cdecl: Literal["ot_shield_path *"]) -> ShieldPath: ...
    @overload
    @staticmethod
    def new(cdecl: Literal["ot_shield_slot_stats *"]) -> ShieldSlotStats: ...
    @overload
    @staticmethod
    def new(cdecl: Literal["ot_shield_stats *"]) -> ShieldStats: ...
    @overload
    @staticmethod
    def new(cdecl: Literal["ot_rtcp *"]) -> Rtcp: ...
    @overload
    @staticmethod
    def new(cdecl: Literal["ot_report *"]) -> Report: ...
    @overload
    @staticmethod
    def new(cdecl: Literal["ot_collision *"]) -> Collision: ...
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
    def new(cdecl: Literal["ot_echo **"]) -> Out[EchoHandle]: ...
    @overload
    @staticmethod
    def new(cdecl: Literal["ot_encoder **"]) -> Out[EncoderHandle]: ...
    @overload
    @staticmethod
    def new(cdecl: Literal["ot_engine **"]) -> Out[EngineHandle]: ...
    @overload
    @staticmethod
    def new(cdecl: Literal["ot_inband **"]) -> Out[InbandHandle]: ...
    @overload
    @staticmethod
    def new(cdecl: Literal["ot_jitter **"]) -> Out[JitterHandle]: ...
    @overload
    @staticmethod
    def new(cdecl: Literal["ot_leg **"]) -> Out[LegHandle]: ...
    @overload
    @staticmethod
    def new(cdecl: Literal["ot_plc **"]) -> Out[PlcHandle]: ...
    @overload
    @staticmethod
    def new(cdecl: Literal["ot_rate **"]) -> Out[RateHandle]: ...
    @overload
    @staticmethod
    def new(cdecl: Literal["ot_recording **"]) -> Out[RecordingHandle]: ...
    @overload
    @staticmethod
    def new(cdecl: Literal["ot_sample_ring **"]) -> Out[SampleRingHandle]: ...
    @overload
    @staticmethod
    def new(cdecl: Literal["ot_shield **"]) -> Out[ShieldHandle]: ...
    @overload
    @staticmethod
    def new(cdecl: Literal["ot_shield_slot **"]) -> Out[ShieldSlotHandle]: ...
    @overload
    @staticmethod
    def new(cdecl: Literal["ot_source **"]) -> Out[SourceHandle]: ...
    @overload
    @staticmethod
    def new(cdecl: Literal["ot_srtp **"]) -> Out[SrtpHandle]: ...
    @overload
    @staticmethod
    def new(cdecl: Literal["uint8_t[]"], init: int | bytes | list[int]) -> Numbers: ...
    @overload
    @staticmethod
    def new(cdecl: Literal["int16_t[]"], init: int | bytes | list[int]) -> Numbers: ...
    @overload
    @staticmethod
    def new(cdecl: Literal["uint32_t[]"], init: int | bytes | list[int]) -> Numbers: ...
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
    OT_ACTIVITY_HANG_OVER_MS: int
    OT_PCMU: int
    OT_PCMA: int
    OT_G722: int
    OT_L16_8K: int
    OT_L16_16K: int
    OT_L16_48K: int
    OT_OPUS_8K: int
    OT_OPUS_16K: int
    OT_OPUS_48K: int
    OT_COMFORT_ORDER: int
    OT_COMFORT_ORDER_SENT: int
    OT_COMFORT_PAYLOAD_MAX: int
    OT_COMFORT_MEASURES: int
    OT_COMFORT_GLIDE_TICKS: int
    OT_COMFORT_HANGOVER_MS: int
    OT_COMFORT_EVERY_MS: int
    OT_COMFORT_SOONEST_MS: int
    OT_COMFORT_CHANGE_DB: int
    OT_COMFORT_SEND_VOICE: int
    OT_COMFORT_SEND_NOTHING: int
    OT_RATE_TICK_MAX: int
    OT_DRIFT_TAPS: int
    OT_DRIFT_PPM_MAX: int
    OT_ECHO_TAIL_MS_MIN: int
    OT_ECHO_TAIL_MS_MAX: int
    OT_ECHO_DELAY_MS_MAX: int
    OT_ECHO_NOISE_DB_MAX: int
    OT_TONE_PARTS: int
    OT_TONE_STEPS: int
    OT_TONE_RAMP_MS: int
    OT_TONE_STEP_MS_MAX: int
    OT_TONE_DONE: int
    OT_TONE_SILENT: int
    OT_TONE_SOUND: int
    OT_RATE_HZ: int
    OT_TICK_MS: int
    OT_TICK_SAMPLES: int
    OT_TICK_SAMPLES_MAX: int
    OT_LEGS_MAX: int
    OT_DEVICES_MAX: int
    OT_SOURCES_MAX: int
    OT_PORTS_MAX: int
    OT_BUSES_MAX: int
    OT_RECORDINGS_MAX: int
    OT_TAPS_MAX: int
    OT_FORKS: int
    OT_JITTER_MIN_MS: int
    OT_JITTER_MAX_MS: int
    OT_RAMP_TICKS: int
    OT_CATCH_UP_TICKS: int
    OT_LATENESS_BUCKETS: int
    OT_PAYLOAD_MAX: int
    OT_REDUNDANCY_MAX: int
    OT_CLIP_SECONDS_MAX: int
    OT_DIGIT_BEGAN: int
    OT_DIGIT_ENDED: int
    OT_DIGIT_HEARD: int
    OT_SOURCE_ENDED: int
    OT_DTMF_OCTETS: int
    OT_DTMF_STAR: int
    OT_DTMF_POUND: int
    OT_DTMF_FLASH: int
    OT_DTMF_VOLUME_MAX: int
    OT_DTMF_NOTICES_MAX: int
    OT_DTMF_QUEUE: int
    OT_DTMF_ON_MIN_MS: int
    OT_DTMF_ON_MAX_MS: int
    OT_DTMF_GAP_MS: int
    OT_DTMF_ENDS: int
    OT_DTMF_TIMEOUT_TICKS: int
    OT_DTMF_START: int
    OT_DTMF_END: int
    OT_DUCK_DEPTH_DB_MAX: int
    OT_DUCK_TIME_MS_MAX: int
    OT_JITTER_PAYLOAD_MAX: int
    OT_JITTER_MAXIMUM_MS: int
    OT_PUT_STORED: int
    OT_PUT_DUPLICATE: int
    OT_PUT_LATE: int
    OT_PUT_REORDERED: int
    OT_PUT_PROBATION: int
    OT_PUT_RESET: int
    OT_PUT_AS_REDUNDANT: int
    OT_PUT_AS_NOISE: int
    OT_PUT_AS_UNTIMED: int
    OT_GET_SILENCE: int
    OT_GET_VOICE: int
    OT_GET_CONCEALED: int
    OT_GET_NOISE: int
    OT_READ_NONE: int
    OT_READ_ENOUGH: int
    OT_READ_ALL: int
    OT_GMIN: int
    OT_METRIC_UNKNOWN: int
    OT_PLC_OFF: int
    OT_PLC_ENHANCED: int
    OT_PLC_STANDARD: int
    OT_JITTER_FIXED: int
    OT_JITTER_ADAPTIVE: int
    OT_RED_BLOCKS_MAX: int
    OT_RED_DEPTH_MAX: int
    OT_RED_OFFSET_MAX: int
    OT_RED_OCTETS_MAX: int
    OT_RED_REACH_MS: int
    OT_RED_OVERHEAD_MAX: int
    OT_AEAD_AES_256_GCM: int
    OT_AEAD_AES_128_GCM: int
    OT_AES_CM_128_HMAC_SHA1_80: int
    OT_AES_CM_128_HMAC_SHA1_32: int
    OT_SRTP_IN: int
    OT_SRTP_OUT: int
    OT_SRTP_PLAIN_MAX: int
    OT_SRTP_ROOM: int
    OT_SRTP_SOURCES_MAX: int
    OT_SRTP_WINDOW: int
    OT_SHIELD_DATAGRAMS: int
    OT_SHIELD_REPORTS: int
    OT_SHIELD_READS: int
    OT_RTCP_MAX: int
    OT_CNAME_OCTETS: int
    OT_CNAME_MAX: int
    OT_BYES_MAX: int
    OT_SOURCE_OTHER: int
    OT_SOURCE_COLLIDES: int
    OT_SOURCE_LOOPS: int
    @staticmethod
    def ot_activity_init(activity: Activity, /) -> None: ...
    @staticmethod
    def ot_activity_run(activity: Activity, energy: int, samples: int, /) -> int: ...
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
    @staticmethod
    def ot_comfort_init(comfort: Comfort, rate_hz: int, /) -> int: ...
    @staticmethod
    def ot_comfort_set(comfort: Comfort, payload: CData | bytes, octets: int, /) -> int: ...
    @staticmethod
    def ot_comfort_make(comfort: Comfort, pcm: CData, samples: int, /) -> None: ...
    @staticmethod
    def ot_comfort_meter_init(meter: ComfortMeter, /) -> None: ...
    @staticmethod
    def ot_comfort_meter_add(meter: ComfortMeter, pcm: CData, samples: int, /) -> None: ...
    @staticmethod
    def ot_comfort_meter_write(meter: ComfortMeter, payload: CData, room: int, /) -> int: ...
    @staticmethod
    def ot_comfort_analyse(pcm: CData, samples: int, rate_hz: int, payload: CData, room: int, /) -> int: ...
    @staticmethod
    def ot_comfort_sender_init(sender: ComfortSender, rate_hz: int, /) -> int: ...
    @staticmethod
    def ot_comfort_sender_run(sender: ComfortSender, pcm: CData, samples: int, voice: int, payload: CData, /) -> int: ...
    @staticmethod
    def ot_rate_tick(rate_hz: int, /) -> int: ...
    @staticmethod
    def ot_rate_create(rate: Out[RateHandle], from_hz: int, to_hz: int, /) -> int: ...
    @staticmethod
    def ot_rate_destroy(rate: RateHandle, /) -> None: ...
    @staticmethod
    def ot_rate_run(rate: RateHandle, out: CData, in_: CData, /) -> None: ...
    @staticmethod
    def ot_rate_delay_us(rate: RateHandle, /) -> int: ...
    @staticmethod
    def ot_sample_ring_create(ring: Out[SampleRingHandle], rate_hz: int, limit_ms: int, /) -> int: ...
    @staticmethod
    def ot_sample_ring_destroy(ring: SampleRingHandle, /) -> None: ...
    @staticmethod
    def ot_sample_ring_write(ring: SampleRingHandle, pcm: CData, samples: int, /) -> int: ...
    @staticmethod
    def ot_sample_ring_read(ring: SampleRingHandle, pcm: CData, samples: int, /) -> int: ...
    @staticmethod
    def ot_sample_ring_fill(ring: SampleRingHandle, /) -> int: ...
    @staticmethod
    def ot_sample_ring_target(ring: SampleRingHandle, /) -> int: ...
    @staticmethod
    def ot_sample_ring_underruns(ring: SampleRingHandle, /) -> int: ...
    @staticmethod
    def ot_sample_ring_overruns(ring: SampleRingHandle, /) -> int: ...
    @staticmethod
    def ot_sample_ring_skips(ring: SampleRingHandle, /) -> int: ...
    @staticmethod
    def ot_drift_init(drift: Drift, rate_hz: int, target_samples: int, /) -> None: ...
    @staticmethod
    def ot_drift_read(drift: Drift, ring: SampleRingHandle, pcm: CData, /) -> int: ...
    @staticmethod
    def ot_drift_write(drift: Drift, ring: SampleRingHandle, pcm: CData, /) -> None: ...
    @staticmethod
    def ot_drift_ppm(drift: Drift, /) -> float: ...
    @staticmethod
    def ot_echo_create(echo: Out[EchoHandle], rate_hz: int, tail_ms: int, options: EchoOptions, /) -> int: ...
    @staticmethod
    def ot_echo_destroy(echo: EchoHandle, /) -> None: ...
    @staticmethod
    def ot_echo_run(echo: EchoHandle, mic: CData, played: CData, /) -> None: ...
    @staticmethod
    def ot_tone_init(tone: Tone, rate_hz: int, spec: ToneSpec, /) -> int: ...
    @staticmethod
    def ot_tone_make(tone: Tone, pcm: CData, /) -> int: ...
    @staticmethod
    def ot_tone_stop(tone: Tone, /) -> None: ...
    @staticmethod
    def ot_tone_find(zone: bytes, name: bytes, /) -> ToneSpec: ...
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
    def ot_leg_dial(leg: LegHandle, event: int, duration_ms: int, /) -> int: ...
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
    def ot_device_open(device: Out[DeviceHandle], engine: EngineHandle, rate_hz: int, capture_ms: int, playback_ms: int, /) -> int: ...
    @staticmethod
    def ot_device_port(device: DeviceHandle, /) -> int: ...
    @staticmethod
    def ot_device_write(device: DeviceHandle, pcm: CData, samples: int, /) -> int: ...
    @staticmethod
    def ot_device_read(device: DeviceHandle, pcm: CData, samples: int, /) -> None: ...
    @staticmethod
    def ot_device_mute(device: DeviceHandle, capture: int, playback: int, /) -> int: ...
    @staticmethod
    def ot_device_sidetone(device: DeviceHandle, gain_db: float, /) -> int: ...
    @staticmethod
    def ot_device_duck(device: DeviceHandle, ports: CData, count: int, depth_db: float, hold_ms: int, release_ms: int, /) -> int: ...
    @staticmethod
    def ot_device_clean(device: DeviceHandle, options: VoiceOptions, ports: CData, count: int, /) -> int: ...
    @staticmethod
    def ot_device_stats_read(device: DeviceHandle, stats: DeviceStats, /) -> int: ...
    @staticmethod
    def ot_device_close(device: DeviceHandle, /) -> int: ...
    @staticmethod
    def ot_source_open(source: Out[SourceHandle], engine: EngineHandle, rate_hz: int, /) -> int: ...
    @staticmethod
    def ot_source_port(source: SourceHandle, /) -> int: ...
    @staticmethod
    def ot_source_tone(source: SourceHandle, tone: ToneSpec, /) -> int: ...
    @staticmethod
    def ot_source_clip(source: SourceHandle, pcm: CData, samples: int, times: int, /) -> int: ...
    @staticmethod
    def ot_source_stop(source: SourceHandle, /) -> int: ...
    @staticmethod
    def ot_source_close(source: SourceHandle, /) -> int: ...
    @staticmethod
    def ot_bus_open(bus: Out[BusHandle], engine: EngineHandle, rate_hz: int, /) -> int: ...
    @staticmethod
    def ot_bus_join(bus: BusHandle, port: int, talk_db: float, listen_db: float, /) -> int: ...
    @staticmethod
    def ot_bus_leave(bus: BusHandle, port: int, /) -> int: ...
    @staticmethod
    def ot_bus_loudest(bus: BusHandle, count: int, /) -> int: ...
    @staticmethod
    def ot_bus_close(bus: BusHandle, /) -> int: ...
    @staticmethod
    def ot_recording_open(recording: Out[RecordingHandle], engine: EngineHandle, codec: int, ptime_ms: int, stereo: int, /) -> int: ...
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
    def ot_engine_next_event(engine: EngineHandle, event: Event, /) -> int: ...
    @staticmethod
    def ot_engine_events_lost(engine: EngineHandle, /) -> int: ...
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
    def ot_device_create(device: Out[DeviceHandle], rate_hz: int, capture_ms: int, playback_ms: int, /) -> int: ...
    @staticmethod
    def ot_device_destroy(device: DeviceHandle, /) -> None: ...
    @staticmethod
    def ot_device_capture(device: DeviceHandle, reference: CData, /) -> CData: ...
    @staticmethod
    def ot_device_play(device: DeviceHandle, pcm: CData, duck_first: float, duck_last: float, /) -> None: ...
    @staticmethod
    def ot_device_played(device: DeviceHandle, /) -> CData: ...
    @staticmethod
    def ot_device_meter(device: DeviceHandle, meters: DeviceMeters, /) -> None: ...
    @staticmethod
    def ot_device_set_microphone(device: DeviceHandle, open: int, /) -> None: ...
    @staticmethod
    def ot_device_set_earpiece(device: DeviceHandle, open: int, /) -> None: ...
    @staticmethod
    def ot_device_set_sidetone(device: DeviceHandle, gain: float, /) -> None: ...
    @staticmethod
    def ot_device_set_echo(device: DeviceHandle, echo: EchoHandle, /) -> EchoHandle: ...
    @staticmethod
    def ot_dtmf_parse(dtmf: Dtmf, data: CData | bytes, octets: int, /) -> int: ...
    @staticmethod
    def ot_dtmf_write(data: CData, dtmf: Dtmf, /) -> None: ...
    @staticmethod
    def ot_dtmf_receiver_init(receiver: DtmfReceiver, clock_hz: int, /) -> int: ...
    @staticmethod
    def ot_dtmf_receiver_put(receiver: DtmfReceiver, packet: Rtp, payload: CData | bytes, told: DtmfTold, /) -> None: ...
    @staticmethod
    def ot_dtmf_receiver_tick(receiver: DtmfReceiver, told: DtmfTold, /) -> None: ...
    @staticmethod
    def ot_dtmf_sender_init(sender: DtmfSender, clock_hz: int, /) -> int: ...
    @staticmethod
    def ot_dtmf_sender_start(sender: DtmfSender, event: int, duration_ms: int, volume_dbm0: int, /) -> int: ...
    @staticmethod
    def ot_dtmf_sender_next(sender: DtmfSender, timestamp: int, units: int, packet: DtmfPacket, /) -> int: ...
    @staticmethod
    def ot_dtmf_sender_idle(sender: DtmfSender, /) -> int: ...
    @staticmethod
    def ot_duck_set(duck: Duck, settings: DuckSettings, /) -> int: ...
    @staticmethod
    def ot_duck_run(duck: Duck, key_active: int, /) -> DuckGain: ...
    @staticmethod
    def ot_inband_create(inband: Out[InbandHandle], /) -> int: ...
    @staticmethod
    def ot_inband_destroy(inband: InbandHandle, /) -> None: ...
    @staticmethod
    def ot_inband_run(inband: InbandHandle, pcm: CData, samples: int, digit: CData, /) -> int: ...
    @staticmethod
    def ot_plc_create(plc: Out[PlcHandle], rate_hz: int, /) -> int: ...
    @staticmethod
    def ot_plc_destroy(plc: PlcHandle, /) -> None: ...
    @staticmethod
    def ot_plc_good(plc: PlcHandle, pcm: CData, /) -> None: ...
    @staticmethod
    def ot_plc_lost(plc: PlcHandle, pcm: CData, /) -> None: ...
    @staticmethod
    def ot_plc_delay(plc: PlcHandle, /) -> int: ...
    @staticmethod
    def ot_jitter_create(jitter: Out[JitterHandle], codec: int, minimum_ms: int, maximum_ms: int, /) -> int: ...
    @staticmethod
    def ot_jitter_destroy(jitter: JitterHandle, /) -> None: ...
    @staticmethod
    def ot_jitter_put(jitter: JitterHandle, packet: Rtp, payload: CData | bytes, flags: int, /) -> int: ...
    @staticmethod
    def ot_jitter_frame(jitter: JitterHandle, got: CData, /) -> CData: ...
    @staticmethod
    def ot_jitter_get(jitter: JitterHandle, pcm: CData, /) -> int: ...
    @staticmethod
    def ot_jitter_reading(jitter: JitterHandle, /) -> int: ...
    @staticmethod
    def ot_jitter_buffered(jitter: JitterHandle, /) -> int: ...
    @staticmethod
    def ot_jitter_expected(jitter: JitterHandle, /) -> int: ...
    @staticmethod
    def ot_jitter_highest(jitter: JitterHandle, /) -> int: ...
    @staticmethod
    def ot_jitter_outcomes(jitter: JitterHandle, bits: CData, /) -> int: ...
    @staticmethod
    def ot_jitter_read(jitter: JitterHandle, stats: JitterStats, /) -> None: ...
    @staticmethod
    def ot_quality_init(quality: Quality, /) -> None: ...
    @staticmethod
    def ot_quality_feed(quality: Quality, lost: int, discarded: int, packets: int, /) -> None: ...
    @staticmethod
    def ot_quality_hear(quality: Quality, energy: int, samples: int, /) -> None: ...
    @staticmethod
    def ot_quality_report(quality: Quality, setup: QualitySetup, metrics: VoipMetrics, /) -> None: ...
    @staticmethod
    def ot_emodel_delay(one_way_ms: float, /) -> float: ...
    @staticmethod
    def ot_emodel_equipment(codec: int, loss_percent: float, burst_ratio: float, /) -> float: ...
    @staticmethod
    def ot_emodel_mos(r: float, /) -> float: ...
    @staticmethod
    def ot_level_dbm0(mean_square: float, /) -> float: ...
    @staticmethod
    def ot_red_parse(red: Red, data: CData | bytes, octets: int, /) -> int: ...
    @staticmethod
    def ot_red_write(data: CData, room: int, payloads: RedPayload, count: int, /) -> int: ...
    @staticmethod
    def ot_red_sender_init(sender: RedSender, depth: int, clock_hz: int, /) -> int: ...
    @staticmethod
    def ot_red_sender_run(sender: RedSender, data: CData, room: int, primary: RedPayload, /) -> int: ...
    @staticmethod
    def ot_srtp_find(name: bytes, /) -> int: ...
    @staticmethod
    def ot_srtp_key_octets(suite: int, /) -> int: ...
    @staticmethod
    def ot_srtp_create(session: Out[SrtpHandle], suite: int, direction: int, key: CData | bytes, octets: int, /) -> int: ...
    @staticmethod
    def ot_srtp_destroy(session: SrtpHandle, /) -> None: ...
    @staticmethod
    def ot_srtp_protect(session: SrtpHandle, packet: SrtpPacket, /) -> int: ...
    @staticmethod
    def ot_srtp_unprotect(session: SrtpHandle, packet: SrtpPacket, /) -> int: ...
    @staticmethod
    def ot_srtp_protect_report(session: SrtpHandle, packet: SrtpPacket, /) -> int: ...
    @staticmethod
    def ot_srtp_unprotect_report(session: SrtpHandle, packet: SrtpPacket, /) -> int: ...
    @staticmethod
    def ot_shield_create(shield: Out[ShieldHandle], /) -> int: ...
    @staticmethod
    def ot_shield_destroy(shield: ShieldHandle, /) -> None: ...
    @staticmethod
    def ot_shield_start(shield: ShieldHandle, realtime: int, /) -> int: ...
    @staticmethod
    def ot_shield_stop(shield: ShieldHandle, /) -> int: ...
    @staticmethod
    def ot_shield_add(shield: ShieldHandle, slot: Out[ShieldSlotHandle], path: ShieldPath, /) -> int: ...
    @staticmethod
    def ot_shield_change(shield: ShieldHandle, slot: ShieldSlotHandle, path: ShieldPath, /) -> None: ...
    @staticmethod
    def ot_shield_remove(shield: ShieldHandle, slot: ShieldSlotHandle, /) -> None: ...
    @staticmethod
    def ot_shield_slot_read(slot: ShieldSlotHandle, stats: ShieldSlotStats, /) -> None: ...
    @staticmethod
    def ot_shield_read(shield: ShieldHandle, stats: ShieldStats, /) -> None: ...
    @staticmethod
    def ot_shield_step(shield: ShieldHandle, /) -> int: ...
    @staticmethod
    def ot_shield_align(shield: ShieldHandle, next_due_ns: int, /) -> None: ...
    @staticmethod
    def ot_shield_receive(slot: ShieldSlotHandle, data: CData, room: int, /) -> int: ...
    @staticmethod
    def ot_shield_send(slot: ShieldSlotHandle, data: CData | bytes, octets: int, /) -> int: ...
    @staticmethod
    def ot_shield_receive_report(slot: ShieldSlotHandle, data: CData, room: int, ntp: CData, /) -> int: ...
    @staticmethod
    def ot_shield_send_report(slot: ShieldSlotHandle, data: CData | bytes, octets: int, /) -> int: ...
    @staticmethod
    def ot_rtcp_parse(report: Rtcp, data: CData | bytes, octets: int, ssrc: int, /) -> int: ...
    @staticmethod
    def ot_rtcp_says_bye(report: Rtcp, ssrc: int, /) -> int: ...
    @staticmethod
    def ot_rtcp_write(data: CData, report: Report, /) -> int: ...
    @staticmethod
    def ot_collision_judge(collision: Collision, ours: int, source: int, tick: int, /) -> int: ...
    @staticmethod
    def ot_saturate(out: CData, in_: CData, samples: int, /) -> None: ...
    @staticmethod
    def ot_minus_self(out: CData, sum: CData, own: CData, samples: int, /) -> None: ...
    @staticmethod
    def ot_minus_self32(out: CData, sum: CData, own: CData, samples: int, /) -> None: ...
    @staticmethod
    def ot_gain(out: CData, in_: CData, first: float, last: float, samples: int, /) -> None: ...
    @staticmethod
    def ot_interleave(both: CData, left: CData, right: CData, samples: int, /) -> None: ...
    @staticmethod
    def ot_deinterleave(left: CData, right: CData, both: CData, samples: int, /) -> None: ...
    @staticmethod
    def ot_stretch_shorten(pcm: CData, samples: int, rate_hz: int, force: int, /) -> int: ...
    @staticmethod
    def ot_stretch_lengthen(pcm: CData, samples: int, past: CData, rate_hz: int, force: int, /) -> int: ...

ffi: _Ffi
lib: _Lib
