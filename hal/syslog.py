r"""A unit's log as RFC 5424 over UDP (RFC 5426), with a rate limit and without secrets.

Boot and firmware both write it.  A record that carries a mapping as ``extra={"structured": …}``
has it sent as structured data, too.

>>> record = logging.LogRecord("turret.sip", logging.INFO, "", 0, "registered", None, None)
>>> record.created = 0.0
>>> SyslogFormatter("TP-0001", "runtime", process=7).format(record)
'<134>1 1970-01-01T00:00:00.000000Z TP-0001 runtime 7 turret.sip - registered'
"""

from __future__ import annotations

import logging
import re
import socket
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Final

FACILITY: Final = 16
"""local0, RFC 5424 section 6.2.1."""

MESSAGE_BYTES_MAX: Final = 2048
"""What every receiver should take, RFC 5426 section 3.2."""

STRUCTURED_ID: Final = "turret@32473"
"""SD-ID of our structured data; 32473 is IANA's number for examples (RFC 5612), as we have none."""

PARAMETER_CHARACTERS_MAX: Final = 160
"""Of each value, so that the structured data is never what a datagram is cut in."""

_SEVERITIES: Final = (
    (logging.CRITICAL, 2),
    (logging.ERROR, 3),
    (logging.WARNING, 4),
    (logging.INFO, 6),
    (logging.NOTSET, 7),
)
_NOT_PRINTABLE: Final = re.compile(r"[^\x21-\x7e]")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_SECRETS: Final = re.compile(
    r"(?i)(password|passwd|secret|token|community|cookie|authorization|response|nonce)"
    r"(['\"]?\s*[=:]\s*)(\"[^\"]*\"|'[^']*'|(?:(?:digest|bearer|basic)\s+)?[^\s,;]+)"
)


class Redactor:
    """Takes secrets out of text: those it was told, and whatever is written as one.

    >>> redactor = Redactor()
    >>> redactor.learn("hunter2")
    >>> redactor.clean("alice uses hunter2, password=other")
    'alice uses ***, password=***'
    """

    def __init__(self) -> None:
        self._known: set[str] = set()

    def learn(self, secret: str) -> None:
        """Remembers a secret; shorter than four characters would black out too much."""
        if len(secret) >= 4:
            self._known.add(secret)

    def clean(self, text: str) -> str:
        """The text with every secret replaced by ``***``."""
        for secret in sorted(self._known, key=len, reverse=True):
            text = text.replace(secret, "***")
        return _SECRETS.sub(r"\1\2***", text)


class CleanFormatter(logging.Formatter):
    """Formats a record as text without secrets, tracebacks included."""

    def __init__(self, redactor: Redactor, fmt: str | None = None) -> None:
        super().__init__(fmt)
        self._redactor = redactor

    def format(self, record: logging.LogRecord) -> str:
        """The record as text, cleaned."""
        return self._redactor.clean(super().format(record))


class SyslogFormatter(CleanFormatter):
    """Formats a record as one RFC 5424 message.

    Args:
        host: HOSTNAME, the unit's serial number for one.
        application: APP-NAME.
        process: PROCID.
        redactor: What takes secrets out.
    """

    def __init__(
        self, host: str, application: str, *, process: int, redactor: Redactor | None = None
    ) -> None:
        super().__init__(redactor or Redactor())
        self._host = header_field(host, 255)
        self._application = header_field(application, 48)
        self._process = header_field(str(process), 128)

    def format(self, record: logging.LogRecord) -> str:
        """The record as a syslog message; control characters are escaped, so it is one line."""
        text = _CONTROL.sub(_escape, super().format(record))
        mark = "" if text.isascii() else "\ufeff"
        header = f"<{FACILITY * 8 + severity(record.levelno)}>1 {_timestamp(record.created)}"
        name = header_field(record.name, 32)
        source = f"{self._host} {self._application} {self._process} {name}"
        return f"{header} {source} {self._structured(record)} {mark}{text}"

    def _structured(self, record: logging.LogRecord) -> str:
        parameters: Mapping[str, object] = getattr(record, "structured", {})
        clean = {name: self._redactor.clean(str(value)) for name, value in parameters.items()}
        return structured_data(clean)


