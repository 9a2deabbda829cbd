"""The methods of OLDCB: one small function each, found by name in ``METHODS``."""

import ipaddress
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Final

from ...hal.errors import FieldError
from ...hal.matrix import Codec, ForkTarget, LegTarget, Membership, Topic
from ...hal.wire.json_lines import JsonObject, encode, field, optional
from .errors import BadRequestError, UnknownMethodError
from .matrix import PROTOCOL, Matrix

Result = Mapping[str, object]
Method = Callable[[Matrix, JsonObject], Result]

MAX_NAME: Final = 64
MAX_TAG_BYTES: Final = 8192
GAIN_DB: Final = (-60.0, 20.0)
PTIMES_MS: Final = (10, 20, 30)


def perform(matrix: Matrix, method: str, params: JsonObject) -> Result:
    """Returns the result of a method.

    Raises:
        UnknownMethodError: There is no such method.
        FieldError: A parameter is missing, unknown or of the wrong type.
        MatrixProcessError: The matrix could not do it.
    """
    if method not in METHODS:
        raise UnknownMethodError(f"no method {method[:40]!r} in protocol {PROTOCOL}")
    return METHODS[method](matrix, params)


def _hello(matrix: Matrix, params: JsonObject) -> Result:
    wanted = optional(params, "protocol", int)
    if wanted not in (None, PROTOCOL):
        raise BadRequestError(f"protocol {wanted} is not spoken here, only {PROTOCOL}")
    return matrix.hello()


def _status(matrix: Matrix, _params: JsonObject) -> Result:
    return matrix.status()


def _leg_open(matrix: Matrix, params: JsonObject) -> Result:
    leg = matrix.legs.open(_codec(params), _ptime_ms(params), _tag(params))
    matrix.notify(Topic.LEGS, "leg.opened", leg.describe())
    return leg.describe()


def _leg_connect(matrix: Matrix, params: JsonObject) -> Result:
    codec = _codec(params)
    payload_type = _bounded(params, "payload_type", 0, 127, Codec(codec).payload_type)
    rtp_port = _bounded(params, "rtp_port", 1, 65535)
    target = LegTarget(
        address=_address(params, "address"),
        rtp_port=rtp_port,
        rtcp_port=_bounded(params, "rtcp_port", 1, 65535, min(rtp_port + 1, 65535)),
        codec=Codec(codec),
        payload_type=payload_type,
        ptime_ms=_ptime_ms(params),
        send=_flag(params, "send"),
        receive=_flag(params, "receive"),
    )
    number = field(params, "leg", int)
    matrix.legs.connect(number, target)
    matrix.notify(Topic.LEGS, "leg.connected", matrix.legs[number].describe())
    return {}


def _leg_tag(matrix: Matrix, params: JsonObject) -> Result:
    leg = matrix.legs[field(params, "leg", int)]
    leg.tag = _tag(params)
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
        port=_name(params, "port"),
        talk_db=_gain_db(params, "talk_db"),
        listen_db=_gain_db(params, "listen_db"),
    )
    matrix.buses.join(_name(params, "bus"), member)
    return {}


def _bus_leave(matrix: Matrix, params: JsonObject) -> Result:
    matrix.buses.leave(_name(params, "bus"), _name(params, "port"))
    return {}


def _bus_list(matrix: Matrix, _params: JsonObject) -> Result:
    return {"buses": matrix.buses.describe()}


def _device_list(matrix: Matrix, _params: JsonObject) -> Result:
    return {"devices": matrix.devices.describe()}


def _recording_open(matrix: Matrix, params: JsonObject) -> Result:
    recording = matrix.recordings.open(_name(params, "name"), _codec(params))
    matrix.notify(Topic.RECORDINGS, "recording.opened", recording.describe())
    return recording.describe()


def _recording_tap(matrix: Matrix, params: JsonObject) -> Result:
    matrix.recordings.tap(_name(params, "name"), _name(params, "bus"))
    return {}


