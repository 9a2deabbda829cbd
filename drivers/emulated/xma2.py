"""An XMA2 at wire level: its console on a serial line or TCP, its port filter, keys, knobs, lamps.

Emulated: docs/xma2.md down to the byte, the login, a filter that really filters datagrams
(:mod:`.port_gate`), power cuts, and on command what real ones do wrong.

Not emulated: its loudspeakers and its mixing; the matrix at its address is a process of the
firmware's own, started beside it.
"""

import asyncio
import hmac
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from ...hal.speaker import channel_name
from ...hal.xma import XmaChannel
from ..errors import ConsoleLineError, EmulationError
from ..serial.cutter import LineCutter
from ..xma2.wire import (
    ERROR,
    MAX_LINE_BYTES,
    NEWS,
    OK,
    PROTOCOL,
    Greeting,
    KeyNews,
    KnobNews,
    channel_line,
    decode,
    filter_line,
    parse_channel,
    parse_filter,
)
from .port_gate import PortGate
from .serial_ports import SerialPort

FIRMWARE: Final = "1.4.0"


@dataclass(slots=True)
class ConsoleMischief:
    """What the console does wrong, as long as it is set.

    Attributes:
        silent: Answers nothing.
        stubborn: Says that it took a port filter, and keeps the one it had.
        nonsense: Says this instead of any answer.
        hasty: Says this right behind the answer to watch.
        stale: Greets with the nonce of another session.
        protocol: Version that it says it speaks.
    """

    silent: bool = False
    stubborn: bool = False
    nonsense: bytes = b""
    hasty: bytes = b""
    stale: bool = False
    protocol: int = PROTOCOL


class _RefusedError(Exception):
    """The command is refused; what the error line says."""


