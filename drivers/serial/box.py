"""The host's end of a box on a serial line: absolute state, events, lamps, an untiring reconnect.

    line opens → hello → box, its switches, ready → attached → changes and pulse

The pulse finds out within two seconds that a box is gone whose line still stands.
"""

import asyncio
import contextlib
import logging
from typing import Final

from ...hal.board import Capability, DeviceSpec
from ...hal.clock import Clock
from ...hal.errors import DeviceGoneError, MatchError
from ...hal.events import (
    AttachedEvent,
    DetachedEvent,
    DeviceEvent,
    EventHub,
    EventQueue,
    KeyEvent,
    LatchEvent,
    MuteEvent,
    PttEvent,
)
from ...hal.ring import RingLight
from ..errors import BoxRefusedError, FrameError
from .exchange import TICK_S, Exchange
from .frame import MAX_FRAME_BYTES, Frame, check_word
from .line import SerialLine
from .messages import (
    HELLO,
    LAMP,
    PROTOCOL,
    RING,
    BoxState,
    Change,
    Introduction,
    LampOrder,
    ring_words,
)
from .places import place_of

logger = logging.getLogger(__name__)

MAX_LAMPS: Final = 64
_NEEDS: Final = {
    "ptt": Capability.PTT,
    "latch": Capability.LATCH,
    "mute": Capability.MUTE,
    "key": Capability.KEYS,
}


class BoxDevice:
    """What the drivers of every box share; not a driver by itself."""

    def __init__(self, spec: DeviceSpec, clock: Clock) -> None:
        self._spec = spec
        self._clock = clock
        self._line = SerialLine(spec.position, place_of(spec), self, max_line_bytes=MAX_FRAME_BYTES)
        self._hub = EventHub()
        self._exchange: Exchange | None = None
        self._beat: asyncio.Task[None] | None = None
        self._arriving: BoxState | None = None
        self._lamps: set[str] = set()
        self._ring = RingLight()
        self._attached = False
        self._state = BoxState()

    @property
    def position(self) -> str:
        """The device's place on the board."""
        return self._spec.position

    @property
    def attached(self) -> bool:
        """Whether the device answers now."""
        return self._attached

    def events(self) -> EventQueue:
        """Returns an async iterator of what happens from now on."""
        return self._hub.subscribe()

    async def open(self) -> None:
        """Starts listening to the device; an AttachedEvent says when it answers."""
        if self._beat is None:
            self._line.start()
            self._beat = asyncio.create_task(self._tick(), name=f"pulse {self.position}")

    async def close(self) -> None:
        """Lets go of the device and ends its events."""
        beat, self._beat = self._beat, None
        if beat is not None:
            beat.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await beat
            await self._line.close()
        self._hub.close()

    async def set_lamp(self, lamp: str, *, lit: bool) -> None:
        """Lights or darkens a lamp; remembered and shown again after a re-attach.

        Raises:
            FrameError: The name cannot be sent, or too many lamps are lit.
        """
        check_word(lamp)
        lamps = self._lamps | {lamp} if lit else self._lamps - {lamp}
        if len(lamps) > MAX_LAMPS:
            raise FrameError(f"more than {MAX_LAMPS} lamps are lit")
        self._lamps = lamps
        self._order(LAMP, *LampOrder(lamp, lit).words)

    async def _set_ring(self, light: RingLight) -> None:
        self._ring = light
        self._order(RING, *ring_words(light))

    def _order(self, verb: str, *words: str) -> None:
        if not self._attached or self._exchange is None:
            return
        try:
            self._exchange.say(verb, *words)
        except DeviceGoneError as error:
            self._line.give_up(str(error))

    # ------------------------------------------------------------ what the line says

    def opened(self) -> None:
        """The line is open: asks who is there."""
        self._arriving = None
        self._exchange = Exchange(self._line.write, pulse=True)
        self._exchange.say(HELLO, str(PROTOCOL))

    def heard(self, text: bytes) -> None:
        """A line of text came; what is no frame is passed over, for the box repeats it."""
        if self._exchange is None:
            return
        try:
            self._exchange.take(Frame.parse(text), self._act)
        except FrameError as error:
            logger.debug("%s: %s", self.position, error)

    def lost(self, reason: str) -> None:
        """The line is not open any more."""
        self._exchange = None
        if self._attached:
            self._attached = False
            self._hub.publish(DetachedEvent(self._clock.unix(), self.position))
            logger.info("%s: detached: %s", self.position, reason)

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            try:
                if self._exchange is not None:
                    self._exchange.tick()
            except DeviceGoneError as error:
                self._line.give_up(str(error))

    def _act(self, frame: Frame) -> None:
        try:
            self._follow(frame)
        except FrameError as error:
            raise BoxRefusedError(str(error)) from error

    def _follow(self, frame: Frame) -> None:
        match frame.verb:
            case "box":
                self._meet(Introduction.parse(frame))
            case "ready":
                self._attach()
            case "up":
                raise DeviceGoneError("the box has started anew")
            case _:
                self._happen(Change.parse(frame))

    def _meet(self, who: Introduction) -> None:
        """Checks that the box is the one that the board means.

        Raises:
            DeviceGoneError: It speaks another protocol.
            MatchError: It is of another kind, or has another serial number.
        """
        if who.protocol != PROTOCOL:
            raise DeviceGoneError(f"the box speaks protocol {who.protocol}, not {PROTOCOL}")
        serial = str(self._spec.match.get("serial", who.serial))
        if (who.kind, who.serial) != (self._spec.type, serial):
            wanted = f"the board wants {self._spec.type} {serial}"
            remedy = "swap the cables or correct the board"
            raise MatchError(f"a {who.kind} {who.serial} answers; {wanted}", remedy=remedy)
        self._arriving = BoxState()

    def _attach(self) -> None:
        if self._arriving is None:
            return
        before, self._state, self._arriving = self._state, self._arriving, None
        if not self._attached:
            self._attached = True
            self._line.confirm()
            self._hub.publish(AttachedEvent(self._clock.unix(), self.position))
        self._show_all()
        for change in self._state.since(before):
            self._hub.publish(self._event(change))

    def _show_all(self) -> None:
        for lamp in sorted(self._lamps):
            self._order(LAMP, *LampOrder(lamp, lit=True).words)
        if self._ring != RingLight():
            self._order(RING, *ring_words(self._ring))

    def _happen(self, change: Change) -> None:
        """Notes a change; what is as it was, a switch that bounces, is no event.

        Raises:
            BoxRefusedError: By the board the box has nothing of the kind.
        """
        if _NEEDS[change.what] not in self._spec.capabilities:
            raise BoxRefusedError(f"by the board {self.position} has no {change.what}")
        if self._arriving is not None:
            self._arriving = self._arriving.after(change)
        elif self._attached:
            before, self._state = self._state, self._state.after(change)
            for news in self._state.since(before):
                self._hub.publish(self._event(news))

    def _event(self, change: Change) -> DeviceEvent:
        now = self._clock.unix()
        match change.what:
            case "ptt":
                return PttEvent(now, self.position, change.on)
            case "latch":
                return LatchEvent(now, self.position, change.on)
            case "mute":
                return MuteEvent(now, self.position, change.on)
        return KeyEvent(now, self.position, change.key, change.on)
