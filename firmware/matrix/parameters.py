"""What the methods of OLDCB take: each parameter checked for type and bounds, by name.

Everything here raises FieldError, whose message names the parameter and what is allowed.  The
value itself is shown only where it can be no secret.
"""

import base64
import binascii
import ipaddress
import re
from typing import Final

from ...hal.errors import FieldError
from ...hal.matrix import Codec, Srtp, SrtpSuite, Tone
from ...hal.wire.json_lines import JsonObject, JsonValue, encode, field, optional

MAX_NAME: Final = 64
MAX_TAG_BYTES: Final = 8192
MAX_LISTED: Final = 32
GAIN_DB: Final = (-60.0, 20.0)
SIDETONE_DB: Final = (-60.0, 0.0)
RATES_HZ: Final = (8000, 16000, 48000)
TONE_PARTS: Final = 4
TONE_HZ: Final = (1, 24_000)
TONE_DBFS: Final = (-60.0, -3.0)
TONE_STEP_MS: Final = 60_000
EVENTS: Final = {digit: event for event, digit in enumerate("0123456789*#ABCD!")}
"""The telephone events of RFC 4733 section 3.2, the last one being the hook flash."""
MAX_DIGITS: Final = 32
_FILE_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,63}")


def name(params: JsonObject, key: str) -> str:
    """Returns a name of 1 to 64 printable characters."""
    return _checked_name(field(params, key, str), key)


def names(params: JsonObject, key: str) -> tuple[str, ...]:
    """Returns a list of names; none when it is left out."""
    listed = optional(params, key, list) or []
    if len(listed) > MAX_LISTED:
        raise FieldError(f"{key} has more than {MAX_LISTED} items")
    return tuple(_checked_name(item, key) for item in listed)


def _checked_name(value: JsonValue, key: str) -> str:
    if not isinstance(value, str):
        raise FieldError(f"{key} is {type(value).__name__}, not str")
    if not 0 < len(value) <= MAX_NAME or not value.isprintable():
        raise FieldError(f"{key} must be 1 to {MAX_NAME} printable characters")
    return value


def file_name(params: JsonObject, key: str, default: str | None = None) -> str:
    """Returns the name of a file in a folder that is known; it leads nowhere else."""
    value = optional(params, key, str) if default is not None else field(params, key, str)
    value = default or "" if value is None else value
    if not _FILE_NAME.fullmatch(value):
        raise FieldError(
            f"{key} must be 1 to 64 letters, digits, dots, hyphens and underscores, "
            "without folders and not beginning with a dot or hyphen"
        )
    return value


def index(params: JsonObject) -> int:
    """Returns the number of a fork: 0 or 1."""
    return bounded(params, "index", 0, 1)


def bounded(
    params: JsonObject, key: str, lower: int, upper: int, default: int | None = None
) -> int:
    """Returns a whole number within bounds; without a default it may not be left out."""
    if default is not None and optional(params, key, int) is None:
        return default
    return _bounded(field(params, key, int), key, lower, upper)


def unless_left_out(params: JsonObject, key: str, lower: int, upper: int) -> int | None:
    """Returns a whole number within bounds, None when it is null or left out."""
    value = optional(params, key, int)
    return None if value is None else _bounded(value, key, lower, upper)


def _bounded(value: int, key: str, lower: int, upper: int) -> int:
    if not lower <= value <= upper:
        raise FieldError(f"{key} is not between {lower} and {upper}")
    return value


def flag(params: JsonObject, key: str, *, default: bool) -> bool:
    """Returns a truth value."""
    value = optional(params, key, bool)
    return default if value is None else value


def decibels(params: JsonObject, key: str, bounds: tuple[float, float] = GAIN_DB) -> float | None:
    """Returns a gain within bounds, None when it is null or left out."""
    value = optional(params, key, float)
    return None if value is None else _decibels(value, key, bounds)


def _decibels(value: float, key: str, bounds: tuple[float, float]) -> float:
    if not bounds[0] <= value <= bounds[1]:
        raise FieldError(f"{key} is not between {bounds[0]} and {bounds[1]} dB")
    return value


def address(params: JsonObject, key: str) -> str:
    """Returns an IPv4 address."""
    try:
        return str(ipaddress.IPv4Address(field(params, key, str)))
    except ipaddress.AddressValueError as error:
        raise FieldError(f"{key} is not an IPv4 address") from error