class Xma2Twin:
    """One module: its hand works it, its console's cable ends in a port.

    Args:
        serial: Its serial number.
        secret: What the login proves the knowledge of.
        port: Where the cable of its console ends.
        gate: Its port filter at work.
        channels: How many speaker channels it carries.
    """

    def __init__(
        self, serial: str, secret: bytes, port: SerialPort, gate: PortGate, *, channels: int = 8
    ) -> None:
        self._serial = serial
        self._secret = secret
        self._port = port
        self._cutter = LineCutter(MAX_LINE_BYTES)
        self._greeting: Greeting | None = None
        self._logged_in = self._watched = self._powered = False
        self.held: frozenset[int] = frozenset()
        self._channels = {n: XmaChannel(n, enabled=True) for n in range(1, channels + 1)}
        self._changed = asyncio.Event()
        self.gate = gate
        self.mischief = ConsoleMischief()
        self.lamps: frozenset[str] = frozenset()
        self.greetings = 0

    @property
    def url(self) -> str:
        """How a host names the line of its console."""
        return self._port.url

    # ------------------------------------------------------------ cable and power

    async def plug(self) -> None:
        """Puts the cable in; power comes with it."""
        await self._port.plug(self._receive)
        self.power_on()

    async def pull(self) -> None:
        """Pulls the cable of the console, and power with it."""
        self.power_cut()
        await self._port.pull()

    def power_on(self) -> None:
        """Starts the module; filter and channels are as they were, everything else is forgotten."""
        self._powered = True
        self._tell("up")

    def power_cut(self) -> None:
        """Cuts power and leaves the line of the console."""
        self._powered = self._logged_in = self._watched = False
        self._greeting = None
        self.lamps = frozenset()
        self._changed.set()

    # ------------------------------------------------------------ the hand

    def turn(self, channel: int, steps: int) -> None:
        """Turns the knob of a channel.

        Raises:
            EmulationError: There is no such channel.
        """
        self._find(channel)
        self._tell_watcher(str(KnobNews(channel, steps)))

    def press(self, channel: int, *, pressed: bool = True) -> None:
        """Presses or releases the key of a channel; it stays there through a power cut.

        Raises:
            EmulationError: There is no such channel.
        """
        self._find(channel)
        self.held = self.held | {channel} if pressed else self.held - {channel}
        self._tell_watcher(str(KeyNews(channel, pressed)))

    def say_bytes(self, data: bytes) -> None:
        """Says anything at all, as noise on the cable does."""
        self._port.write(data)

    async def until_shown(self, *lamps: str) -> None:
        """Waits until just these lamps are lit."""
        while self.lamps != frozenset(lamps):
            self._changed.clear()
            await self._changed.wait()

    async def until_greeted(self, count: int) -> None:
        """Waits until hosts have said hello that often."""
        while self.greetings < count:
            self._changed.clear()
            await self._changed.wait()

    # ------------------------------------------------------------ the console

    def _receive(self, data: bytes) -> None:
        for line in self._cutter.feed(data):
            if self._powered and not self.mischief.silent:
                self._port.write(self.mischief.nonsense or self._answer(line))
                self._changed.set()

    def _answer(self, line: bytes) -> bytes:
        try:
            lines = [*self._do(decode(line)), OK]
        except (_RefusedError, EmulationError, ConsoleLineError) as error:
            lines = [f"{ERROR} {error}"]
        behind = self.mischief.hasty if line == b"watch" else b""
        return "".join(f"{each}\r\n" for each in lines).encode() + behind

    def _do(self, command: str) -> Sequence[str]:
        verb, _, rest = command.partition(" ")
        if verb == "hello":
            return self._greet(rest)
        if verb == "login":
            return self._log_in(rest)
        if not self._logged_in:
            raise _RefusedError("log in first")
        if verb not in self._commands:
            raise _RefusedError(f"{verb[:20]} is not known")
        return self._commands[verb](command, rest)

    @property
    def _commands(self) -> Mapping[str, Callable[[str, str], Sequence[str]]]:
        return {
            "watch": self._watch,
            "filter": self._filter,
            "channels": self._list_channels,
            "channel": self._set_channel,
            "counters": self._count,
            "lamp": self._light,
            "ping": lambda _command, _rest: (),
        }

    def _greet(self, said: str) -> Sequence[str]:
        protocol, _, nonce = said.partition(" ")
        if not protocol.isdecimal() or len(nonce) != 32:
            raise _RefusedError("write hello PROTOCOL NONCE")
        self._logged_in = self._watched = False
        self.greetings += 1
        self._greeting = Greeting(
            protocol=self.mischief.protocol,
            nonce=nonce[::-1] if self.mischief.stale else nonce,
            serial=self._serial,
            firmware=FIRMWARE,
            channels=len(self._channels),
            challenge=secrets.token_hex(16),
        )
        return (str(self._greeting),)

    def _log_in(self, answer: str) -> Sequence[str]:
        """A challenge is answered once; a wrong answer needs a new one."""
        greeting, self._greeting = self._greeting, None
        if greeting is None:
            raise _RefusedError("say hello first")
        if not hmac.compare_digest(greeting.answer(self._secret).encode(), answer.encode()):
            raise _RefusedError("the secret is wrong")
        self._logged_in = True
        return ()

    def _watch(self, _command: str, _rest: str) -> Sequence[str]:
        self._watched = True
        return [str(KeyNews(channel, pressed=True)) for channel in sorted(self.held)]

    def _filter(self, command: str, rest: str) -> Sequence[str]:
        if rest and not self.mischief.stubborn:
            self.gate.ports = parse_filter(command)
        return (filter_line(self.gate.ports),)

    def _list_channels(self, _command: str, _rest: str) -> Sequence[str]:
        return [channel_line(channel) for channel in self._channels.values()]

    def _set_channel(self, command: str, _rest: str) -> Sequence[str]:
        channel = parse_channel(command)
        self._find(channel.channel)
        self._channels[channel.channel] = channel
        return (channel_line(channel),)

    def _count(self, _command: str, _rest: str) -> Sequence[str]:
        return [f"counter {name} {value}" for name, value in sorted(self.gate.counters.items())]

    def _light(self, _command: str, rest: str) -> Sequence[str]:
        lamp, _, way = rest.partition(" ")
        if lamp not in {channel_name(n) for n in self._channels} or way not in ("on", "off"):
            raise _RefusedError("write lamp channel-N on or off")
        self.lamps = self.lamps | {lamp} if way == "on" else self.lamps - {lamp}
        return ()

    def _find(self, channel: int) -> None:
        if channel not in self._channels:
            raise EmulationError(f"{self._serial} has channels 1 to {len(self._channels)}")

    def _tell_watcher(self, news: str) -> None:
        if self._watched:
            self._tell(news)

    def _tell(self, news: str) -> None:
        self._port.write(f"{NEWS}{news}\r\n".encode())
