"""What a hand does to a device, as frozen events in bounded queues.

A reader that falls behind loses the oldest events and is told so by an
:class:`Overflow` in their place; it then reads the device's absolute state again.
"""

import asyncio
import enum
import weakref
from collections import deque
from dataclasses import dataclass
from typing import Final, TypeAlias

QUEUE_LIMIT: Final = 64


class HookState(enum.Enum):
    """Where the handset lies."""

    ON_HOOK = "on_hook"
    OFF_HOOK = "off_hook"


@dataclass(frozen=True, slots=True)
class HookEvent:
    """A handset was lifted or put back; ``time`` is Unix seconds at the host."""

    time: float
    position: str
    state: HookState


@dataclass(frozen=True, slots=True)
class PttEvent:
    """The push-to-talk bar was pressed or released."""

    time: float
    position: str
    pressed: bool


@dataclass(frozen=True, slots=True)
class MuteEvent:
    """The device's own mute was switched."""

    time: float
    position: str
    muted: bool


@dataclass(frozen=True, slots=True)
class KeyEvent:
    """A key was pressed or released."""

    time: float
    position: str
    key: str
    pressed: bool


@dataclass(frozen=True, slots=True)
class LatchEvent:
    """The device's own latch switch moved."""

    time: float
    position: str
    latched: bool


@dataclass(frozen=True, slots=True)
class VolumeEvent:
    """A knob turned, or a volume key was pressed: ``steps`` louder, or quieter when negative.

    ``channel`` counts from 1; 0 is the device as a whole.
    """

    time: float
    position: str
    channel: int
    steps: int


@dataclass(frozen=True, slots=True)
class AttachedEvent:
    """The device answers; its absolute state is known again."""

    time: float
    position: str


@dataclass(frozen=True, slots=True)
class DetachedEvent:
    """The device no longer answers; its last state is kept, nothing else."""

    time: float
    position: str


@dataclass(frozen=True, slots=True)
class Overflow:
    """The reader was too slow: ``lost`` events stood here."""

    lost: int


DeviceEvent: TypeAlias = (
    HookEvent
    | PttEvent
    | LatchEvent
    | MuteEvent
    | KeyEvent
    | VolumeEvent
    | AttachedEvent
    | DetachedEvent
)


class EventQueue:
    """One reader's bounded view of a device's events; an async iterator that ends on close.

    It has one reading task and lives on one event loop.
    """

    def __init__(self, limit: int = QUEUE_LIMIT) -> None:
        self._events: deque[DeviceEvent] = deque(maxlen=limit)
        self._lost = 0
        self._closed = False
        self._ready = asyncio.Event()

    def put(self, event: DeviceEvent) -> None:
        """Adds an event; when the queue is full the oldest one gives way and is counted."""
        self._lost += len(self._events) == self._events.maxlen
        self._events.append(event)
        self._ready.set()

    def close(self) -> None:
        """Ends the iteration after what is already queued."""
        self._closed = True
        self._ready.set()

    def __aiter__(self) -> "EventQueue":
        return self

    async def __anext__(self) -> DeviceEvent | Overflow:
        while not self._lost and not self._events:
            if self._closed:
                raise StopAsyncIteration
            self._ready.clear()
            await self._ready.wait()
        return self._take()

    def _take(self) -> DeviceEvent | Overflow:
        if self._lost:
            lost, self._lost = self._lost, 0
            return Overflow(lost)
        return self._events.popleft()


class EventHub:
    """Gives every event of a device to every queue that somebody still holds."""

    def __init__(self, limit: int = QUEUE_LIMIT) -> None:
        self._limit = limit
        self._queues: weakref.WeakSet[EventQueue] = weakref.WeakSet()

    def subscribe(self) -> EventQueue:
        """Returns a queue of what happens from now on."""
        queue = EventQueue(self._limit)
        self._queues.add(queue)
        return queue

    def publish(self, event: DeviceEvent) -> None:
        """Gives the event to every queue."""
        for queue in tuple(self._queues):
            queue.put(event)

    def close(self) -> None:
        """Ends every queue."""
        for queue in tuple(self._queues):
            queue.close()
