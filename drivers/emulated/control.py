"""The host's end of a control socket: absolute state, events, and an untiring reconnect.

Nothing is polled while the device answers; while it does not, one connection attempt a
second is made at most.
"""

import asyncio
import contextlib
import logging
from typing import Final

from ...hal.board import DeviceSpec
from ...hal.clock import Clock
from ...hal.errors import WireError
from ...hal.events import (
    AttachedEvent,
    DetachedEvent,
    DeviceEvent,
    EventHub,
    EventQueue,
    HookEvent,
    HookState,
    KeyEvent,
    MuteEvent,
    PttEvent,
)
from ...hal.wire.json_lines import LineSplitter, decode, encode
from .sockets import sockets_of
from .wire import Change, ControlState, LampOrder

logger = logging.getLogger(__name__)

FIRST_RETRY_S: Final = 0.05
LAST_RETRY_S: Final = 1.0


class ControlDevice:
    """What every emulated device's driver shares; not a driver by itself."""

    def __init__(self, spec: DeviceSpec, clock: Clock) -> None:
        self._spec = spec
        self._clock = clock
        self._path = sockets_of(spec).control
        self._hub = EventHub()
        self._state = ControlState()
        self._lamps: set[str] = set()
        self._writer: asyncio.StreamWriter | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def position(self) -> str:
        """The device's place on the board."""
        return self._spec.position

    @property
    def attached(self) -> bool:
        """Whether the device answers now."""
        return self._writer is not None

    def events(self) -> EventQueue:
        """Returns an async iterator of what happens from now on."""
        return self._hub.subscribe()

    async def open(self) -> None:
        """Starts listening to the device; an AttachedEvent says when it answers."""
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name=f"control {self.position}")

    async def close(self) -> None:
        """Lets go of the device and ends its events."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        self._hub.close()

    async def set_lamp(self, lamp: str, *, lit: bool) -> None:
        """Lights or darkens a lamp; remembered and shown again after a re-attach."""
        (self._lamps.add if lit else self._lamps.discard)(lamp)
        if self._writer is not None:
            self._order(self._writer, LampOrder(lamp, lit))

    @property
    def _hook(self) -> HookState:
        return _hook_state(self._state.off_hook)

    async def _run(self) -> None:
        retry_s = FIRST_RETRY_S
        while True:
            try:
                await self._serve()
                retry_s = FIRST_RETRY_S
            except (OSError, WireError) as error:
                logger.debug("%s: %s", self.position, error)
            await asyncio.sleep(retry_s)
            retry_s = min(2 * retry_s, LAST_RETRY_S)

    async def _serve(self) -> None:
        reader, writer = await asyncio.open_unix_connection(str(self._path))
        try:
            await self._follow(reader, writer)
        finally:
            if self._writer is not None:
                self._writer = None
                self._hub.publish(DetachedEvent(self._clock.unix(), self.position))
                logger.warning("%s: detached", self.position)
            writer.close()

    async def _follow(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        splitter = LineSplitter()
        while data := await reader.read(4096):
            for line in splitter.feed(data):
                if self._writer is None:
                    self._attach(writer, ControlState.parse(decode(line)))
                else:
                    self._happen(Change.parse(decode(line)))

    def _attach(self, writer: asyncio.StreamWriter, state: ControlState) -> None:
        before, self._state, self._writer = self._state, state, writer
        for lamp in sorted(self._lamps):
            self._order(writer, LampOrder(lamp, lit=True))
        self._hub.publish(AttachedEvent(self._clock.unix(), self.position))
        for change in _differences(before, state):
            self._hub.publish(self._event(change))

    def _happen(self, change: Change) -> None:
        self._state = self._state.after(change)
        self._hub.publish(self._event(change))

    def _event(self, change: Change) -> DeviceEvent:
        now = self._clock.unix()
        match change.event:
            case "hook":
                return HookEvent(now, self.position, _hook_state(change.on))
            case "ptt":
                return PttEvent(now, self.position, change.on)
            case "mute":
                return MuteEvent(now, self.position, change.on)
        return KeyEvent(now, self.position, change.key, change.on)

    def _order(self, writer: asyncio.StreamWriter, order: LampOrder) -> None:
        if not writer.is_closing():
            writer.write(encode(order.message()))


def _hook_state(off_hook: bool) -> HookState:
    return HookState.OFF_HOOK if off_hook else HookState.ON_HOOK


def _differences(before: ControlState, after: ControlState) -> list[Change]:
    found = [
        Change(event, now)
        for event, was, now in (
            ("hook", before.off_hook, after.off_hook),
            ("ptt", before.ptt, after.ptt),
            ("mute", before.mute, after.mute),
        )
        if was != now
    ]
    found += [Change("key", True, key) for key in sorted(after.keys - before.keys)]
    return found + [Change("key", False, key) for key in sorted(before.keys - after.keys)]
