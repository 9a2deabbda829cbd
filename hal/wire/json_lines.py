r"""One JSON object per line, with a bound on the line.

OLDCB, boot's control socket and the emulated hardware speak this.  Nothing here
touches a socket: bytes go in, objects come out.

    >>> splitter = LineSplitter()
    >>> [decode(line) for line in splitter.feed(b'{"id": 1}\n{"id"')]
    [{'id': 1}]
    >>> [decode(line) for line in splitter.feed(b': 2}\n')]
    [{'id': 2}]
    >>> encode({"id": 2, "result": {}})
    b'{"id":2,"result":{}}\n'
"""

import json
import math
from collections.abc import Iterator, Mapping
from typing import Final, NoReturn, TypeAlias, TypeVar, cast

from ..errors import FieldError, LineTooLongError, NotJsonError

JsonValue: TypeAlias = "bool | int | float | str | list[JsonValue] | dict[str, JsonValue] | None"
JsonObject: TypeAlias = dict[str, JsonValue]
T = TypeVar("T", bool, int, float, str, list[JsonValue], dict[str, JsonValue])

MAX_LINE_BYTES: Final = 65_536


class LineSplitter:
    """Cuts a stream of bytes into lines and never keeps more than one line's worth."""

    def __init__(self, max_line_bytes: int = MAX_LINE_BYTES) -> None:
        self._max = max_line_bytes
        self._rest = bytearray()

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yields each line that ``data`` completes, without its newline; blank lines are skipped.

        The lines before an overlong one are yielded first.  After an error the stream
        has lost its framing: close it.

        Raises:
            LineTooLongError: A line is longer than the bound, finished or not.
        """
        self._rest += data
        while (end := self._rest.find(b"\n")) >= 0:
            self._check(end)
            line = bytes(self._rest[:end]).strip()
            del self._rest[: end + 1]
            if line:
                yield line
        self._check(len(self._rest))

    def _check(self, length: int) -> None:
        if length > self._max:
            self._rest.clear()
            raise LineTooLongError(f"a line is longer than {self._max} bytes")


def encode(message: Mapping[str, object], *, max_line_bytes: int = MAX_LINE_BYTES) -> bytes:
    """Returns the message as one line with its newline.

    Raises:
        NotJsonError: The message holds something that JSON cannot say.
        LineTooLongError: The line is longer than a peer accepts.
    """
    try:
        line = json.dumps(message, separators=(",", ":"), allow_nan=False).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise NotJsonError(f"not expressible as JSON: {error}") from error
    if len(line) > max_line_bytes:
        raise LineTooLongError(f"a message of {len(line)} bytes exceeds {max_line_bytes}")
    return line + b"\n"


def decode(line: bytes) -> JsonObject:
    """Returns the object that one line holds.

    Raises:
        NotJsonError: The line is not UTF-8, not JSON, not an object, or says NaN or infinity.
    """
    try:
        message = json.loads(line.decode(), parse_constant=_refuse, parse_float=_finite)
    except (ValueError, RecursionError) as error:
        raise NotJsonError(f"not a JSON object: {error}") from error
    if not isinstance(message, dict):
        raise NotJsonError(f"not a JSON object: {type(message).__name__}")
    return cast(JsonObject, message)


def field(message: Mapping[str, JsonValue], name: str, kind: type[T]) -> T:
    """Returns a field of the message, checked to be of that type.

    A whole number is taken where a ``float`` is asked for; a truth value is never a number.

    Raises:
        FieldError: The field is missing or of another type.
    """
    if name not in message:
        raise FieldError(f"field {name!r} is missing")
    value: object = message[name]
    if kind is float and type(value) is int:
        value = _as_float(name, value)
    if not isinstance(value, kind) or isinstance(value, bool) is not issubclass(kind, bool):
        raise FieldError(f"field {name!r} is {type(value).__name__}, not {kind.__name__}")
    return value


def optional(message: Mapping[str, JsonValue], name: str, kind: type[T]) -> T | None:
    """Returns a field of the message, or None where it is missing or null.

    Raises:
        FieldError: The field is there but of another type.
    """
    return None if message.get(name) is None else field(message, name, kind)


def _as_float(name: str, value: int) -> float:
    try:
        return float(value)
    except OverflowError as error:
        raise FieldError(f"field {name!r} is too large") from error


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text[:20]} is out of range")
    return number


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")
