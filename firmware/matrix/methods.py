"""The methods of OLDCB: one small function each, found by name in ``METHODS``."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict
from typing import Final

from ...hal.errors import FieldError
from ...hal.matrix import Cleaning, Codec, Ducking, ForkTarget, LegTarget, Membership, Topic
from ...hal.wire.json_lines import JsonObject, field, optional
from . import parameters as take
from .errors import BadRequestError, UnknownMethodError
from .matrix import PROTOCOL, Matrix
from .sinks import MAX_SECONDS

Result = Mapping[str, object]
Method = Callable[[Matrix, JsonObject], Result]
SlowMethod = Callable[[Matrix, JsonObject], Awaitable[Result]]


async def perform(matrix: Matrix, method: str, params: JsonObject) -> Result:
    """Returns the result of a method.

    Raises:
        UnknownMethodError: There is no such method.
        FieldError: A parameter is missing, unknown or of the wrong type.
        MatrixProcessError: The matrix could not do it.
    """
    try:
        if method in SLOW_METHODS:
            return await SLOW_METHODS[method](matrix, params)
        return _method(method)(matrix, params)
    finally:
        matrix.refresh()


def _method(method: str) -> Method:
    if method not in METHODS:
        raise UnknownMethodError(f"no method {method[:40]!r} in protocol {PROTOCOL}")
    return METHODS[method]


def _hello(matrix: Matrix, params: JsonObject) -> Result:
    wanted = optional(params, "protocol", int)
    if wanted not in (None, PROTOCOL):
        raise BadRequestError(f"protocol {wanted} is not spoken here, only {PROTOCOL}")
    return matrix.hello()


def _status(matrix: Matrix, _params: JsonObject) -> Result:
    return matrix.status()


def _leg_open(matrix: Matrix, params: JsonObject) -> Result:
    codec = take.codec(params)
    leg = matrix.legs.open(codec, take.ptime_ms(params, codec), take.tag(params))
    matrix.notify(Topic.LEGS, "leg.opened", leg.describe())
    return leg.describe()


def _leg_connect(matrix: Matrix, params: JsonObject) -> Result:
    number = field(params, "leg", int)
    matrix.legs.connect(number, _target(params))
    matrix.notify(Topic.LEGS, "leg.connected", matrix.legs[number].describe())
    return {}


def _target(params: JsonObject) -> LegTarget:
    codec = take.codec(params)
    rtp_port = take.bounded(params, "rtp_port", 1, 65535)
    target = LegTarget(
        address=take.address(params, "address"),
        rtp_port=rtp_port,
        rtcp_port=take.bounded(params, "rtcp_port", 1, 65535, min(rtp_port + 1, 65535)),
        codec=codec,
        payload_type=take.bounded(params, "payload_type", 0, 127, codec.payload_type),
        ptime_ms=take.ptime_ms(params, codec),
        send=take.flag(params, "send", default=True),
        receive=take.flag(params, "receive", default=True),
        event_type=take.unless_left_out(params, "event_type", 1, 127),
        noise_type=take.unless_left_out(params, "noise_type", 1, 127),
        redundant_type=take.unless_left_out(params, "redundant_type", 1, 127),
        redundancy=take.bounded(params, "redundancy", 0, 2, 1),
        inband_digits=take.flag(params, "inband_digits", default=False),
        bitrate_bps=take.bounded(params, "bitrate_bps", 0, 510_000, 0),
        loss_percent=take.bounded(params, "loss_percent", 0, 100, 0),
        fec=take.flag(params, "fec", default=False),
        dtx=take.flag(params, "dtx", default=False),
        srtp=take.srtp(params),
    )
    return _without_clash(target)


def _without_clash(target: LegTarget) -> LegTarget:
    optional_types = (target.event_type, target.noise_type, target.redundant_type)
    types = [target.payload_type, *(each for each in optional_types if each is not None)]
    if len(set(types)) < len(types):
        raise FieldError(f"payload types {types} are not different")
    return target


def _leg_dial(matrix: Matrix, params: JsonObject) -> Result:
    events = take.events(params)
    duration_ms = take.bounded(params, "duration_ms", 40, 5000, 100)
    matrix.legs.dial(field(params, "leg", int), events, duration_ms)
    return {}


def _leg_tag(matrix: Matrix, params: JsonObject) -> Result:
    leg = matrix.legs[field(params, "leg", int)]
    leg.tag = take.tag(params)
    matrix.notify(Topic.LEGS, "leg.tagged", leg.describe())
    return {}


def _leg_close(matrix: Matrix, params: JsonObject) -> Result:
    leg = matrix.close_leg(field(params, "leg", int))
    matrix.notify(Topic.LEGS, "leg.closed", {"leg": leg.number, "tag": leg.tag})
    return {}


def _leg_list(matrix: Matrix, _params: JsonObject) -> Result:
    return {"legs": [{**leg.describe(), "stats": leg.stats()} for leg in matrix.legs]}


def _leg_reset_gaps(matrix: Matrix, params: JsonObject) -> Result:
    matrix.legs[field(params, "leg", int)].engine.reset_gaps()
    return {}


def _bus_join(matrix: Matrix, params: JsonObject) -> Result:
    member = Membership(
        port=take.name(params, "port"),
        talk_db=take.decibels(params, "talk_db"),
        listen_db=take.decibels(params, "listen_db"),
    )
    matrix.buses.join(take.name(params, "bus"), member, take.rate_hz(params))
    return {}


def _bus_leave(matrix: Matrix, params: JsonObject) -> Result:
    matrix.buses.leave(take.name(params, "bus"), take.name(params, "port"))
    return {}


def _bus_loudest(matrix: Matrix, params: JsonObject) -> Result:
    matrix.buses.loudest(take.name(params, "bus"), take.bounded(params, "count", 0, 64))
    return {}


def _bus_list(matrix: Matrix, _params: JsonObject) -> Result:
    return {"buses": matrix.buses.describe()}


def _device_list(matrix: Matrix, _params: JsonObject) -> Result:
    return {"devices": matrix.describe_devices()}


def _device_mute(matrix: Matrix, params: JsonObject) -> Result:
    capture, playback = (field(params, key, bool) for key in ("capture", "playback"))
    matrix.tuning.mute(take.name(params, "device"), capture=capture, playback=playback)
    return {}


def _device_sidetone(matrix: Matrix, params: JsonObject) -> Result:
    gain_db = take.decibels(params, "gain_db", take.SIDETONE_DB)
    matrix.tuning.sidetone(take.name(params, "device"), gain_db)
    return {}


def _device_duck(matrix: Matrix, params: JsonObject) -> Result:
    ports = take.names(params, "ports")
    depth_db = take.decibels(params, "depth_db", (0.0, 60.0))
    ducking = Ducking(
        ports,
        depth_db=12.0 if depth_db is None else depth_db,
        hold_ms=take.bounded(params, "hold_ms", 0, 10_000, 300),
        release_ms=take.bounded(params, "release_ms", 0, 10_000, 500),
    )
    matrix.tuning.duck(take.name(params, "device"), ducking if ports else None)
    return {}


def _device_clean(matrix: Matrix, params: JsonObject) -> Result:
    device = take.name(params, "device")
    wanted = optional(params, "cleaning", dict)
    matrix.tuning.clean(device, None if wanted is None else _cleaning(device, wanted))
    return {}


def _cleaning(device: str, wanted: JsonObject) -> Cleaning:
    return Cleaning(
        echo=take.flag(wanted, "echo", default=True),
        gain_control=take.flag(wanted, "gain_control", default=False),
        noise_db=take.bounded(wanted, "noise_db", 0, 40, 12),
        tail_ms=take.bounded(wanted, "tail_ms", 20, 500, 200),
        echo_of=take.names(wanted, "echo_of") or (device,),
    )


def _source_open(matrix: Matrix, params: JsonObject) -> Result:
    source = matrix.sources.open(take.name(params, "name"), take.rate_hz(params) or 8000)
    matrix.notify(Topic.SOURCES, "source.opened", source.describe())
    return source.describe()


def _source_tone(matrix: Matrix, params: JsonObject) -> Result:
    zone = None if params.get("zone") is None else take.name(params, "zone")
    matrix.sources.play_tone(take.name(params, "name"), take.tone(params), zone)
    return {}


async def _source_wav(matrix: Matrix, params: JsonObject) -> Result:
    source = matrix.sources[take.name(params, "name")]
    file = take.file_name(params, "path")
    times = take.bounded(params, "times", 0, 1_000_000, 1)
    rate_hz = source.engine.rate_hz
    pcm = await matrix.sounds.read(file, rate_hz)
    matrix.sources.play_clip(source, pcm, file, times)
    return {"seconds": round(len(pcm) / 2 / rate_hz, 3)}


def _source_stop(matrix: Matrix, params: JsonObject) -> Result:
    matrix.sources.stop(take.name(params, "name"))
    return {}


def _source_close(matrix: Matrix, params: JsonObject) -> Result:
    name = take.name(params, "name")
    matrix.close_source(name)
    matrix.notify(Topic.SOURCES, "source.closed", {"name": name})
    return {}


def _source_list(matrix: Matrix, _params: JsonObject) -> Result:
    return {"sources": [source.describe() for source in matrix.sources]}


def _sink_open(matrix: Matrix, params: JsonObject) -> Result:
    name = take.name(params, "name")
    sink = matrix.sinks.open(
        name,
        take.file_name(params, "path", f"{name}.wav"),
        take.rate_hz(params) or 8000,
        take.bounded(params, "max_seconds", 1, MAX_SECONDS, 3600),
    )
    matrix.notify(Topic.SINKS, "sink.opened", sink.describe())
    return sink.describe()


def _sink_close(matrix: Matrix, params: JsonObject) -> Result:
    sink = matrix.close_sink(take.name(params, "name"))
    matrix.notify(Topic.SINKS, "sink.closed", sink.describe())
    return sink.describe()


def _sink_list(matrix: Matrix, _params: JsonObject) -> Result:
    return {"sinks": [sink.describe() for sink in matrix.sinks]}


def _recording_open(matrix: Matrix, params: JsonObject) -> Result:
    codec = take.codec(params)
    recording = matrix.recordings.open(
        take.name(params, "name"),
        codec,
        ptime_ms=take.ptime_ms(params, codec),
        stereo=take.flag(params, "stereo", default=False),
    )
    matrix.notify(Topic.RECORDINGS, "recording.opened", recording.describe())
    return recording.describe()


def _recording_tap(matrix: Matrix, params: JsonObject) -> Result:
    matrix.recordings.tap(take.name(params, "name"), take.name(params, "bus"))
    return {}


def _recording_untap(matrix: Matrix, params: JsonObject) -> Result:
    matrix.recordings.untap(take.name(params, "name"), take.name(params, "bus"))
    return {}


def _recording_reserve(matrix: Matrix, params: JsonObject) -> Result:
    return asdict(matrix.recordings.reserve(take.name(params, "name"), take.index(params)))


def _recording_fork(matrix: Matrix, params: JsonObject) -> Result:
    name = take.name(params, "name")
    codec = Codec(matrix.recordings[name].codec)
    target = ForkTarget(
        address=take.address(params, "remote_address"),
        rtp_port=take.bounded(params, "remote_rtp_port", 1, 65534),
        payload_type=take.bounded(params, "payload_type", 0, 127, codec.payload_type),
    )
    port = matrix.recordings.fork(name, take.index(params), target)
    matrix.notify(Topic.RECORDINGS, "recording.forked", matrix.recordings[name].describe())
    return asdict(port)


def _recording_unfork(matrix: Matrix, params: JsonObject) -> Result:
    name = take.name(params, "name")
    matrix.recordings.unfork(name, take.index(params))
    matrix.notify(Topic.RECORDINGS, "recording.unforked", matrix.recordings[name].describe())
    return {}


def _recording_close(matrix: Matrix, params: JsonObject) -> Result:
    name = take.name(params, "name")
    matrix.recordings.close(name)
    matrix.notify(Topic.RECORDINGS, "recording.closed", {"name": name})
    return {}


def _recording_list(matrix: Matrix, _params: JsonObject) -> Result:
    return {"recordings": [recording.describe() for recording in matrix.recordings]}


METHODS: Final[Mapping[str, Method]] = {
    "hello": _hello,
    "status": _status,
    "leg.open": _leg_open,
    "leg.connect": _leg_connect,
    "leg.tag": _leg_tag,
    "leg.close": _leg_close,
    "leg.list": _leg_list,
    "leg.reset_gaps": _leg_reset_gaps,
    "leg.dial": _leg_dial,
    "bus.join": _bus_join,
    "bus.leave": _bus_leave,
    "bus.loudest": _bus_loudest,
    "bus.list": _bus_list,
    "device.list": _device_list,
    "device.mute": _device_mute,
    "device.sidetone": _device_sidetone,
    "device.duck": _device_duck,
    "device.clean": _device_clean,
    "source.open": _source_open,
    "source.tone": _source_tone,
    "source.stop": _source_stop,
    "source.close": _source_close,
    "source.list": _source_list,
    "sink.open": _sink_open,
    "sink.close": _sink_close,
    "sink.list": _sink_list,
    "recording.open": _recording_open,
    "recording.tap": _recording_tap,
    "recording.untap": _recording_untap,
    "recording.reserve": _recording_reserve,
    "recording.fork": _recording_fork,
    "recording.unfork": _recording_unfork,
    "recording.close": _recording_close,
    "recording.list": _recording_list,
}

SLOW_METHODS: Final[Mapping[str, SlowMethod]] = {"source.wav": _source_wav}
"""Those that wait for a disk; the client waits too, nobody else does."""