def severity(level: int) -> int:
    """The syslog severity (RFC 5424 table 2) of a level of `logging`."""
    return next(number for floor, number in _SEVERITIES if level >= floor)


def header_field(text: str, length_max: int) -> str:
    """The text as a header field: printable ASCII without spaces, "-" when nothing is left."""
    return _NOT_PRINTABLE.sub("", text)[-length_max:] or "-"


def structured_data(parameters: Mapping[str, str]) -> str:
    r"""The parameters as one SD-ELEMENT (RFC 5424 section 6.3), "-" when there are none.

    >>> structured_data({"stage": "dhcp", "why": 'no "offer"'})
    '[turret@32473 stage="dhcp" why="no \\"offer\\""]'
    """
    if not parameters:
        return "-"
    pairs = (f'{name}="{_parameter(value)}"' for name, value in parameters.items())
    return f"[{STRUCTURED_ID} {' '.join(pairs)}]"


def _parameter(value: str) -> str:
    cut = _CONTROL.sub(" ", value[:PARAMETER_CHARACTERS_MAX])
    return re.sub(r'(["\\\]])', r"\\\1", cut)


def _escape(match: re.Match[str]) -> str:
    return match[0].encode("unicode_escape").decode()


def _timestamp(unix_s: float) -> str:
    moment = datetime.fromtimestamp(unix_s, UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


class RateLimit:
    """A bucket of messages: `burst` at once, then `rate_hz` per second.

    Args:
        rate_hz: Messages per second in the long run.
        burst: Messages that may come at once.
        monotonic: Seconds of a clock that never jumps.
    """

    def __init__(self, rate_hz: float, burst: int, monotonic: Callable[[], float]) -> None:
        self._rate_hz = rate_hz
        self._burst = burst
        self._monotonic = monotonic
        self._tokens = float(burst)
        self._last = monotonic()

    def allows(self) -> bool:
        """Whether one more message may go now; takes it out of the bucket."""
        now = self._monotonic()
        self._tokens = min(self._burst, self._tokens + (now - self._last) * self._rate_hz)
        self._last = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


class Peer:
    """A syslog server; the unit's own address may change meanwhile.

    Args:
        address: IPv4 address and port.
    """

    def __init__(self, address: tuple[str, int]) -> None:
        self._address = address
        self._udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)

    def send(self, data: bytes) -> None:
        """Sends one datagram, at once or not at all.

        Raises:
            OSError: The network does not take it.
        """
        self._udp.sendto(data, self._address)

    def close(self) -> None:
        """Closes the socket."""
        self._udp.close()


class SyslogHandler(logging.Handler):
    """Sends each record as one datagram, never waits, and says later what it left out.

    Args:
        peer: The server.
        limit: How much may be sent.
    """

    def __init__(self, peer: Peer, limit: RateLimit) -> None:
        super().__init__()
        self._peer = peer
        self._limit = limit
        self._left_out = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Sends the record, or counts it as left out."""
        try:
            self._send(record)
        except Exception:
            self._left_out += 1

    def _send(self, record: logging.LogRecord) -> None:
        if not self._limit.allows():
            self._left_out += 1
            return
        text = self.format(record)
        if self._left_out:
            text += f" ({self._left_out} earlier messages left out)"
        self._peer.send(truncated(text.encode(), MESSAGE_BYTES_MAX))
        self._left_out = 0

    def close(self) -> None:
        """Closes the socket."""
        self._peer.close()
        super().close()


def truncated(data: bytes, length_max: int) -> bytes:
    """UTF-8 of at most `length_max` bytes, never cut inside a character.

    >>> truncated("aé".encode(), 2)
    b'a'
    """
    return data[:length_max].decode(errors="ignore").encode() if len(data) > length_max else data


def connect(server: str) -> Peer:
    """The server at ``address:port``; a name is resolved once, now.

    Raises:
        OSError: The name cannot be resolved.
    """
    host, _, port = server.rpartition(":")
    found = socket.getaddrinfo(host, int(port), socket.AF_INET, socket.SOCK_DGRAM)
    return Peer((str(found[0][4][0]), int(port)))