def _recording_untap(matrix: Matrix, params: JsonObject) -> Result:
    matrix.recordings.untap(_name(params, "name"), _name(params, "bus"))
    return {}


def _recording_reserve(matrix: Matrix, params: JsonObject) -> Result:
    return asdict(matrix.recordings.reserve(_name(params, "name"), _index(params)))


def _recording_fork(matrix: Matrix, params: JsonObject) -> Result:
    name = _name(params, "name")
    codec = Codec(matrix.recordings[name].codec)
    target = ForkTarget(
        address=_address(params, "remote_address"),
        rtp_port=_bounded(params, "remote_rtp_port", 1, 65534),
        payload_type=_bounded(params, "payload_type", 0, 127, codec.payload_type),
    )
    port = matrix.recordings.fork(name, _index(params), target)
    matrix.notify(Topic.RECORDINGS, "recording.forked", matrix.recordings[name].describe())
    return asdict(port)


def _recording_unfork(matrix: Matrix, params: JsonObject) -> Result:
    name = _name(params, "name")
    matrix.recordings.unfork(name, _index(params))
    matrix.notify(Topic.RECORDINGS, "recording.unforked", matrix.recordings[name].describe())
    return {}


def _recording_close(matrix: Matrix, params: JsonObject) -> Result:
    name = _name(params, "name")
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
    "bus.join": _bus_join,
    "bus.leave": _bus_leave,
    "bus.list": _bus_list,
    "device.list": _device_list,
    "recording.open": _recording_open,
    "recording.tap": _recording_tap,
    "recording.untap": _recording_untap,
    "recording.reserve": _recording_reserve,
    "recording.fork": _recording_fork,
    "recording.unfork": _recording_unfork,
    "recording.close": _recording_close,
    "recording.list": _recording_list,
}


def _codec(params: JsonObject) -> str:
    name = optional(params, "codec", str) or Codec.PCMU
    if name not in tuple(Codec):
        raise FieldError(f"codec {name[:40]!r} is not one of {', '.join(Codec)}")
    return str(name)


def _ptime_ms(params: JsonObject) -> int:
    ptime_ms = optional(params, "ptime_ms", int)
    if ptime_ms not in (None, *PTIMES_MS):
        raise FieldError(f"ptime_ms {ptime_ms} is not one of {PTIMES_MS}")
    return ptime_ms or 20


def _tag(params: JsonObject) -> JsonObject:
    tag = optional(params, "tag", dict) or {}
    encode(tag, max_line_bytes=MAX_TAG_BYTES)
    return tag


def _name(params: JsonObject, key: str) -> str:
    name = field(params, key, str)
    if not 0 < len(name) <= MAX_NAME or not name.isprintable():
        raise FieldError(f"{key} must be 1 to {MAX_NAME} printable characters")
    return name


def _index(params: JsonObject) -> int:
    return _bounded(params, "index", 0, 1)


def _bounded(
    params: JsonObject, key: str, lower: int, upper: int, default: int | None = None
) -> int:
    value = optional(params, key, int)
    if value is None and default is not None:
        return default
    number = field(params, key, int)
    if not lower <= number <= upper:
        raise FieldError(f"{key} is not between {lower} and {upper}")
    return number


def _flag(params: JsonObject, key: str) -> bool:
    return optional(params, key, bool) is not False


def _gain_db(params: JsonObject, key: str) -> float | None:
    gain_db = optional(params, key, float)
    if gain_db is not None and not GAIN_DB[0] <= gain_db <= GAIN_DB[1]:
        raise FieldError(f"{key} is not between {GAIN_DB[0]} and {GAIN_DB[1]} dB")
    return gain_db


def _address(params: JsonObject, key: str) -> str:
    try:
        return str(ipaddress.IPv4Address(field(params, key, str)))
    except ipaddress.AddressValueError as error:
        raise FieldError(f"{key} is not an IPv4 address") from error
