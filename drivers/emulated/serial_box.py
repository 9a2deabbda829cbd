"""A push-to-talk box with a light ring, or a box of keys, at the end of a serial cable.

Emulated: docs/serial.md down to the byte, switches that stay where the hand put them, lamps that
go dark when the host falls silent or power is cut, and on command what real ones do wrong.

Not emulated: what :mod:`.serial_ports` leaves out, the time a microcontroller takes, and the
update of its firmware.
"""

import asyncio
import contextlib
from dataclasses import dataclass, replace
from typing import Final

from ...hal.board import DeviceType
from ...hal.errors import DeviceGoneError
from ...hal.ring import RingLight
from ..errors import BoxRefusedError, EmulationError, FrameError
from ..serial.cutter import LineCutter
from ..serial.exchange import TICK_S, Exchange
from ..serial.frame import MAX_FRAME_BYTES, Frame
from ..serial.messages import (
    BOX,
    HELLO,
    KEY,
    PROTOCOL,
    READY,
    SWITCHES,
    UP,
    BoxState,
    Change,
    Introduction,
    LampOrder,
    parse_ring,
)
from .serial_ports import SerialPort

FORSAKEN_TICKS: Final = 30
"""After so many ticks without a word of the host the lamps go dark."""


@dataclass(slots=True)
class Mischief:
    """What the box does wrong, as long as it is set.

    Attributes:
        deaf: Hears nothing, so acknowledges nothing.
        mute: Says nothing.
        double: Says each change twice, as a bouncing contact does.
        cut: Says only this many bytes of each line; 0 is all of it.
        garble: Flips a bit in each line.
        protocol: Version that it says it speaks.
    """

    deaf: bool = False
    mute: bool = False
    double: bool = False
    cut: int = 0
    garble: bool = False
    protocol: int = PROTOCOL


class SerialBoxTwin:
    """One box: its hand works it, its cable ends in a port.

    Args:
        kind: ``gooseneck`` or ``panel``.
        serial: Its serial number.
        port: Where its cable ends.
    """

    def __init__(self, kind: DeviceType, serial: str, port: SerialPort) -> None:
        self._who = Introduction(PROTOCOL, kind, serial, "1.0.0")
        self._port = port
        self._cutter = LineCutter(MAX_FRAME_BYTES)
        self._exchange: Exchange | None = None
        self._clockwork: asyncio.Task[None] | None = None
        self._silent_ticks = 0
        self._changed = asyncio.Event()
        self.mischief = Mischief()
        self.state = BoxState()
        self.lamps: frozenset[str] = frozenset()
        self.ring = RingLight()
        self.hellos = 0

    @property
    def url(self) -> str:
        """How a host names its line."""
        return self._port.url

    # ------------------------------------------------------------ cable and power

    async def plug(self) -> None:
        """Puts the cable in; power comes with it."""
        await self._port.plug(self._receive)
        self.power_on()

    async def pull(self) -> None:
        """Pulls the cable."""
        await self.power_cut()
        await self._port.pull()

    def power_on(self) -> None:
        """Starts the box; it says so, for the host may think that it is still in a session."""
        if self._clockwork is None:
            self._clockwork = asyncio.create_task(self._run(), name="serial box")
            self._say_bytes(bytes(Frame(0, UP)))

    async def power_cut(self) -> None:
        """Cuts power and leaves the line: what the box knew is gone, switches stay."""
        clockwork, self._clockwork = self._clockwork, None
        if clockwork is not None:
            clockwork.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await clockwork
        self._exchange = None
        self._darken()

    # ------------------------------------------------------------ the hand

    def move(self, change: Change) -> None:
        """Lets the hand move a switch or a key.

        Raises:
            EmulationError: The box has nothing of the kind.
        """
        has = (KEY,) if self._who.kind == DeviceType.PANEL else SWITCHES
        if change.what not in has:
            raise EmulationError(f"a {self._who.kind} has no {change.what}")
        self.state = self.state.after(change)
        for _ in range(2 if self.mischief.double else 1):
            self.say(change.what, *change.words)

    def say(self, verb: str, *words: str) -> None:
        """Says something to the host, whether it makes sense or not."""
        if self._exchange is not None:
            self._exchange.say(verb, *words)

    async def until_greeted(self, count: int) -> None:
        """Waits until a host has said hello that often."""
        while self.hellos < count:
            self._changed.clear()
            await self._changed.wait()

    async def until_shown(self, lamps: frozenset[str], ring: RingLight) -> None:
        """Waits until the box shows these lamps and this ring, and nothing else."""
        while (self.lamps, self.ring) != (lamps, ring):
            self._changed.clear()
            await self._changed.wait()

    def say_bytes(self, data: bytes) -> None:
        """Says anything at all, as noise on the cable does."""
        self._port.write(data)

    # ------------------------------------------------------------ the line

    def _receive(self, data: bytes) -> None:
        if self._clockwork is None or self.mischief.deaf:
            return
        for line in self._cutter.feed(data):
            with contextlib.suppress(FrameError):
                self._take(Frame.parse(line))

    def _take(self, frame: Frame) -> None:
        self._silent_ticks = 0
        if frame.verb == HELLO:
            self._exchange = Exchange(self._say_bytes, pulse=False)
            self.hellos += 1
        if self._exchange is not None:
            self._exchange.take(frame, self._obey)

    def _obey(self, frame: Frame) -> None:
        try:
            self._follow(frame)
        except FrameError as error:
            raise BoxRefusedError(str(error)) from error

    def _follow(self, frame: Frame) -> None:
        match frame.verb:
            case "hello":
                self._introduce()
            case "lamp":
                self._light(LampOrder.parse(frame))
            case "ring" if self._who.kind == DeviceType.GOOSENECK:
                self.ring = parse_ring(frame)
            case "ping":
                return
            case _:
                raise BoxRefusedError(f"{frame.text!r} is not known")
        self._changed.set()

    def _light(self, order: LampOrder) -> None:
        self.lamps = self.lamps | {order.lamp} if order.lit else self.lamps - {order.lamp}

    def _introduce(self) -> None:
        self._darken()
        if self._exchange is None:
            return
        who = replace(self._who, protocol=self.mischief.protocol)
        self._exchange.say(BOX, *who.words)
        for change in self._standing():
            self.say(change.what, *change.words)
        self._exchange.say(READY)

    def _standing(self) -> list[Change]:
        """Every switch as it stands, or every key that is held."""
        if self._who.kind == DeviceType.PANEL:
            return [Change(KEY, True, key) for key in sorted(self.state.keys)]
        standing = (self.state.talking, self.state.latched, self.state.muted)
        return [Change(what, on) for what, on in zip(SWITCHES, standing, strict=True)]

    def _say_bytes(self, line: bytes) -> None:
        if self.mischief.mute:
            return
        if self.mischief.garble:
            line = bytes([line[0] ^ 1]) + line[1:]
        self._port.write(line[: self.mischief.cut] if self.mischief.cut else line)

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            self._silent_ticks += 1
            try:
                if self._exchange is not None:
                    self._exchange.tick()
            except DeviceGoneError:
                self._exchange = None
            if self._silent_ticks >= FORSAKEN_TICKS:
                self._darken()

    def _darken(self) -> None:
        self.lamps = frozenset()
        self.ring = RingLight()
        self._changed.set()
