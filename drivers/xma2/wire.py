"""Lines of the XMA2's console, as they travel (docs/xma2.md; *ours*).

A command is one line.  Its answer is any number of lines and then ``ok``, or ``error CODE TEXT``.
A line that begins with ``!`` is news and belongs to no answer.
"""

import hmac
import re
from dataclasses import dataclass
from typing import Final

from ...hal.xma import PortFilter, PortFilterError, XmaChannel
from ..errors import ConsoleLineError

PROTOCOL: Final = 1
MAX_LINE_BYTES: Final = 256
MAX_LABEL: Final = 32
MAX_CHANNELS: Final = 32
MAX_STEPS: Final = 100
NEWS: Final = "!"
OK: Final = "ok"
ERROR: Final = "error"
_GREETING: Final = re.compile(
    r"xma2 ([0-9]{1,4}) ([0-9a-f]{32}) (\S{1,32}) (\S{1,32}) ([0-9]{1,2}) ([0-9a-f]{32})", re.ASCII
)
_FILTER: Final = re.compile(r"filter (0x[0-9a-f]{1,4}) (0x[0-9a-f]{1,4})")
_CHANNEL: Final = re.compile(r"channel ([0-9]{1,2}) (on|off)(?: (\S.{0,31}))?")
_COUNTER: Final = re.compile(r"counter ([a-z][a-z_]{0,31}) ([0-9]{1,18})")
_KEY: Final = re.compile(r"key ([0-9]{1,2}) (down|up)")
_KNOB: Final = re.compile(r"knob ([0-9]{1,2}) ([+-][0-9]{1,3})")


@dataclass(frozen=True, slots=True)
class Greeting:
    """Who answers at the console.

    Attributes:
        protocol: Version of the protocol it speaks.
        nonce: What the host said, returned: an answer of this session.
        serial: Serial number of the module.
        firmware: Its release.
        channels: How many speaker channels it carries.
        challenge: What the login must answer.
    """

    protocol: int
    nonce: str
    serial: str
    firmware: str
    channels: int
    challenge: str

    @classmethod
    def parse(cls, line: str) -> "Greeting":
        """Returns the greeting that a line holds.

        Raises:
            ConsoleLineError: It holds none.
        """
        protocol, nonce, serial, firmware, channels, challenge = _fields(_GREETING, line)
        return cls(int(protocol), nonce, serial, firmware, int(channels), challenge)

    def __str__(self) -> str:
        return " ".join(
            (
                "xma2",
                str(self.protocol),
                self.nonce,
                self.serial,
                self.firmware,
                str(self.channels),
                self.challenge,
            )
        )

    def answer(self, secret: bytes) -> str:
        """Returns what proves that the host knows the module's secret, which is never sent."""
        said = f"{self.nonce}:{self.challenge}:{self.serial}".encode()
        return hmac.digest(secret, said, "sha256").hex()


@dataclass(frozen=True, slots=True)
class KeyNews:
    """The key of a channel was pressed or released."""

    channel: int
    pressed: bool

    @classmethod
    def parse(cls, line: str) -> "KeyNews":
        """Returns the news that a line holds.

        Raises:
            ConsoleLineError: It holds none.
        """
        channel, way = _fields(_KEY, line)
        return cls(_channel(channel), way == "down")

    def __str__(self) -> str:
        return f"key {self.channel} {'down' if self.pressed else 'up'}"


@dataclass(frozen=True, slots=True)
class KnobNews:
    """The knob of a channel was turned: louder, or quieter when negative; at most 100 steps."""

    channel: int
    steps: int

    @classmethod
    def parse(cls, line: str) -> "KnobNews":
        """Returns the news that a line holds.

        Raises:
            ConsoleLineError: It holds none, or a knob that turns by itself.
        """
        channel, steps = _fields(_KNOB, line)
        if not 0 < abs(int(steps)) <= MAX_STEPS:
            raise ConsoleLineError(f"{line!r}: a knob turns by 1 to {MAX_STEPS} steps")
        return cls(_channel(channel), int(steps))

    def __str__(self) -> str:
        return f"knob {self.channel} {self.steps:+d}"


def decode(line: bytes) -> str:
    """Returns a line of the console as text.

    Raises:
        ConsoleLineError: It is not UTF-8, or has something in it that cannot be printed.
    """
    try:
        text = line.decode()
    except UnicodeDecodeError as error:
        raise ConsoleLineError(f"{line[:40]!r} is not UTF-8") from error
    if not text.isprintable():
        raise ConsoleLineError(f"{line[:40]!r} cannot be printed")
    return text


def parse_filter(line: str) -> PortFilter:
    """Returns the port filter that a line holds.

    Raises:
        ConsoleLineError: It holds none, or one that cannot be.
    """
    portref, netmask = _fields(_FILTER, line)
    try:
        return PortFilter(int(portref, 16), int(netmask, 16))
    except PortFilterError as error:
        raise ConsoleLineError(f"{line!r}: {error}") from error


def filter_line(ports: PortFilter) -> str:
    """Returns the line that holds a port filter, as command and as answer."""
    return f"filter {ports.portref:#06x} {ports.netmask:#06x}"


def parse_channel(line: str) -> XmaChannel:
    """Returns the channel that a line holds.

    Raises:
        ConsoleLineError: It holds none.
    """
    channel, switch, label = _fields(_CHANNEL, line)
    return XmaChannel(_channel(channel), switch == "on", label or "")


def channel_line(channel: XmaChannel) -> str:
    """Returns the line that holds a channel, as command and as answer.

    Raises:
        ConsoleLineError: The label is too long or cannot be printed, or there is no such channel.
    """
    line = f"channel {channel.channel} {'on' if channel.enabled else 'off'} {channel.label}".strip()
    if parse_channel(decode(line.encode())) != channel:
        raise ConsoleLineError(f"label {channel.label!r} begins or ends with a space")
    return line


def parse_counter(line: str) -> tuple[str, int]:
    """Returns name and value of the counter that a line holds.

    Raises:
        ConsoleLineError: It holds none.
    """
    name, value = _fields(_COUNTER, line)
    return name, int(value)


def _channel(text: str) -> int:
    if not 0 < int(text) <= MAX_CHANNELS:
        raise ConsoleLineError(f"channel {text}: channels are 1 to {MAX_CHANNELS}")
    return int(text)


def _fields(pattern: re.Pattern[str], line: str) -> tuple[str, ...]:
    found = pattern.fullmatch(line)
    if found is None:
        wanted = pattern.pattern.split(" ", 1)[0]
        raise ConsoleLineError(f"{line[:60]!r} is not a {wanted} line of the console")
    return found.groups()