def codec(params: JsonObject) -> Codec:
    """Returns the codec, PCMU when it is left out."""
    value = optional(params, "codec", str) or Codec.PCMU
    if value not in tuple(Codec):
        raise FieldError(f"codec {value[:40]!r} is not one of {', '.join(Codec)}")
    return Codec(value)


def ptime_ms(params: JsonObject, codec: Codec) -> int:
    """Returns the packet time; 20 ms, or what is nearest for the codec, when it is left out."""
    value = optional(params, "ptime_ms", int)
    allowed = codec.ptimes_ms
    if value is None:
        return 20 if 20 in allowed else allowed[0]
    if value not in allowed:
        times = ", ".join(map(str, allowed))
        raise FieldError(f"ptime_ms {value}: {codec} goes in packets of {times} ms")
    return value


def rate_hz(params: JsonObject) -> int | None:
    """Returns a sample rate, None when it is left out."""
    value = optional(params, "rate_hz", int)
    if value not in (None, *RATES_HZ):
        raise FieldError(f"rate_hz {value} is not one of {RATES_HZ}")
    return value


def tag(params: JsonObject) -> JsonObject:
    """Returns the owner's note, empty when it is left out."""
    value = optional(params, "tag", dict) or {}
    encode(value, max_line_bytes=MAX_TAG_BYTES)
    return value


def events(params: JsonObject) -> tuple[int, ...]:
    """Returns the telephone events that the digits stand for."""
    digits = field(params, "digits", str)
    if not 0 < len(digits) <= MAX_DIGITS or not EVENTS.keys() >= set(digits):
        raise FieldError(f"digits must be 1 to {MAX_DIGITS} of {''.join(EVENTS)}")
    return tuple(EVENTS[digit] for digit in digits)


def srtp(params: JsonObject) -> Srtp | None:
    """Returns suite and keys of SRTP; no message here ever shows what was given."""
    value = optional(params, "srtp", dict)
    if value is None:
        return None
    suite = field(value, "suite", str)
    if suite not in tuple(SrtpSuite):
        raise FieldError(f"the suite of srtp is not one of {', '.join(SrtpSuite)}")
    send, receive = (optional(value, key, str) or "" for key in ("send", "receive"))
    if send or receive:
        srtp_key(SrtpSuite(suite), send, "send")
        srtp_key(SrtpSuite(suite), receive, "receive")
    return Srtp(SrtpSuite(suite), send, receive)


def srtp_key(suite: SrtpSuite, text: str, key: str) -> bytes:
    """Returns the octets of a master key with its salt."""
    try:
        octets = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise FieldError(f"the {key} key of srtp is not base64") from None
    if len(octets) != suite.key_octets:
        raise FieldError(f"the {key} key of srtp is not of {suite.key_octets} octets")
    return octets


def tone(params: JsonObject) -> str | Tone:
    """Returns the name of a tone, or one that is spelled out."""
    value = params.get("tone")
    if isinstance(value, str):
        return _checked_name(value, "tone")
    if not isinstance(value, dict):
        raise FieldError("tone is neither a name nor an object with parts")
    return Tone(
        parts=tuple(_part(item) for item in _few(value, "parts", at_least=1)),
        steps=tuple(_step(item) for item in _few(value, "steps", at_least=0)),
        repeats=bounded(value, "repeats", 0, 1_000_000, 0),
    )


def _few(tone: JsonObject, key: str, *, at_least: int) -> list[JsonValue]:
    items = optional(tone, key, list) or []
    if not at_least <= len(items) <= TONE_PARTS:
        raise FieldError(f"a tone has {at_least} to {TONE_PARTS} {key}")
    return items


def _part(item: JsonValue) -> tuple[int, float]:
    frequency, level = _pair(item, "parts", "frequency_hz", "level_dbfs")
    pair: JsonObject = {"frequency_hz": frequency, "level_dbfs": level}
    dbfs = _decibels(field(pair, "level_dbfs", float), "level_dbfs", TONE_DBFS)
    return bounded(pair, "frequency_hz", *TONE_HZ), dbfs


def _step(item: JsonValue) -> tuple[int, int]:
    on_ms, off_ms = _pair(item, "steps", "on_ms", "off_ms")
    pair: JsonObject = {"on_ms": on_ms, "off_ms": off_ms}
    return bounded(pair, "on_ms", 1, TONE_STEP_MS), bounded(pair, "off_ms", 0, TONE_STEP_MS)


def _pair(item: JsonValue, key: str, first: str, second: str) -> list[JsonValue]:
    if not isinstance(item, list) or len(item) != 2:
        raise FieldError(f"{key} of a tone are pairs of {first} and {second}")
    return item
